//! Which pages of other origins may call models from a browser: those on the list, letter for letter.
//! Source: <https://fetch.spec.whatwg.org/#http-cors-protocol>
//!
//! Cookies are never allowed along, and the administration API is for no other origin.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// How long a browser may remember the answer to its question, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");

/// Client libraries add many headers of their own; the star alone does not stand for `Authorization`.
const HEADERS: HeaderValue = HeaderValue::from_static("*, Authorization");

const ALL: HeaderValue = HeaderValue::from_static("*");
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// The origins on the list.
#[derive(Debug, Default)]
pub(crate) struct Cors {
    origins: Vec<HeaderValue>,
}

/// What an answer says about other origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crossing {
    /// Nothing: nobody else is ever allowed.
    Silent,
    /// That it depends on who asks, and that this one may not.
    Refused,
    /// That the origin with this number on the list may.
    Allowed(usize),
}

impl Cors {
    /// Makes the list. Origins that are none are left out; the settings are checked before.
    pub(crate) fn new(origins: &[String]) -> Self {
        let origins = origins.iter().filter(|origin| is_origin(origin));
        let value = |origin: &String| HeaderValue::from_str(origin).ok();
        Self {
            origins: origins.filter_map(value).collect(),
        }
    }

    /// Decides about a request.
    pub(crate) fn crossing(&self, request: &ServiceRequest) -> Crossing {
        if self.origins.is_empty() || !request.path().starts_with("/v1/") {
            return Crossing::Silent;
        }
        let mut origins = request.headers().get_all(header::ORIGIN);
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return Crossing::Refused;
        };
        let number = self.origins.iter().position(|one| one == origin);
        number.map_or(Crossing::Refused, Crossing::Allowed)
    }

    /// Returns the answer to a browser that asks before it sends, if this is such a question and the
    /// answer is yes. Otherwise the question is a request like others, for a method that no route has.
    pub(crate) fn preflight(request: &ServiceRequest, crossing: Crossing) -> Option<HttpResponse> {
        let is_allowed = matches!(crossing, Crossing::Allowed(_));
        let asks = header::ACCESS_CONTROL_REQUEST_METHOD;
        if !is_allowed
            || request.method() != Method::OPTIONS
            || !request.headers().contains_key(asks)
        {
            return None;
        }
        let mut response = HttpResponse::NoContent().finish();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(response)
    }

    /// Writes what was decided into the head of the answer.
    pub(crate) fn describe(&self, crossing: Crossing, headers: &mut HeaderMap) {
        if let Crossing::Allowed(number) = crossing
            && let Some(origin) = self.origins.get(number)
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ALL);
        }
        headers.append(header::VARY, ORIGIN);
    }
}

/// Whether a text is an origin as browsers send it: scheme, host in small letters, a port that is not the
/// scheme's own, and nothing after it.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let own_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let is_host = tollgate_validation::host_header(host.as_bytes()).is_ok();
    let is_small = !host.bytes().any(|byte| byte.is_ascii_uppercase());
    is_host && is_small && !host.ends_with(own_port) && !host.ends_with(':') && !host.contains('*')
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn an_origin_is_what_browsers_send_and_nothing_else() {
        for good in [
            "https://app.example",
            "http://localhost:3000",
            "https://[2001:db8::1]:8443",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example",
            "https://",
            "https://*.example",
            "https://app.example/",
            "https://App.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://app.example:",
            "https://user@app.example",
            "ftp://app.example",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
