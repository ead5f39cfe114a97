//! The session that asks, and the others of the same person.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::json;
use tollgate_control::{AccountError, Current};
use tollgate_domain::SessionId;
use tollgate_engine::now;

use super::cookie::csrf_token;
use super::{Person, change, done, read};
use crate::error::ApiError;
use crate::state::WorkerState;

pub(crate) async fn session(person: Person) -> HttpResponse {
    let Person {
        current, session, ..
    } = &person;
    let user = current.user();
    let rights = current.principal().map(|principal| &principal.rights);
    let teams = rights.map(|rights| rights.teams().to_vec());
    let teams = teams.unwrap_or_default().into_iter();
    let teams: Vec<_> = teams
        .map(|(id, permissions)| json!({"team_id": id, "permissions": permissions}))
        .collect();
    HttpResponse::Ok().json(json!({
        "user": {
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "is_email_verified": user.email_verified_at.is_some(),
            "has_second_factor": user.totp.is_some(),
            "recovery_codes_left": user.recovery_macs.len(),
        },
        "session": view(current),
        "permissions": {
            "platform": rights.map(|rights| rights.platform()),
            "organization": rights.map(|rights| rights.org()),
            "teams": teams,
        },
        "csrf_token": csrf_token(session),
    }))
}

fn view(current: &Current) -> serde_json::Value {
    json!(current.view())
}

pub(crate) async fn list_sessions(
    person: Person,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let all = read(&state, move |accounts| {
        accounts.list_sessions(&person.current, now())
    })
    .await?;
    // As many as somebody may have are one page.
    Ok(HttpResponse::Ok().json(json!({"data": all, "next_cursor": null})))
}

pub(crate) async fn revoke_session(
    person: Person,
    id: Path<String>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let id: SessionId = id.parse().map_err(|_| AccountError::NotFound("session"))?;
    change(&state, move |accounts| {
        accounts.revoke_session(&person.current, id, &person.visitor, now())
    })
    .await?;
    Ok(done())
}

pub(crate) async fn revoke_other_sessions(
    person: Person,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let ended = change(&state, move |accounts| {
        accounts.revoke_sessions(&person.current, true, &person.visitor, now())
    })
    .await?;
    Ok(HttpResponse::Ok().json(json!({"ended": ended})))
}
