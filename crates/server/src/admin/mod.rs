//! The admin API: extract, one use case off this thread, render.

pub(crate) mod keys;

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tollgate_auth::{Granted, OrgManage, OrgRead, UsageRead};
use tollgate_control::{Control, ControlError};
use tollgate_domain::ErrorKind;
use tollgate_engine::{EngineError, now};
use tollgate_validation::{OrganizationChange, UsageRequest, Valid};

use crate::body::read_json;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::state::WorkerState;

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
pub(super) async fn read<T: Send + 'static>(
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
pub(super) async fn change<T: Send + 'static>(
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

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).json(value)
}
