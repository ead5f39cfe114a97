//! Who asks, as arguments of handlers.

use std::future::{Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::USER_AGENT;
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use garde::Validate;
use serde::de::DeserializeOwned;
use tollgate_auth::CredentialError;
use tollgate_control::{AccountError, Current, Visitor};
use tollgate_domain::{ErrorKind, RequestId};
use tollgate_engine::{EngineError, now};
use tollgate_validation::Valid;

use crate::body::read_json;
use crate::caller::{Presented, presented};
use crate::client::client_address;
use crate::error::{ApiError, HttpError};
use crate::state::WorkerState;

/// Somebody who is signed in.
pub(crate) struct Person {
    pub(crate) current: Current,
    /// The secret of the session.
    pub(crate) session: String,
    pub(crate) visitor: Visitor,
}

/// Somebody who need not be signed in.
pub(crate) struct Stranger {
    /// The secret of the session that the browser has, whatever it is worth.
    pub(crate) session: Option<String>,
    pub(crate) visitor: Visitor,
}

/// Who asks, and then what they sent: it is read once they are known.
pub(crate) struct Asked<W, T>(pub(crate) W, pub(crate) T);

impl FromRequest for Stranger {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(stranger(request))
    }
}

fn stranger(request: &HttpRequest) -> Result<Stranger, ApiError> {
    let state = state_of(request)?;
    let people = &state.shared().people;
    if !people.origins.allow_stranger(request.headers()) {
        return Err(cross_site().into());
    }
    let session = people.cookies.find(request.headers());
    let session = session.map_err(EngineError::from)?.map(str::to_owned);
    Ok(Stranger {
        session,
        visitor: visitor(request),
    })
}

impl FromRequest for Person {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = session_of(request);
        let visitor = visitor(request);
        let state = state_of(request);
        Box::pin(async move {
            let (session, state) = (found?, state?);
            let current = authenticate(&state, session.clone()).await?;
            Ok(Self {
                current,
                session,
                visitor,
            })
        })
    }
}

/// Returns the session of a request that is meant to have one, and that no other page made.
fn session_of(request: &HttpRequest) -> Result<String, ApiError> {
    let state = state_of(request)?;
    match presented(request, &state.shared().people.cookies) {
        Ok(Presented::Session(token)) => own_session(request, &state, token),
        Err(error @ CredentialError::Conflicting) => Err(EngineError::from(error).into()),
        // A key is nobody who could have a password or a session.
        Ok(Presented::Credential(_)) | Err(_) => Err(AccountError::NotSignedIn.into()),
    }
}

/// Refuses a session whose request another page made.
pub(crate) fn own_session(
    request: &HttpRequest,
    state: &WorkerState,
    token: String,
) -> Result<String, ApiError> {
    let origins = &state.shared().people.origins;
    if origins.allow(request.method(), request.headers(), &token) {
        return Ok(token);
    }
    Err(cross_site().into())
}

/// Returns who has this session.
pub(crate) async fn authenticate(
    state: &WorkerState,
    session: String,
) -> Result<Current, ApiError> {
    super::read(state, move |accounts| {
        accounts.authenticate(&session, now())
    })
    .await
}

pub(crate) fn state_of(request: &HttpRequest) -> Result<Data<WorkerState>, EngineError> {
    let state = request.app_data::<Data<WorkerState>>().cloned();
    state.ok_or_else(|| {
        EngineError::new(ErrorKind::Internal, "internal", "the server is not set up")
    })
}

fn cross_site() -> EngineError {
    EngineError::new(
        ErrorKind::Forbidden,
        "cross_site_request",
        "a change with a session comes from a page of this server, with its x-csrf-token",
    )
}

/// Returns what is written down of who asks. The id is the one that the answer shows.
fn visitor(request: &HttpRequest) -> Visitor {
    let agent = request.headers().get(USER_AGENT);
    let agent = agent.and_then(|value| value.to_str().ok());
    let id = request.extensions().get::<RequestId>().copied();
    Visitor {
        client_ip: client_address(request),
        user_agent: agent.unwrap_or_default().to_owned(),
        request_id: id.map_or_else(String::new, |id| id.to_string()),
    }
}

impl<W, T> FromRequest for Asked<W, T>
where
    W: FromRequest<Error = ApiError> + 'static,
    T: DeserializeOwned + Validate<Context = ()> + 'static,
{
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let who = W::from_request(request, &mut Payload::None);
        let payload = web::Payload::from_request(request, payload).into_inner();
        let request = request.clone();
        Box::pin(async move {
            let who = who.await?;
            let limits = state_of(&request)?.shared().admin_body;
            let payload = payload.map_err(|_| HttpError::body_broken())?;
            let body = read_json(&request, payload, limits).await?;
            Ok(Self(who, Valid::<T>::from_json(&body)?.into_inner()))
        })
    }
}
