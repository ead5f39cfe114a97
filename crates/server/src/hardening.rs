//! What holds for every request and every answer: a well-formed host, bounded heads, safe headers.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::ConnectionType;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Data;
use pin_project_lite::pin_project;
use tollgate_domain::RequestId;
use tollgate_validation::host_header;
use uuid::Uuid;

use crate::cors::{Cors, Crossing};
use crate::error::HttpError;
use crate::state::WorkerState;
use crate::sweeper::{Connection, Handling};

/// The largest head: request line and headers together.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// The longest path with its query.
const URI_BYTES_MAX: usize = 8 << 10;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every answer says. Source: <https://owasp.org/www-project-secure-headers/>
const SAFE: [(HeaderName, HeaderValue); 6] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::PERMISSIONS_POLICY,
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (
        header::CROSS_ORIGIN_OPENER_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
    (
        header::CROSS_ORIGIN_RESOURCE_POLICY,
        HeaderValue::from_static("same-origin"),
    ),
];

/// What an answer says to a client that came over TLS: for two years, nothing else.
const STRICT_TRANSPORT: HeaderValue =
    HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// What an answer says that does not say otherwise.
const CAREFUL: [(HeaderName, HeaderValue); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Refuses what no handler should see, and adds the headers that no answer should lack. A middleware
/// with a future of its own: it is around every request, and boxes nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Harden;

impl<S> Transform<S, ServiceRequest> for Harden
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Hardened<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Hardened(service)))
    }
}

/// A service that is hardened.
#[derive(Debug)]
pub(crate) struct Hardened<S>(S);

impl<S> Service<ServiceRequest> for Hardened<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Hardening<S::Future>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let connection = request.request().conn_data::<Arc<Connection>>();
        if let Some(connection) = connection.filter(|connection| connection.is_closing()) {
            let connection = Arc::clone(connection);
            return Hardening::TooLate {
                connection,
                is_written: false,
            };
        }
        let is_last = request.head().connection_type() == ConnectionType::Close;
        if let Some(connection) = connection.filter(|_| is_last) {
            connection.close();
        }
        let handling = connection.map(Handling::begin);
        let state = request.app_data::<Data<WorkerState>>();
        let (refused, said) = match state {
            Some(state) => {
                let gate = &state.shared().gate;
                let crossing = gate.cors.crossing(&request);
                let is_https =
                    request.app_config().secure() || gate.proxies.is_https(request.request());
                let said = Said { is_https, crossing };
                let error = check(&request, &gate.allowed_hosts);
                let refused = error.map(|error| error.respond(request.path()));
                (
                    refused.or_else(|| Cors::preflight(&request, crossing)),
                    said,
                )
            }
            None => {
                let refused = check(&request, &[]).map(|error| error.respond(request.path()));
                (refused, Said::default())
            }
        };
        match refused {
            Some(answer) => Hardening::Refused {
                response: Some(request.into_response(answer)),
                handling,
                said,
            },
            None => Hardening::Handled {
                answering: self.0.call(request),
                handling,
                said,
            },
        }
    }
}

/// What an answer says besides what every answer does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    is_https: bool,
    crossing: Crossing,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            is_https: false,
            crossing: Crossing::Silent,
        }
    }
}

pin_project! {
    /// An answer to come.
    #[project = HardeningStep]
    pub(crate) enum Hardening<F> {
        Refused {
            response: Option<ServiceResponse<BoxBody>>,
            handling: Option<Handling>,
            said: Said,
        },
        // The HTTP library hands over what came behind a last request as well.
        TooLate {
            connection: Arc<Connection>,
            is_written: bool,
        },
        Handled {
            #[pin]
            answering: F,
            handling: Option<Handling>,
            said: Said,
        },
    }
}

impl<F> Future for Hardening<F>
where
    F: Future<Output = Result<ServiceResponse<BoxBody>, Error>>,
{
    type Output = Result<ServiceResponse<BoxBody>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, handling, said) = match self.project() {
            // Polled again after its end, it stays pending: there is nothing left to say.
            HardeningStep::Refused {
                response,
                handling,
                said,
            } => match response.take() {
                Some(response) => (Ok(response), handling, *said),
                None => return Poll::Pending,
            },
            // The answers before are written while this waits once; then nothing more is said.
            HardeningStep::TooLate {
                connection,
                is_written,
            } => {
                if std::mem::replace(is_written, true) {
                    connection.end();
                } else {
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            HardeningStep::Handled {
                answering,
                handling,
                said,
            } => (ready!(answering.poll(cx)), handling, *said),
        };
        if let (Some(handling), Ok(answer)) = (&handling, &answer)
            && answer.response().head().connection_type() == ConnectionType::Close
        {
            handling.close();
        }
        drop(handling.take());
        Poll::Ready(answer.map(|response| with_safe_headers(response, said)))
    }
}

fn with_safe_headers(
    mut response: ServiceResponse<BoxBody>,
    said: Said,
) -> ServiceResponse<BoxBody> {
    if said.crossing != Crossing::Silent {
        describe_crossing(&mut response, said.crossing);
    }
    let headers = response.headers_mut();
    if said.is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    for (name, value) in SAFE {
        headers.insert(name, value);
    }
    for (name, value) in CAREFUL {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    if !headers.contains_key(&REQUEST_ID) {
        headers.insert(REQUEST_ID, id_value(RequestId::new(Uuid::now_v7())));
    }
    response
}

fn describe_crossing(response: &mut ServiceResponse<BoxBody>, crossing: Crossing) {
    let state = response.request().app_data::<Data<WorkerState>>().cloned();
    if let Some(state) = state {
        let cors = &state.shared().gate.cors;
        cors.describe(crossing, response.headers_mut());
    }
}

pub(crate) fn id_value(id: RequestId) -> HeaderValue {
    HeaderValue::from_str(&id.text()).unwrap_or(HeaderValue::from_static("req_unknown"))
}

fn check(request: &ServiceRequest, allowed_hosts: &[String]) -> Option<HttpError> {
    let uri = request.uri();
    let uri_bytes = uri.path().len() + uri.query().map_or(0, str::len);
    let head_bytes: usize = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if uri_bytes > URI_BYTES_MAX || uri_bytes + head_bytes > HEAD_BYTES_MAX {
        return Some(HttpError::head_too_large());
    }
    let mut hosts = request.headers().get_all(header::HOST);
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Some(HttpError::invalid_host());
    };
    let host = host.as_bytes();
    if host_header(host).is_err() || !is_allowed(host, allowed_hosts) {
        return Some(HttpError::invalid_host());
    }
    // A request line with a host of its own (RFC 9112, 3.2.2) has two, which must be the same.
    let named = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    if named.is_some_and(|named| !named.eq_ignore_ascii_case(host)) {
        return Some(HttpError::invalid_host());
    }
    None
}

/// Whether a host is on the list, compared without its port; an empty list allows all.
fn is_allowed(host: &[u8], allowed: &[String]) -> bool {
    if allowed.is_empty() {
        return true;
    }
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    allowed.iter().any(|one| one.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn a_host_is_compared_without_its_port() {
        let allowed = ["gateway.example".to_owned(), "[::1]".to_owned()];
        for good in [
            "gateway.example",
            "Gateway.Example:8080",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_allowed(good.as_bytes(), &allowed), "{good}");
        }
        for bad in [
            "example",
            "gateway.example.evil",
            "gateway.example:8080x",
            "",
            "::1",
        ] {
            assert!(!is_allowed(bad.as_bytes(), &allowed), "{bad}");
        }
        assert!(is_allowed(b"anything", &[]));
    }
}
