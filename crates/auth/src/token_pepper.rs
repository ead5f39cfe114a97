//! The digests under which tokens and recovery codes are stored.

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use tollgate_domain::MAC_BYTES;

use crate::secret_token::SecretToken;

/// The installation's secret that turns tokens and recovery codes into the digests that are stored. It
/// is not in the database, so that a copy of the database says nothing that a guess could be tested
/// against, and it is another than the one of API keys.
pub struct TokenPepper(hmac::Key);

impl fmt::Debug for TokenPepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenPepper(…)")
    }
}

impl TokenPepper {
    /// Makes the pepper of 32 random bytes that are kept, so that the master key can be replaced.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, secret))
    }

    /// Derives the pepper from a master key that is never replaced.
    #[must_use]
    pub fn derive(master_key: &[u8; 32]) -> Self {
        let master = hmac::Key::new(HMAC_SHA256, master_key);
        let derived = hmac::sign(&master, b"tollgate token pepper v1");
        Self(hmac::Key::new(HMAC_SHA256, derived.as_ref()))
    }

    /// Returns the digest to store for a token, and to find it by. The purpose is part of it.
    #[must_use]
    pub fn mac(&self, token: &SecretToken) -> [u8; MAC_BYTES] {
        let prefix = token.purpose().prefix().as_bytes();
        self.mac_of(&[b"token", prefix, token.expose().as_bytes()])
    }

    /// Returns whether the token is the one that this digest was stored for, in constant time.
    #[must_use]
    pub fn matches(&self, token: &SecretToken, stored: &[u8; MAC_BYTES]) -> bool {
        is_same(&self.mac(token), stored)
    }

    /// Returns the one token that follows a refresh token when it is used. It is computed and not kept,
    /// so that the same one can be given again when the answer was lost, though only digests are stored;
    /// without the pepper, who has one token cannot compute the next.
    #[must_use]
    pub fn successor(&self, token: &SecretToken) -> SecretToken {
        let mut blocks = 0u64;
        let made = SecretToken::from_source(token.purpose(), |bytes| {
            for half in bytes.chunks_exact_mut(MAC_BYTES) {
                let number = blocks.to_be_bytes();
                half.copy_from_slice(&self.mac_of(&[
                    b"successor",
                    token.expose().as_bytes(),
                    &number,
                ]));
                blocks += 1;
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match made {
            Ok(token) => token,
        }
    }

    /// Returns the digest of several parts, each with its length before it so that they cannot be shifted
    /// against each other.
    pub(crate) fn mac_of(&self, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; MAC_BYTES];
        mac.iter_mut()
            .zip(context.sign().as_ref())
            .for_each(|(to, from)| *to = *from);
        mac
    }
}

/// Compares in constant time.
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret_token::TokenPurpose;

    #[test]
    fn a_digest_is_of_one_token_one_purpose_and_one_pepper() {
        let pepper = TokenPepper::derive(&[1; 32]);
        let token = SecretToken::generate(TokenPurpose::Invitation).unwrap();
        let stored = pepper.mac(&token);
        assert!(pepper.matches(&token, &stored));
        assert!(!pepper.matches(
            &SecretToken::generate(TokenPurpose::Invitation).unwrap(),
            &stored
        ));
        assert!(!TokenPepper::derive(&[2; 32]).matches(&token, &stored));
        let text = token.expose().as_bytes();
        let of = |purpose: &[u8]| pepper.mac_of(&[b"token", purpose, text]);
        assert_eq!(of(b"tg_inv_"), stored, "the purpose is part of it");
        assert_ne!(of(b"tg_rst_"), stored);
        let parts = [pepper.mac_of(&[b"ab", b"c"]), pepper.mac_of(&[b"a", b"bc"])];
        assert_ne!(parts[0], parts[1]);
    }

    #[test]
    fn the_pepper_is_not_the_one_of_api_keys() {
        let key = crate::KeyText::generate().unwrap();
        let of_keys = crate::Pepper::derive(&[1; 32]).mac(&key);
        let raw = hmac::sign(&TokenPepper::derive(&[1; 32]).0, key.expose().as_bytes());
        assert_ne!(raw.as_ref(), of_keys);
    }

    #[test]
    fn a_token_has_one_successor_under_one_pepper() {
        let pepper = TokenPepper::derive(&[1; 32]);
        let first = SecretToken::generate(TokenPurpose::Refresh).unwrap();
        let second = pepper.successor(&first);
        assert_eq!(pepper.successor(&first).expose(), second.expose());
        assert!(SecretToken::parse(TokenPurpose::Refresh, second.expose()).is_ok());
        let third = pepper.successor(&second);
        assert_ne!(third.expose(), second.expose());
        assert_ne!(third.expose(), first.expose());
        let elsewhere = TokenPepper::derive(&[2; 32]).successor(&first);
        assert_ne!(elsewhere.expose(), second.expose());
    }
}
