//! A store that forgets everything when it is dropped.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use parking_lot::Mutex;
use tollgate_domain::{
    ApiKey, AttemptId, BudgetScope, KeyId, Money, OrgId, Organization, Timestamp, UsageEvent,
};

use crate::UsageGroup;
use crate::books::{Books, Posting, RollupKey, Sums, money};
use crate::check::{check_api_key, check_organization, check_usage_event, day_name};
use crate::error::StoreError;
use crate::keys::ApiKeyStore;
use crate::organizations::OrganizationStore;
use crate::usage::{BooksReport, UsageQuery, UsageRow, UsageStore};
use crate::{API_KEY, ORGANIZATION, Store};

/// Keeps everything in memory, without a bound: for tests and throw-away servers.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    organizations: BTreeMap<OrgId, Organization>,
    keys: BTreeMap<KeyId, ApiKey>,
    keys_by_public_id: HashMap<String, KeyId>,
    events: BTreeMap<AttemptId, UsageEvent>,
    books: Books,
}

impl MemoryStore {
    /// Returns every usage event, in the order of their ids.
    #[must_use]
    pub fn usage_events(&self) -> Vec<UsageEvent> {
        self.state.lock().events.values().cloned().collect()
    }
}

impl State {
    fn is_name_taken(&self, organization: &Organization) -> bool {
        self.organizations
            .values()
            .any(|other| other.name == organization.name && other.id != organization.id)
    }
}

impl Store for MemoryStore {
    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl OrganizationStore for MemoryStore {
    fn add_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        check_organization(organization)?;
        let mut state = self.state.lock();
        if state.is_name_taken(organization) {
            return Err(StoreError::Conflict { what: ORGANIZATION });
        }
        match state.organizations.entry(organization.id) {
            Entry::Occupied(_) => return Err(StoreError::Conflict { what: ORGANIZATION }),
            Entry::Vacant(place) => place.insert(organization.clone()),
        };
        state.epoch += 1;
        Ok(())
    }

    fn find_organization(&self, id: OrgId) -> Result<Option<Organization>, StoreError> {
        Ok(self.state.lock().organizations.get(&id).cloned())
    }

    fn find_organization_by_name(&self, name: &str) -> Result<Option<Organization>, StoreError> {
        let state = self.state.lock();
        let found = state.organizations.values().find(|org| org.name == name);
        Ok(found.cloned())
    }

    fn update_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        check_organization(organization)?;
        let mut state = self.state.lock();
        let is_name_taken = state.is_name_taken(organization);
        let Some(kept) = state.organizations.get_mut(&organization.id) else {
            return Err(StoreError::Missing { what: ORGANIZATION });
        };
        if is_name_taken {
            return Err(StoreError::Conflict { what: ORGANIZATION });
        }
        *kept = Organization {
            created_at: kept.created_at,
            ..organization.clone()
        };
        state.epoch += 1;
        Ok(())
    }
}

impl ApiKeyStore for MemoryStore {
    fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        check_api_key(key)?;
        let mut state = self.state.lock();
        if !state.organizations.contains_key(&key.org_id) {
            return Err(StoreError::Missing { what: ORGANIZATION });
        }
        if state.keys.contains_key(&key.id) || state.keys_by_public_id.contains_key(&key.public_id)
        {
            return Err(StoreError::Conflict { what: API_KEY });
        }
        state
            .keys_by_public_id
            .insert(key.public_id.clone(), key.id);
        state.keys.insert(key.id, key.clone());
        state.epoch += 1;
        Ok(())
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
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let state = self.state.lock();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = state.keys.range((start, Bound::Unbounded));
        Ok(keys
            .map(|(_, key)| key)
            .filter(|key| key.org_id == org)
            .take(usize::from(limit))
            .cloned()
            .collect())
    }

    fn revoke_api_key(
        &self,
        org: OrgId,
        id: KeyId,
        at: Timestamp,
    ) -> Result<Option<ApiKey>, StoreError> {
        let mut state = self.state.lock();
        let Some(key) = state.keys.get_mut(&id).filter(|key| key.org_id == org) else {
            return Ok(None);
        };
        let is_change = key.revoked_at.is_none();
        key.revoked_at.get_or_insert(at);
        let key = key.clone();
        state.epoch += u64::from(is_change);
        Ok(Some(key))
    }

    fn auth_epoch(&self) -> Result<u64, StoreError> {
        Ok(self.state.lock().epoch)
    }
}

impl UsageStore for MemoryStore {
    fn record_usage(&self, events: &[UsageEvent]) -> Result<usize, StoreError> {
        events.iter().try_for_each(check_usage_event)?;
        let mut state = self.state.lock();
        let mut new = BTreeMap::new();
        let mut books = Books::default();
        for event in events {
            if state.events.contains_key(&event.attempt_id) {
                continue;
            }
            if let Entry::Vacant(place) = new.entry(event.attempt_id) {
                books.post(&Posting::from(event));
                place.insert(event.clone());
            }
        }
        state.books.checked_add(books)?;
        let count = new.len();
        state.events.append(&mut new);
        Ok(count)
    }

    fn usage_totals(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        if query.group_by == UsageGroup::Key
            && query
                .after
                .as_ref()
                .is_some_and(|after| after.parse::<KeyId>().is_err())
        {
            return Ok(Vec::new());
        }
        let state = self.state.lock();
        let mut groups = BTreeMap::<String, Sums>::new();
        for (key, sums) in &state.books.rollups {
            let group = group_of(key, query.group_by);
            if key.org_id != query.org
                || query.from.is_some_and(|from| key.day < from.day())
                || query.until.is_some_and(|until| key.day >= until.day())
                || query.after.as_ref().is_some_and(|after| group <= *after)
            {
                continue;
            }
            let total = groups.entry(group).or_default();
            *total = total.checked_plus(sums)?;
        }
        groups
            .into_iter()
            .take(usize::from(query.limit))
            .map(|(group, sums)| sums.into_row(group))
            .collect()
    }

    fn budget_spent(
        &self,
        scope: BudgetScope,
        window_start: Timestamp,
    ) -> Result<Money, StoreError> {
        let state = self.state.lock();
        money(
            *state
                .books
                .budgets
                .get(&(scope, window_start))
                .unwrap_or(&0),
        )
    }

    fn verify_books(&self) -> Result<BooksReport, StoreError> {
        let state = self.state.lock();
        let mut recount = Books::default();
        for event in state.events.values() {
            recount.post(&Posting::from(event));
        }
        Ok(recount.compare(&state.books))
    }
}

fn group_of(key: &RollupKey, group_by: UsageGroup) -> String {
    match group_by {
        UsageGroup::Key => key.key_id.to_string(),
        UsageGroup::Model => key.model.clone(),
        UsageGroup::Day => day_name(key.day),
    }
}
