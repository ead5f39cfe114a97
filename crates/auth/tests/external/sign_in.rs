//! The end of a sign-in.

use serde_json::{Value, json};
use tollgate_auth::{ExternalAlgorithm, SignInAttempt, TokenError};

use crate::{at, claims_with, issuer, provider};

const ACCESS: &str = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";

fn check(claims: &Value, nonce: &str, access: Option<&str>) -> Result<String, TokenError> {
    let token = provider().token(ExternalAlgorithm::Rs256, claims);
    let checked = issuer().check_id_token(&provider().keys(), &token, nonce, access, at(0));
    checked.map(|identity| identity.subject)
}

#[test]
fn an_id_token_belongs_to_its_attempt() {
    let (attempt, other) = (
        SignInAttempt::start().unwrap(),
        SignInAttempt::start().unwrap(),
    );
    let claims = claims_with(&json!({"nonce": attempt.nonce()}));
    assert_eq!(
        check(&claims, attempt.nonce(), None).as_deref(),
        Ok("248289761001")
    );
    assert_eq!(check(&claims, other.nonce(), None), Err(TokenError::Nonce));
    assert_eq!(check(&claims, "", None), Err(TokenError::Nonce));
    let missing = check(&claims_with(&json!({})), attempt.nonce(), None);
    assert_eq!(missing, Err(TokenError::MissingClaim("nonce")));
    let list = claims_with(&json!({"nonce": [attempt.nonce()]}));
    assert_eq!(
        check(&list, attempt.nonce(), None),
        Err(TokenError::InvalidClaim("nonce"))
    );
}

#[test]
fn an_id_token_that_names_an_access_token_comes_with_it() {
    let claims = claims_with(&json!({"nonce": "n", "at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}));
    assert!(check(&claims, "n", Some(ACCESS)).is_ok());
    for access in [None, Some(""), Some("another")] {
        assert_eq!(
            check(&claims, "n", access),
            Err(TokenError::AccessTokenHash)
        );
    }
    let silent = claims_with(&json!({"nonce": "n"}));
    assert!(check(&silent, "n", Some(ACCESS)).is_ok());
}

#[test]
fn an_access_token_is_no_proof_of_a_sign_in() {
    let claims = claims_with(&json!({"nonce": "n"}));
    for (typ, expected) in [("JWT", None), ("at+jwt", Some(TokenError::Type))] {
        let header = json!({"alg": "EdDSA", "kid": "EdDSA", "typ": typ});
        let token = provider().sign(ExternalAlgorithm::EdDsa, &header, &claims);
        let checked = issuer().check_id_token(&provider().keys(), &token, "n", None, at(0));
        assert_eq!(checked.err(), expected);
    }
}
