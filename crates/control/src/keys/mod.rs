//! API keys: made, seen, changed, rotated, revoked.

mod change;
mod create;
mod view;

use std::sync::Arc;

use tollgate_auth::{KeysManage, KeysRead, Pepper, PermissionType, Reach};
use tollgate_domain::{ApiKey, KeyId, Timestamp};
use tollgate_store::{KeyFilter, Store, StoreError};
use tollgate_validation::KeysQuery;

pub use self::view::{CreatedKey, KeyView};
use crate::audit::done;
use crate::error::ControlError;
use crate::views::Page;

/// The control plane's use cases over a store.
#[derive(Clone)]
pub struct Control {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pepper: Arc<Pepper>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    /// Makes the use cases over this store; keys are kept as digests under this pepper.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, pepper: Arc<Pepper>) -> Self {
        Self { store, pepper }
    }

    /// Lists the keys within reach, oldest first.
    ///
    /// # Errors
    /// `Invalid` when the cursor is not one of ours; a store's error.
    pub fn list_keys(
        &self,
        reach: &Reach<KeysRead>,
        query: &KeysQuery,
        now: Timestamp,
    ) -> Result<Page<KeyView>, ControlError> {
        let after = query.page.after()?;
        let teams = match query.team_id {
            // A team that is out of reach is as one that has no keys.
            Some(team) => Some(if reach.covers(Some(team)) {
                vec![team]
            } else {
                Vec::new()
            }),
            None => reach.teams().map(<[_]>::to_vec),
        };
        let filter = KeyFilter {
            teams,
            owner: query.owner_id,
            state: query.state.map(|state| (state, now)),
        };
        let limit = query.page.limit;
        let keys =
            self.store
                .list_api_keys(reach.org_id(), &filter, after, limit.saturating_add(1))?;
        let views = keys.into_iter().map(|key| KeyView::new(key, now)).collect();
        Ok(Page::cut(views, limit, |key: &KeyView| key.id.to_string()))
    }

    /// Returns a key within reach, revoked or not.
    ///
    /// # Errors
    /// `NotFound` when there is none; a store's error.
    pub fn key(
        &self,
        reach: &Reach<KeysRead>,
        id: KeyId,
        now: Timestamp,
    ) -> Result<KeyView, ControlError> {
        let key = self.key_within(reach, id)?;
        Ok(KeyView::new(key, now))
    }

    /// Revokes a key within reach; repeating it changes nothing.
    ///
    /// # Errors
    /// `NotFound` when there is none; a store's error.
    pub fn revoke_key(
        &self,
        reach: &Reach<KeysManage>,
        id: KeyId,
        now: Timestamp,
    ) -> Result<KeyView, ControlError> {
        self.key_within(reach, id)?;
        let audit = done(reach.principal(), "key.revoke", id, now);
        let key = self.store.revoke_api_key(reach.org_id(), id, now, &audit)?;
        key.map(|key| KeyView::new(key, now))
            .ok_or(ControlError::NotFound("API key"))
    }

    /// Returns a key if it is within reach: one that is not is as one that does not exist.
    fn key_within<P: PermissionType>(
        &self,
        reach: &Reach<P>,
        id: KeyId,
    ) -> Result<ApiKey, ControlError> {
        let key = self.store.find_api_key(reach.org_id(), id)?;
        key.filter(|key| reach.covers(key.team_id))
            .ok_or(ControlError::NotFound("API key"))
    }

    /// Returns whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn ping(&self) -> Result<(), StoreError> {
        self.store.ping()
    }
}
