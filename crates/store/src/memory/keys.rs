//! Organizations and API keys in memory.

use std::collections::btree_map::Entry;

use tollgate_domain::{ApiKey, AuditDraft, KeyId, OrgId, Organization, Timestamp};

use crate::check::{check_api_key, check_organization};
use crate::error::StoreError;
use crate::keys::{ApiKeyStore, KeyFilter};
use crate::memory::{Change, MemoryStore, State, page};
use crate::organizations::OrganizationStore;
use crate::{API_KEY, ORGANIZATION};

impl State {
    fn is_name_taken(&self, organization: &Organization) -> bool {
        self.organizations
            .values()
            .any(|other| other.name == organization.name && other.id != organization.id)
    }
}

impl OrganizationStore for MemoryStore {
    fn add_organization(
        &self,
        organization: &Organization,
        audit: &AuditDraft,
    ) -> Result<(), StoreError> {
        check_organization(organization)?;
        let org = audit.org_id.map(|_| organization.id);
        self.change(org, audit, |state| {
            if state.is_name_taken(organization) {
                return Err(StoreError::Conflict { what: ORGANIZATION });
            }
            let Entry::Vacant(place) = state.organizations.entry(organization.id) else {
                return Err(StoreError::Conflict { what: ORGANIZATION });
            };
            place.insert(Organization {
                version: 1,
                ..organization.clone()
            });
            Ok(((), Change::Auth))
        })
    }

    fn find_organization(&self, id: OrgId) -> Result<Option<Organization>, StoreError> {
        Ok(self.state.lock().organizations.get(&id).cloned())
    }

    fn find_organization_by_name(&self, name: &str) -> Result<Option<Organization>, StoreError> {
        let state = self.state.lock();
        let found = state.organizations.values().find(|org| org.name == name);
        Ok(found.cloned())
    }

    fn list_organizations(
        &self,
        after: Option<OrgId>,
        limit: u16,
    ) -> Result<Vec<Organization>, StoreError> {
        let state = self.state.lock();
        Ok(page(&state.organizations, after, limit, |_| true))
    }

    fn update_organization(
        &self,
        organization: &Organization,
        audit: &AuditDraft,
    ) -> Result<u64, StoreError> {
        check_organization(organization)?;
        self.change(Some(organization.id), audit, |state| {
            let is_name_taken = state.is_name_taken(organization);
            let Some(kept) = state.organizations.get_mut(&organization.id) else {
                return Err(StoreError::Missing { what: ORGANIZATION });
            };
            if kept.version != organization.version {
                return Err(StoreError::Outdated { what: ORGANIZATION });
            }
            if is_name_taken {
                return Err(StoreError::Conflict { what: ORGANIZATION });
            }
            *kept = Organization {
                created_at: kept.created_at,
                version: kept.version + 1,
                ..organization.clone()
            };
            Ok((kept.version, Change::Auth))
        })
    }
}

impl ApiKeyStore for MemoryStore {
    fn add_api_key(&self, key: &ApiKey, audit: &AuditDraft) -> Result<(), StoreError> {
        check_api_key(key)?;
        self.change(Some(key.org_id), audit, |state| {
            if !state.organizations.contains_key(&key.org_id) {
                return Err(StoreError::Missing { what: ORGANIZATION });
            }
            if state.keys.contains_key(&key.id)
                || state.keys_by_public_id.contains_key(&key.public_id)
            {
                return Err(StoreError::Conflict { what: API_KEY });
            }
            state
                .keys_by_public_id
                .insert(key.public_id.clone(), key.id);
            let kept = ApiKey {
                version: 1,
                ..key.clone()
            };
            state.keys.insert(key.id, kept);
            Ok(((), Change::Auth))
        })
    }

    fn find_api_key_by_public_id(&self, public_id: &str) -> Result<Option<ApiKey>, StoreError> {
        let state = self.state.lock();
        let id = state.keys_by_public_id.get(public_id);
        Ok(id.and_then(|id| state.keys.get(id)).cloned())
    }

    fn find_api_key(&self, org: OrgId, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        let state = self.state.lock();
        Ok(state.keys.get(&id).filter(|key| key.org_id == org).cloned())
    }

    fn list_api_keys(
        &self,
        org: OrgId,
        filter: &KeyFilter,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let state = self.state.lock();
        let is_listed = |key: &ApiKey| key.org_id == org && filter.matches(key);
        Ok(page(&state.keys, after, limit, is_listed))
    }

    fn update_api_key(&self, key: &ApiKey, audit: &AuditDraft) -> Result<u64, StoreError> {
        check_api_key(key)?;
        self.change(Some(key.org_id), audit, |state| {
            let kept = state.keys.get_mut(&key.id);
            let kept = kept.filter(|kept| kept.org_id == key.org_id && kept.revoked_at.is_none());
            let kept = kept.ok_or(StoreError::Missing { what: API_KEY })?;
            if kept.version != key.version {
                return Err(StoreError::Outdated { what: API_KEY });
            }
            *kept = ApiKey {
                public_id: kept.public_id.clone(),
                created_by: kept.created_by,
                created_at: kept.created_at,
                revoked_at: None,
                version: kept.version + 1,
                ..key.clone()
            };
            Ok((kept.version, Change::Auth))
        })
    }

    fn revoke_api_key(
        &self,
        org: OrgId,
        id: KeyId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.change(Some(org), audit, |state| {
            let Some(key) = state.keys.get_mut(&id).filter(|key| key.org_id == org) else {
                return Ok((None, Change::None));
            };
            if key.revoked_at.is_some() {
                return Ok((Some(key.clone()), Change::None));
            }
            key.revoked_at = Some(at);
            key.version += 1;
            Ok((Some(key.clone()), Change::Auth))
        })
    }

    fn auth_epoch(&self) -> Result<u64, StoreError> {
        Ok(self.state.lock().epoch)
    }
}
