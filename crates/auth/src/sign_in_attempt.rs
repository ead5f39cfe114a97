//! The way to an identity provider and back: what is remembered between the two, and the address.
//! Source: <https://www.rfc-editor.org/rfc/rfc7636> (PKCE),
//! <https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest>

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::encoding::percent_encoded;
use crate::key_text::{KeyError, fill_random};
use crate::token_pepper::is_same;

/// 256 random bits in base64url.
const SECRET_BYTES: usize = 32;
const SECRET_CHARS: usize = 43;

/// The most bytes of each part of the address.
const PART_BYTES_MAX: usize = 2_048;

/// The most scopes that are asked for.
const SCOPES_MAX: usize = 32;

/// Why something that was kept is not an attempt to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an attempt to sign in that was kept here")]
pub struct SignInAttemptError;

/// Why there is no address to send a person to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationUrlError {
    /// Not `https://`, or not an address without a fragment.
    #[error("the authorization endpoint must be an https:// address without a fragment")]
    Endpoint,
    /// A part is empty, too long or has a character that cannot be in it.
    #[error("the client id, the redirect address or a scope is not valid")]
    Part,
}

/// What is remembered of a person who was sent to an identity provider: three random secrets. Keep it
/// where only that person's browser can refer to it, for some minutes, and remove it when the person
/// comes back: each attempt ends once.
#[derive(Clone)]
pub struct SignInAttempt {
    state: SecretString,
    nonce: SecretString,
    verifier: SecretString,
}

impl fmt::Debug for SignInAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInAttempt(…)")
    }
}

impl SignInAttempt {
    /// Makes a new attempt from the system's random source.
    ///
    /// # Errors
    /// When the system gave no random bytes.
    pub fn start() -> Result<Self, KeyError> {
        Ok(Self {
            state: random_text()?,
            nonce: random_text()?,
            verifier: random_text()?,
        })
    }

    /// Reads an attempt that was kept.
    ///
    /// # Errors
    /// When one of the texts is not of the form.
    pub fn restore(state: &str, nonce: &str, verifier: &str) -> Result<Self, SignInAttemptError> {
        let secret = |text: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let is_secret = text.len() == SECRET_CHARS && text.bytes().all(is_plain);
            is_secret
                .then(|| SecretString::from(text))
                .ok_or(SignInAttemptError)
        };
        Ok(Self {
            state: secret(state)?,
            nonce: secret(nonce)?,
            verifier: secret(verifier)?,
        })
    }

    /// Returns the text that comes back with the person, and ties the way back to the way there.
    #[must_use]
    pub fn state(&self) -> &str {
        self.state.expose_secret()
    }

    /// Returns the text that comes back within the ID token, and ties it to this attempt.
    #[must_use]
    pub fn nonce(&self) -> &str {
        self.nonce.expose_secret()
    }

    /// Returns what is sent with the code, and proves that who began is who ends.
    #[must_use]
    pub fn verifier(&self) -> &str {
        self.verifier.expose_secret()
    }

    /// Returns what is sent at the beginning in place of the verifier: its digest.
    #[must_use]
    pub fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(digest(&SHA256, self.verifier().as_bytes()).as_ref())
    }

    /// Returns whether the state that came back is this attempt's, in constant time.
    #[must_use]
    pub fn has_state(&self, returned: &str) -> bool {
        is_same(self.state().as_bytes(), returned.as_bytes())
    }
}

fn random_text() -> Result<SecretString, KeyError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    fill_random(&mut *bytes)?;
    Ok(SecretString::from(BASE64URL_NOPAD.encode(&*bytes)))
}

/// Where to send a person who signs in.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// The identity provider's `authorization_endpoint`.
    pub endpoint: &'a str,
    /// Our client id with it.
    pub client_id: &'a str,
    /// Where the person comes back to, exactly as it is registered.
    pub redirect_uri: &'a str,
    /// What is asked for beside `openid`.
    pub scopes: &'a [&'a str],
}

impl AuthorizationRequest<'_> {
    /// Returns the address to send the person to.
    ///
    /// # Errors
    /// When a part is not valid.
    pub fn url(&self, attempt: &SignInAttempt) -> Result<String, AuthorizationUrlError> {
        let is_graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_part = |text: &str| (1..=PART_BYTES_MAX).contains(&text.len());
        let host = self.endpoint.strip_prefix("https://");
        let has_host =
            host.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        let is_address = is_part(self.endpoint) && is_graphic(self.endpoint) && has_host;
        if !is_address || self.endpoint.contains('#') {
            return Err(AuthorizationUrlError::Endpoint);
        }
        let are_scopes = self.scopes.len() <= SCOPES_MAX
            && self
                .scopes
                .iter()
                .all(|scope| is_part(scope) && is_graphic(scope));
        if !is_part(self.client_id) || !is_part(self.redirect_uri) || !are_scopes {
            return Err(AuthorizationUrlError::Part);
        }
        let scopes = self.scopes.iter().filter(|scope| **scope != "openid");
        let scopes: Vec<&str> = std::iter::once("openid").chain(scopes.copied()).collect();
        let separator = if self.endpoint.contains('?') {
            '&'
        } else {
            '?'
        };
        let mut url = format!("{}{separator}response_type=code", self.endpoint);
        for (name, value) in [
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("scope", &scopes.join(" ")),
            ("state", attempt.state()),
            ("nonce", attempt.nonce()),
            ("code_challenge", &attempt.challenge()),
            ("code_challenge_method", "S256"),
        ] {
            url.push_str(&format!("&{name}={}", percent_encoded(value)));
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn attempt() -> SignInAttempt {
        let (state, nonce) = ("s".repeat(43), "n".repeat(43));
        SignInAttempt::restore(&state, &nonce, VERIFIER).unwrap()
    }

    const REQUEST: AuthorizationRequest<'static> = AuthorizationRequest {
        endpoint: "https://id.example/authorize",
        client_id: "tollgate",
        redirect_uri: "https://tollgate.example/callback?a=1",
        scopes: &["email", "openid", "groups"],
    };

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // Source: https://www.rfc-editor.org/rfc/rfc7636#appendix-B
        assert_eq!(
            attempt().challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn an_attempt_is_kept_and_knows_its_state() {
        let attempt = SignInAttempt::start().unwrap();
        let (state, nonce, verifier) = (attempt.state(), attempt.nonce(), attempt.verifier());
        assert!(state != nonce && nonce != verifier && verifier != state);
        let kept = SignInAttempt::restore(state, nonce, verifier).unwrap();
        assert!(kept.has_state(state));
        for other in ["", nonce, &state[1..], &format!("{state} ")] {
            assert!(!kept.has_state(other), "{other}");
        }
        assert_eq!(format!("{kept:?}"), "SignInAttempt(…)");
        for bad in [
            "",
            "short",
            &"s".repeat(44),
            &"=".repeat(43),
            &format!("{}é", "s".repeat(41)),
        ] {
            assert!(SignInAttempt::restore(bad, nonce, verifier).is_err());
            assert!(SignInAttempt::restore(state, bad, verifier).is_err());
            assert!(SignInAttempt::restore(state, nonce, bad).is_err());
        }
    }

    #[test]
    fn the_address_has_everything_and_nothing_escapes_from_its_part() {
        let (s, n) = ("s".repeat(43), "n".repeat(43));
        assert_eq!(
            REQUEST.url(&attempt()).unwrap(),
            format!(
                "https://id.example/authorize?response_type=code&client_id=tollgate\
                 &redirect_uri=https%3A%2F%2Ftollgate.example%2Fcallback%3Fa%3D1\
                 &scope=openid%20email%20groups&state={s}&nonce={n}\
                 &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
            )
        );
        let sly = AuthorizationRequest {
            endpoint: "https://id.example/authorize?tenant=1",
            client_id: "a&redirect_uri=https://evil.example",
            ..REQUEST
        };
        let url = sly.url(&attempt()).unwrap();
        assert!(url.starts_with("https://id.example/authorize?tenant=1&response_type=code&"));
        assert_eq!(url.matches("redirect_uri=").count(), 1);
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        let url = |request: AuthorizationRequest<'_>| request.url(&attempt()).map(drop);
        for endpoint in [
            "",
            "https://",
            "http://id.example",
            "javascript:alert(1)",
            "https://id.example/#x",
            "https://id.example/a b",
            "https://id.example/\n",
            "https:///x",
            "https://é.example",
        ] {
            let refused = url(AuthorizationRequest {
                endpoint,
                ..REQUEST
            });
            assert_eq!(refused, Err(AuthorizationUrlError::Endpoint), "{endpoint}");
        }
        let part = Err(AuthorizationUrlError::Part);
        assert_eq!(
            url(AuthorizationRequest {
                client_id: "",
                ..REQUEST
            }),
            part
        );
        assert_eq!(
            url(AuthorizationRequest {
                redirect_uri: "",
                ..REQUEST
            }),
            part
        );
        assert_eq!(
            url(AuthorizationRequest {
                scopes: &["a b"],
                ..REQUEST
            }),
            part
        );
        assert_eq!(
            url(AuthorizationRequest {
                scopes: &["a"; 33],
                ..REQUEST
            }),
            part
        );
    }
}
