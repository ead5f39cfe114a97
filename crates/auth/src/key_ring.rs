//! The keys that sign access tokens, and their rotation.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};

use crate::access_token::{ACCESS_TOKEN_SECONDS, LEEWAY_SECONDS};

/// The most keys that are kept for tokens which they signed before.
const RETIRING_MAX: usize = 6;

/// For how long a key must be published as the next one before it signs: as long as others may keep
/// what [`KeyRing::jwks`] said.
pub const NEXT_KEY_SECONDS_MIN: i64 = 86_400;

/// For how long a key must be kept after it has stopped signing: until its last token has ended.
pub const RETIRING_KEY_SECONDS_MIN: i64 = ACCESS_TOKEN_SECONDS + LEEWAY_SECONDS;

/// Why keys cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// Not a private Ed25519 key in the form PKCS#8.
    #[error("not a private Ed25519 key in the form PKCS#8")]
    NotAKey,
    /// The same key twice.
    #[error("the same signing key twice in a ring")]
    Twice,
    /// More than 6 keys that retire.
    #[error("more than {RETIRING_MAX} retiring keys in a ring")]
    TooMany,
    /// The system could not make a key.
    #[error("the system could not make a signing key")]
    NotMade,
}

/// A private Ed25519 key. Overwritten when dropped.
#[derive(Clone)]
pub struct SigningKey {
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
    /// The public key in base64url.
    x: String,
    kid: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

impl SigningKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// `NotMade`.
    pub fn generate() -> Result<Self, KeyRingError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyRingError::NotMade)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyRingError::NotMade)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// Reads a key that was kept.
    ///
    /// # Errors
    /// `NotAKey`.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyRingError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyRingError::NotAKey)?;
        let public = pair.public_key().as_ref();
        let x = BASE64URL_NOPAD.encode(public);
        Ok(Self {
            encoding: EncodingKey::from_ed_der(pkcs8),
            decoding: DecodingKey::from_ed_der(public),
            kid: thumbprint(&x),
            x,
        })
    }

    /// Returns the key in the form PKCS#8. Whoever has it can sign: keep it sealed.
    #[must_use]
    pub fn expose_pkcs8(&self) -> &[u8] {
        self.encoding.as_bytes()
    }

    /// Returns the key's name, which is computed from its public part.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "x": self.x,
            "kid": self.kid, "alg": "EdDSA", "use": "sig",
        })
    }
}

/// Source: <https://www.rfc-editor.org/rfc/rfc7638#section-3>: the required members in this order.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64URL_NOPAD.encode(digest(&SHA256, members.as_bytes()).as_ref())
}

/// The keys of an installation: the current one signs; the next one is known already, so that whoever
/// keeps a copy of the public keys has it when it begins to sign; those that retire signed tokens that may
/// still be valid. Tokens of all of them are accepted, so that replicas may rotate at different moments.
#[derive(Debug, Clone)]
pub struct KeyRing {
    current: Arc<SigningKey>,
    next: Arc<SigningKey>,
    retiring: Vec<Arc<SigningKey>>,
}

impl KeyRing {
    /// Makes a ring of keys that were kept, those that retire from the latest to the oldest.
    ///
    /// # Errors
    /// `Twice` or `TooMany`.
    pub fn new(
        current: SigningKey,
        next: SigningKey,
        retiring: Vec<SigningKey>,
    ) -> Result<Self, KeyRingError> {
        Self {
            current: Arc::new(current),
            next: Arc::new(next),
            retiring: retiring.into_iter().map(Arc::new).collect(),
        }
        .checked()
    }

    /// Makes a ring of two new keys.
    ///
    /// # Errors
    /// `NotMade`.
    pub fn generate() -> Result<Self, KeyRingError> {
        Self::new(SigningKey::generate()?, SigningKey::generate()?, Vec::new())
    }

    fn checked(self) -> Result<Self, KeyRingError> {
        if self.retiring.len() > RETIRING_MAX {
            return Err(KeyRingError::TooMany);
        }
        let mut kids: Vec<&str> = self.keys().map(SigningKey::kid).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(KeyRingError::Twice);
        }
        Ok(self)
    }

    /// Returns the ring after a rotation: the next key signs, the current one retires, and `next` is
    /// published. See [`NEXT_KEY_SECONDS_MIN`] for when that may be.
    ///
    /// # Errors
    /// `Twice` or `TooMany`.
    pub fn rotated(&self, next: SigningKey) -> Result<Self, KeyRingError> {
        let retiring = std::iter::once(&self.current).chain(&self.retiring);
        Self {
            current: Arc::clone(&self.next),
            next: Arc::new(next),
            retiring: retiring.cloned().collect(),
        }
        .checked()
    }

    /// Returns the ring without a key that has retired. See [`RETIRING_KEY_SECONDS_MIN`] for when that
    /// may be.
    #[must_use]
    pub fn without_retired(&self, kid: &str) -> Self {
        let mut ring = self.clone();
        ring.retiring.retain(|key| key.kid != kid);
        ring
    }

    /// Returns the key that signs.
    #[must_use]
    pub fn current(&self) -> &SigningKey {
        &self.current
    }

    /// Returns every key: the current one, the next one, and those that retire.
    pub fn keys(&self) -> impl Iterator<Item = &SigningKey> {
        [&self.current, &self.next]
            .into_iter()
            .chain(&self.retiring)
            .map(|key| &**key)
    }

    /// Returns the key of this name. It is compared with names that are known, and nothing else.
    pub(crate) fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys().find(|key| key.kid == kid)
    }

    /// Returns the public keys as a JSON Web Key Set.
    /// Source: <https://www.rfc-editor.org/rfc/rfc8037#section-2>
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.keys().map(SigningKey::jwk).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_and_named_by_its_public_part() {
        let key = SigningKey::generate().unwrap();
        let kept = SigningKey::from_pkcs8(key.expose_pkcs8()).unwrap();
        assert_eq!((kept.kid(), &kept.x), (key.kid(), &key.x));
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.kid()));
        for bad in [&b""[..], b"key", &key.expose_pkcs8()[..47], &[0; 48]] {
            assert_eq!(
                SigningKey::from_pkcs8(bad).unwrap_err(),
                KeyRingError::NotAKey
            );
        }
    }

    #[test]
    fn the_name_is_the_thumbprint_of_the_standard() {
        // Source: https://www.rfc-editor.org/rfc/rfc8037#appendix-A.3
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_rotation_moves_every_key_one_place() {
        let ring = KeyRing::generate().unwrap();
        let kids = |ring: &KeyRing| ring.keys().map(|key| key.kid.clone()).collect::<Vec<_>>();
        let [current, next] = <[String; 2]>::try_from(kids(&ring)).unwrap();
        let third = SigningKey::generate().unwrap();
        let rotated = ring.rotated(third.clone()).unwrap();
        assert_eq!(
            kids(&rotated),
            [next.as_str(), third.kid(), current.as_str()]
        );
        assert_eq!(rotated.current().kid(), next);
        assert_eq!(
            kids(&rotated.without_retired(&current)),
            [next.as_str(), third.kid()]
        );
        assert_eq!(rotated.without_retired(&next).keys().count(), 3, "it signs");
    }

    #[test]
    fn a_ring_has_each_key_once_and_not_too_many() {
        let (one, two) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let ring = |current: &SigningKey, next: &SigningKey, retiring| {
            KeyRing::new(current.clone(), next.clone(), retiring).map(drop)
        };
        assert_eq!(ring(&one, &one, vec![]), Err(KeyRingError::Twice));
        assert_eq!(
            ring(&one, &two, vec![one.clone()]),
            Err(KeyRingError::Twice)
        );
        let many = |count| {
            (0..count)
                .map(|_| SigningKey::generate().unwrap())
                .collect()
        };
        assert_eq!(ring(&one, &two, many(6)), Ok(()));
        assert_eq!(ring(&one, &two, many(7)), Err(KeyRingError::TooMany));
    }

    #[test]
    fn only_public_parts_are_published() {
        let ring = KeyRing::generate().unwrap();
        let jwks = ring.jwks();
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        for (jwk, key) in keys.iter().zip(ring.keys()) {
            assert_eq!(*jwk, key.jwk());
            let mut names: Vec<_> = jwk
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            names.sort_unstable();
            assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"]);
        }
    }
}
