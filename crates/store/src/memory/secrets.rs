//! Sealed secrets in memory.

use std::ops::Bound;

use tollgate_domain::AuditDraft;

use crate::error::StoreError;
use crate::memory::{Change, MemoryStore};
use crate::secrets::{SECRET, SealedSecret, SecretStore, check_secret};

impl SecretStore for MemoryStore {
    fn add_secrets(&self, secrets: &[SealedSecret]) -> Result<(), StoreError> {
        secrets.iter().try_for_each(check_secret)?;
        let mut state = self.state.lock();
        for secret in secrets {
            let mut new = secret.clone();
            new.version = 1;
            state.secrets.entry(secret.name.clone()).or_insert(new);
        }
        Ok(())
    }

    fn list_secrets(
        &self,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<SealedSecret>, StoreError> {
        let state = self.state.lock();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = state.secrets.range::<str, _>((start, Bound::Unbounded));
        Ok(found
            .take(usize::from(limit))
            .map(|(_, secret)| secret.clone())
            .collect())
    }

    fn replace_secrets(
        &self,
        secrets: &[SealedSecret],
        audit: &AuditDraft,
    ) -> Result<(), StoreError> {
        secrets.iter().try_for_each(check_secret)?;
        self.change(None, audit, |state| {
            let mut replaced = state.secrets.clone();
            for secret in secrets {
                let kept = replaced
                    .get_mut(&secret.name)
                    .ok_or(StoreError::Missing { what: SECRET })?;
                if kept.version != secret.version {
                    return Err(StoreError::Outdated { what: SECRET });
                }
                kept.sealed.clone_from(&secret.sealed);
                kept.key_id.clone_from(&secret.key_id);
                kept.version += 1;
            }
            state.secrets = replaced;
            Ok(((), Change::audited_if(!secrets.is_empty())))
        })
    }
}
