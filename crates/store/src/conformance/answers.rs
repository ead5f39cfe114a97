//! What the rules ask and expect.

use tollgate_domain::{BudgetScope, Money, Timestamp, Usage};

use super::fixtures::org_id;
use crate::{Store, UsageGroup, UsageQuery, UsageRow};

pub(super) const GROUPS: [UsageGroup; 3] = [UsageGroup::Key, UsageGroup::Model, UsageGroup::Day];

pub(super) fn query(group_by: UsageGroup) -> UsageQuery {
    UsageQuery {
        org: org_id(1),
        group_by,
        from: None,
        until: None,
        after: None,
        limit: 1_000,
    }
}

pub(super) fn page(
    store: &dyn Store,
    group_by: UsageGroup,
    after: Option<&String>,
    limit: u16,
) -> Vec<UsageRow> {
    let query = UsageQuery {
        after: after.cloned(),
        limit,
        ..query(group_by)
    };
    store.usage_totals(&query).unwrap()
}

pub(super) fn totals(store: &dyn Store, group_by: UsageGroup) -> Vec<UsageRow> {
    page(store, group_by, None, 1_000)
}

pub(super) fn groups(rows: &[UsageRow]) -> Vec<String> {
    rows.iter().map(|row| row.group.clone()).collect()
}

/// Returns the row that so many plain events sum to.
pub(super) fn row(group: &str, events: u64) -> UsageRow {
    UsageRow {
        group: group.to_owned(),
        requests: events,
        attempts: events,
        errors: 0,
        usage: Usage {
            input: 10 * events,
            output: 5 * events,
            ..Usage::default()
        },
        cost: Money::from_nano(100 * i64::try_from(events).unwrap()),
    }
}

pub(super) fn spent(store: &dyn Store, scope: BudgetScope, window: Timestamp) -> i64 {
    store.budget_spent(scope, window).unwrap().nano()
}

pub(super) fn balanced(store: &dyn Store, events: u64) {
    let report = store.verify_books().unwrap();
    assert_eq!(report.mismatches, []);
    assert_eq!(report.events, events);
}
