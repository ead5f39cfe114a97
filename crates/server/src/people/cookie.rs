//! The cookie of a session, and the token that a change must come with beside it.

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use data_encoding::BASE64URL_NOPAD;
use tollgate_auth::CredentialError;

/// Which cookie a server uses. A browser takes `__Host-` only over TLS, only for the whole host, and
/// from no other host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// For browsers that come over TLS, here or at a proxy.
    Secure,
    /// For a server that is reached from its own machine alone, without TLS.
    Loopback,
}

impl Cookies {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Secure => "__Host-tollgate",
            Self::Loopback => "tollgate-dev",
        }
    }

    /// The scheme of the pages that the cookie is for.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Secure => "https",
            Self::Loopback => "http",
        }
    }

    const fn secure(self) -> &'static str {
        match self {
            Self::Secure => "; Secure",
            Self::Loopback => "",
        }
    }

    /// Returns what sets the cookie for so many seconds.
    pub(crate) fn set(self, token: &str, seconds: i64) -> HeaderValue {
        let (name, secure) = (self.name(), self.secure());
        let seconds = seconds.max(0);
        let text =
            format!("{name}={token}; Path=/; Max-Age={seconds}{secure}; HttpOnly; SameSite=Lax");
        // A token has letters, digits and `_` alone.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Returns what takes the cookie away: its attributes are those that it was set with.
    pub(crate) fn clear(self) -> HeaderValue {
        self.set("", 0)
    }

    /// Returns the token that a request came with.
    pub(crate) fn find(self, headers: &HeaderMap) -> Result<Option<&str>, CredentialError> {
        let mut found: Option<&str> = None;
        for line in headers.get_all(COOKIE) {
            // What is not text has no cookie of ours.
            for pair in line.to_str().unwrap_or_default().split(';') {
                let Some((name, value)) = pair.trim().split_once('=') else {
                    continue;
                };
                if name != self.name() || value.is_empty() {
                    continue;
                }
                match found {
                    Some(other) if other != value => return Err(CredentialError::Conflicting),
                    _ => found = Some(value),
                }
            }
        }
        Ok(found)
    }
}

/// What a page of ours sends with each change, and no other page knows: a digest under the session's own
/// token, which scripts cannot read.
pub(crate) fn csrf_token(session: &str) -> String {
    BASE64URL_NOPAD.encode(csrf_digest(session).as_ref())
}

/// Whether this is the token of that session, compared in constant time.
pub(crate) fn is_csrf_token(session: &str, sent: &[u8]) -> bool {
    let own = csrf_token(session);
    verify_slices_are_equal(own.as_bytes(), sent).is_ok()
}

fn csrf_digest(session: &str) -> hmac::Tag {
    let key = hmac::Key::new(HMAC_SHA256, session.as_bytes());
    hmac::sign(&key, b"tollgate csrf v1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(lines: &[&str]) -> Result<Option<String>, CredentialError> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        Cookies::Secure
            .find(&headers)
            .map(|token| token.map(str::to_owned))
    }

    #[test]
    fn a_cookie_is_set_and_taken_away_with_the_same_attributes() {
        for (cookies, set, cleared) in [
            (
                Cookies::Secure,
                "__Host-tollgate=tg_sess_1; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax",
                "__Host-tollgate=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax",
            ),
            (
                Cookies::Loopback,
                "tollgate-dev=tg_sess_1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
                "tollgate-dev=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
            ),
        ] {
            assert_eq!(cookies.set("tg_sess_1", 60), set);
            assert_eq!(cookies.clear(), cleared);
            assert_eq!(cookies.set("", -5), cleared);
        }
    }

    #[test]
    fn the_cookie_is_found_among_others_once() {
        let token = Ok(Some("a".to_owned()));
        assert_eq!(find(&["__Host-tollgate=a"]), token);
        assert_eq!(find(&["x=1; __Host-tollgate=a;y=2"]), token);
        assert_eq!(find(&["x=1", "__Host-tollgate=a"]), token);
        assert_eq!(find(&["__Host-tollgate=a; __Host-tollgate=a"]), token);
        assert_eq!(
            find(&["__Host-tollgate=a; __Host-tollgate=b"]),
            Err(CredentialError::Conflicting)
        );
        for none in [
            "",
            ";;",
            "__Host-tollgate",
            "__Host-tollgate=",
            "__host-tollgate=a",
            "tollgate-dev=a",
            "x__Host-tollgate=a",
        ] {
            assert_eq!(find(&[none]), Ok(None), "{none}");
        }
    }

    #[test]
    fn the_token_of_a_change_is_of_one_session() {
        let own = csrf_token("tg_sess_1");
        assert_eq!(own.len(), 43);
        assert!(is_csrf_token("tg_sess_1", own.as_bytes()));
        for wrong in ["", "x", &own[1..], &csrf_token("tg_sess_2")] {
            assert!(!is_csrf_token("tg_sess_1", wrong.as_bytes()), "{wrong}");
        }
    }
}
