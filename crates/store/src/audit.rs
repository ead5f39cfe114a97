//! The chains of audit entries.

use std::fmt;

use tollgate_domain::{AuditDraft, AuditEntry, AuditOutcome, DIGEST_BYTES, OrgId, Timestamp};

use crate::error::StoreError;

/// Seals audit entries with a secret that the store does not know.
pub trait AuditSealer: Send + Sync + fmt::Debug {
    /// Returns the MAC over everything in the entry but its seal.
    fn seal(&self, entry: &AuditEntry) -> [u8; DIGEST_BYTES];
}

/// Which entries of a chain are listed. An empty filter lists all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this actor, as it is shown.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this object.
    pub object: Option<String>,
    /// That ended like this.
    pub outcome: Option<AuditOutcome>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

impl AuditFilter {
    /// Returns whether an entry is to be listed.
    #[must_use]
    pub fn matches(&self, entry: &AuditEntry) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        is(&self.action, &entry.action)
            && is(&self.object, &entry.object)
            && is(&self.actor, &entry.actor.to_string())
            && self.outcome.is_none_or(|outcome| outcome == entry.outcome)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// The chain: an organization's own, or the installation's when there is none.
    pub org_id: Option<OrgId>,
    /// The number of its last entry.
    pub seq: u64,
    /// The seal of its last entry.
    pub seal: [u8; DIGEST_BYTES],
}

/// Keeps audit entries: they are added, and never changed.
///
/// A method of any store that takes a draft writes the entry in the transaction of the change: both
/// are there, or none. When it changes nothing it writes no entry. The drafts of changes within an
/// organization are in that organization's chain; another is `Invalid`.
pub trait AuditStore: Send + Sync {
    /// Writes an entry of its own, for what changes nothing that is kept: denials, failed sign-ins.
    ///
    /// # Errors
    /// `Invalid` when a text cannot be kept.
    fn record_audit(&self, draft: &AuditDraft) -> Result<AuditEntry, StoreError>;

    /// Returns up to `limit` entries of a chain before the one with the number `before`, newest
    /// first.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_audit(
        &self,
        chain: Option<OrgId>,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u16,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// Returns up to `limit` entries of a chain after the one with the number `after`, oldest first:
    /// a chain is verified page by page from 0 on.
    ///
    /// # Errors
    /// When the backend fails.
    fn read_audit(
        &self,
        chain: Option<OrgId>,
        after: u64,
        limit: u16,
    ) -> Result<Vec<AuditEntry>, StoreError>;

    /// Returns where a chain ends; `None` when it has no entries.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_audit_head(&self, chain: Option<OrgId>) -> Result<Option<AuditHead>, StoreError>;
}
