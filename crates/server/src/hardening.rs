//! What holds for every request and every answer: a well-formed host, bounded heads, safe headers.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use tollgate_domain::RequestId;
use tollgate_validation::host_header;
use uuid::Uuid;

use crate::error::HttpError;
use crate::state::WorkerState;
use crate::sweeper::{Connection, Handling};

/// The largest head: request line and headers together.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// The longest path with its query.
const URI_BYTES_MAX: usize = 8 << 10;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every answer says.
const SAFE: [(HeaderName, HeaderValue); 3] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// What an answer says that does not say otherwise.
const CAREFUL: [(HeaderName, HeaderValue); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Refuses what no handler should see, and adds the headers that no answer should lack.
pub(crate) async fn harden(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let connection = request.request().conn_data::<Arc<Connection>>();
    let _handling = connection.map(Handling::begin);
    let refusal = {
        let state = request.app_data::<Data<WorkerState>>();
        check(
            &request,
            state.map_or(&[], |state| &state.shared().allowed_hosts),
        )
    };
    let mut response = match refusal {
        Some(error) => {
            let answer = error.respond(request.path());
            request.into_response(answer).map_into_boxed_body()
        }
        None => next.call(request).await?.map_into_boxed_body(),
    };
    let headers = response.headers_mut();
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
    Ok(response)
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
    if host_header(host.as_bytes()).is_err() || !is_allowed(host.as_bytes(), allowed_hosts) {
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
