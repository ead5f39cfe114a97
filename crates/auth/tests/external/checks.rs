//! What a token of another issuer must be.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{KeyPair, RsaPublicKeyComponents};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tollgate_auth::TokenError::{self, InvalidClaim, MissingClaim};
use tollgate_auth::{ExternalAlgorithm, ExternalIssuer};

use crate::{ALGORITHMS, ISSUER, NOW, Provider, at, check, claims, claims_with, issuer, provider};

fn refused(changes: &Value) -> Option<TokenError> {
    check(changes).err()
}

#[test]
fn a_token_of_each_algorithm_says_who_it_is() {
    let keys = provider().keys();
    for algorithm in ALGORITHMS {
        let token = provider().token(algorithm, &claims());
        let identity = issuer().check(&keys, &token, at(0)).unwrap();
        assert_eq!(identity.issuer, ISSUER);
        assert_eq!(identity.subject, "248289761001");
        assert_eq!(
            (identity.issued_at, identity.expires_at),
            (at(0), at(3_600))
        );
        assert_eq!(
            format!("{identity:?}"),
            format!("ExternalIdentity({ISSUER}, …)")
        );
        let other = Provider::new().token(algorithm, &claims());
        let forged = issuer().check(&keys, &other, at(0));
        assert_eq!(forged.unwrap_err(), TokenError::Signature);
    }
}

#[test]
fn only_the_algorithms_of_the_list_are_accepted() {
    let keys = provider().keys();
    for allowed in ALGORITHMS {
        let issuer = ExternalIssuer::new(ISSUER, "tollgate", vec![allowed]).unwrap();
        for algorithm in ALGORITHMS {
            let token = provider().token(algorithm, &claims());
            let checked = issuer.check(&keys, &token, at(0)).map(drop);
            let expected = if algorithm == allowed {
                Ok(())
            } else {
                Err(TokenError::Algorithm)
            };
            assert_eq!(
                checked, expected,
                "{algorithm:?} where {allowed:?} is allowed"
            );
        }
    }
}

#[test]
fn a_key_signs_in_its_own_way_whatever_the_header_says() {
    let keys = provider().keys();
    for signed in ALGORITHMS {
        for named in ["ES256", "RS256", "EdDSA"] {
            let header = json!({"alg": named, "kid": signed.as_str()});
            let checked =
                issuer().check(&keys, &provider().sign(signed, &header, &claims()), at(0));
            let expected = if named == signed.as_str() {
                None
            } else {
                Some(TokenError::Algorithm)
            };
            assert_eq!(checked.err(), expected);
            // The key of the name does not fit the signature.
            let header = json!({"alg": named, "kid": named});
            let checked =
                issuer().check(&keys, &provider().sign(signed, &header, &claims()), at(0));
            let expected = if named == signed.as_str() {
                None
            } else {
                Some(TokenError::Signature)
            };
            assert_eq!(checked.err(), expected);
        }
    }
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let keys = provider().keys();
    let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(provider().rsa.public_key());
    for (kid, secret) in [
        ("RS256", rsa.n.as_slice()),
        ("EdDSA", provider().ed.public_key().as_ref()),
        ("HS256", &[0, 0, 0]),
    ] {
        for alg in ["HS256", "none", "None", "PS256", "RS512"] {
            let text = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
            let message = format!(
                "{}.{}",
                text(&json!({"alg": alg, "kid": kid})),
                text(&claims())
            );
            let tag = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, secret),
                message.as_bytes(),
            );
            let token = format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref()));
            let checked = issuer().check(&keys, &token, at(0));
            assert_eq!(checked.unwrap_err(), TokenError::Algorithm, "{alg}");
        }
    }
}

#[test]
fn a_header_brings_no_keys_and_no_extensions() {
    let check = |header: Value| {
        let token = provider().sign(ExternalAlgorithm::EdDsa, &header, &claims());
        issuer().check(&provider().keys(), &token, at(0)).err()
    };
    let with = |name: &str, value: Value| {
        let mut header = json!({"alg": "EdDSA", "kid": "EdDSA"});
        header[name] = value;
        check(header)
    };
    for name in ["jku", "x5u", "jwk"] {
        assert_eq!(
            with(name, json!("https://evil.example")),
            Some(TokenError::KeyInHeader)
        );
    }
    assert_eq!(with("crit", json!(["exp"])), Some(TokenError::Critical));
    assert_eq!(
        with("x5t", json!("certificate")),
        None,
        "some issuers name theirs"
    );
    assert_eq!(with("typ", json!("at+jwt")), None);
    assert_eq!(with("typ", json!("logout+jwt")), Some(TokenError::Type));
    assert_eq!(with("kid", json!("other")), Some(TokenError::UnknownKey));
    assert_eq!(
        check(json!({"alg": "EdDSA"})),
        None,
        "the only key of its kind"
    );
}

#[test]
fn issuer_and_audience_are_exact() {
    for iss in [
        "https://id.example/",
        "https://ID.example",
        "http://id.example",
        "",
    ] {
        assert_eq!(refused(&json!({"iss": iss})), Some(TokenError::Issuer));
    }
    assert_eq!(
        refused(&json!({"iss": [ISSUER]})),
        Some(InvalidClaim("iss"))
    );
    assert_eq!(refused(&json!({"iss": null})), Some(MissingClaim("iss")));
    for aud in [
        json!("tollgate2"),
        json!("Tollgate"),
        json!(""),
        json!([]),
        json!(["other"]),
    ] {
        assert_eq!(refused(&json!({"aud": aud})), Some(TokenError::Audience));
    }
    for aud in [
        json!(5),
        json!(["tollgate", 5]),
        json!({}),
        json!(vec!["tollgate"; 17]),
    ] {
        assert_eq!(refused(&json!({"aud": aud})), Some(InvalidClaim("aud")));
    }
    assert_eq!(refused(&json!({"aud": null})), Some(MissingClaim("aud")));
    assert_eq!(refused(&json!({"aud": ["tollgate"]})), None);
}

#[test]
fn a_token_for_several_was_given_to_us() {
    let both = json!(["other", "tollgate"]);
    let wrong = Some(TokenError::AuthorizedParty);
    assert_eq!(refused(&json!({"aud": both})), wrong);
    assert_eq!(refused(&json!({"aud": both, "azp": "other"})), wrong);
    assert_eq!(refused(&json!({"aud": both, "azp": "tollgate"})), None);
    assert_eq!(refused(&json!({"azp": "other"})), wrong);
    assert_eq!(refused(&json!({"azp": "tollgate"})), None);
    assert_eq!(refused(&json!({"azp": 5})), Some(InvalidClaim("azp")));
}

#[test]
fn times_are_whole_seconds_within_a_minute_and_a_day() {
    for (changes, expected) in [
        (json!({"iat": NOW - 600, "exp": NOW - 59}), None),
        (
            json!({"iat": NOW - 600, "exp": NOW - 60}),
            Some(TokenError::Expired),
        ),
        (json!({"iat": NOW + 60}), None),
        (
            json!({"iat": NOW + 61, "nbf": NOW}),
            Some(TokenError::IssuedInFuture),
        ),
        (json!({"nbf": NOW + 60}), None),
        (json!({"nbf": NOW + 61}), Some(TokenError::NotYetValid)),
        (json!({"exp": NOW + 86_400}), None),
        (
            json!({"exp": NOW + 86_401}),
            Some(TokenError::LifetimeTooLong),
        ),
        (json!({"exp": "1790003600"}), Some(InvalidClaim("exp"))),
        (json!({"exp": 1_790_003_600.5}), Some(InvalidClaim("exp"))),
        (json!({"exp": null}), Some(MissingClaim("exp"))),
        (json!({"iat": null}), Some(MissingClaim("iat"))),
        (json!({"nbf": "0"}), Some(InvalidClaim("nbf"))),
    ] {
        assert_eq!(refused(&changes), expected, "{changes}");
    }
}

#[test]
fn a_subject_is_a_text_of_some_length() {
    assert_eq!(refused(&json!({"sub": ""})), Some(InvalidClaim("sub")));
    assert_eq!(refused(&json!({"sub": "s".repeat(255)})), None);
    assert_eq!(
        refused(&json!({"sub": "s".repeat(256)})),
        Some(InvalidClaim("sub"))
    );
    assert_eq!(refused(&json!({"sub": 248_289})), Some(InvalidClaim("sub")));
    assert_eq!(refused(&json!({"sub": null})), Some(MissingClaim("sub")));
}

#[test]
fn a_token_has_a_bound() {
    assert_eq!(refused(&json!({"groups": "g".repeat(10_000)})), None);
    assert_eq!(
        refused(&json!({"groups": "g".repeat(13_000)})),
        Some(TokenError::TooLong)
    );
}

#[test]
fn a_claim_of_another_token_does_not_survive_the_signature() {
    let token = provider().token(ExternalAlgorithm::Rs256, &claims());
    let parts: Vec<&str> = token.split('.').collect();
    let other = BASE64URL_NOPAD.encode(claims_with(&json!({"sub": "1"})).to_string().as_bytes());
    let forged = format!("{}.{other}.{}", parts[0], parts[2]);
    let checked = issuer().check(&provider().keys(), &forged, at(0));
    assert_eq!(checked.unwrap_err(), TokenError::Signature);
}
