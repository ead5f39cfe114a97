//! Signatures under how far a chain has come.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::HEXLOWER;
use tollgate_domain::{AuditEntry, Timestamp};

use crate::error::{AuditError, RecordError};
use crate::record::{Checkpoint, Claim, Kind, Pruned};
use crate::sealer::RootKey;

const SIGN_PURPOSE: &str = "tollgate audit checkpoint v1";
const PUBLIC_KEY_BYTES: usize = 32;
pub(crate) const SIGNATURE_BYTES: usize = 64;

/// Signs checkpoints and records of pruning (Ed25519, [RFC 8032](https://www.rfc-editor.org/rfc/rfc8032)).
pub struct Notary(Ed25519KeyPair);

impl fmt::Debug for Notary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notary({})", self.public_key())
    }
}

impl Notary {
    /// Derives the notary of an installation.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn derive(root: &RootKey) -> Result<Self, AuditError> {
        let seed = root.derive(SIGN_PURPOSE)?;
        Ed25519KeyPair::from_seed_unchecked(&*seed)
            .map(Self)
            .map_err(|_| AuditError::Crypto)
    }

    /// Returns the key by which anybody can check what this notary has signed.
    #[must_use]
    pub fn public_key(&self) -> NotaryKey {
        let mut bytes = [0; PUBLIC_KEY_BYTES];
        let key = self.0.public_key().as_ref();
        bytes.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        NotaryKey(bytes)
    }

    /// Signs that a chain had come to this entry, its last one, at this time, which must lie before the
    /// year 10000 for the line to be read.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn checkpoint(&self, last: &AuditEntry, at: Timestamp) -> Result<Checkpoint, AuditError> {
        let claim = Claim::of(last, at);
        let signature = self.sign(Kind::Checkpoint, &claim)?;
        Ok(Checkpoint { claim, signature })
    }

    /// Signs that the entries of a chain up to this one, it included, were dropped on purpose. Verify
    /// them first: from then on this record stands for them.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn prune(&self, last: &AuditEntry, at: Timestamp) -> Result<Pruned, AuditError> {
        let claim = Claim::of(last, at);
        let signature = self.sign(Kind::Pruned, &claim)?;
        Ok(Pruned { claim, signature })
    }

    fn sign(&self, kind: Kind, claim: &Claim) -> Result<[u8; SIGNATURE_BYTES], AuditError> {
        let signature = self
            .0
            .try_sign(&claim.signed_bytes(kind))
            .map_err(|_| AuditError::Crypto)?;
        signature
            .as_ref()
            .try_into()
            .map_err(|_| AuditError::Crypto)
    }
}

/// The public key of a notary: 64 hexadecimal digits when shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NotaryKey([u8; PUBLIC_KEY_BYTES]);

impl NotaryKey {
    pub(crate) fn verify(
        &self,
        kind: Kind,
        claim: &Claim,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), RecordError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(&claim.signed_bytes(kind), signature)
            .map_err(|_| RecordError::Signature)
    }
}

impl fmt::Display for NotaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NotaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NotaryKey {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        crate::record::read_hex(text).map(Self)
    }
}
