//! The caller as an argument of a handler, so that authentication cannot be forgotten.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use tollgate_auth::{Credential, CredentialError, KeyText, Principal};
use tollgate_control::Current;
use tollgate_domain::ErrorKind;
use tollgate_engine::{EngineError, Reply, now};

use crate::error::ApiError;
use crate::people::{Cookies, authenticate, own_session, read, state_of};
use crate::respond::respond;

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

/// Returns the address that the connection comes from, which behind a proxy is the proxy's.
pub(crate) fn client_ip(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip())
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
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = state_of(&request)?;
            let presented = presented(&request, &state.shared().people.cookies);
            match presented.map_err(EngineError::from)? {
                Presented::Credential(Credential::Key(key)) => {
                    let callers = state.worker().engine().callers();
                    let caller = callers.authenticate(&key, client_ip(&request)).await?;
                    Ok(Self(caller.principal()))
                }
                Presented::Credential(Credential::Access(token)) => {
                    let checked = read(&state, move |accounts| {
                        accounts.authenticate_access(token.expose(), now())
                    });
                    Self::of(&checked.await?)
                }
                Presented::Session(token) => {
                    let token = own_session(&request, &state, token)?;
                    Self::of(&authenticate(&state, token).await?)
                }
            }
        })
    }
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

/// Why there is no caller, in the shape of the OpenAI surface.
#[derive(Debug)]
pub(crate) struct NotACaller(EngineError);

impl std::fmt::Display for NotACaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for NotACaller {
    fn error_response(&self) -> HttpResponse {
        respond(Reply::of_error(&self.0), std::time::Instant::now(), None)
    }
}

impl FromRequest for KeyCaller {
    type Error = NotACaller;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotACaller>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let key = credential(request.headers()).map_err(EngineError::from);
        let client_ip = client_ip(request);
        let state = state_of(request);
        Box::pin(async move {
            let authenticated = async {
                let state = state?;
                let callers = state.worker().engine().callers();
                callers.authenticate(&key?, client_ip).await
            };
            authenticated.await.map(Self).map_err(NotACaller)
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
            NotACaller(error()).error_response(),
            ApiError::from(error()).error_response(),
        ] {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
        }
    }
}
