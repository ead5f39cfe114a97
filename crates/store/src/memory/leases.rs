//! Leases in memory.

use tollgate_domain::Timestamp;

use crate::error::StoreError;
use crate::leases::{LeaseStore, check_lease};
use crate::memory::MemoryStore;

impl LeaseStore for MemoryStore {
    fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        check_lease(name, holder)?;
        let mut state = self.state.lock();
        let kept = state.leases.get(name);
        let is_free = kept.is_none_or(|(other, end)| other == holder || *end <= now);
        if is_free {
            state
                .leases
                .insert(name.to_owned(), (holder.to_owned(), until));
        }
        Ok(is_free)
    }

    fn end_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state
            .leases
            .retain(|kept, (by, _)| kept != name || by != holder);
        Ok(())
    }
}
