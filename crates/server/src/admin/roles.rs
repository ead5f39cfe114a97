//! Roles.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use tollgate_auth::{Granted, RolesManage, RolesRead};
use tollgate_engine::now;
use tollgate_validation::{PageQuery, RoleChange};

use super::{Ask, shown};
use crate::error::ApiError;

/// How errors call a role.
const ROLE: &str = "role";

pub(crate) async fn create(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("role.create");
    let granted = ask.allow(Granted::<RolesManage>::check).await?;
    let body = ask.body(payload).await?;
    ask.make(StatusCode::CREATED, &body, move |control, input| {
        control.create_role(&granted, input, now())
    })
    .await
}

pub(crate) async fn list(ask: Ask) -> Result<HttpResponse, ApiError> {
    let reach = ask.allow(Granted::<RolesRead>::reach).await?;
    let page = PageQuery::from_query(ask.query())?;
    let roles = ask
        .read(move |control| control.list_roles(&reach, &page))
        .await?;
    Ok(HttpResponse::Ok().json(roles))
}

pub(crate) async fn find(ask: Ask) -> Result<HttpResponse, ApiError> {
    let reach = ask.allow(Granted::<RolesRead>::reach).await?;
    let id = ask.id("id", ROLE)?;
    let role = ask.read(move |control| control.role(&reach, id)).await?;
    Ok(shown(StatusCode::OK, &role))
}

pub(crate) async fn update(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("role.change");
    let granted = ask.allow(Granted::<RolesManage>::check).await?;
    let input = ask.input::<RoleChange>(payload).await?;
    let (id, expected) = (ask.id("id", ROLE)?, ask.expected()?);
    let role = ask
        .change(move |control| control.change_role(&granted, id, input, expected, now()))
        .await?;
    Ok(shown(StatusCode::OK, &role))
}

pub(crate) async fn delete(ask: Ask) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("role.delete");
    let granted = ask.allow(Granted::<RolesManage>::check).await?;
    let (id, expected) = (ask.id("id", ROLE)?, ask.expected_if_given()?);
    ask.change(move |control| control.delete_role(&granted, id, expected, now()))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
