//! People and service accounts of the organization.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use tollgate_auth::{Granted, UsersManage, UsersRead};
use tollgate_engine::now;
use tollgate_validation::{MemberChange, PageQuery};

use super::{Ask, shown};
use crate::error::ApiError;

/// How errors call a member.
const USER: &str = "user";

pub(crate) async fn list(ask: Ask) -> Result<HttpResponse, ApiError> {
    let granted = ask.allow(Granted::<UsersRead>::check).await?;
    let page = PageQuery::from_query(ask.query())?;
    let members = ask
        .read(move |control| control.list_members(&granted, &page))
        .await?;
    Ok(HttpResponse::Ok().json(members))
}

pub(crate) async fn find(ask: Ask) -> Result<HttpResponse, ApiError> {
    let granted = ask.allow(Granted::<UsersRead>::check).await?;
    let id = ask.id("id", USER)?;
    let member = ask
        .read(move |control| control.member(&granted, id))
        .await?;
    Ok(shown(StatusCode::OK, &member))
}

pub(crate) async fn update(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("member.change");
    let granted = ask.allow(Granted::<UsersManage>::check).await?;
    let input = ask.input::<MemberChange>(payload).await?;
    let (id, expected) = (ask.id("id", USER)?, ask.expected()?);
    let member = ask
        .change(move |control| control.change_member(&granted, id, &input, expected, now()))
        .await?;
    Ok(shown(StatusCode::OK, &member))
}

pub(crate) async fn remove(ask: Ask) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("member.remove");
    let granted = ask.allow(Granted::<UsersManage>::check).await?;
    let (id, expected) = (ask.id("id", USER)?, ask.expected_if_given()?);
    ask.change(move |control| control.remove_member(&granted, id, expected, now()))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(crate) async fn create_service_account(
    ask: Ask,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("service_account.create");
    let granted = ask.allow(Granted::<UsersManage>::check).await?;
    let body = ask.body(payload).await?;
    ask.make(StatusCode::CREATED, &body, move |control, input| {
        control.create_service_account(&granted, &input, now())
    })
    .await
}
