//! API keys: made, listed, revoked.

use std::sync::Arc;

use tollgate_auth::{Granted, KeyText, KeysManage, KeysRead, Pepper};
use tollgate_domain::{ApiKey, BudgetPolicy, KeyId, Limits, Role, Timestamp};
use tollgate_store::{Store, StoreError};
use tollgate_validation::{NewApiKey, PageQuery, Valid};
use uuid::Uuid;

use crate::error::ControlError;
use crate::views::{CreatedKey, KeyView, Page};

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

    /// Makes an API key in the caller's organization.
    ///
    /// # Errors
    /// `Forbidden` when the key would allow more than the caller's own; a store's error.
    pub fn create_key(
        &self,
        granted: &Granted<KeysManage>,
        input: Valid<NewApiKey>,
        now: Timestamp,
    ) -> Result<CreatedKey, ControlError> {
        let input = input.into_inner();
        let creator = granted.principal();
        let role = input.role.unwrap_or(Role::Member);
        if !creator.role.covers(role) {
            return Err(ControlError::Exceeds(
                "a key may not be given a role with more rights than yours",
            ));
        }
        let own = self.store.find_api_key(granted.org_id(), creator.key_id)?;
        let own = own.ok_or(ControlError::NotFound("API key"))?;
        if !own.models.is_empty()
            && (input.models.is_empty() || !input.models.iter().all(|model| own.may_use(model)))
        {
            return Err(ControlError::Exceeds(
                "a key may not be given models that yours may not use",
            ));
        }
        if input.expires_at.is_some_and(|end| end <= now) {
            return Err(ControlError::Invalid("expires_at lies in the past"));
        }
        let text = KeyText::generate()?;
        let key = ApiKey {
            id: KeyId::new(Uuid::now_v7()),
            org_id: granted.org_id(),
            public_id: text.public_id().to_owned(),
            mac: self.pepper.mac(&text),
            name: input.name,
            role,
            models: input.models,
            limits: Limits {
                rpm_limit: input.rpm_limit,
                tpm_limit: input.tpm_limit,
                max_parallel_requests: input.max_parallel_requests,
            },
            budget: input.max_budget.map(|max_budget| BudgetPolicy {
                max_budget,
                duration: input.budget_duration,
            }),
            created_at: now,
            expires_at: input.expires_at,
            revoked_at: None,
        };
        self.store.add_api_key(&key)?;
        Ok(CreatedKey {
            key: text.expose().to_owned(),
            view: key.into(),
        })
    }

    /// Lists the organization's keys, oldest first.
    ///
    /// # Errors
    /// `Invalid` when the cursor is not one of ours; a store's error.
    pub fn list_keys(
        &self,
        granted: &Granted<KeysRead>,
        page: &PageQuery,
    ) -> Result<Page<KeyView>, ControlError> {
        let after = page.cursor.as_deref().map(str::parse).transpose();
        let after = after.map_err(|_| ControlError::Invalid("the cursor is not valid"))?;
        let keys =
            self.store
                .list_api_keys(granted.org_id(), after, page.limit.saturating_add(1))?;
        let views = keys.into_iter().map(KeyView::from).collect();
        Ok(Page::cut(views, page.limit, |key: &KeyView| {
            key.id.to_string()
        }))
    }

    /// Revokes a key of the organization; repeating it changes nothing.
    ///
    /// # Errors
    /// `NotFound` when the organization has no such key; a store's error.
    pub fn revoke_key(
        &self,
        granted: &Granted<KeysManage>,
        id: KeyId,
        now: Timestamp,
    ) -> Result<KeyView, ControlError> {
        let key = self.store.revoke_api_key(granted.org_id(), id, now)?;
        key.map(KeyView::from)
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
