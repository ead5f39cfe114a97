//! Invitations into the organization.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use tollgate_auth::{Granted, UsersManage, UsersRead};
use tollgate_engine::now;
use tollgate_validation::PageQuery;

use super::{Ask, shown};
use crate::error::ApiError;

/// How errors call an invitation.
const INVITATION: &str = "invitation";

pub(crate) async fn create(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("invitation.create");
    let granted = ask.allow(Granted::<UsersManage>::check).await?;
    let body = ask.body(payload).await?;
    ask.make(StatusCode::CREATED, &body, move |control, input| {
        control.create_invitation(&granted, &input, now())
    })
    .await
}

pub(crate) async fn list(ask: Ask) -> Result<HttpResponse, ApiError> {
    let granted = ask.allow(Granted::<UsersRead>::check).await?;
    let page = PageQuery::from_query(ask.query())?;
    let found = ask
        .read(move |control| control.list_invitations(&granted, &page, now()))
        .await?;
    Ok(HttpResponse::Ok().json(found))
}

pub(crate) async fn find(ask: Ask) -> Result<HttpResponse, ApiError> {
    let granted = ask.allow(Granted::<UsersRead>::check).await?;
    let id = ask.id("id", INVITATION)?;
    let found = ask
        .read(move |control| control.invitation(&granted, id, now()))
        .await?;
    Ok(shown(StatusCode::OK, &found))
}

pub(crate) async fn revoke(ask: Ask) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("invitation.revoke");
    let granted = ask.allow(Granted::<UsersManage>::check).await?;
    let id = ask.id("id", INVITATION)?;
    let revoked = ask
        .change(move |control| control.revoke_invitation(&granted, id, now()))
        .await?;
    Ok(shown(StatusCode::OK, &revoked))
}
