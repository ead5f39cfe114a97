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
