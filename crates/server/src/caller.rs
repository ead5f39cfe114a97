//! The caller as an argument of a handler, so that authentication cannot be forgotten.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use tollgate_auth::{Credential, CredentialError, KeyText, Principal};
use tollgate_domain::ErrorKind;
use tollgate_engine::{EngineError, Reply};

use crate::client::client_address;
use crate::error::{ApiError, is_admin};
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

/// An authenticated caller.
pub(crate) struct Caller(pub(crate) Arc<tollgate_engine::Caller>);

impl Caller {
    pub(crate) fn principal(&self) -> Principal {
        self.0.principal()
    }
}

/// Why there is no caller, in the shape of the API that was asked.
#[derive(Debug)]
pub(crate) struct NotACaller {
    refusal: Refusal,
    is_admin: bool,
}

impl std::fmt::Display for NotACaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.refusal.error.fmt(f)
    }
}

impl ResponseError for NotACaller {
    fn error_response(&self) -> HttpResponse {
        if self.is_admin {
            let EngineError {
                kind,
                code,
                message,
                retry_after,
                ..
            } = &self.refusal.error;
            let error = EngineError::new(*kind, code, message.to_string());
            let retry_after = *retry_after;
            let mut response = ApiError::from(EngineError {
                retry_after,
                ..error
            })
            .respond();
            self.refusal.describe(&mut response);
            return response;
        }
        let reply = Reply::of_error(&self.refusal.error);
        let mut response = respond(reply, std::time::Instant::now(), None);
        self.refusal.describe(&mut response);
        response
    }
}

impl FromRequest for Caller {
    type Error = NotACaller;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotACaller>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let is_admin = is_admin(request.path());
        let key = credential(request.headers()).map_err(EngineError::from);
        let client_ip = client_address(request);
        let state = request.app_data::<Data<WorkerState>>().cloned();
        let strangers = state.clone();
        Box::pin(async move {
            let authenticated = async {
                let state = state.ok_or_else(|| {
                    EngineError::new(ErrorKind::Internal, "internal", "the server is not set up")
                })?;
                let callers = state.worker().engine().callers();
                callers.authenticate(&key?, client_ip).await
            };
            authenticated.await.map(Self).map_err(|error| NotACaller {
                refusal: match &strangers {
                    Some(state) => state.shared().gate.strangers.refuse(client_ip, error),
                    None => error.into(),
                },
                is_admin,
            })
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
        for is_admin in [true, false] {
            let error = EngineError::new(ErrorKind::Unavailable, "service_unavailable", "later");
            let retry_after = Some(Duration::from_secs(2));
            let error = EngineError {
                retry_after,
                ..error
            };
            let refusal = error.into();
            let response = NotACaller { refusal, is_admin }.error_response();
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
        }
    }
}
