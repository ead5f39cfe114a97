//! API keys.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use tollgate_auth::{Granted, KeysManage, KeysRead};
use tollgate_engine::now;
use tollgate_validation::{ApiKeyChange, KeysQuery};

use super::{Ask, shown};
use crate::error::ApiError;

/// How errors call a key.
const KEY: &str = "API key";

pub(crate) async fn create(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("key.create");
    let reach = ask.allow(Granted::<KeysManage>::reach).await?;
    let body = ask.body(payload).await?;
    ask.make(StatusCode::CREATED, &body, move |control, input| {
        control.create_key(&reach, input, now())
    })
    .await
}

pub(crate) async fn list(ask: Ask) -> Result<HttpResponse, ApiError> {
    let reach = ask.allow(Granted::<KeysRead>::reach).await?;
    let query = KeysQuery::from_query(ask.query())?;
    let keys = ask
        .read(move |control| control.list_keys(&reach, &query, now()))
        .await?;
    Ok(HttpResponse::Ok().json(keys))
}

pub(crate) async fn find(ask: Ask) -> Result<HttpResponse, ApiError> {
    let reach = ask.allow(Granted::<KeysRead>::reach).await?;
    let id = ask.id("id", KEY)?;
    let key = ask
        .read(move |control| control.key(&reach, id, now()))
        .await?;
    Ok(shown(StatusCode::OK, &key))
}

pub(crate) async fn update(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("key.change");
    let reach = ask.allow(Granted::<KeysManage>::reach).await?;
    let input = ask.input::<ApiKeyChange>(payload).await?;
    let (id, expected) = (ask.id("id", KEY)?, ask.expected()?);
    let key = ask
        .change(move |control| control.change_key(&reach, id, input, expected, now()))
        .await?;
    Ok(shown(StatusCode::OK, &key))
}

pub(crate) async fn rotate(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("key.rotate");
    let reach = ask.allow(Granted::<KeysManage>::reach).await?;
    let body = ask.body(payload).await?;
    let (id, expected) = (ask.id("id", KEY)?, ask.expected_if_given()?);
    ask.make(StatusCode::OK, &body, move |control, input| {
        control.rotate_key(&reach, id, &input, expected, now())
    })
    .await
}

pub(crate) async fn revoke(ask: Ask) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("key.revoke");
    let reach = ask.allow(Granted::<KeysManage>::reach).await?;
    let (id, expected) = (ask.id("id", KEY)?, ask.expected_if_given()?);
    let key = ask
        .change(move |control| control.revoke_key(&reach, id, expected, now()))
        .await?;
    Ok(shown(StatusCode::OK, &key))
}
