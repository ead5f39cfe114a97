//! The public keys of an external issuer.
//! Source: <https://www.rfc-editor.org/rfc/rfc7517>, <https://www.rfc-editor.org/rfc/rfc7518#section-6>

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::token_error::TokenError;

/// The most bytes of a key set.
pub const JWKS_BYTES_MAX: usize = 65_536;

/// The most keys of a key set, those that cannot be used included.
pub const JWKS_KEYS_MAX: usize = 64;

/// The sizes of an RSA key in bits. Below, it can be broken; above, checking a signature takes too long.
const RSA_BITS_MIN: usize = 2_048;
const RSA_BITS_MAX: usize = 8_192;

/// The most bytes of an RSA key's exponent; nearly all have three.
const RSA_EXPONENT_BYTES_MAX: usize = 8;

/// The bytes of a coordinate, or of an Ed25519 key.
const POINT_BYTES: usize = 32;

/// How an external issuer may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExternalAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
}

/// A text that is not the name of an algorithm that is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an algorithm is one of ES256, RS256, EdDSA")]
pub struct UnknownAlgorithm;

impl ExternalAlgorithm {
    /// Returns the name used in tokens and settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) const fn for_signatures(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::Rs256 => Algorithm::RS256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

impl FromStr for ExternalAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        [Self::Es256, Self::Rs256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or(UnknownAlgorithm)
    }
}

/// Why a key set cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExternalKeysError {
    /// More than 64 KiB, or 64 keys.
    #[error("the key set is too large")]
    TooLarge,
    /// Not a JSON object with an array of keys.
    #[error("not a JSON Web Key Set")]
    Malformed,
    /// Two keys for the same algorithm under one name.
    #[error("the key set has two keys of the same name")]
    Ambiguous,
    /// No key in it can be used.
    #[error("the key set has no key that can be used")]
    Empty,
}

/// The public keys of an external issuer, as its JSON Web Key Set had them.
#[derive(Clone)]
pub struct ExternalKeys(Vec<ExternalKey>);

#[derive(Clone)]
pub(crate) struct ExternalKey {
    kid: Option<String>,
    pub(crate) algorithm: ExternalAlgorithm,
    pub(crate) key: DecodingKey,
}

impl fmt::Debug for ExternalKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|key| (&key.kid, key.algorithm));
        f.debug_list().entries(names).finish()
    }
}

#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<Value>,
}

/// The members of a key that matter. A private or a symmetric one is not used: whoever reads the set
/// could sign with it.
#[derive(Deserialize)]
struct WrittenKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<Value>,
}

impl ExternalKeys {
    /// Reads a key set. Keys of other kinds or for other uses are passed over, as the standard asks.
    ///
    /// # Errors
    /// When it is too large, is none, or has no usable key or two of one name.
    pub fn parse(json: &[u8]) -> Result<Self, ExternalKeysError> {
        if json.len() > JWKS_BYTES_MAX {
            return Err(ExternalKeysError::TooLarge);
        }
        let set: WrittenSet =
            serde_json::from_slice(json).map_err(|_| ExternalKeysError::Malformed)?;
        if set.keys.len() > JWKS_KEYS_MAX {
            return Err(ExternalKeysError::TooLarge);
        }
        let mut keys: Vec<ExternalKey> = Vec::new();
        for value in set.keys {
            let Some(key) = WrittenKey::deserialize(value).ok().and_then(usable) else {
                continue;
            };
            let is_same = |other: &ExternalKey| {
                key.kid.is_some() && (&other.kid, other.algorithm) == (&key.kid, key.algorithm)
            };
            if keys.iter().any(is_same) {
                return Err(ExternalKeysError::Ambiguous);
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(ExternalKeysError::Empty);
        }
        Ok(Self(keys))
    }

    /// Returns the key that a token names; a token that names none gets the only one of its algorithm.
    pub(crate) fn find(
        &self,
        kid: Option<&str>,
        algorithm: ExternalAlgorithm,
    ) -> Result<&ExternalKey, TokenError> {
        let is_named = |key: &&ExternalKey| kid.is_none() || key.kid.as_deref() == kid;
        let mut named = self.0.iter().filter(is_named).peekable();
        if named.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let mut fitting = named.filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(TokenError::UnknownKey),
            (None, _) => Err(TokenError::Algorithm),
        }
    }
}

fn usable(written: WrittenKey) -> Option<ExternalKey> {
    let bytes = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_ref()?.as_bytes()).ok();
    let point = |text: &Option<String>| bytes(text).filter(|bytes| bytes.len() == POINT_BYTES);
    let (algorithm, key) = match (written.kty.as_str(), written.crv.as_deref()) {
        ("EC", Some("P-256")) => {
            // An uncompressed point: https://www.secg.org/sec1-v2.pdf, section 2.3.3.
            let coordinates = [vec![4], point(&written.x)?, point(&written.y)?];
            let key = DecodingKey::from_ec_der(&coordinates.concat());
            (ExternalAlgorithm::Es256, key)
        }
        ("OKP", Some("Ed25519")) => {
            let key = DecodingKey::from_ed_der(&point(&written.x)?);
            (ExternalAlgorithm::EdDsa, key)
        }
        ("RSA", _) => {
            let (modulus, exponent) = (bytes(&written.n)?, bytes(&written.e)?);
            let zeros = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
            let bits = (modulus.len() * 8).checked_sub(zeros)?;
            let is_usual = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits)
                && (1..=RSA_EXPONENT_BYTES_MAX).contains(&exponent.len());
            let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
            is_usual.then_some((ExternalAlgorithm::Rs256, key))?
        }
        _ => return None,
    };
    let is_public = written.d.is_none();
    let is_for_signatures = written.usage.is_none_or(|usage| usage == "sig")
        && written
            .key_ops
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"))
        && written.alg.is_none_or(|name| name == algorithm.as_str());
    (is_public && is_for_signatures).then_some(ExternalKey {
        kid: written.kid,
        algorithm,
        key,
    })
}

#[cfg(test)]
mod tests;
