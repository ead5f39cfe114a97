//! The chains of audit entries in memory, as a whole.

use std::ops::Bound;

use tollgate_domain::{AuditDraft, OrgId};

use crate::audit::AuditHead;
use crate::audit_upkeep::{AUDIT_PRUNED, AuditPruned, AuditUpkeepStore, check_audit_pruned};
use crate::error::StoreError;
use crate::memory::{Change, MemoryStore, State};

impl State {
    fn heads(&self, after: Option<OrgId>, limit: u16) -> impl Iterator<Item = (OrgId, AuditHead)> {
        // The installation's chain is before all organizations'.
        let chains = self.audit.range((Bound::Excluded(after), Bound::Unbounded));
        let heads = chains.filter_map(|(org, entries)| {
            let last = entries.last()?;
            let head = AuditHead {
                org_id: last.org_id,
                seq: last.seq,
                seal: last.seal,
            };
            Some(((*org)?, head))
        });
        heads.take(usize::from(limit))
    }
}

impl AuditUpkeepStore for MemoryStore {
    fn list_audit_chains(
        &self,
        after: Option<OrgId>,
        limit: u16,
    ) -> Result<Vec<OrgId>, StoreError> {
        let state = self.state.lock();
        Ok(state.heads(after, limit).map(|(org, _)| org).collect())
    }

    fn list_audit_heads(
        &self,
        after: Option<OrgId>,
        limit: u16,
    ) -> Result<Vec<AuditHead>, StoreError> {
        let state = self.state.lock();
        Ok(state.heads(after, limit).map(|(_, head)| head).collect())
    }

    fn count_audit(&self) -> Result<u64, StoreError> {
        let state = self.state.lock();
        let ends = state.audit.values().filter_map(|entries| entries.last());
        Ok(ends.map(|last| last.seq).sum())
    }

    fn find_audit_pruned(&self, chain: Option<OrgId>) -> Result<Option<AuditPruned>, StoreError> {
        Ok(self.state.lock().pruned.get(&chain).cloned())
    }

    fn add_audit_pruned(&self, pruned: &AuditPruned, audit: &AuditDraft) -> Result<(), StoreError> {
        check_audit_pruned(pruned)?;
        let chain = pruned.org_id;
        self.change(chain, audit, |state| {
            let last = state.audit.get(&chain).and_then(|entries| entries.last());
            if last.is_none_or(|last| last.seq < pruned.seq) {
                return Err(StoreError::Invalid { what: AUDIT_PRUNED });
            }
            let kept = state.pruned.get(&chain);
            if kept.is_some_and(|kept| kept.seq >= pruned.seq) {
                return Err(StoreError::Outdated { what: AUDIT_PRUNED });
            }
            state.pruned.insert(chain, pruned.clone());
            Ok(((), Change::Audited))
        })
    }

    fn remove_pruned_audit(&self, chain: Option<OrgId>, limit: u16) -> Result<usize, StoreError> {
        let mut state = self.state.lock();
        let until = state.pruned.get(&chain).map_or(0, |pruned| pruned.seq);
        let Some(entries) = state.audit.get_mut(&chain) else {
            return Ok(0);
        };
        let dropped = entries.iter().take_while(|entry| entry.seq <= until);
        let count = dropped.take(usize::from(limit)).count();
        entries.drain(..count);
        Ok(count)
    }
}
