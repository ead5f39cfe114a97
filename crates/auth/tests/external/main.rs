//! Tokens of other issuers, signed in each way that is supported, and who they make of a person.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

mod checks;
mod mapping;
mod sign_in;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaPublicKeyComponents,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tollgate_auth::{
    ExternalAlgorithm, ExternalIdentity, ExternalIssuer, ExternalKeys, TokenError,
};
use tollgate_domain::Timestamp;

const NOW: i64 = 1_790_000_000;
const ISSUER: &str = "https://id.example";

const ALGORITHMS: [ExternalAlgorithm; 3] = [
    ExternalAlgorithm::Es256,
    ExternalAlgorithm::Rs256,
    ExternalAlgorithm::EdDsa,
];

/// An identity provider with a key of each kind.
struct Provider {
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Provider {
    fn new() -> Self {
        Self {
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
        }
    }

    fn keys(&self) -> ExternalKeys {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let point = self.ec.public_key().as_ref();
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        let set = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "ES256", "alg": "ES256", "use": "sig",
                "x": text(&point[1..33]), "y": text(&point[33..])},
            {"kty": "RSA", "kid": "RS256", "n": text(&rsa.n), "e": text(&rsa.e), "x5t": "unused"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "EdDSA", "x": text(self.ed.public_key().as_ref())},
            {"kty": "oct", "kid": "HS256", "k": "AAAA"},
        ]});
        ExternalKeys::parse(set.to_string().as_bytes()).unwrap()
    }

    fn sign(&self, algorithm: ExternalAlgorithm, header: &Value, claims: &Value) -> String {
        let text = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
        let message = format!("{}.{}", text(header), text(claims));
        let (bytes, random) = (message.as_bytes(), SystemRandom::new());
        let signature = match algorithm {
            ExternalAlgorithm::Es256 => self.ec.sign(&random, bytes).unwrap().as_ref().to_vec(),
            ExternalAlgorithm::Rs256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa
                    .sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature)
                    .unwrap();
                signature
            }
            ExternalAlgorithm::EdDsa => self.ed.sign(bytes).as_ref().to_vec(),
        };
        format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn token(&self, algorithm: ExternalAlgorithm, claims: &Value) -> String {
        let name = algorithm.as_str();
        self.sign(
            algorithm,
            &json!({"alg": name, "kid": name, "typ": "JWT"}),
            claims,
        )
    }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "tollgate", "sub": "248289761001", "iat": NOW, "exp": NOW + 3_600})
}

/// The usual claims with these changes; `null` removes one.
fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn issuer() -> ExternalIssuer {
    ExternalIssuer::new(ISSUER, "tollgate", ALGORITHMS.to_vec()).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros((NOW + seconds) * 1_000_000)
}

/// Makes a provider once: an RSA key takes a while.
fn provider() -> &'static Provider {
    static PROVIDER: std::sync::LazyLock<Provider> = std::sync::LazyLock::new(Provider::new);
    &PROVIDER
}

/// Checks a token with these changes of its claims.
fn check(changes: &Value) -> Result<ExternalIdentity, TokenError> {
    let token = provider().token(ExternalAlgorithm::EdDsa, &claims_with(changes));
    issuer().check(&provider().keys(), &token, at(0))
}
