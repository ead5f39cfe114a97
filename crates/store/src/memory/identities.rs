//! Identities with identity providers, in memory.

use tollgate_domain::{AuditDraft, UserId};

use crate::LIST_MAX;
use crate::check::check_user_identity;
use crate::error::StoreError;
use crate::identities::{USER_IDENTITY, UserIdentity, UserIdentityStore};
use crate::memory::{Change, MemoryStore};

impl UserIdentityStore for MemoryStore {
    fn add_user_identity(
        &self,
        identity: &UserIdentity,
        audit: &AuditDraft,
    ) -> Result<(), StoreError> {
        check_user_identity(identity)?;
        let what = USER_IDENTITY;
        self.change(None, audit, |state| {
            if !state.users.contains_key(&identity.user_id) {
                return Err(StoreError::Missing { what });
            }
            let name = (identity.issuer.clone(), identity.subject.clone());
            if state.identities.contains_key(&name) {
                return Err(StoreError::Conflict { what });
            }
            state.identities.insert(name, identity.clone());
            Ok(((), Change::Auth))
        })
    }

    fn find_user_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<UserIdentity>, StoreError> {
        let name = (issuer.to_owned(), subject.to_owned());
        Ok(self.state.lock().identities.get(&name).cloned())
    }

    fn list_user_identities(&self, user: UserId) -> Result<Vec<UserIdentity>, StoreError> {
        let state = self.state.lock();
        let own = state.identities.values().filter(|one| one.user_id == user);
        Ok(own.take(LIST_MAX).cloned().collect())
    }

    fn remove_user_identity(
        &self,
        user: UserId,
        issuer: &str,
        subject: &str,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError> {
        let name = (issuer.to_owned(), subject.to_owned());
        self.change(None, audit, |state| {
            let found = state.identities.get(&name);
            let is_own = found.is_some_and(|one| one.user_id == user);
            if is_own {
                state.identities.remove(&name);
            }
            Ok((is_own, Change::auth_if(is_own)))
        })
    }
}
