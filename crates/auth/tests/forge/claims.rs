//! Claims that are signed and yet not acceptable.

use tollgate_auth::TokenError::{
    Audience, Duplicate, Expired, InvalidClaim, IssuedInFuture, Issuer, LifetimeTooLong, Malformed,
    MissingClaim, NotYetValid,
};

use crate::{NOW, Target, changed, payload};

#[test]
fn t_forge_16_another_audience() {
    let target = Target::new();
    for aud in [
        "\"other-api\"",
        "\"\"",
        "\"tollgate-api \"",
        "\"TOLLGATE-API\"",
    ] {
        target.refuses_claims(&[("aud", aud)], Audience);
    }
    for aud in [
        "[\"tollgate-api\"]",
        "[\"other\",\"tollgate-api\"]",
        "null",
        "{}",
        "5",
    ] {
        target.refuses_claims(&[("aud", aud)], InvalidClaim("aud"));
    }
    target.refuses_claims(&[("aud", "(none)")], MissingClaim("aud"));
}

#[test]
fn t_forge_17_another_issuer() {
    let target = Target::new();
    for iss in [
        "\"https://evil.example\"",
        "\"https://tollgate.example/\"",
        "\"https://Tollgate.example\"",
        "\"http://tollgate.example\"",
        "\"\"",
    ] {
        target.refuses_claims(&[("iss", iss)], Issuer);
    }
    target.refuses_claims(
        &[("iss", "[\"https://tollgate.example\"]")],
        InvalidClaim("iss"),
    );
    target.refuses_claims(&[("iss", "(none)")], MissingClaim("iss"));
}

/// Everything that is not a whole number of seconds.
const NO_TIMES: [&str; 12] = [
    "\"1790000300\"",
    "1790000300.0",
    "1790000300.5",
    "1.7900003e9",
    "-1",
    "-0",
    "18446744073709551616",
    "18446744073709551615",
    "1e400",
    "null",
    "true",
    "[1790000300]",
];

#[test]
fn t_forge_18_an_end_that_is_no_time() {
    let target = Target::new();
    for exp in NO_TIMES {
        let reason = if exp == "1e400" {
            Malformed
        } else {
            InvalidClaim("exp")
        };
        target.refuses_claims(&[("exp", exp)], reason);
    }
    target.refuses_claims(&[("exp", "(none)")], MissingClaim("exp"));
}

#[test]
fn t_forge_19_a_beginning_that_is_no_time() {
    let target = Target::new();
    for nbf in NO_TIMES {
        let reason = if nbf == "1e400" {
            Malformed
        } else {
            InvalidClaim("nbf")
        };
        target.refuses_claims(&[("nbf", nbf)], reason);
    }
    target.refuses_claims(&[("nbf", "(none)")], MissingClaim("nbf"));
}

#[test]
fn t_forge_20_an_issue_that_is_no_time() {
    let target = Target::new();
    for iat in NO_TIMES {
        let reason = if iat == "1e400" {
            Malformed
        } else {
            InvalidClaim("iat")
        };
        target.refuses_claims(&[("iat", iat)], reason);
    }
    target.refuses_claims(&[("iat", "(none)")], MissingClaim("iat"));
}

#[test]
fn t_forge_21_expired_by_the_leeway_and_more() {
    let target = Target::new();
    let ends = |at: i64| {
        let (iat, exp) = ((at - 600).to_string(), at.to_string());
        target.check(&target.signed(
            &target.header(),
            &changed(&payload(), &[("iat", &iat), ("nbf", &iat), ("exp", &exp)]),
        ))
    };
    assert_eq!(ends(NOW - 4), Ok(()));
    for exp in [NOW - 5, NOW - 6, NOW - 86_400] {
        assert_eq!(ends(exp), Err(Expired), "{exp}");
    }
    target.refuses_claims(&[("exp", "0")], Expired);
}

#[test]
fn t_forge_22_not_valid_yet() {
    let target = Target::new();
    for seconds in [6, 60, 1_000_000] {
        target.refuses_claims(&[("nbf", &(NOW + seconds).to_string())], NotYetValid);
    }
    target.refuses_claims(&[("nbf", "9223372036854775807")], NotYetValid);
}

#[test]
fn t_forge_23_issued_in_the_future() {
    let target = Target::new();
    for seconds in [6, 60, 599] {
        target.refuses_claims(&[("iat", &(NOW + seconds).to_string())], IssuedInFuture);
    }
}

#[test]
fn t_forge_24_valid_for_too_long() {
    let target = Target::new();
    for exp in [NOW + 601, NOW + 86_400, i64::MAX] {
        target.refuses_claims(&[("exp", &exp.to_string())], LifetimeTooLong);
    }
    target.refuses_claims(&[("iat", "0"), ("nbf", "0")], LifetimeTooLong);
}

#[test]
fn t_forge_25_a_claim_twice() {
    let target = Target::new();
    for (name, value) in [
        ("exp", "1790000600"),
        ("sub", "\"user_08080808080808080808080808080808\""),
        ("e\\u0078p", "1790000600"),
        ("org", "null"),
        ("aud", "\"tollgate-api\""),
    ] {
        let mut twice = payload();
        twice.insert(0, (name.to_owned(), value.to_owned()));
        target.refuses(&target.signed(&target.header(), &twice), Duplicate);
    }
}

#[test]
fn t_forge_35_claims_that_are_no_ids() {
    let target = Target::new();
    for name in ["sub", "org", "sid"] {
        for value in [
            "\"\"",
            "\"1\"",
            "5",
            "null",
            "[\"user_1\"]",
            "\"key_07070707070707070707070707070707\"",
        ] {
            target.refuses_claims(&[(name, value)], InvalidClaim(name));
        }
        target.refuses_claims(&[(name, "(none)")], MissingClaim(name));
    }
    let (user, org) = (payload()[2].1.clone(), payload()[8].1.clone());
    target.refuses_claims(&[("sub", &org), ("org", &user)], InvalidClaim("sub"));
}

#[test]
fn t_forge_36_an_epoch_or_an_id_that_is_none() {
    let target = Target::new();
    for value in ["\"3\"", "-1", "3.0", "1e3", "null", "18446744073709551616"] {
        target.refuses_claims(&[("epoch", value)], InvalidClaim("epoch"));
    }
    target.refuses_claims(&[("epoch", "(none)")], MissingClaim("epoch"));
    target.refuses_claims(&[("jti", "5")], InvalidClaim("jti"));
    target.refuses_claims(&[("jti", "(none)")], MissingClaim("jti"));
}
