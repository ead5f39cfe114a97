//! A line in the log for requests that are no calls to a model: what was asked, by whom, and how it ended.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest};
use tollgate_domain::RequestId;
use tollgate_telemetry::AccessRecord;
use uuid::Uuid;

use crate::caller::credential;
use crate::client::client_address;
use crate::error::ErrorCode;
use crate::hardening::{REQUEST_ID, id_value};
use crate::state::WorkerState;

/// Answers a request and tells of it, under the id that the answer names, and audit entries too.
pub(crate) async fn tell(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let started = Instant::now();
    let id = RequestId::new(Uuid::now_v7());
    // What is written down of a request names the same id.
    request.request().extensions_mut().insert(id);
    let mut response = next.call(request).await?;
    response.headers_mut().insert(REQUEST_ID, id_value(id));
    write(response.request(), id, &response, started);
    Ok(response)
}

fn write<B>(request: &HttpRequest, id: RequestId, response: &ServiceResponse<B>, started: Instant) {
    let Some(state) = request.app_data::<Data<WorkerState>>() else {
        return;
    };
    let id = id.text();
    // Told of a refused key as well: its checksum shows that somebody was given it, or made it up with care.
    let key = credential(request.headers()).ok();
    let client_ip = client_address(request).map(|ip| ip.to_string());
    let duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let code = response.response().extensions().get().copied();
    state.observer().write(&AccessRecord {
        request_id: &id,
        method: request.method().as_str(),
        route: request.match_pattern().as_deref().unwrap_or("none"),
        status: response.status().as_u16(),
        duration_us,
        overhead_us: duration_us,
        public_id: key.as_ref().map(|key| key.public_id()),
        error_code: code.map(|ErrorCode(code)| code),
        client_ip: client_ip.as_deref(),
        ..AccessRecord::default()
    });
}
