//! Access tokens: short-lived, signed with Ed25519, checked without a look-up.
//! Source: <https://www.rfc-editor.org/rfc/rfc9068> (their form), <https://www.rfc-editor.org/rfc/rfc8725>
//! (how they are checked).

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::Algorithm;
use serde::Serialize;
use tollgate_domain::{OrgId, SessionId, Timestamp, UserId};

use crate::jose::{Claims, Parts, TimeRule};
use crate::key_ring::KeyRing;
use crate::key_text::{KeyError, fill_random};
use crate::token_error::TokenError;

/// For how long an access token is valid.
pub const ACCESS_TOKEN_SECONDS: i64 = 600;

/// How far the clocks of two replicas may differ.
pub const LEEWAY_SECONDS: i64 = 5;

/// The most bytes of an access token; more are refused unread.
pub const ACCESS_TOKEN_BYTES_MAX: usize = 4_096;

/// What the header must say: an access token is no other kind of token.
const TYPE: &str = "at+jwt";
const ALGORITHM: &str = "EdDSA";

const TOKEN_ID_BYTES: usize = 16;

const TIMES: TimeRule = TimeRule {
    leeway_seconds: LEEWAY_SECONDS,
    lifetime_seconds_max: ACCESS_TOKEN_SECONDS,
    needs_nbf: true,
};

/// Who an access token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessSubject {
    /// The person.
    pub user_id: UserId,
    /// The organization that the session is in.
    pub org_id: OrgId,
    /// The session.
    pub session_id: SessionId,
    /// How often the person's rights or sessions have been revoked: a token of an earlier number is void.
    pub epoch: u64,
}

/// What a valid access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// Who it is for. That the session and the epoch are still the present ones is the caller's to check.
    pub subject: AccessSubject,
    /// The token's own id.
    pub token_id: String,
    /// When it was issued, in whole seconds.
    pub issued_at: Timestamp,
    /// From when on it is refused, in whole seconds, not counting the leeway.
    pub expires_at: Timestamp,
}

/// Why an access token could not be issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an access token could not be issued")]
pub struct IssueError;

impl From<KeyError> for IssueError {
    fn from(_: KeyError) -> Self {
        Self
    }
}

/// Issues and checks the access tokens of one installation.
#[derive(Debug, Clone)]
pub struct AccessTokens {
    issuer: String,
    audience: String,
    ring: KeyRing,
}

/// The claims as they are written.
#[derive(Serialize)]
struct Written<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: UserId,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    sid: SessionId,
    org: OrgId,
    epoch: u64,
}

impl AccessTokens {
    /// Takes the names of who issues the tokens and who they are for, usually the addresses of the
    /// installation and of its API, and the keys.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, ring: KeyRing) -> Self {
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            ring,
        }
    }

    /// Returns the keys.
    #[must_use]
    pub const fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// Returns this with other keys, such as those after a rotation.
    #[must_use]
    pub fn with_ring(self, ring: KeyRing) -> Self {
        Self { ring, ..self }
    }

    /// Issues a token that is valid for 10 minutes.
    ///
    /// # Errors
    /// When the system gave no random bytes, or the names make it longer than 4,096 bytes.
    pub fn issue(&self, subject: &AccessSubject, now: Timestamp) -> Result<String, IssueError> {
        let mut id = [0; TOKEN_ID_BYTES];
        fill_random(&mut id)?;
        let now = now.seconds();
        let claims = Written {
            iss: &self.issuer,
            aud: &self.audience,
            sub: subject.user_id,
            jti: BASE64URL_NOPAD.encode(&id),
            iat: now,
            nbf: now,
            exp: now.saturating_add(ACCESS_TOKEN_SECONDS),
            sid: subject.session_id,
            org: subject.org_id,
            epoch: subject.epoch,
        };
        let key = self.ring.current();
        let header = jsonwebtoken::Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(key.kid().to_owned()),
            ..jsonwebtoken::Header::new(Algorithm::EdDSA)
        };
        jsonwebtoken::encode(&header, &claims, &key.encoding)
            .ok()
            .filter(|token| token.len() <= ACCESS_TOKEN_BYTES_MAX)
            .ok_or(IssueError)
    }

    /// Checks a token and returns what it says. The algorithm is the key's and not the header's; the key
    /// is one of the ring's; every claim must be there, once, in its one form.
    ///
    /// The times are compared with `now` here, and not by the library that checks the signature: that
    /// one asks the clock itself, tolerates fractions, and for a time that it cannot read has once assumed
    /// that there is none (CVE-2026-25537).
    ///
    /// # Errors
    /// The reason; see [`TokenError`].
    pub fn check(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        let parts = Parts::split(token, ACCESS_TOKEN_BYTES_MAX)?;
        let header = parts.header()?;
        header.check()?;
        header.check_certificates()?;
        if header.alg != ALGORITHM {
            return Err(TokenError::Algorithm);
        }
        if header.typ.as_deref() != Some(TYPE) {
            return Err(TokenError::Type);
        }
        let kid = header.kid.as_deref().ok_or(TokenError::UnknownKey)?;
        let key = self.ring.find(kid).ok_or(TokenError::UnknownKey)?;
        parts.check_signature(&key.decoding, Algorithm::EdDSA)?;
        self.read(&parts.claims()?, now)
    }

    fn read(&self, claims: &Claims, now: Timestamp) -> Result<AccessClaims, TokenError> {
        if claims.text("iss")? != self.issuer {
            return Err(TokenError::Issuer);
        }
        if claims.text("aud")? != self.audience {
            return Err(TokenError::Audience);
        }
        let times = claims.check_times(&TIMES, now)?;
        let (issued_at, expires_at) = times.timestamps();
        Ok(AccessClaims {
            subject: AccessSubject {
                user_id: claims.parsed("sub")?,
                org_id: claims.parsed("org")?,
                session_id: claims.parsed("sid")?,
                epoch: claims.number("epoch")?,
            },
            token_id: claims.text("jti")?.to_owned(),
            issued_at,
            expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_ring::SigningKey;

    const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_250_000);

    fn subject() -> AccessSubject {
        AccessSubject {
            user_id: UserId::from_bytes([1; 16]),
            org_id: OrgId::from_bytes([2; 16]),
            session_id: SessionId::from_bytes([3; 16]),
            epoch: 4,
        }
    }

    fn tokens() -> AccessTokens {
        let ring = KeyRing::generate().unwrap();
        AccessTokens::new("https://tollgate.example", "tollgate-api", ring)
    }

    #[test]
    fn a_token_says_what_was_put_into_it() {
        let tokens = tokens();
        let token = tokens.issue(&subject(), NOW).unwrap();
        let claims = tokens.check(&token, NOW).unwrap();
        assert_eq!(claims.subject, subject());
        assert_eq!(claims.issued_at.micros(), 1_790_000_000_000_000);
        assert_eq!(claims.expires_at, claims.issued_at.plus_seconds(600));
        let other = tokens.issue(&subject(), NOW).unwrap();
        assert_ne!(tokens.check(&other, NOW).unwrap().token_id, claims.token_id);
    }

    #[test]
    fn a_token_is_valid_for_ten_minutes_and_five_seconds_around_them() {
        let tokens = tokens();
        let token = tokens.issue(&subject(), NOW).unwrap();
        let check = |seconds| tokens.check(&token, NOW.plus_seconds(seconds)).map(drop);
        assert_eq!(check(-6), Err(TokenError::NotYetValid));
        for seconds in [-5, 0, 599, 604] {
            assert_eq!(check(seconds), Ok(()), "after {seconds} s");
        }
        assert_eq!(check(605), Err(TokenError::Expired));
    }

    #[test]
    fn three_replicas_in_the_midst_of_a_rotation_accept_each_others_tokens() {
        let ring = KeyRing::generate().unwrap();
        let once = ring.rotated(SigningKey::generate().unwrap()).unwrap();
        let before = tokens().with_ring(ring.clone());
        let after = tokens().with_ring(once.clone());
        let restarted = tokens().with_ring(once.without_retired("none"));
        for signing in [&before, &after, &restarted] {
            let token = signing.issue(&subject(), NOW).unwrap();
            for checking in [&before, &after, &restarted] {
                assert!(checking.check(&token, NOW).is_ok());
            }
        }
        let old = before.issue(&subject(), NOW).unwrap();
        let retired = after.with_ring(once.without_retired(ring.current().kid()));
        assert_eq!(retired.check(&old, NOW), Err(TokenError::UnknownKey));
    }

    #[test]
    fn names_that_leave_no_room_are_an_error() {
        let tokens = AccessTokens::new("i".repeat(4_096), "a", KeyRing::generate().unwrap());
        assert_eq!(tokens.issue(&subject(), NOW), Err(IssueError));
    }
}
