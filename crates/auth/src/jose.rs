//! Signed tokens as bytes: parts, header, claims, signature. Strict wherever the standards leave room,
//! since every doubt about what a token says has been somebody's way in.
//! Source: <https://www.rfc-editor.org/rfc/rfc7515> (signatures), <https://www.rfc-editor.org/rfc/rfc7519>
//! (claims), <https://www.rfc-editor.org/rfc/rfc8725> (what went wrong with both).

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use tollgate_domain::Timestamp;

use crate::token_error::TokenError;

/// A token in its three parts.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// What is signed.
    message: &'a str,
    signature: &'a str,
    header: Vec<u8>,
    payload: Vec<u8>,
}

/// The members of a header that matter. Of those that bring keys it is kept that they are there: their
/// values are never looked at.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) typ: Option<String>,
    pub(crate) kid: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    jku: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5u: bool,
    #[serde(default, deserialize_with = "is_there")]
    jwk: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5c: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5t: bool,
    #[serde(default, rename = "x5t#S256", deserialize_with = "is_there")]
    x5t_s256: bool,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
    #[serde(default, deserialize_with = "is_there")]
    b64: bool,
}

fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'a> Parts<'a> {
    /// Splits a token of at most this many bytes.
    pub(crate) fn split(token: &'a str, bytes_max: usize) -> Result<Self, TokenError> {
        if token.len() > bytes_max {
            return Err(TokenError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        // Each text has one form: no padding, no other alphabet, no stray bits at the end.
        let decoded = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes());
        let (Ok(header), Ok(payload), Ok(_)) =
            (decoded(header), decoded(payload), decoded(signature))
        else {
            return Err(TokenError::Malformed);
        };
        Ok(Self {
            message,
            signature,
            header,
            payload,
        })
    }

    /// Reads the header.
    pub(crate) fn header(&self) -> Result<Header, TokenError> {
        serde_json::from_slice(&self.header).map_err(|error| unreadable(&error))
    }

    /// Reads the claims. Only after the signature was checked are they anybody's.
    pub(crate) fn claims(&self) -> Result<Claims, TokenError> {
        serde_json::from_slice(&self.payload).map_err(|error| unreadable(&error))
    }

    /// Checks the signature with a key and the algorithm of that key, whatever the header says.
    pub(crate) fn check_signature(
        &self,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<(), TokenError> {
        let message = self.message.as_bytes();
        match jsonwebtoken::crypto::verify(self.signature, message, key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TokenError::Signature),
        }
    }
}

impl Header {
    /// Refuses what no token needs: keys in the header, and extensions.
    pub(crate) fn check(&self) -> Result<(), TokenError> {
        if self.jku || self.x5u || self.jwk {
            return Err(TokenError::KeyInHeader);
        }
        if self.crit || self.b64 {
            return Err(TokenError::Critical);
        }
        Ok(())
    }

    /// Refuses certificates too. Issuers elsewhere may name theirs; it is not looked at.
    pub(crate) fn check_certificates(&self) -> Result<(), TokenError> {
        if self.x5c || self.x5t || self.x5t_s256 {
            return Err(TokenError::KeyInHeader);
        }
        Ok(())
    }
}

fn unreadable(error: &serde_json::Error) -> TokenError {
    if error.is_data() && error.to_string().starts_with("duplicate") {
        TokenError::Duplicate
    } else {
        TokenError::Malformed
    }
}

/// The claims of a token, none of which is there twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claims(pub(crate) Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;

        impl<'de> Visitor<'de> for Unique {
            type Value = Claims;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Claims, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = access.next_entry()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("duplicate claim"));
                    }
                }
                Ok(Claims(claims))
            }
        }

        deserializer.deserialize_map(Unique)
    }
}

impl Claims {
    /// Returns a text.
    pub(crate) fn text(&self, name: &'static str) -> Result<&str, TokenError> {
        self.optional_text(name)?
            .ok_or(TokenError::MissingClaim(name))
    }

    pub(crate) fn optional_text(&self, name: &'static str) -> Result<Option<&str>, TokenError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenError::InvalidClaim(name)),
        }
    }

    /// Returns a whole number that is not below zero: nothing that has a fraction, an exponent or quotes.
    pub(crate) fn number(&self, name: &'static str) -> Result<u64, TokenError> {
        let value = self.0.get(name).ok_or(TokenError::MissingClaim(name))?;
        value.as_u64().ok_or(TokenError::InvalidClaim(name))
    }

    /// Returns seconds since 1970-01-01.
    pub(crate) fn seconds(&self, name: &'static str) -> Result<i64, TokenError> {
        i64::try_from(self.number(name)?).map_err(|_| TokenError::InvalidClaim(name))
    }

    /// Returns a text that is read as a value, such as an id.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, TokenError> {
        let text = self.text(name)?;
        text.parse().map_err(|_| TokenError::InvalidClaim(name))
    }

    /// Checks `exp`, `iat` and, where it is there or must be, `nbf`.
    pub(crate) fn check_times(&self, rule: &TimeRule, now: Timestamp) -> Result<Times, TokenError> {
        let (issued, expires) = (self.seconds("iat")?, self.seconds("exp")?);
        let begins = if rule.needs_nbf || self.0.contains_key("nbf") {
            self.seconds("nbf")?
        } else {
            issued
        };
        let latest = now.seconds().saturating_add(rule.leeway_seconds);
        if now.seconds() >= expires.saturating_add(rule.leeway_seconds) {
            return Err(TokenError::Expired);
        }
        if begins > latest {
            return Err(TokenError::NotYetValid);
        }
        if issued > latest {
            return Err(TokenError::IssuedInFuture);
        }
        if expires.saturating_sub(issued) > rule.lifetime_seconds_max {
            return Err(TokenError::LifetimeTooLong);
        }
        Ok(Times { issued, expires })
    }
}

/// What is asked of a token's times.
#[derive(Debug)]
pub(crate) struct TimeRule {
    /// How far two clocks may differ.
    pub(crate) leeway_seconds: i64,
    pub(crate) lifetime_seconds_max: i64,
    pub(crate) needs_nbf: bool,
}

/// When a token was issued and when it ends, in seconds since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) issued: i64,
    pub(crate) expires: i64,
}

impl Times {
    pub(crate) fn timestamps(self) -> (Timestamp, Timestamp) {
        let at = |seconds| Timestamp::from_micros(0).plus_seconds(seconds);
        (at(self.issued), at(self.expires))
    }
}
