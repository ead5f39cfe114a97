//! From which page a change comes.
//! Source: <https://www.w3.org/TR/fetch-metadata/>, <https://www.rfc-editor.org/rfc/rfc6454>

use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use super::cookie::{Cookies, is_csrf_token};

pub(crate) const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which pages are this server's own.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    /// The origin of the address that people use; without one, the host that was asked for.
    public: Option<String>,
    cookies: Cookies,
}

impl Origins {
    pub(crate) const fn new(public: Option<String>, cookies: Cookies) -> Self {
        Self { public, cookies }
    }

    /// Whether a request with a session may have been made by a page of this server, and by no other:
    /// what only reads may; what changes must name our origin and the session's token.
    pub(crate) fn allow(&self, method: &Method, headers: &HeaderMap, session: &str) -> bool {
        if method.is_safe() {
            return true;
        }
        let token = one(headers, &CSRF_TOKEN);
        self.is_own(headers, true)
            && token.is_some_and(|token| is_csrf_token(session, token.as_bytes()))
    }

    /// Whether a request without a session was made by no page of another server. Programs say nothing
    /// of where they are.
    pub(crate) fn allow_stranger(&self, headers: &HeaderMap) -> bool {
        self.is_own(headers, false)
    }

    fn is_own(&self, headers: &HeaderMap, needs_origin: bool) -> bool {
        let has = |name: &HeaderName| headers.contains_key(name);
        let site = one(headers, &SEC_FETCH_SITE);
        let is_same_site = match site {
            Some(site) => site == "same-origin" || site == "none",
            None => !has(&SEC_FETCH_SITE),
        };
        let is_same_origin = match one(headers, &ORIGIN) {
            Some(origin) => self.own(headers).is_some_and(|own| own == *origin),
            None => !needs_origin && !has(&ORIGIN),
        };
        is_same_site && is_same_origin
    }

    fn own(&self, headers: &HeaderMap) -> Option<String> {
        if let Some(public) = &self.public {
            return Some(public.clone());
        }
        let host = one(headers, &HOST)?.to_str().ok()?;
        let scheme = self.cookies.scheme();
        Some(format!("{scheme}://{}", host.to_ascii_lowercase()))
    }
}

/// Returns the value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name);
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::super::cookie::csrf_token;
    use super::*;

    const SESSION: &str = "tg_sess_1";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("gateway.example:8443"));
        for (name, value) in pairs {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    fn allows(public: Option<&str>, pairs: &[(&'static str, &str)]) -> bool {
        let origins = Origins::new(public.map(str::to_owned), Cookies::Secure);
        let headers = headers(pairs);
        assert!(origins.allow(&Method::GET, &headers, SESSION));
        origins.allow(&Method::POST, &headers, SESSION)
    }

    #[test]
    fn a_change_names_our_origin_and_the_token_of_its_session() {
        let token = csrf_token(SESSION);
        let own = ("origin", "https://gateway.example:8443");
        let csrf = ("x-csrf-token", &*token);
        assert!(allows(None, &[own, csrf]));
        assert!(allows(
            None,
            &[own, csrf, ("sec-fetch-site", "same-origin")]
        ));
        assert!(allows(None, &[own, csrf, ("sec-fetch-site", "none")]));
        let other = csrf_token("tg_sess_2");
        for wrong in [
            &[][..],
            &[csrf],
            &[own],
            &[own, ("x-csrf-token", "")],
            &[own, ("x-csrf-token", &other)],
            &[own, csrf, csrf],
            &[own, own, csrf],
            &[own, csrf, ("sec-fetch-site", "same-site")],
            &[own, csrf, ("sec-fetch-site", "cross-site")],
            &[
                own,
                csrf,
                ("sec-fetch-site", "none"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[("origin", "null"), csrf],
            &[("origin", "http://gateway.example:8443"), csrf],
            &[("origin", "https://gateway.example"), csrf],
            &[("origin", "https://evil.example"), csrf],
            &[
                ("origin", "https://gateway.example:8443.evil.example"),
                csrf,
            ],
            &[("origin", "https://gateway.example:8443/"), csrf],
        ] {
            assert!(!allows(None, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn the_address_that_people_use_counts_when_it_is_known() {
        let token = csrf_token(SESSION);
        let csrf = ("x-csrf-token", &*token);
        let public = Some("https://tollgate.example");
        assert!(allows(
            public,
            &[("origin", "https://tollgate.example"), csrf]
        ));
        let host = ("origin", "https://gateway.example:8443");
        assert!(!allows(public, &[host, csrf]));
    }

    #[test]
    fn a_program_says_nothing_of_its_origin_and_a_page_must_be_ours() {
        let allows = |pairs: &[(&'static str, &str)]| {
            Origins::new(None, Cookies::Secure).allow_stranger(&headers(pairs))
        };
        assert!(allows(&[]));
        assert!(allows(&[("origin", "https://gateway.example:8443")]));
        assert!(!allows(&[("origin", "null")]));
        assert!(!allows(&[("origin", "https://evil.example")]));
        assert!(!allows(&[("sec-fetch-site", "cross-site")]));
        assert!(!allows(&[("sec-fetch-site", "same-site")]));
    }
}
