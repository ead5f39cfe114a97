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

use crate::error::{ApiError, is_admin};
use crate::respond::respond;
use crate::state::WorkerState;

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
    error: EngineError,
    is_admin: bool,
}

impl std::fmt::Display for NotACaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for NotACaller {
    fn error_response(&self) -> HttpResponse {
        if self.is_admin {
            let EngineError {
                kind,
                code,
                message,
                ..
            } = &self.error;
            return ApiError::from(EngineError::new(*kind, code, message.to_string())).respond();
        }
        respond(
            Reply::of_error(&self.error),
            std::time::Instant::now(),
            None,
        )
    }
}

impl FromRequest for Caller {
    type Error = NotACaller;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotACaller>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let is_admin = is_admin(request.path());
        let key = credential(request.headers()).map_err(EngineError::from);
        let state = request.app_data::<Data<WorkerState>>().cloned();
        Box::pin(async move {
            let authenticated = async {
                let state = state.ok_or_else(|| {
                    EngineError::new(ErrorKind::Internal, "internal", "the server is not set up")
                })?;
                state.worker().engine().callers().authenticate(&key?).await
            };
            authenticated
                .await
                .map(Self)
                .map_err(|error| NotACaller { error, is_admin })
        })
    }
}
