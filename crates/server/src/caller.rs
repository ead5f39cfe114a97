//! The caller as an argument of a handler, so that authentication cannot be forgotten.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use tollgate_auth::{Credential, CredentialError, KeyText, Principal};
use tollgate_control::Current;
use tollgate_domain::ErrorKind;
use tollgate_engine::{EngineError, Reply, now};

use crate::client::client_address;
use crate::error::ApiError;
use crate::people::{Cookies, authenticate, own_session, read, state_of};
use crate::respond::respond;
use crate::state::WorkerState;
use crate::strangers::Refusal;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Reads the one credential of a request, in whichever form it came.
pub(crate) fn credential(headers: &HeaderMap) -> Result<KeyText, CredentialError> {
    let bare = headers.get_all(X_API_KEY).chain(headers.get_all(API_KEY));
    Credential::from_headers(
        headers.get_all(AUTHORIZATION).map(|value| value.as_bytes()),
        bare.map(|value| value.as_bytes()),
    )
}

/// The one thing that a request says who it comes from with.
pub(crate) enum Presented {
    /// An API key or an access token, in a header.
    Credential(Credential),
    /// The secret of a session, in the cookie.
    Session(String),
}

/// Reads what an admin request says who it comes from with: a header, or the cookie, and not both.
pub(crate) fn presented(
    request: &HttpRequest,
    cookies: &Cookies,
) -> Result<Presented, CredentialError> {
    let headers = request.headers();
    let bare = headers.get_all(X_API_KEY).chain(headers.get_all(API_KEY));
    let in_header = Credential::any_from_headers(
        headers.get_all(AUTHORIZATION).map(|value| value.as_bytes()),
        bare.map(|value| value.as_bytes()),
    );
    match (in_header, cookies.find(headers)?) {
        (Err(CredentialError::Missing), Some(token)) => Ok(Presented::Session(token.to_owned())),
        (_, Some(_)) => Err(CredentialError::Conflicting),
        (in_header, None) => in_header.map(Presented::Credential),
    }
}

/// An authenticated caller of the admin API.
pub(crate) struct Caller(Principal);

impl Caller {
    pub(crate) fn principal(&self) -> Principal {
        self.0.clone()
    }

    fn of(current: &Current) -> Result<Self, ApiError> {
        let principal = current.principal().cloned();
        Ok(Self(principal.ok_or_else(no_organization)?))
    }
}

impl FromRequest for Caller {
    type Error = NotACaller;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotACaller>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = state_of(&request).map_err(ApiError::from)?;
            let presented = presented(&request, &state.shared().people.cookies);
            match presented.map_err(|error| refused(&state, &request, error.into()).in_api())? {
                Presented::Credential(Credential::Key(key)) => {
                    let callers = state.worker().engine().callers();
                    let found = callers.authenticate(&key, client_address(&request)).await;
                    match found {
                        Ok(caller) => Ok(Self(caller.principal())),
                        Err(error) => Err(refused(&state, &request, error).in_api()),
                    }
                }
                Presented::Credential(Credential::Access(token)) => {
                    let checked = read(&state, move |accounts| {
                        accounts.authenticate_access(token.expose(), now())
                    });
                    Ok(Self::of(&checked.await?)?)
                }
                Presented::Session(token) => {
                    let token = own_session(&request, &state, token)?;
                    Ok(Self::of(&authenticate(&state, token).await?)?)
                }
            }
        })
    }
}

/// Counts a request that came with no key that is valid.
fn refused(state: &WorkerState, request: &HttpRequest, error: EngineError) -> Refused {
    let strangers = &state.shared().gate.strangers;
    Refused(strangers.refuse(client_address(request), error))
}

fn no_organization() -> EngineError {
    EngineError::new(
        ErrorKind::Forbidden,
        "no_organization",
        "this session looks at no organization",
    )
}

/// An authenticated caller of the OpenAI surface: cookies have no say there.
pub(crate) struct KeyCaller(pub(crate) Arc<tollgate_engine::Caller>);

/// A key that is refused, as the OpenAI surface says it.
#[derive(Debug)]
pub(crate) struct Refused(Refusal);

/// Why there is no caller of the admin API.
#[derive(Debug)]
pub(crate) enum NotACaller {
    /// No key that is valid came.
    Key(Refused),
    /// Anything else.
    Other(ApiError),
}

impl Refused {
    const fn in_api(self) -> NotACaller {
        NotACaller::Key(self)
    }
}

impl From<ApiError> for NotACaller {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.error.fmt(f)
    }
}

impl std::fmt::Display for NotACaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(refused) => refused.fmt(f),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Refused {
    fn error_response(&self) -> HttpResponse {
        let reply = Reply::of_error(&self.0.error);
        let mut response = respond(reply, std::time::Instant::now(), None);
        self.0.describe(&mut response);
        response
    }
}

impl ResponseError for NotACaller {
    fn error_response(&self) -> HttpResponse {
        let refusal = match self {
            Self::Key(Refused(refusal)) => refusal,
            Self::Other(error) => return error.respond(),
        };
        let EngineError {
            kind,
            code,
            message,
            retry_after,
            ..
        } = &refusal.error;
        let error = EngineError::new(*kind, code, message.to_string());
        let retry_after = *retry_after;
        let mut response = ApiError::from(EngineError {
            retry_after,
            ..error
        })
        .respond();
        refusal.describe(&mut response);
        response
    }
}

impl FromRequest for KeyCaller {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refused>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = credential(request.headers()).map_err(EngineError::from);
        let state = state_of(request);
        let request = request.clone();
        Box::pin(async move {
            let state = state.map_err(|error| Refused(error.into()))?;
            let callers = state.worker().engine().callers();
            let found = match key {
                Ok(key) => callers.authenticate(&key, client_address(&request)).await,
                Err(error) => Err(error),
            };
            found
                .map(Self)
                .map_err(|error| refused(&state, &request, error))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn every_surface_says_when_to_ask_again() {
        let error = || {
            let error = EngineError::new(ErrorKind::Unavailable, "service_unavailable", "later");
            EngineError {
                retry_after: Some(Duration::from_secs(2)),
                ..error
            }
        };
        for response in [
            Refused(error().into()).error_response(),
            Refused(error().into()).in_api().error_response(),
            NotACaller::from(ApiError::from(error())).error_response(),
        ] {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
        }
    }
}
