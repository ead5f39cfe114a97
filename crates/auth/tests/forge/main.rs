//! T-FORGE: access tokens that somebody made up, each refused for its own reason.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

mod claims;
mod form;
mod header;

use aws_lc_rs::signature::Ed25519KeyPair;
use data_encoding::BASE64URL_NOPAD;
use tollgate_auth::TokenError::{Expired, InvalidClaim, Malformed, Signature, UnknownKey};
use tollgate_auth::{AccessTokens, KeyRing, TokenError};
use tollgate_domain::Timestamp;

const NOW: i64 = 1_790_000_000;

/// The installation that is attacked, and the key that its tokens are signed with.
struct Target {
    tokens: AccessTokens,
    key: Ed25519KeyPair,
}

impl Target {
    fn new() -> Self {
        let ring = KeyRing::generate().unwrap();
        let key = Ed25519KeyPair::from_pkcs8(ring.current().expose_pkcs8()).unwrap();
        Self {
            tokens: AccessTokens::new("https://tollgate.example", "tollgate-api", ring),
            key,
        }
    }

    fn kid(&self) -> String {
        self.tokens.ring().current().kid().to_owned()
    }

    fn check(&self, token: &str) -> Result<(), TokenError> {
        let now = Timestamp::from_micros(NOW * 1_000_000);
        self.tokens.check(token, now).map(drop)
    }

    fn refuses(&self, token: &str, reason: TokenError) {
        assert_eq!(self.check(token), Err(reason), "{token:.400}");
    }

    /// Refuses a token whose header has these members instead of the usual ones; `null` removes one.
    fn refuses_header(&self, changes: &[(&str, &str)], reason: TokenError) {
        self.refuses(
            &self.signed(&changed(&self.header(), changes), &payload()),
            reason,
        );
    }

    /// Refuses a token whose payload has these claims instead of the usual ones, though it is signed.
    fn refuses_claims(&self, changes: &[(&str, &str)], reason: TokenError) {
        self.refuses(
            &self.signed(&self.header(), &changed(&payload(), changes)),
            reason,
        );
    }

    fn header(&self) -> Members {
        let kid = format!("\"{}\"", self.kid());
        members(&[("typ", "\"at+jwt\""), ("alg", "\"EdDSA\""), ("kid", &kid)])
    }

    fn signed(&self, header: &Members, payload: &Members) -> String {
        self.signed_text(&json(header), &json(payload))
    }

    fn signed_text(&self, header: &str, payload: &str) -> String {
        self.signed_parts(&encoded(header), &encoded(payload))
    }

    fn signed_parts(&self, header: &str, payload: &str) -> String {
        let message = format!("{header}.{payload}");
        let signature = self.key.sign(message.as_bytes());
        format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    fn good(&self) -> String {
        self.signed(&self.header(), &payload())
    }
}

/// Names and values as they are written, so that they can be there twice.
type Members = Vec<(String, String)>;

fn members(pairs: &[(&str, &str)]) -> Members {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn payload() -> Members {
    let id = |prefix: &str| format!("\"{prefix}_{}\"", "07".repeat(16));
    members(&[
        ("iss", "\"https://tollgate.example\""),
        ("aud", "\"tollgate-api\""),
        ("sub", &id("user")),
        ("jti", "\"AAECAwQFBgcICQoLDA0ODw\""),
        ("iat", &NOW.to_string()),
        ("nbf", &NOW.to_string()),
        ("exp", &(NOW + 600).to_string()),
        ("sid", &id("sess")),
        ("org", &id("org")),
        ("epoch", "3"),
    ])
}

fn changed(usual: &Members, changes: &[(&str, &str)]) -> Members {
    let is_changed = |name: &String| changes.iter().any(|(changed, _)| name == changed);
    let kept = usual.iter().filter(|(name, _)| !is_changed(name));
    let new = members(changes)
        .into_iter()
        .filter(|(_, value)| value != "(none)");
    kept.cloned().chain(new).collect()
}

fn json(members: &Members) -> String {
    let pairs: Vec<String> = members
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

fn encoded(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

#[test]
fn t_forge_a_good_token_is_accepted() {
    let target = Target::new();
    assert_eq!(target.check(&target.good()), Ok(()), "made by hand");
    let reordered: Members = payload().into_iter().rev().collect();
    let token = target.signed(
        &target.header(),
        &changed(&reordered, &[("new_claim", "[{}]")]),
    );
    assert_eq!(
        target.check(&token),
        Ok(()),
        "in another order, with a claim of a later version"
    );
}

#[test]
fn t_forge_40_a_caller_is_told_nothing_of_the_reason() {
    for reason in [
        Malformed,
        Signature,
        Expired,
        UnknownKey,
        InvalidClaim("exp"),
    ] {
        assert_eq!(reason.code(), "invalid_token");
        assert_eq!(reason.kind(), tollgate_domain::ErrorKind::Unauthenticated);
    }
}
