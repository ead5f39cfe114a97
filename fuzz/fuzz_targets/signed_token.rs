//! Signed tokens: bytes as they come are never accepted, and a payload that is signed is read without a
//! panic, however it is made.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use tollgate_auth::{
    AccessTokens, ExternalAlgorithm, ExternalIssuer, ExternalKeys, KeyRing, SigningKey,
};
use tollgate_domain::Timestamp;

const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

struct Target {
    tokens: AccessTokens,
    external: ExternalIssuer,
    keys: ExternalKeys,
    key: Ed25519KeyPair,
}

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let ring = KeyRing::generate().expect("keys can be made");
    let pkcs8 = ring.current().expose_pkcs8();
    Target {
        key: Ed25519KeyPair::from_pkcs8(pkcs8).expect("a key reads back"),
        keys: ExternalKeys::parse(ring.jwks().to_string().as_bytes()).expect("ours can be read"),
        external: ExternalIssuer::new("i", "a", vec![ExternalAlgorithm::EdDsa]).expect("named"),
        tokens: AccessTokens::new("i", "a", ring),
    }
});

fuzz_target!(|data: &[u8]| {
    let target = &*TARGET;
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(target.tokens.check(text, NOW).is_err());
        assert!(target.external.check(&target.keys, text, NOW).is_err());
    }
    let kid = target.tokens.ring().current().kid();
    assert!(target.tokens.ring().keys().map(SigningKey::kid).any(|name| name == kid));
    let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#);
    let signed = |header: &[u8], payload: &[u8]| {
        let encoded = |part: &[u8]| BASE64URL_NOPAD.encode(part);
        let message = format!("{}.{}", encoded(header), encoded(payload));
        let signature = target.key.sign(message.as_bytes());
        format!("{message}.{}", encoded(signature.as_ref()))
    };
    let payload = signed(header.as_bytes(), data);
    if target.tokens.check(&payload, NOW).is_ok() {
        serde_json::from_slice::<serde_json::Value>(data).expect("what is accepted is JSON");
    }
    std::hint::black_box(target.external.check(&target.keys, &payload, NOW).is_ok());
    let head = signed(data, b"{}");
    assert!(target.tokens.check(&head, NOW).is_err());
    assert!(target.external.check(&target.keys, &head, NOW).is_err());
});
