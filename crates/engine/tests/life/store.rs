//! A store in memory that can be switched off.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate_domain::{
    ApiKey, BudgetScope, KeyId, Money, OrgId, Organization, Timestamp, UsageEvent,
};
use tollgate_store::{
    ApiKeyStore, BooksReport, MemoryStore, OrganizationStore, Store, StoreError, UsageQuery,
    UsageRow, UsageStore,
};

#[derive(Debug, Default)]
pub(crate) struct SwitchedStore {
    pub(crate) kept: MemoryStore,
    pub(crate) is_down: AtomicBool,
    pub(crate) lookups: AtomicUsize,
}

impl SwitchedStore {
    fn up(&self) -> Result<&MemoryStore, StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("switched off".into()));
        }
        Ok(&self.kept)
    }
}

impl Store for SwitchedStore {
    fn ping(&self) -> Result<(), StoreError> {
        self.up()?.ping()
    }
}

impl OrganizationStore for SwitchedStore {
    fn add_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        self.up()?.add_organization(organization)
    }

    fn find_organization(&self, id: OrgId) -> Result<Option<Organization>, StoreError> {
        self.up()?.find_organization(id)
    }

    fn find_organization_by_name(&self, name: &str) -> Result<Option<Organization>, StoreError> {
        self.up()?.find_organization_by_name(name)
    }

    fn update_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        self.up()?.update_organization(organization)
    }
}

impl ApiKeyStore for SwitchedStore {
    fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.up()?.add_api_key(key)
    }

    fn find_api_key_by_public_id(&self, public_id: &str) -> Result<Option<ApiKey>, StoreError> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        self.up()?.find_api_key_by_public_id(public_id)
    }

    fn find_api_key(&self, org: OrgId, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.up()?.find_api_key(org, id)
    }

    fn list_api_keys(
        &self,
        org: OrgId,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.up()?.list_api_keys(org, after, limit)
    }

    fn revoke_api_key(
        &self,
        org: OrgId,
        id: KeyId,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.up()?.revoke_api_key(org, id, at)
    }

    fn auth_epoch(&self) -> Result<u64, StoreError> {
        self.up()?.auth_epoch()
    }
}

impl UsageStore for SwitchedStore {
    fn record_usage(&self, events: &[UsageEvent]) -> Result<usize, StoreError> {
        self.up()?.record_usage(events)
    }

    fn usage_totals(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        self.up()?.usage_totals(query)
    }

    fn budget_spent(
        &self,
        scope: BudgetScope,
        window_start: Timestamp,
    ) -> Result<Money, StoreError> {
        self.up()?.budget_spent(scope, window_start)
    }

    fn verify_books(&self) -> Result<BooksReport, StoreError> {
        self.up()?.verify_books()
    }
}
