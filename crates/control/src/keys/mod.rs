//! API keys: made, seen, changed, rotated, revoked.

mod change;
mod create;
mod view;

use tollgate_auth::{KeysManage, KeysRead, PermissionType, Reach};
use tollgate_domain::{ApiKey, KeyId, Timestamp};
use tollgate_store::KeyFilter;
use tollgate_validation::{Expected, KeysQuery};

pub use self::view::{CreatedKey, KeyView};
use crate::control::{Control, check_version};
use crate::error::ControlError;
use crate::views::Page;

impl Control {
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
    /// `NotFound` when there is none; `Stale`; a store's error.
    pub fn revoke_key(
        &self,
        reach: &Reach<KeysManage>,
        id: KeyId,
        expected: Expected,
        now: Timestamp,
    ) -> Result<KeyView, ControlError> {
        check_version(expected, self.key_within(reach, id)?.version)?;
        let audit = self.done(reach.principal(), "key.revoke", id, now);
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
}
