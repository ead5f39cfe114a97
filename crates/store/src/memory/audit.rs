//! Audit entries in memory.

use tollgate_domain::{AuditDraft, AuditEntry, DIGEST_BYTES, OrgId};

use crate::audit::{AuditFilter, AuditHead, AuditSealer, AuditStore};
use crate::check::check_audit;
use crate::error::StoreError;
use crate::memory::{MemoryStore, State};

impl State {
    /// Puts an entry at the end of its chain.
    pub(super) fn append_audit(
        &mut self,
        draft: &AuditDraft,
        sealer: &dyn AuditSealer,
    ) -> AuditEntry {
        let chain = self.audit.entry(draft.org_id).or_default();
        let last = chain.last();
        let previous = last.map_or([0; DIGEST_BYTES], |entry| entry.seal);
        let mut entry = draft.follow(last.map_or(1, |entry| entry.seq + 1), previous);
        entry.seal = sealer.seal(&entry);
        chain.push(entry.clone());
        entry
    }
}

impl AuditStore for MemoryStore {
    fn record_audit(&self, draft: &AuditDraft) -> Result<AuditEntry, StoreError> {
        check_audit(None, draft)?;
        Ok(self.state.lock().append_audit(draft, &*self.sealer))
    }

    fn list_audit(
        &self,
        chain: Option<OrgId>,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u16,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let state = self.state.lock();
        let entries = state.audit.get(&chain).into_iter().flatten().rev();
        Ok(entries
            .filter(|entry| before.is_none_or(|before| entry.seq < before))
            .filter(|entry| filter.matches(entry))
            .take(usize::from(limit))
            .cloned()
            .collect())
    }

    fn read_audit(
        &self,
        chain: Option<OrgId>,
        after: u64,
        limit: u16,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let state = self.state.lock();
        let entries = state.audit.get(&chain).into_iter().flatten();
        Ok(entries
            .filter(|entry| entry.seq > after)
            .take(usize::from(limit))
            .cloned()
            .collect())
    }

    fn find_audit_head(&self, chain: Option<OrgId>) -> Result<Option<AuditHead>, StoreError> {
        let state = self.state.lock();
        let last = state.audit.get(&chain).and_then(|chain| chain.last());
        Ok(last.map(|entry| AuditHead {
            org_id: entry.org_id,
            seq: entry.seq,
            seal: entry.seal,
        }))
    }
}
