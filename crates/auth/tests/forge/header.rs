//! Headers that say too much, too little or something else.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::KeyPair;
use data_encoding::BASE64URL_NOPAD;
use tollgate_auth::TokenError::{
    Algorithm, Critical, Duplicate, KeyInHeader, Malformed, Type, UnknownKey,
};

use crate::{Target, changed, encoded, json, payload};

#[test]
fn t_forge_01_alg_none() {
    let target = Target::new();
    for alg in ["\"none\"", "\"None\"", "\"nOnE\"", "\"NONE\"", "\"\""] {
        target.refuses_header(&[("alg", alg)], Algorithm);
        let header = json(&changed(&target.header(), &[("alg", alg)]));
        target.refuses(
            &format!("{}.{}.", encoded(&header), encoded(&json(&payload()))),
            Algorithm,
        );
    }
}

#[test]
fn t_forge_02_hs256_with_the_public_key_as_its_secret() {
    let target = Target::new();
    let header = json(&changed(&target.header(), &[("alg", "\"HS256\"")]));
    let message = format!("{}.{}", encoded(&header), encoded(&json(&payload())));
    for secret in [
        target.key.public_key().as_ref(),
        target.kid().as_bytes(),
        b"",
    ] {
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret),
            message.as_bytes(),
        );
        target.refuses(
            &format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref())),
            Algorithm,
        );
    }
}

#[test]
fn t_forge_03_other_algorithms() {
    let target = Target::new();
    for alg in [
        "RS256", "PS256", "ES256", "ES384", "HS512", "Ed25519", "Ed448", "dir",
    ] {
        target.refuses_header(&[("alg", &format!("\"{alg}\""))], Algorithm);
    }
}

#[test]
fn t_forge_04_alg_in_another_spelling() {
    let target = Target::new();
    for alg in [
        "eddsa",
        "EDDSA",
        "EdDSA ",
        " EdDSA",
        "EdDSA\\u0000",
        "EdDSA,none",
    ] {
        target.refuses_header(&[("alg", &format!("\"{alg}\""))], Algorithm);
    }
}

#[test]
fn t_forge_05_alg_that_is_no_text() {
    let target = Target::new();
    for alg in ["(none)", "null", "5", "[\"EdDSA\"]", "{}", "true"] {
        target.refuses_header(&[("alg", alg)], Malformed);
    }
}

#[test]
fn t_forge_06_kid_as_a_path_an_address_or_a_query() {
    let target = Target::new();
    for kid in [
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "https://evil.example/key",
        "' OR 1=1 --",
        "$(id)",
        "|id",
        "0",
        "*",
        "\\u0000",
    ] {
        target.refuses_header(&[("kid", &format!("\"{kid}\""))], UnknownKey);
    }
}

#[test]
fn t_forge_07_kid_that_is_unknown_missing_or_almost_right() {
    let target = Target::new();
    let kid = target.kid();
    for other in [
        "",
        &kid[1..],
        &kid[..42],
        &format!("{kid} "),
        &format!("{kid}\\u0000"),
        &kid.to_lowercase(),
    ] {
        target.refuses_header(&[("kid", &format!("\"{other}\""))], UnknownKey);
    }
    target.refuses_header(&[("kid", "(none)")], UnknownKey);
    target.refuses_header(&[("kid", "null")], UnknownKey);
    target.refuses_header(&[("kid", &format!("[\"{kid}\"]"))], Malformed);
}

#[test]
fn t_forge_15_another_type_of_token() {
    let target = Target::new();
    for typ in [
        "\"JWT\"",
        "\"id+jwt\"",
        "\"AT+JWT\"",
        "\"application/at+jwt\"",
        "\"at+jwt \"",
        "\"\"",
        "null",
        "(none)",
    ] {
        target.refuses_header(&[("typ", typ)], Type);
    }
    target.refuses_header(&[("typ", "[\"at+jwt\"]")], Malformed);
}

#[test]
fn t_forge_26_a_member_of_the_header_twice() {
    let target = Target::new();
    for (name, value) in [
        ("alg", "\"none\""),
        ("alg", "\"EdDSA\""),
        ("typ", "\"JWT\""),
        ("kid", "\"x\""),
        ("\\u0061lg", "\"none\""),
    ] {
        let mut twice = target.header();
        twice.push((name.to_owned(), value.to_owned()));
        target.refuses(&target.signed(&twice, &payload()), Duplicate);
    }
}

#[test]
fn t_forge_30_a_key_of_its_own() {
    let (target, attacker) = (Target::new(), Target::new());
    let x = BASE64URL_NOPAD.encode(attacker.key.public_key().as_ref());
    let jwk = format!(
        r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{}"}}"#,
        target.kid()
    );
    for jwk in [&jwk, "{}", "null", "[]", "{\"jwk\":{\"jwk\":{}}}"] {
        let header = changed(&target.header(), &[("jwk", jwk)]);
        target.refuses(&attacker.signed(&header, &payload()), KeyInHeader);
        target.refuses(&target.signed(&header, &payload()), KeyInHeader);
    }
}

#[test]
fn t_forge_31_the_address_of_a_key() {
    let target = Target::new();
    for name in ["jku", "x5u", "x5c", "x5t", "x5t#S256"] {
        for value in ["\"https://evil.example/keys\"", "[\"MIIB\"]", "null"] {
            target.refuses_header(&[(name, value)], KeyInHeader);
        }
    }
}

#[test]
fn t_forge_32_extensions() {
    let target = Target::new();
    target.refuses_header(&[("crit", "[\"exp\"]")], Critical);
    target.refuses_header(&[("crit", "[]")], Critical);
    target.refuses_header(&[("crit", "null")], Critical);
    target.refuses_header(&[("crit", "[\"b64\"]"), ("b64", "false")], Critical);
    target.refuses_header(&[("b64", "false")], Critical);
    target.refuses_header(&[("b64", "true")], Critical);
}
