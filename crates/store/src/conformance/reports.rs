//! Rules for reading the sums over usage events.

use tollgate_domain::{BudgetScope, Timestamp};

use super::answers::{GROUPS, balanced, groups, page, query, spent, totals};
use super::fixtures::{NOW, charged, event, key_id, org_id};
use crate::{Store, UsageGroup, UsageQuery};

/// Groups are ordered as bytes, not by a language's rules, and pages neither repeat nor skip.
pub fn groups_are_paged_in_the_order_of_their_bytes(store: &dyn Store) {
    let names = ["Zeta", "a-b", "a.b", "alpha", "b", "été", "模型"];
    let mut events = Vec::new();
    for (n, name) in (1..).zip(names.iter().rev()) {
        let mut event = event(n);
        event.model = (*name).into();
        event.key_id = key_id(n * 100);
        event.started_at = NOW.plus_seconds(86_400 * i64::try_from(n).unwrap());
        events.push(event);
    }
    store.record_usage(&events).unwrap();
    for group_by in GROUPS {
        let all: Vec<_> = groups(&page(store, group_by, None, 100));
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(all, sorted);
        assert_eq!(all.len(), names.len());
        let mut paged = Vec::new();
        while paged.len() < names.len() {
            let rows = page(store, group_by, paged.last(), 3);
            assert!(!rows.is_empty());
            paged.extend(groups(&rows));
        }
        assert_eq!(paged, all);
        assert_eq!(page(store, group_by, all.last(), 3), []);
        assert_eq!(page(store, group_by, None, 0), []);
    }
    let after = |after: &str| groups(&page(store, UsageGroup::Model, Some(&after.to_owned()), 1));
    assert_eq!(after("a"), ["a-b"]);
    assert_eq!(after("b\0"), ["été"]);
    assert_eq!(after("a\0"), ["a-b"]);
    let no_key = page(store, UsageGroup::Key, Some(&"a".to_owned()), 1);
    assert_eq!(no_key, []);
}

/// `from` and `until` are taken by their days; `until` itself is out.
pub fn days_bound_a_query(store: &dyn Store) {
    let day = |n: i64| NOW.day().plus_seconds(86_400 * n);
    let last = |n: i64| Timestamp::from_micros(day(n + 1).micros() - 1);
    let times = [
        day(0),
        last(0),
        day(1),
        last(1),
        day(2),
        day(-20_000_000 / 86_400),
    ];
    let mut events = Vec::new();
    for (n, time) in (1..).zip(times) {
        let mut event = event(n);
        event.started_at = time;
        events.push(event);
    }
    store.record_usage(&events).unwrap();
    let attempts = |from, until| {
        let query = UsageQuery {
            from,
            until,
            ..query(UsageGroup::Model)
        };
        let rows = store.usage_totals(&query).unwrap();
        rows.iter().map(|row| row.attempts).sum::<u64>()
    };
    assert_eq!(attempts(None, None), 6);
    assert_eq!(attempts(Some(day(0)), None), 5);
    assert_eq!(attempts(Some(last(0)), None), 5);
    assert_eq!(attempts(Some(day(1)), Some(day(2))), 2);
    assert_eq!(attempts(Some(day(1)), Some(last(2))), 2);
    assert_eq!(attempts(None, Some(last(0))), 1);
    assert_eq!(attempts(Some(day(2)), Some(day(1))), 0);
    let (first, last) = (
        Timestamp::from_micros(i64::MIN),
        Timestamp::from_micros(i64::MAX),
    );
    assert_eq!(attempts(Some(first), Some(last)), 6);
    assert_eq!(attempts(Some(last), None), 0);
    assert_eq!(attempts(None, Some(first)), 0);
}

/// Tenants never meet, not even with keys and models of the same name.
pub fn another_organization_sees_nothing(store: &dyn Store) {
    let mut other = charged(event(2), NOW, NOW);
    other.org_id = org_id(2);
    let other = charged(other, NOW, NOW);
    store
        .record_usage(&[charged(event(1), NOW, NOW), other])
        .unwrap();
    for group_by in GROUPS {
        assert_eq!(totals(store, group_by)[0].attempts, 1);
        let query = UsageQuery {
            org: org_id(3),
            ..query(group_by)
        };
        assert_eq!(store.usage_totals(&query).unwrap(), []);
    }
    assert_eq!(spent(store, BudgetScope::Org(org_id(1)), NOW), 100);
    assert_eq!(spent(store, BudgetScope::Key(key_id(1)), NOW), 200);
    balanced(store, 2);
}
