//! The seal of audit entries, for the store.

use tollgate_audit::{RootKey, Sealer};
use tollgate_domain::{AuditEntry, DIGEST_BYTES};
use tollgate_store::AuditSealer;

use crate::error::UpkeepError;

/// Seals the entries that a store writes. Its key is in the database only under the master key's seal, so
/// that whoever can write there cannot write history.
#[derive(Debug)]
pub struct AuditSeal(Sealer);

impl AuditSeal {
    /// Makes the seal of an installation.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn new(root: &RootKey) -> Result<Self, UpkeepError> {
        Ok(Self(Sealer::derive(root)?))
    }
}

impl AuditSealer for AuditSeal {
    fn seal(&self, entry: &AuditEntry) -> [u8; DIGEST_BYTES] {
        self.0.seal(entry)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_domain::{Actor, AuditDraft, Timestamp};

    use super::*;

    #[test]
    fn what_is_sealed_fits_under_the_same_key_alone() {
        let draft = AuditDraft::done(Actor::System, "key.create", Timestamp::from_micros(1));
        let mut entry = draft.about("ab").follow(1, [0; DIGEST_BYTES]);
        let [first, second] = [(); 2].map(|()| RootKey::generate().unwrap());
        entry.seal = AuditSeal::new(&first).unwrap().seal(&entry);
        assert!(Sealer::derive(&first).unwrap().fits(&entry));
        assert!(!Sealer::derive(&second).unwrap().fits(&entry));
    }
}
