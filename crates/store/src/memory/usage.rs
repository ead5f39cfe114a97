//! Usage in memory.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tollgate_domain::{BudgetScope, KeyId, Money, Timestamp, UsageEvent};

use crate::UsageGroup;
use crate::books::{Books, Posting, RollupKey, Sums, money};
use crate::check::{check_usage_event, day_name};
use crate::error::StoreError;
use crate::memory::MemoryStore;
use crate::usage::{BooksReport, UsageQuery, UsageRow, UsageStore};

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
