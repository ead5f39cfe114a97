//! The seal of audit entries, for the store.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use tollgate_audit::{AuditError, ROOT_KEY_BYTES, RootKey, Sealer};
use tollgate_domain::{AuditEntry, DIGEST_BYTES};
use tollgate_store::AuditSealer;
use tollgate_vault::MasterKey;

/// Seals the entries that the store writes. Its key is not in the database, so that whoever can write
/// there cannot write history.
#[derive(Debug)]
pub(crate) struct AuditSeal(Sealer);

impl AuditSeal {
    pub(crate) fn derive(master_key: &MasterKey) -> Result<Self, AuditError> {
        Sealer::derive(&root_key(master_key)).map(Self)
    }
}

impl AuditSealer for AuditSeal {
    fn seal(&self, entry: &AuditEntry) -> [u8; DIGEST_BYTES] {
        self.0.seal(entry)
    }
}

/// Returns the key that all of the audit log's are derived from.
pub(crate) fn root_key(master_key: &MasterKey) -> RootKey {
    let master = hmac::Key::new(HMAC_SHA256, master_key.expose());
    let derived = hmac::sign(&master, b"tollgate audit root v1");
    let mut bytes = [0; ROOT_KEY_BYTES];
    let places = bytes.iter_mut().zip(derived.as_ref());
    places.for_each(|(to, from)| *to = *from);
    RootKey::from_bytes(&bytes)
}

#[cfg(test)]
mod tests {
    use tollgate_domain::{Actor, AuditDraft, Timestamp};

    use super::*;

    #[test]
    fn the_seal_is_the_master_keys() {
        let draft = AuditDraft::done(Actor::System, "key.create", Timestamp::from_micros(1));
        let mut entry = draft.about("ab").follow(1, [0; DIGEST_BYTES]);
        let [first, second] = [(); 2].map(|()| MasterKey::generate().unwrap());
        let sealer = AuditSeal::derive(&first).unwrap();
        entry.seal = sealer.seal(&entry);
        assert!(Sealer::derive(&root_key(&first)).unwrap().fits(&entry));
        assert!(!Sealer::derive(&root_key(&second)).unwrap().fits(&entry));
    }
}
