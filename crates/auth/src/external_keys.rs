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
mod tests {
    use super::*;
    use crate::jose::Parts;
    use proptest::prelude::*;
    use serde_json::json;

    fn ec() -> Value {
        json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    fn ed() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn rsa(bits: usize) -> Value {
        let modulus = [vec![0x80], vec![1; bits / 8 - 1]].concat();
        json!({"kty": "RSA", "n": BASE64URL_NOPAD.encode(&modulus), "e": "AQAB"})
    }

    fn with(key: Value, name: &str, value: impl Into<Value>) -> Value {
        let mut key = key;
        key[name] = value.into();
        key
    }

    fn parse(keys: &[Value]) -> Result<ExternalKeys, ExternalKeysError> {
        ExternalKeys::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn the_examples_of_the_standards_are_signed_by_their_keys() {
        // Sources: https://www.rfc-editor.org/rfc/rfc7515#appendix-A.3 and
        // https://www.rfc-editor.org/rfc/rfc8037#appendix-A.4
        let es256 = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9le\
            GFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djx\
            La8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let eddsa = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PP\
            Ot7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let keys = parse(&[ec(), ed()]).unwrap();
        for (token, algorithm) in [
            (es256, ExternalAlgorithm::Es256),
            (eddsa, ExternalAlgorithm::EdDsa),
        ] {
            let key = keys.find(None, algorithm).unwrap();
            let check = |token: &str| {
                let parts = Parts::split(token, 4_096).unwrap();
                parts.check_signature(&key.key, algorithm.for_signatures())
            };
            assert_eq!(check(token), Ok(()));
            assert_eq!(
                check(&token.replacen(".R", ".S", 1).replacen(".eyJ", ".eyK", 1)),
                Err(TokenError::Signature)
            );
        }
    }

    #[test]
    fn keys_of_other_kinds_and_uses_are_passed_over() {
        for other in [
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "OKP", "crv": "Ed448", "x": "AAAA"}),
            json!({"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"}),
            json!({"kty": "new"}),
            json!({}),
            json!("key"),
            with(ed(), "use", "enc"),
            with(ed(), "key_ops", json!(["sign"])),
            with(ed(), "alg", "ES256"),
            with(ed(), "d", "AAAA"),
            with(ed(), "x", "AAAA"),
            with(ed(), "x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
            with(ec(), "y", Value::Null),
            with(rsa(2_048), "alg", "RS512"),
            with(rsa(2_048), "e", ""),
            rsa(1_024),
            rsa(2_040),
            rsa(16_384),
        ] {
            let alone = parse(std::slice::from_ref(&other)).map(|keys| keys.0.len());
            assert_eq!(alone, Err(ExternalKeysError::Empty), "{other}");
            assert_eq!(parse(&[other, ec()]).unwrap().0.len(), 1);
        }
        for good in [
            with(ed(), "use", "sig"),
            with(ec(), "key_ops", json!(["verify"])),
            with(rsa(2_048), "alg", "RS256"),
            with(rsa(8_192), "x5t", "anything"),
        ] {
            assert!(parse(std::slice::from_ref(&good)).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_name_and_only_for_its_algorithm() {
        let named = |key, kid: &str| with(key, "kid", kid);
        let keys = parse(&[named(ec(), "a"), named(ed(), "a"), named(rsa(2_048), "b")]).unwrap();
        let find = |kid, algorithm| keys.find(kid, algorithm).map(|key| key.algorithm);
        for algorithm in [ExternalAlgorithm::Es256, ExternalAlgorithm::EdDsa] {
            assert_eq!(find(Some("a"), algorithm), Ok(algorithm));
            assert_eq!(find(None, algorithm), Ok(algorithm));
            assert_eq!(find(Some("b"), algorithm), Err(TokenError::Algorithm));
            assert_eq!(find(Some("c"), algorithm), Err(TokenError::UnknownKey));
        }
        let two = parse(&[named(ec(), "a"), named(ec(), "b"), ec()]).unwrap();
        let found = two.find(None, ExternalAlgorithm::Es256).map(drop);
        assert_eq!(found, Err(TokenError::UnknownKey), "which one is not clear");
        let found = two.find(Some(""), ExternalAlgorithm::Es256).map(drop);
        assert_eq!(found, Err(TokenError::UnknownKey));
        let twice = parse(&[named(ec(), "a"), named(ec(), "a")]);
        assert_eq!(twice.unwrap_err(), ExternalKeysError::Ambiguous);
    }

    #[test]
    fn a_key_set_has_bounds() {
        let many = |count| parse(&vec![ec(); count]).map(drop);
        assert_eq!(many(64), Ok(()));
        assert_eq!(many(65), Err(ExternalKeysError::TooLarge));
        let large = |spaces| {
            let text = format!("{}{}", json!({ "keys": [ec()] }), " ".repeat(spaces));
            (text.len(), ExternalKeys::parse(text.as_bytes()).map(drop))
        };
        let room = JWKS_BYTES_MAX - large(0).0;
        assert_eq!(large(room), (JWKS_BYTES_MAX, Ok(())));
        assert_eq!(large(room + 1).1, Err(ExternalKeysError::TooLarge));
        for bad in [
            "",
            "[]",
            "{}",
            "{\"keys\":{}}",
            "{\"keys\":[],\"keys\":[]}",
            "{\"keys\":[]} x",
            "<html>",
        ] {
            let read = ExternalKeys::parse(bad.as_bytes()).map(drop);
            assert_eq!(read, Err(ExternalKeysError::Malformed), "{bad}");
        }
        assert_eq!(parse(&[]).map(drop), Err(ExternalKeysError::Empty));
    }

    #[test]
    fn algorithms_have_the_names_of_the_standard() {
        for name in ["ES256", "RS256", "EdDSA"] {
            assert_eq!(name.parse::<ExternalAlgorithm>().unwrap().as_str(), name);
        }
        for name in ["none", "HS256", "es256", "PS256", ""] {
            assert_eq!(name.parse::<ExternalAlgorithm>(), Err(UnknownAlgorithm));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), n in "[A-Za-z0-9_-]{0,400}") {
            prop_assert!(ExternalKeys::parse(&bytes).is_err());
            let _ = parse(&[json!({"kty": "RSA", "n": n, "e": n}), json!({"kty": "OKP", "crv": "Ed25519", "x": n})]);
        }
    }
}
