//! The seal of audit entries.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use tollgate_domain::{AuditEntry, DIGEST_BYTES};
use tollgate_store::AuditSealer;

use crate::secrets::MASTER_KEY_BYTES;

/// The installation's secret under which audit entries are sealed. It is not in the database, so that
/// whoever can write there cannot write history.
pub(crate) struct AuditKey(hmac::Key);

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditKey(…)")
    }
}

impl AuditKey {
    pub(crate) fn derive(master_key: &[u8; MASTER_KEY_BYTES]) -> Self {
        let master = hmac::Key::new(HMAC_SHA256, master_key);
        let derived = hmac::sign(&master, b"tollgate audit seal v1");
        Self(hmac::Key::new(HMAC_SHA256, derived.as_ref()))
    }
}

impl AuditSealer for AuditKey {
    /// HMAC-SHA-256 over every field behind its length, so that no two entries read the same.
    fn seal(&self, entry: &AuditEntry) -> [u8; DIGEST_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        let mut field = |bytes: &[u8]| {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(bytes);
        };
        let digest = |digest: &Option<[u8; DIGEST_BYTES]>| {
            digest.as_ref().map_or(Vec::new(), |bytes| bytes.to_vec())
        };
        let org = entry.org_id.as_ref().map_or(&[][..], |id| id.as_bytes());
        field(org);
        field(&entry.seq.to_be_bytes());
        field(&entry.at.micros().to_be_bytes());
        field(entry.actor.to_string().as_bytes());
        field(entry.action.as_bytes());
        field(entry.object.as_bytes());
        field(entry.outcome.as_str().as_bytes());
        field(entry.request_id.as_bytes());
        let address = entry.client_ip.map(|address| address.to_string());
        field(address.unwrap_or_default().as_bytes());
        field(&digest(&entry.before));
        field(&digest(&entry.after));
        field(entry.details.as_bytes());
        field(&entry.previous);
        let mut seal = [0; DIGEST_BYTES];
        let tag = context.sign();
        seal.iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        seal
    }
}

#[cfg(test)]
mod tests {
    use tollgate_domain::{Actor, AuditDraft, AuditOutcome, OrgId, Timestamp, UserId};

    use super::*;

    #[test]
    fn every_field_and_the_key_are_in_the_seal() {
        let key = AuditKey::derive(&[1; MASTER_KEY_BYTES]);
        let draft = AuditDraft::done(Actor::System, "key.create", Timestamp::from_micros(1));
        let entry = draft.about("ab").follow(1, [0; DIGEST_BYTES]);
        let seal = key.seal(&entry);
        let sealed = AuditEntry {
            seal,
            ..entry.clone()
        };
        assert_eq!(key.seal(&sealed), seal, "the seal itself is not");
        assert_ne!(seal, [0; DIGEST_BYTES]);
        let changes: [fn(&mut AuditEntry); 13] = [
            |entry| entry.org_id = Some(OrgId::from_bytes([0; 16])),
            |entry| entry.seq = 2,
            |entry| entry.at = Timestamp::from_micros(2),
            |entry| entry.actor = Actor::User(UserId::from_bytes([1; 16])),
            |entry| entry.action = "key.revoke".to_owned(),
            |entry| entry.object = "a".to_owned(),
            |entry| entry.outcome = AuditOutcome::Denied,
            |entry| entry.request_id = "req".to_owned(),
            |entry| entry.client_ip = Some(std::net::Ipv4Addr::LOCALHOST.into()),
            |entry| entry.before = Some([0; DIGEST_BYTES]),
            |entry| entry.after = Some([0; DIGEST_BYTES]),
            |entry| entry.details = "b".to_owned(),
            |entry| entry.previous = [1; DIGEST_BYTES],
        ];
        let mut seals = std::collections::HashSet::from([seal]);
        for change in changes {
            let mut changed = entry.clone();
            change(&mut changed);
            assert!(seals.insert(key.seal(&changed)), "{changed:?}");
        }
        let other = AuditKey::derive(&[2; MASTER_KEY_BYTES]);
        assert_ne!(other.seal(&entry), seal);
    }
}
