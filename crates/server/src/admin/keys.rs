//! API keys.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tollgate_auth::{Granted, KeysManage, KeysRead};
use tollgate_control::ControlError;
use tollgate_domain::KeyId;
use tollgate_engine::now;
use tollgate_validation::{ApiKeyChange, KeyRotation, KeysQuery, NewApiKey, Valid};

use super::{change, json, read};
use crate::body::read_json;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::state::WorkerState;

pub(crate) async fn create(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let reach = Granted::<KeysManage>::reach(caller.principal())?;
    let body = read_json(&request, payload, state.shared().admin_body).await?;
    let input = Valid::<NewApiKey>::from_json(&body)?;
    let created = change(&state, move |control| {
        control.create_key(&reach, input, now())
    })
    .await?;
    Ok(json(StatusCode::CREATED, &created))
}

pub(crate) async fn list(
    request: HttpRequest,
    caller: Caller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let reach = Granted::<KeysRead>::reach(caller.principal())?;
    let query = KeysQuery::from_query(request.query_string())?;
    let keys = read(&state, move |control| {
        control.list_keys(&reach, &query, now())
    })
    .await?;
    Ok(json(StatusCode::OK, &keys))
}

pub(crate) async fn find(
    caller: Caller,
    id: Path<String>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let reach = Granted::<KeysRead>::reach(caller.principal())?;
    let id = key_id(&id)?;
    let key = read(&state, move |control| control.key(&reach, id, now())).await?;
    Ok(json(StatusCode::OK, &key))
}

pub(crate) async fn update(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    id: Path<String>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let reach = Granted::<KeysManage>::reach(caller.principal())?;
    let body = read_json(&request, payload, state.shared().admin_body).await?;
    let input = Valid::<ApiKeyChange>::from_json(&body)?;
    let id = key_id(&id)?;
    let key = change(&state, move |control| {
        control.change_key(&reach, id, input, now())
    })
    .await?;
    Ok(json(StatusCode::OK, &key))
}

pub(crate) async fn rotate(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    id: Path<String>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let reach = Granted::<KeysManage>::reach(caller.principal())?;
    let body = read_json(&request, payload, state.shared().admin_body).await?;
    let input = Valid::<KeyRotation>::from_json(&body)?;
    let id = key_id(&id)?;
    let rotated = change(&state, move |control| {
        control.rotate_key(&reach, id, input, now())
    })
    .await?;
    Ok(json(StatusCode::OK, &rotated))
}

pub(crate) async fn revoke(
    caller: Caller,
    id: Path<String>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let reach = Granted::<KeysManage>::reach(caller.principal())?;
    let id = key_id(&id)?;
    let key = change(&state, move |control| control.revoke_key(&reach, id, now())).await?;
    Ok(json(StatusCode::OK, &key))
}

fn key_id(text: &str) -> Result<KeyId, ControlError> {
    text.parse().map_err(|_| ControlError::NotFound("API key"))
}
