//! What the chains of audit entries need as a whole: which there are, how far each has come, and what was
//! dropped of it.

use tollgate_domain::{AuditDraft, OrgId};

use crate::audit::AuditHead;
use crate::error::StoreError;

/// How errors call a record of pruning.
pub const AUDIT_PRUNED: &str = "a record of what was pruned";

/// The longest record of pruning, in bytes.
pub const PRUNED_RECORD_BYTES_MAX: usize = 1_024;

/// What stands for the entries of a chain that were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPruned {
    /// The chain: an organization's own, or the installation's when there is none.
    pub org_id: Option<OrgId>,
    /// The number of the last entry that was dropped.
    pub seq: u64,
    /// The signed record. The store does not read it.
    pub record: String,
}

/// Lists chains, and drops their beginnings.
pub trait AuditUpkeepStore: Send + Sync {
    /// Returns up to `limit` organizations that have entries, an end or a record of pruning, after the
    /// one given, in the order of their ids. The installation's own chain is not among them.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_audit_chains(&self, after: Option<OrgId>, limit: u16)
    -> Result<Vec<OrgId>, StoreError>;

    /// Returns where up to `limit` organizations' chains end, as
    /// [`list_audit_chains`](Self::list_audit_chains) has them.
    ///
    /// # Errors
    /// When the backend fails.
    fn list_audit_heads(
        &self,
        after: Option<OrgId>,
        limit: u16,
    ) -> Result<Vec<AuditHead>, StoreError>;

    /// Returns how many entries were ever written, in all chains together.
    ///
    /// # Errors
    /// When the backend fails.
    fn count_audit(&self) -> Result<u64, StoreError>;

    /// Returns what stands for the dropped beginning of a chain.
    ///
    /// # Errors
    /// When the backend fails.
    fn find_audit_pruned(&self, chain: Option<OrgId>) -> Result<Option<AuditPruned>, StoreError>;

    /// Notes that the entries up to a number were dropped, which lets them be removed. It is written
    /// down in the same chain.
    ///
    /// # Errors
    /// `Invalid` when the chain has not come so far, or the record cannot be kept; `Outdated` when one of
    /// as many entries or more is there. A backend with roles refuses it to the application's.
    fn add_audit_pruned(&self, pruned: &AuditPruned, audit: &AuditDraft) -> Result<(), StoreError>;

    /// Removes up to `limit` entries of a chain that a record of pruning stands for. Returns how many.
    ///
    /// # Errors
    /// When the backend fails; one with roles refuses it to the application's.
    fn remove_pruned_audit(&self, chain: Option<OrgId>, limit: u16) -> Result<usize, StoreError>;
}

/// Returns whether a record of pruning can be kept.
///
/// # Errors
/// `Invalid`.
pub fn check_audit_pruned(pruned: &AuditPruned) -> Result<(), StoreError> {
    let is_text = (1..=PRUNED_RECORD_BYTES_MAX).contains(&pruned.record.len());
    let is_number = pruned.seq > 0 && i64::try_from(pruned.seq).is_ok();
    if is_text && is_number && !pruned.record.contains('\0') {
        return Ok(());
    }
    Err(StoreError::Invalid { what: AUDIT_PRUNED })
}
