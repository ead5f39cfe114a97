//! Tokens for programs that act for somebody.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;
use tollgate_control::IssuedTokens;
use tollgate_engine::now;
use tollgate_validation::{NoInput, RefreshInput};

use super::{Asked, Person, Stranger, change, read};
use crate::error::ApiError;
use crate::state::WorkerState;

pub(crate) async fn issue_tokens(
    Asked(person, NoInput {}): Asked<Person, NoInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let issued = change(&state, move |accounts| {
        accounts.issue_tokens(&person.current, &person.visitor, now())
    })
    .await?;
    Ok(answer(&issued))
}

pub(crate) async fn refresh(
    Asked(stranger, input): Asked<Stranger, RefreshInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let issued = read(&state, move |accounts| {
        accounts.refresh(&input.refresh_token, &stranger.visitor, now())
    })
    .await?;
    Ok(answer(&issued))
}

/// Source: <https://www.rfc-editor.org/rfc/rfc6749#section-5.1>
fn answer(issued: &IssuedTokens) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in_s,
        "refresh_token": issued.refresh_token.expose(),
        "ends_at": issued.ends_at,
    }))
}

pub(crate) async fn jwks(state: Data<WorkerState>) -> Result<HttpResponse, ApiError> {
    let keys = read(&state, |accounts| accounts.jwks(now())).await?;
    Ok(HttpResponse::Ok().json(keys))
}
