//! Many events, compared with the in-memory backend.

use tollgate_domain::{BudgetScope, Money, TerminalState, UsageEvent};

use super::answers::{GROUPS, query};
use super::fixtures::{NOW, charged, event, key_id, org_id};
use crate::{MemoryStore, Store, UsageQuery, UsageStore};

/// The in-memory backend is the model of all others.
pub fn batches_give_what_memory_gives(store: &dyn Store) {
    let model = MemoryStore::default();
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    for _ in 0..12 {
        let len = random.below(40);
        let batch: Vec<_> = (0..len).map(|_| random.event()).collect();
        let (booked, expected) = (store.record_usage(&batch), model.record_usage(&batch));
        assert_eq!(booked.unwrap(), expected.unwrap());
    }
    for org in 1..=2 {
        for group_by in GROUPS {
            let query = UsageQuery {
                org: org_id(org),
                ..query(group_by)
            };
            let (rows, expected) = (store.usage_totals(&query), model.usage_totals(&query));
            assert_eq!(rows.unwrap(), expected.unwrap());
        }
    }
    for n in 1..=3 {
        for scope in [BudgetScope::Org(org_id(n)), BudgetScope::Key(key_id(n))] {
            for window in 0..3 {
                let window = NOW.plus_seconds(window);
                let expected = model.budget_spent(scope, window).unwrap();
                assert_eq!(store.budget_spent(scope, window).unwrap(), expected);
            }
        }
    }
    assert_eq!(store.verify_books().unwrap(), model.verify_books().unwrap());
}

/// `SplitMix64`: enough to vary events, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn event(&mut self) -> UsageEvent {
        let seconds = |random: &mut Self, end| i64::try_from(random.below(end)).unwrap();
        let mut event = event(self.below(200));
        event.org_id = org_id(1 + self.below(2));
        event.key_id = key_id(1 + self.below(3));
        event.model = ["m", "n", "o"][usize::try_from(self.below(3)).unwrap()].into();
        event.is_final = self.below(3) > 0;
        event.started_at = NOW.plus_seconds(seconds(self, 300_000));
        event.usage.cached_input = self.below(1_000_000);
        event.cost = Money::from_nano(seconds(self, 1_000_000_000));
        if self.below(4) == 0 {
            event.state = TerminalState::Unknown;
        }
        if self.below(2) == 0 {
            let org_window = NOW.plus_seconds(seconds(self, 3));
            event = charged(event, org_window, NOW.plus_seconds(seconds(self, 3)));
        }
        event
    }
}
