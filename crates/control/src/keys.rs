//! API keys: made, listed, revoked.

use std::sync::Arc;

use tollgate_auth::{Granted, KeyText, KeysManage, KeysRead, Pepper};
use tollgate_domain::{Actor, ApiKey, BudgetPolicy, KeyId, Limits, Role, Timestamp, UserId};
use tollgate_store::{KeyFilter, Store, StoreError};
use tollgate_validation::{NewApiKey, PageQuery, Valid};
use uuid::Uuid;

use crate::audit::done;
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
        if !role.permissions().is_subset_of(creator.rights.org()) {
            return Err(ControlError::Exceeds(
                "a key may not be given a role with more rights than yours",
            ));
        }
        let owner = self.owner_of_child(granted, &input.models)?;
        if input.expires_at.is_some_and(|end| end <= now) {
            return Err(ControlError::Invalid("expires_at lies in the past"));
        }
        let text = KeyText::generate()?;
        let key = ApiKey {
            id: KeyId::new(Uuid::now_v7()),
            org_id: granted.org_id(),
            team_id: None,
            owner,
            created_by: creator.actor,
            public_id: text.public_id().to_owned(),
            mac: self.pepper.mac(&text),
            previous: None,
            name: input.name,
            role: role.into(),
            scopes: None,
            models: input.models,
            allowed_ips: Vec::new(),
            limits: Limits {
                rpm_limit: input.rpm_limit,
                tpm_limit: input.tpm_limit,
                max_parallel_requests: input.max_parallel_requests,
            },
            budget: input.max_budget.map(|max_budget| BudgetPolicy {
                max_budget,
                duration: input.budget_duration,
            }),
            metadata: "{}".to_owned(),
            tags: Vec::new(),
            blocked: false,
            created_at: now,
            expires_at: input.expires_at,
            revoked_at: None,
            version: 1,
        };
        self.store
            .add_api_key(&key, &done(creator, "key.create", key.id, now))?;
        Ok(CreatedKey {
            key: text.expose().to_owned(),
            view: key.into(),
        })
    }

    /// Returns whose rights bound a key that is made now: its maker's, or those that bound its maker.
    ///
    /// # Errors
    /// When the maker is a key that may not use these models, or is gone, or is nobody who is known.
    fn owner_of_child(
        &self,
        granted: &Granted<KeysManage>,
        models: &[String],
    ) -> Result<Option<UserId>, ControlError> {
        let id = match granted.principal().actor {
            Actor::User(id) => return Ok(Some(id)),
            Actor::Key(id) => id,
            Actor::Anonymous | Actor::System => return Err(ControlError::NotFound("API key")),
        };
        let own = self.store.find_api_key(granted.org_id(), id)?;
        let own = own.ok_or(ControlError::NotFound("API key"))?;
        if !own.models.is_empty()
            && (models.is_empty() || !models.iter().all(|model| own.may_use(model)))
        {
            return Err(ControlError::Exceeds(
                "a key may not be given models that yours may not use",
            ));
        }
        Ok(own.owner)
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
        let (filter, limit) = (KeyFilter::default(), page.limit.saturating_add(1));
        let keys = self
            .store
            .list_api_keys(granted.org_id(), &filter, after, limit)?;
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
        let audit = done(granted.principal(), "key.revoke", id, now);
        let key = self
            .store
            .revoke_api_key(granted.org_id(), id, now, &audit)?;
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
