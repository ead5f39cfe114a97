//! Tokens of other issuers: who a person is according to an identity provider that an installation
//! trusts. Nothing here speaks to it: keys and tokens come in as arguments.
//! Source: <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>

use std::fmt;

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use tollgate_domain::Timestamp;

use crate::external_keys::{ExternalAlgorithm, ExternalKeys};
use crate::jose::{Claims, Parts, TimeRule, Times};
use crate::token_error::TokenError;
use crate::token_pepper::is_same;

/// The most bytes of a token of another issuer. Theirs are larger than ours, with groups and roles.
pub const EXTERNAL_TOKEN_BYTES_MAX: usize = 16_384;

/// How far an issuer's clock may differ from ours.
pub const EXTERNAL_LEEWAY_SECONDS: i64 = 60;

/// For how long a token of another issuer may be valid. One that is valid for longer cannot be taken
/// back in time when a person leaves.
pub const EXTERNAL_TOKEN_SECONDS_MAX: i64 = 86_400;

/// The most bytes of a subject. Source: OpenID Connect Core, section 2.
const SUBJECT_BYTES_MAX: usize = 255;

/// The most bytes of an issuer's or an audience's name, and the most audiences of a token.
const NAME_BYTES_MAX: usize = 2_048;
const AUDIENCES_MAX: usize = 16;

const TIMES: TimeRule = TimeRule {
    leeway_seconds: EXTERNAL_LEEWAY_SECONDS,
    lifetime_seconds_max: EXTERNAL_TOKEN_SECONDS_MAX,
    needs_nbf: false,
};

/// What a token may say it is. An access token is no proof of a sign-in, so that it has no place there.
const TYPES: [Option<&str>; 4] = [
    None,
    Some("JWT"),
    Some("at+jwt"),
    Some("application/at+jwt"),
];
const ID_TYPES: [Option<&str>; 2] = [None, Some("JWT")];

/// Settings that name no issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an issuer needs a name, an audience and at least one algorithm")]
pub struct ExternalIssuerError;

/// An issuer that an installation trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalIssuer {
    issuer: String,
    audience: String,
    algorithms: Vec<ExternalAlgorithm>,
}

/// Who a person is according to an issuer.
#[derive(Clone, PartialEq)]
pub struct ExternalIdentity {
    /// The issuer. With the subject it is the identity; nothing else is.
    pub issuer: String,
    /// The person, in the issuer's words.
    pub subject: String,
    /// When the token was issued.
    pub issued_at: Timestamp,
    /// From when on it is refused, not counting the leeway.
    pub expires_at: Timestamp,
    claims: Claims,
}

/// Claims are personal: logs and panics do not show them.
impl fmt::Debug for ExternalIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExternalIdentity({}, …)", self.issuer)
    }
}

impl ExternalIdentity {
    /// Returns a claim: by its name, or, when it begins with a slash, by its path through objects, as
    /// `/realm_access/roles`.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        let Some(path) = name.strip_prefix('/') else {
            return self.claims.0.get(name);
        };
        let mut steps = path.split('/');
        let first = self.claims.0.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    }

    /// Returns the e-mail address, if the issuer says that it has verified it. It is a way to reach the
    /// person, never who the person is: addresses change hands.
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        let is_verified = self.claims.0.get("email_verified") == Some(&Value::Bool(true));
        let email = self.claims.0.get("email").and_then(Value::as_str);
        email.filter(|_| is_verified)
    }
}

/// A token whose signature, issuer, audience and times are right.
struct Checked {
    claims: Claims,
    times: Times,
    algorithm: ExternalAlgorithm,
}

impl ExternalIssuer {
    /// Takes the issuer's name and the audience (for sign-ins: our client id), both of which tokens must
    /// have exactly, and the algorithms that are accepted.
    ///
    /// # Errors
    /// When one of them is empty, or a name is longer than 2,048 bytes.
    pub fn new(
        issuer: impl Into<String>,
        audience: impl Into<String>,
        algorithms: Vec<ExternalAlgorithm>,
    ) -> Result<Self, ExternalIssuerError> {
        let (issuer, audience) = (issuer.into(), audience.into());
        let is_name = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
        if !is_name(&issuer) || !is_name(&audience) || algorithms.is_empty() {
            return Err(ExternalIssuerError);
        }
        Ok(Self {
            issuer,
            audience,
            algorithms,
        })
    }

    /// Returns the issuer's name.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the audience that its tokens must have.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Checks a token that a program sends as its credential.
    ///
    /// # Errors
    /// The reason; see [`TokenError`]. `UnknownKey` may mean that the keys are outdated: get them again,
    /// but not more often than once a minute, since anybody can name a key that does not exist.
    pub fn check(
        &self,
        keys: &ExternalKeys,
        token: &str,
        now: Timestamp,
    ) -> Result<ExternalIdentity, TokenError> {
        let checked = self.checked(keys, token, &TYPES, now)?;
        self.identity(checked)
    }

    /// Checks the ID token that ends a sign-in: `nonce` is the one of this attempt, `access_token` the
    /// one that came with it. An ID token that speaks of an access token is refused without it.
    ///
    /// # Errors
    /// The reason, as for [`check`](Self::check).
    pub fn check_id_token(
        &self,
        keys: &ExternalKeys,
        token: &str,
        nonce: &str,
        access_token: Option<&str>,
        now: Timestamp,
    ) -> Result<ExternalIdentity, TokenError> {
        let checked = self.checked(keys, token, &ID_TYPES, now)?;
        let claims = &checked.claims;
        if !is_same(claims.text("nonce")?.as_bytes(), nonce.as_bytes()) {
            return Err(TokenError::Nonce);
        }
        if let Some(hash) = claims.optional_text("at_hash")? {
            let fits =
                access_token.is_some_and(|access| half_hash(access, checked.algorithm) == hash);
            if !fits {
                return Err(TokenError::AccessTokenHash);
            }
        }
        self.identity(checked)
    }

    fn checked(
        &self,
        keys: &ExternalKeys,
        token: &str,
        types: &[Option<&str>],
        now: Timestamp,
    ) -> Result<Checked, TokenError> {
        let parts = Parts::split(token, EXTERNAL_TOKEN_BYTES_MAX)?;
        let header = parts.header()?;
        header.check()?;
        let named: Result<ExternalAlgorithm, _> = header.alg.parse();
        let algorithm = named.map_err(|_| TokenError::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(TokenError::Algorithm);
        }
        if !types.contains(&header.typ.as_deref()) {
            return Err(TokenError::Type);
        }
        let key = keys.find(header.kid.as_deref(), algorithm)?;
        parts.check_signature(&key.key, key.algorithm.for_signatures())?;
        let claims = parts.claims()?;
        if claims.text("iss")? != self.issuer {
            return Err(TokenError::Issuer);
        }
        self.check_audience(&claims)?;
        let times = claims.check_times(&TIMES, now)?;
        Ok(Checked {
            claims,
            times,
            algorithm: key.algorithm,
        })
    }

    /// Checks `aud`, which is a text or a list, and `azp`: to whom of a list the token was given.
    fn check_audience(&self, claims: &Claims) -> Result<(), TokenError> {
        let invalid = TokenError::InvalidClaim("aud");
        let value = claims.0.get("aud").ok_or(TokenError::MissingClaim("aud"))?;
        let audiences: Vec<&str> = match value {
            Value::String(one) => vec![one],
            Value::Array(many) if many.len() <= AUDIENCES_MAX => {
                let texts: Option<Vec<&str>> = many.iter().map(Value::as_str).collect();
                texts.ok_or(invalid)?
            }
            _ => return Err(invalid),
        };
        if !audiences.contains(&self.audience.as_str()) {
            return Err(TokenError::Audience);
        }
        match claims.optional_text("azp")? {
            Some(party) if party != self.audience => Err(TokenError::AuthorizedParty),
            None if audiences.len() > 1 => Err(TokenError::AuthorizedParty),
            _ => Ok(()),
        }
    }

    fn identity(&self, checked: Checked) -> Result<ExternalIdentity, TokenError> {
        let (issued_at, expires_at) = checked.times.timestamps();
        let subject = checked.claims.text("sub")?;
        if !(1..=SUBJECT_BYTES_MAX).contains(&subject.len()) {
            return Err(TokenError::InvalidClaim("sub"));
        }
        Ok(ExternalIdentity {
            issuer: self.issuer.clone(),
            subject: subject.to_owned(),
            issued_at,
            expires_at,
            claims: checked.claims,
        })
    }
}

/// Returns the left half of an access token's digest.
/// Source: <https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken>; for Ed25519 the digest is
/// the one that it signs with, SHA-512.
fn half_hash(access_token: &str, algorithm: ExternalAlgorithm) -> String {
    let kind = match algorithm {
        ExternalAlgorithm::Es256 | ExternalAlgorithm::Rs256 => &SHA256,
        ExternalAlgorithm::EdDsa => &SHA512,
    };
    let whole = digest(kind, access_token.as_bytes());
    let (half, _) = whole.as_ref().split_at(whole.as_ref().len() / 2);
    BASE64URL_NOPAD.encode(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_digest_is_that_of_the_standard() {
        // Source: https://openid.net/specs/openid-connect-core-1_0.html#code-id_tokenExample
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(
            half_hash(token, ExternalAlgorithm::Rs256),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
        assert_eq!(half_hash(token, ExternalAlgorithm::EdDsa).len(), 43);
    }

    #[test]
    fn an_issuer_has_a_name_an_audience_and_algorithms() {
        let new = |issuer: &str, audience: &str, algorithms| {
            ExternalIssuer::new(issuer, audience, algorithms).map(drop)
        };
        let some = vec![ExternalAlgorithm::Es256];
        assert_eq!(new("https://id.example", "tollgate", some.clone()), Ok(()));
        assert_eq!(new("", "tollgate", some.clone()), Err(ExternalIssuerError));
        assert_eq!(
            new("https://id.example", "", some.clone()),
            Err(ExternalIssuerError)
        );
        assert_eq!(
            new("https://id.example", "tollgate", vec![]),
            Err(ExternalIssuerError)
        );
        assert_eq!(
            new(&"i".repeat(2_049), "tollgate", some),
            Err(ExternalIssuerError)
        );
    }
}
