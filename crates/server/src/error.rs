//! Errors as HTTP answers. A kind of error becomes a status in one place: the engine's `status_of`.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use tollgate_control::{AccountError, ControlError};
use tollgate_domain::ErrorKind;
use tollgate_engine::EngineError;
use tollgate_validation::ValidationError;
use tollgate_wire::{ErrorBody, error_body};

/// An error that has no kind of the domain, because it is about HTTP itself.
#[derive(Debug)]
pub(crate) struct HttpError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: Cow<'static, str>,
    /// Whether the connection cannot be used again, because its body was not read.
    pub(crate) closes: bool,
}

impl HttpError {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        closes: bool,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            closes,
        }
    }

    pub(crate) fn body_too_large(bytes_max: usize) -> Self {
        let message = format!("the body is larger than {bytes_max} bytes");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            message,
            true,
        )
    }

    pub(crate) fn body_too_slow(timeout: Duration) -> Self {
        let message = format!("the body did not arrive within {} ms", timeout.as_millis());
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            message,
            true,
        )
    }

    pub(crate) fn body_broken() -> Self {
        let message = "the body ended too early or is not framed correctly";
        Self::new(StatusCode::BAD_REQUEST, "invalid_body", message, true)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        let message = "send one plain body as \"Content-Type: application/json\" in UTF-8";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            message,
            true,
        )
    }

    pub(crate) fn invalid_host() -> Self {
        let message = "the Host header is not one that this server answers to";
        Self::new(StatusCode::BAD_REQUEST, "invalid_host", message, true)
    }

    pub(crate) fn head_too_large() -> Self {
        let message = "the request line or the headers are too large";
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            message,
            true,
        )
    }

    pub(crate) fn precondition_required() -> Self {
        let message = "say in If-Match which ETag the change is for, or * for any";
        Self::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition_required",
            message,
            false,
        )
    }

    pub(crate) fn invalid_header(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_header", message, false)
    }

    pub(crate) fn not_found() -> Self {
        let message = "there is nothing at this path";
        Self::new(StatusCode::NOT_FOUND, "not_found", message, false)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "this path does not take this method";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            message,
            false,
        )
    }

    /// Renders it in the shape of the API that the path belongs to.
    pub(crate) fn respond(&self, path: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.closes {
            response.force_close();
        }
        if is_admin(path) {
            return problem(&mut response, self.status, self.code, &self.message, &[]);
        }
        let body = error_body(&ErrorBody {
            message: &self.message,
            kind: "invalid_request_error",
            param: None,
            code: Some(self.code),
        });
        response
            .insert_header((CONTENT_TYPE, "application/json"))
            .body(body)
    }
}

/// Whether a path is the admin API's, whose errors are RFC 9457 problems.
pub(crate) fn is_admin(path: &str) -> bool {
    path.starts_with("/api/")
}

/// An error of the admin API.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    problems: Vec<tollgate_validation::Problem>,
    retry_after: Option<Duration>,
    closes: bool,
}

fn status_of(kind: ErrorKind) -> StatusCode {
    StatusCode::from_u16(tollgate_engine::status_of(kind))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl From<HttpError> for ApiError {
    fn from(error: HttpError) -> Self {
        Self {
            status: error.status,
            code: error.code,
            message: error.message.into_owned(),
            problems: Vec::new(),
            retry_after: None,
            closes: error.closes,
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        Self {
            status: status_of(error.kind),
            code: error.code,
            message: error.message.into_owned(),
            problems: Vec::new(),
            retry_after: error.retry_after,
            closes: false,
        }
    }
}

impl From<tollgate_auth::Denied> for ApiError {
    fn from(denied: tollgate_auth::Denied) -> Self {
        EngineError::from(denied).into()
    }
}

impl From<ValidationError> for ApiError {
    fn from(error: ValidationError) -> Self {
        Self {
            status: status_of(error.kind()),
            code: "invalid_request",
            message: error.to_string(),
            problems: error.problems,
            retry_after: None,
            closes: false,
        }
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let own = match &error {
            ControlError::Stale => Some((StatusCode::PRECONDITION_FAILED, "precondition_failed")),
            ControlError::Unfinished => Some((StatusCode::CONFLICT, "idempotency_unfinished")),
            ControlError::Reused => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Some((status, "idempotency_key_reused"))
            }
            _ => None,
        };
        if let Some((status, code)) = own {
            return HttpError::new(status, code, error.to_string(), false).into();
        }
        if let ControlError::Input(problems) = error {
            return problems.into();
        }
        Self::of(error.kind(), None, &error)
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let retry_after = error.retry_after();
        let own = Self::of(error.kind(), error.code(), &error);
        Self {
            retry_after: retry_after.or(own.retry_after),
            ..own
        }
    }
}

impl ApiError {
    /// Renders the error of a use case. What is our own fault is logged and not told.
    fn of(
        kind: ErrorKind,
        code: Option<&'static str>,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        let (kind, code, message) = match kind {
            ErrorKind::Internal | ErrorKind::Unavailable => {
                tracing::error!(error, "a use case failed");
                (
                    ErrorKind::Unavailable,
                    "service_unavailable",
                    "this cannot be done right now; repeat it shortly".to_owned(),
                )
            }
            kind => (kind, code.unwrap_or(code_of(kind)), error.to_string()),
        };
        let retry_after = (kind == ErrorKind::Unavailable).then_some(Duration::from_secs(2));
        Self {
            status: status_of(kind),
            code,
            message,
            problems: Vec::new(),
            retry_after,
            closes: false,
        }
    }
}

const fn code_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "not_found",
        ErrorKind::Forbidden => "permission_denied",
        ErrorKind::Conflict => "conflict",
        _ => "invalid_request",
    }
}

impl ApiError {
    pub(crate) fn respond(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.closes {
            response.force_close();
        }
        if let Some(wait) = self.retry_after {
            response.insert_header((RETRY_AFTER, wait.as_secs().max(1).to_string()));
        }
        problem(
            &mut response,
            self.status,
            self.code,
            &self.message,
            &self.problems,
        )
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn error_response(&self) -> HttpResponse {
        self.respond()
    }
}

fn problem(
    response: &mut HttpResponseBuilder,
    status: StatusCode,
    code: &'static str,
    message: &str,
    problems: &[tollgate_validation::Problem],
) -> HttpResponse {
    let errors: Vec<_> = problems
        .iter()
        .map(
            |one| serde_json::json!({"field": one.field, "code": one.code, "message": one.message}),
        )
        .collect();
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": message,
        "code": code,
        "errors": errors,
    });
    let mut answer = response
        .insert_header((CONTENT_TYPE, "application/problem+json"))
        .body(body.to_string());
    answer.extensions_mut().insert(ErrorCode(code));
    answer
}

/// The code of the error that an answer tells of, for its line in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorCode(pub(crate) &'static str);
