//! Audit entries of the organization: listed, and exported as a stream.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web;
use bytes::Bytes;
use futures_util::stream::try_unfold;
use tollgate_auth::{AuditRead, Granted};
use tollgate_validation::{AuditQuery, ExportQuery};

use super::Ask;
use super::ask::stopped;
use crate::error::ApiError;
use crate::sweeper::{Connection, Streaming};

pub(crate) async fn list(ask: Ask) -> Result<HttpResponse, ApiError> {
    let granted = ask.allow(Granted::<AuditRead>::check).await?;
    let query = AuditQuery::from_query(ask.query())?;
    let entries = ask
        .read(move |control| control.list_audit(&granted, &query))
        .await?;
    Ok(HttpResponse::Ok().json(entries))
}

/// Streams what there is now, a part at a time: the next is read when the one before was taken. When the
/// store fails on the way, the body ends before its end.
pub(crate) async fn export(ask: Ask) -> Result<HttpResponse, ApiError> {
    let granted = ask.allow(Granted::<AuditRead>::check).await?;
    let query = ExportQuery::from_query(ask.query())?;
    let granted = Arc::new(granted);
    let asked = Arc::clone(&granted);
    let last = ask.read(move |control| control.last_audit(&asked)).await?;
    let shared = ask.state().shared_arc();
    let connection = ask.request().conn_data::<Arc<Connection>>();
    let streaming = connection.map(Streaming::begin);
    let lines = try_unfold((query.after_seq, streaming), move |(after, streaming)| {
        let (shared, granted) = (Arc::clone(&shared), Arc::clone(&granted));
        async move {
            let read = move || shared.control.export_audit(&granted, after, last);
            let part = web::block(read).await.map_err(|_| stopped())??;
            let Some(end) = part.last().map(|entry| entry.seq) else {
                return Ok::<_, ApiError>(None);
            };
            if let Some(streaming) = &streaming {
                streaming.spoke();
            }
            let mut lines = Vec::new();
            for entry in &part {
                // Numbers, texts and times can be written; a vector takes what is written.
                let _written = serde_json::to_writer(&mut lines, entry);
                lines.push(b'\n');
            }
            Ok(Some((Bytes::from(lines), (end, streaming))))
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(Box::pin(lines)))
}
