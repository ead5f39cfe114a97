//! People who sign in: extract, one use case off this thread, render.

mod asking;
mod cookie;
mod invitations;
mod letters;
mod origin;
mod second_factor;
mod sessions;
mod sign_in;
mod tokens;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tollgate_control::{AccountError, Accounts, SignedIn};
use tollgate_domain::ErrorKind;
use tollgate_engine::{EngineError, now};

use crate::error::ApiError;
use crate::state::WorkerState;

pub(crate) use self::asking::{Asked, Person, Stranger, authenticate, own_session, state_of};
pub(crate) use self::cookie::Cookies;
use self::cookie::csrf_token;
pub(crate) use self::invitations::accept_invitation;
pub(crate) use self::letters::{
    change_password, request_reset, request_verification, reset_password, verify_email,
};
pub(crate) use self::origin::Origins;
pub(crate) use self::second_factor::{
    confirm_totp, disable_totp, enrol_totp, renew_recovery_codes,
};
pub(crate) use self::sessions::{list_sessions, revoke_other_sessions, revoke_session, session};
pub(crate) use self::sign_in::{set_up, sign_in, sign_out};
pub(crate) use self::tokens::{issue_tokens, jwks, refresh};

/// Use cases of people at once. Each may hash a password, which the hasher does two at a time; the other
/// threads are for who is in already.
const AT_ONCE_MAX: usize = 4;

/// How long a use case waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// What people need of the server.
#[derive(Debug)]
pub(crate) struct People {
    pub(crate) accounts: Accounts,
    pub(crate) cookies: Cookies,
    pub(crate) origins: Origins,
    turns: Semaphore,
}

impl People {
    pub(crate) fn new(accounts: Accounts, cookies: Cookies, origins: Origins) -> Self {
        Self {
            accounts,
            cookies,
            origins,
            turns: Semaphore::new(AT_ONCE_MAX),
        }
    }
}

/// Runs a use case off this thread, and lets what it changed take effect here at once.
async fn change<T: Send + 'static>(
    state: &WorkerState,
    run: impl FnOnce(&Accounts) -> Result<T, AccountError> + Send + 'static,
) -> Result<T, ApiError> {
    let shared = state.shared_arc();
    let turn = tokio::time::timeout(TURN_TIMEOUT, shared.people.turns.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(busy());
    };
    let callers = std::sync::Arc::clone(state.worker().engine().callers());
    read(state, move |accounts| {
        let done = run(accounts)?;
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

/// Runs a use case off this thread that changes nothing of who may do what.
pub(crate) async fn read<T: Send + 'static>(
    state: &WorkerState,
    run: impl FnOnce(&Accounts) -> Result<T, AccountError> + Send + 'static,
) -> Result<T, ApiError> {
    let shared = state.shared_arc();
    web::block(move || run(&shared.people.accounts))
        .await
        .map_err(|_| busy())?
        .map_err(ApiError::from)
}

fn busy() -> ApiError {
    let error = EngineError::new(
        ErrorKind::Unavailable,
        "service_unavailable",
        "too many are signing in; repeat it shortly",
    );
    EngineError {
        retry_after: Some(TURN_TIMEOUT),
        ..error
    }
    .into()
}

/// Answers a new session: its secret goes into the cookie alone.
fn signed_in(
    state: &WorkerState,
    status: StatusCode,
    signed_in: &SignedIn,
    more: &[(&str, Value)],
) -> HttpResponse {
    let token = signed_in.token.expose();
    let left = signed_in.session.expires_at.micros() - now().micros();
    let cookie = state.shared().people.cookies.set(token, left / 1_000_000);
    let mut body = json!({"session": signed_in.session, "csrf_token": csrf_token(token)});
    for (name, value) in more {
        body[*name] = value.clone();
    }
    HttpResponse::build(status)
        .insert_header((SET_COOKIE, cookie))
        .json(body)
}

fn done() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
