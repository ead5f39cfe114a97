//! The caller's own organization, and all of them for whoever runs the installation.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use tollgate_auth::{Granted, OrgManage, OrgRead, Platform, PlatformManage};
use tollgate_engine::now;
use tollgate_validation::{OrganizationChange, PageQuery, TenantChange};

use super::{Ask, shown};
use crate::error::ApiError;

/// How errors call an organization.
const ORGANIZATION: &str = "organization";

pub(crate) async fn find_own(ask: Ask) -> Result<HttpResponse, ApiError> {
    let granted = ask.allow(Granted::<OrgRead>::check).await?;
    let found = ask
        .read(move |control| control.organization(&granted))
        .await?;
    Ok(shown(StatusCode::OK, &found))
}

pub(crate) async fn update_own(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("organization.change");
    let granted = ask.allow(Granted::<OrgManage>::check).await?;
    let input = ask.input::<OrganizationChange>(payload).await?;
    let expected = ask.expected()?;
    let changed = ask
        .change(move |control| control.change_organization(&granted, input, expected, now()))
        .await?;
    Ok(shown(StatusCode::OK, &changed))
}

pub(crate) async fn create(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("organization.create");
    let platform = ask.allow(Platform::<PlatformManage>::check).await?;
    let body = ask.body(payload).await?;
    ask.make(StatusCode::CREATED, &body, move |control, input| {
        control.create_tenant(&platform, input, now())
    })
    .await
}

pub(crate) async fn list(ask: Ask) -> Result<HttpResponse, ApiError> {
    let platform = ask.allow(Platform::<PlatformManage>::check).await?;
    let page = PageQuery::from_query(ask.query())?;
    let found = ask
        .read(move |control| control.list_tenants(&platform, &page))
        .await?;
    Ok(HttpResponse::Ok().json(found))
}

pub(crate) async fn find(ask: Ask) -> Result<HttpResponse, ApiError> {
    let platform = ask.allow(Platform::<PlatformManage>::check).await?;
    let id = ask.id("id", ORGANIZATION)?;
    let found = ask
        .read(move |control| control.tenant(&platform, id))
        .await?;
    Ok(shown(StatusCode::OK, &found))
}

pub(crate) async fn update(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("organization.change");
    let platform = ask.allow(Platform::<PlatformManage>::check).await?;
    let input = ask.input::<TenantChange>(payload).await?;
    let (id, expected) = (ask.id("id", ORGANIZATION)?, ask.expected()?);
    let changed = ask
        .change(move |control| control.change_tenant(&platform, id, &input, expected, now()))
        .await?;
    Ok(shown(StatusCode::OK, &changed))
}
