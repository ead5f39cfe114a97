//! Rules for booking usage events.

use std::sync::Barrier;

use tollgate_domain::{
    BudgetScope, Charge, Money, Provenance, Surface, TerminalState, Timestamp, Usage, UsageEvent,
};

use super::answers::{GROUPS, balanced, page, row, spent, totals};
use super::fixtures::{NOW, charged, event, key_id, org_id};
use crate::{NAME_BYTES_MAX, Store, StoreError, UsageGroup, UsageRow};

/// An event that is there already is not booked again, even if it says something else.
pub fn booking_again_changes_nothing(store: &dyn Store) {
    assert_eq!(store.record_usage(&[]).unwrap(), 0);
    let events: Vec<_> = (1..=5).map(|n| charged(event(n), NOW, NOW)).collect();
    assert_eq!(store.record_usage(&events).unwrap(), 5);
    assert_eq!(store.record_usage(&events).unwrap(), 0);
    let mut other = events[0].clone();
    other.cost = Money::from_nano(1);
    other.model = "other".into();
    assert_eq!(store.record_usage(&[other]).unwrap(), 0);
    let rows = totals(store, UsageGroup::Model);
    assert_eq!(rows, [row("m", 5)]);
    assert_eq!(spent(store, BudgetScope::Org(org_id(1)), NOW), 500);
    balanced(store, 5);
}

/// Batches may overlap, and hold an event twice.
pub fn only_what_is_new_of_a_batch_is_booked(store: &dyn Store) {
    let batch = |numbers: &[u64]| -> Vec<_> {
        let events = numbers.iter().map(|n| charged(event(*n), NOW, NOW));
        events.collect()
    };
    assert_eq!(store.record_usage(&batch(&[4, 2, 3])).unwrap(), 3);
    assert_eq!(store.record_usage(&batch(&[5, 3, 1, 4])).unwrap(), 2);
    assert_eq!(store.record_usage(&batch(&[6, 6, 1, 7, 6])).unwrap(), 2);
    assert_eq!(totals(store, UsageGroup::Model), [row("m", 7)]);
    assert_eq!(spent(store, BudgetScope::Key(key_id(1)), NOW), 700);
    balanced(store, 7);
}

/// However many book at once, in whatever order: each event once, and nobody gives up.
pub fn threads_that_book_the_same_events_book_them_once(store: &dyn Store) {
    const THREADS: usize = 4;
    let together = Barrier::new(THREADS);
    // Failures are kept for later: the others would wait for a thread that panics.
    let book = |is_reversed: bool| {
        let mut booked = Vec::new();
        for batch in 0..6 {
            let numbers = batch * 100 + 1..=(batch + 1) * 100;
            let mut events: Vec<_> = numbers.map(|n| charged(event(n), NOW, NOW)).collect();
            if is_reversed {
                events.reverse();
            }
            together.wait();
            booked.push(store.record_usage(&events));
        }
        booked
    };
    let booked: usize = std::thread::scope(|scope| {
        let threads: [_; THREADS] = std::array::from_fn(|thread| {
            let book = &book;
            scope.spawn(move || book(thread % 2 == 1))
        });
        let booked = threads.into_iter().flat_map(|t| t.join().unwrap());
        booked.map(Result::unwrap).sum()
    });
    assert_eq!(booked, 600);
    assert_eq!(totals(store, UsageGroup::Model), [row("m", 600)]);
    assert_eq!(spent(store, BudgetScope::Org(org_id(1)), NOW), 60_000);
    balanced(store, 600);
}

/// Whoever verifies while others book sees whole batches only.
pub fn verification_sees_one_state(store: &dyn Store) {
    let batches: Vec<Vec<_>> = (0..40)
        .map(|batch| (batch * 50..(batch + 1) * 50).map(event).collect())
        .collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            batches
                .iter()
                .try_for_each(|batch| store.record_usage(batch).map(drop))
        });
        while !writer.is_finished() {
            let report = store.verify_books().unwrap();
            assert_eq!((report.mismatches, report.events % 50), (vec![], 0));
        }
        writer.join().unwrap().unwrap();
    });
    balanced(store, 2_000);
}

/// No figure is lost or put into another's place.
pub fn every_figure_reaches_its_sum(store: &dyn Store) {
    let mut retried = event(1);
    retried.is_final = false;
    retried.state = TerminalState::UpstreamError;
    retried.upstream_status = Some(503);
    retried.usage = Usage::default();
    retried.cost = Money::ZERO;
    retried.provenance = Provenance::Missing;
    let mut answered = event(2);
    answered.request_id = retried.request_id;
    answered.attempt = 2;
    answered.surface = Surface::Embeddings;
    answered.first_token_us = Some(9);
    answered.usage = Usage {
        input: 1,
        cached_input: 20,
        cache_write: 300,
        audio_input: 4_000,
        output: 50_000,
        reasoning: 600_000,
        audio_output: 7_000_000,
    };
    answered.cost = Money::from_nano(123);
    let mut cut = event(3);
    cut.state = TerminalState::Cut;
    cut.provenance = Provenance::Partial;
    cut.upstream_status = None;
    let usage = answered.usage.plus(&cut.usage);
    store.record_usage(&[retried, answered, cut]).unwrap();
    for (group_by, group) in GROUPS
        .into_iter()
        .zip([&key_id(1).to_string(), "m", "2026-11-23"])
    {
        let expected = UsageRow {
            group: group.to_owned(),
            requests: 2,
            attempts: 3,
            errors: 2,
            usage,
            cost: Money::from_nano(223),
        };
        assert_eq!(totals(store, group_by), [expected]);
    }
    balanced(store, 3);
}

/// A charge counts for its scope and window, and for no other.
pub fn budgets_are_spent_by_scope_and_window(store: &dyn Store) {
    let next = NOW.plus_seconds(86_400);
    let whole = Timestamp::default();
    let uncharged = event(1);
    let first = charged(event(2), NOW, whole);
    let second = charged(event(3), next, whole);
    let mut free = charged(event(4), next, Timestamp::from_micros(-5));
    free.cost = Money::ZERO;
    let mut org_only = charged(event(5), next, whole);
    org_only.key_charge = None;
    store
        .record_usage(&[uncharged, first, second, free, org_only])
        .unwrap();
    let (org, key) = (BudgetScope::Org(org_id(1)), BudgetScope::Key(key_id(1)));
    for (scope, window, nano) in [
        (org, NOW, 100),
        (org, next, 200),
        (org, whole, 0),
        (key, whole, 200),
        (key, NOW, 0),
        (BudgetScope::Org(org_id(2)), NOW, 0),
    ] {
        assert_eq!(spent(store, scope, window), nano, "{scope} {window}");
    }
    balanced(store, 5);
}

/// Sums reach the end of their range exactly; beyond it is an error, and nothing is booked.
pub fn the_largest_figures_are_kept_and_no_sum_wraps(store: &dyn Store) {
    const MAX: u64 = i64::MAX.unsigned_abs();
    let mut largest = charged(event(1), NOW, NOW);
    largest.cost = Money::MAX;
    largest.latency_us = MAX;
    largest.first_token_us = Some(MAX);
    largest.usage = Usage {
        input: MAX,
        audio_output: MAX,
        ..Usage::default()
    };
    largest.attempt = u16::MAX;
    largest.upstream_status = Some(u16::MAX);
    let mut lowest = charged(event(2), NOW.plus_seconds(1), NOW.plus_seconds(1));
    lowest.cost = Money::from_nano(i64::MIN);
    lowest.model = "refund".into();
    assert_eq!(store.record_usage(&[largest, lowest]).unwrap(), 2);
    let mut token = event(3);
    token.cost = Money::ZERO;
    let mut cost = event(4);
    cost.usage = Usage::default();
    let mut spent_more = charged(event(5), NOW, NOW);
    spent_more.model = "another".into();
    spent_more.usage = Usage::default();
    let mut refunded_more = event(6);
    refunded_more.model = "refund".into();
    refunded_more.cost = Money::from_nano(-1);
    let mut in_batch = event(7);
    in_batch.model = "batch".into();
    in_batch.cost = Money::MAX;
    let in_batch_too = UsageEvent {
        attempt_id: event(8).attempt_id,
        ..in_batch.clone()
    };
    for batch in [
        vec![event(9), token],
        vec![cost],
        vec![spent_more],
        vec![refunded_more],
        vec![in_batch, in_batch_too],
    ] {
        let refused = store.record_usage(&batch);
        assert!(
            matches!(refused, Err(StoreError::Invalid { .. })),
            "{refused:?}"
        );
    }
    let row = &page(store, UsageGroup::Model, None, 1)[0];
    assert_eq!((row.group.as_str(), row.attempts), ("m", 1));
    assert_eq!((row.cost, row.usage.input), (Money::MAX, MAX));
    let org = BudgetScope::Org(org_id(1));
    assert_eq!(spent(store, org, NOW), i64::MAX);
    assert_eq!(spent(store, org, NOW.plus_seconds(1)), i64::MIN);
    balanced(store, 2);
}

/// A batch is booked whole or not at all, and what fits no backend is refused by all alike.
pub fn a_batch_with_an_event_that_cannot_be_kept_is_refused(store: &dyn Store) {
    let breaks: [fn(&mut UsageEvent); 9] = [
        |event| event.usage.reasoning = u64::MAX,
        |event| event.latency_us = u64::MAX,
        |event| event.first_token_us = Some(1 << 63),
        |event| event.model = "a\0b".into(),
        |event| event.provider = "x".repeat(NAME_BYTES_MAX + 1).into(),
        |event| event.started_at = Timestamp::from_micros(i64::MAX),
        |event| event.started_at = Timestamp::from_micros(i64::MIN),
        |event| event.org_charge = charge(BudgetScope::Org(org_id(9))),
        |event| event.key_charge = charge(BudgetScope::Org(event.org_id)),
    ];
    for spoil in breaks {
        let mut bad = event(2);
        spoil(&mut bad);
        let refused = store.record_usage(&[event(1), bad]);
        assert!(
            matches!(refused, Err(StoreError::Invalid { .. })),
            "{refused:?}"
        );
    }
    balanced(store, 0);
    let mut longest = event(1);
    longest.model = "é".repeat(NAME_BYTES_MAX / 2).into();
    longest.provider = "".into();
    longest.started_at = Timestamp::from_micros(253_402_300_799_999_999);
    store.record_usage(&[longest]).unwrap();
    assert_eq!(totals(store, UsageGroup::Day)[0].group, "9999-12-31");
}

fn charge(scope: BudgetScope) -> Option<Charge> {
    Some(Charge {
        scope,
        window_start: NOW,
    })
}
