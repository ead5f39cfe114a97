//! The digest under which a key is stored.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use tollgate_domain::MAC_BYTES;

use crate::key_text::KeyText;

/// The installation's secret that turns keys into digests. It is not in the database, so that a
/// copy of the database says nothing that a guess could be tested against.
pub struct Pepper(hmac::Key);

impl std::fmt::Debug for Pepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pepper(…)")
    }
}

impl Pepper {
    /// Makes the pepper of 32 random bytes that are kept, so that the master key can be replaced.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, secret))
    }

    /// Derives the pepper from a master key that is never replaced.
    #[must_use]
    pub fn derive(master_key: &[u8; 32]) -> Self {
        let master = hmac::Key::new(HMAC_SHA256, master_key);
        let derived = hmac::sign(&master, b"tollgate api-key pepper v1");
        Self(hmac::Key::new(HMAC_SHA256, derived.as_ref()))
    }

    /// Returns the digest to store for a key.
    #[must_use]
    pub fn mac(&self, key: &KeyText) -> [u8; MAC_BYTES] {
        let mut mac = [0; MAC_BYTES];
        let tag = hmac::sign(&self.0, key.expose().as_bytes());
        mac.iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        mac
    }

    /// Returns whether the key is the one that this digest was stored for, in constant time.
    #[must_use]
    pub fn matches(&self, key: &KeyText, stored: &[u8; MAC_BYTES]) -> bool {
        hmac::verify(&self.0, key.expose().as_bytes(), stored).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_under_the_same_pepper_matches() {
        let (key, other) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
        let pepper = Pepper::derive(&[1; 32]);
        let stored = pepper.mac(&key);
        assert_ne!(stored, [0; MAC_BYTES]);
        assert!(pepper.matches(&key, &stored));
        assert!(!pepper.matches(&other, &stored));
        assert!(!Pepper::derive(&[2; 32]).matches(&key, &stored));
    }
}
