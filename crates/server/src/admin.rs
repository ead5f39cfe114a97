//! The admin API: extract, one use case off this thread, render.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tollgate_auth::{Granted, KeysManage, KeysRead, OrgManage, OrgRead, UsageRead};
use tollgate_control::{Control, ControlError};
use tollgate_domain::{ErrorKind, KeyId};
use tollgate_engine::{EngineError, now};
use tollgate_validation::{NewApiKey, OrganizationChange, PageQuery, UsageRequest, Valid};

use crate::body::read_json;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::state::WorkerState;

pub(crate) async fn create_key(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let granted = Granted::<KeysManage>::check(caller.principal())?;
    let body = read_json(&request, payload, state.shared().admin_body).await?;
    let input = Valid::<NewApiKey>::from_json(&body)?;
    let created = change(&state, move |control| {
        control.create_key(&granted, input, now())
    })
    .await?;
    Ok(json(StatusCode::CREATED, &created))
}

pub(crate) async fn list_keys(
    request: HttpRequest,
    caller: Caller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let granted = Granted::<KeysRead>::check(caller.principal())?;
    let page = PageQuery::from_query(request.query_string())?;
    let keys = read(&state, move |control| control.list_keys(&granted, &page)).await?;
    Ok(json(StatusCode::OK, &keys))
}

pub(crate) async fn revoke_key(
    caller: Caller,
    id: Path<String>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let granted = Granted::<KeysManage>::check(caller.principal())?;
    let id: KeyId = id.parse().map_err(|_| ControlError::NotFound("API key"))?;
    let key = change(&state, move |control| {
        control.revoke_key(&granted, id, now())
    })
    .await?;
    Ok(json(StatusCode::OK, &key))
}

pub(crate) async fn find_organization(
    caller: Caller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let granted = Granted::<OrgRead>::check(caller.principal())?;
    let found = read(&state, move |control| control.organization(&granted)).await?;
    Ok(json(StatusCode::OK, &found))
}

pub(crate) async fn change_organization(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let granted = Granted::<OrgManage>::check(caller.principal())?;
    let body = read_json(&request, payload, state.shared().admin_body).await?;
    let input = Valid::<OrganizationChange>::from_json(&body)?;
    let changed = change(&state, move |control| {
        control.change_organization(&granted, input, now())
    })
    .await?;
    Ok(json(StatusCode::OK, &changed))
}

pub(crate) async fn usage(
    request: HttpRequest,
    caller: Caller,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let granted = Granted::<UsageRead>::check(caller.principal())?;
    let query = UsageRequest::from_query(request.query_string())?;
    let page = read(&state, move |control| control.usage(&granted, query)).await?;
    Ok(json(StatusCode::OK, &page))
}

/// Runs a use case off this thread.
async fn read<T: Send + 'static>(
    state: &WorkerState,
    run: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ApiError> {
    let shared = state.shared_arc();
    web::block(move || run(&shared.control))
        .await
        .map_err(|_| stopped())?
        .map_err(ApiError::from)
}

/// Runs a use case that changes who may do what, and lets it take effect here at once.
async fn change<T: Send + 'static>(
    state: &WorkerState,
    run: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, ApiError> {
    let callers = std::sync::Arc::clone(state.worker().engine().callers());
    read(state, move |control| {
        let done = run(control)?;
        // The change is made, and an answer that says otherwise would have it made again.
        if let Err(error) = callers.refresh() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a change takes effect here when the database answers again"
            );
        }
        Ok(done)
    })
    .await
}

fn stopped() -> ApiError {
    EngineError::new(
        ErrorKind::Unavailable,
        "service_unavailable",
        "the server is stopping",
    )
    .into()
}

fn json(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).json(value)
}
