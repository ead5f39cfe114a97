//! Seals: MACs over entries.

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretBox};
use tollgate_domain::{AuditEntry, DIGEST_BYTES};

use crate::canonical::canonical_bytes;
use crate::error::AuditError;

/// The length of the root key.
pub const ROOT_KEY_BYTES: usize = 32;

const SEAL_PURPOSE: &str = "tollgate audit seal v1";

/// The secret that seals and signatures of one installation come from. It is kept in the vault; without
/// it, or without the public key and the checkpoints, nothing can be verified.
pub struct RootKey(SecretBox<[u8; ROOT_KEY_BYTES]>);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(…)")
    }
}

impl RootKey {
    /// Makes a new one from the system's random source.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn generate() -> Result<Self, AuditError> {
        let mut bytes = Box::new([0; ROOT_KEY_BYTES]);
        SystemRandom::new()
            .fill(&mut *bytes)
            .map_err(|_| AuditError::Crypto)?;
        Ok(Self(SecretBox::new(bytes)))
    }

    /// Wraps the bytes that the vault has kept.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; ROOT_KEY_BYTES]) -> Self {
        Self(SecretBox::new(Box::new(*bytes)))
    }

    /// Returns the bytes, for the vault to keep.
    #[must_use]
    pub fn expose(&self) -> &[u8; ROOT_KEY_BYTES] {
        self.0.expose_secret()
    }

    /// Derives a key for one purpose (HKDF-SHA-256, [RFC 5869](https://www.rfc-editor.org/rfc/rfc5869)).
    pub(crate) fn derive(&self, purpose: &str) -> Result<Zeroizing<[u8; 32]>, AuditError> {
        let mut derived = Zeroizing::new([0; 32]);
        Salt::new(HKDF_SHA256, &[])
            .extract(self.expose())
            .expand(&[purpose.as_bytes()], HKDF_SHA256)
            .and_then(|output| output.fill(&mut *derived))
            .map_err(|_| AuditError::Crypto)?;
        Ok(derived)
    }
}

/// Seals entries, of any chain. One of them serves all threads.
pub struct Sealer(hmac::Key);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl Sealer {
    /// Derives the sealer of an installation.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn derive(root: &RootKey) -> Result<Self, AuditError> {
        let key = root.derive(SEAL_PURPOSE)?;
        Ok(Self(hmac::Key::new(HMAC_SHA256, &*key)))
    }

    /// Returns the seal of an entry in its place: HMAC-SHA-256 over its
    /// [canonical bytes](canonical_bytes). The seal that it carries already does not count.
    #[must_use]
    pub fn seal(&self, entry: &AuditEntry) -> [u8; DIGEST_BYTES] {
        let mut seal = [0; DIGEST_BYTES];
        let tag = hmac::sign(&self.0, &canonical_bytes(entry));
        seal.iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        seal
    }

    /// Returns whether an entry carries the seal that it was given, in constant time.
    #[must_use]
    pub fn fits(&self, entry: &AuditEntry) -> bool {
        hmac::verify(&self.0, &canonical_bytes(entry), &entry.seal).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_purpose_says_nothing_of_another() {
        let root = RootKey::from_bytes(&[7; ROOT_KEY_BYTES]);
        let one = root.derive("one").unwrap();
        assert_ne!(*one, *root.derive("two").unwrap());
        assert_eq!(*one, *root.derive("one").unwrap());
        assert_ne!(&*one, root.expose());
        assert_eq!(format!("{root:?}"), "RootKey(…)");
    }
}
