//! The budgets of this process: what is spent and what is held of each, in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tollgate_domain::{BudgetPolicy, BudgetScope, Charge, Money, Timestamp};
use tollgate_store::UsageStore;

use crate::error::LedgerError;

/// An account that nobody holds is forgotten after this time without use.
const IDLE_SECONDS: i64 = 600;

/// What a scope has spent and reserved of its budget. A cheap handle: all clones are one account.
#[derive(Debug, Clone)]
pub struct Account {
    scope: BudgetScope,
    /// `None` admits everything.
    budget: Option<Arc<Mutex<Budget>>>,
}

/// How a budget stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// The most that may be spent in a window.
    pub limit: Money,
    /// What was spent in this window.
    pub spent: Money,
    /// What calls under way have reserved.
    pub held: Money,
    /// When the window began.
    pub window_start: Timestamp,
}

impl Account {
    /// Returns an account without a budget: it admits every call and is not charged.
    #[must_use]
    pub const fn unlimited(scope: BudgetScope) -> Self {
        Self {
            scope,
            budget: None,
        }
    }

    /// Returns whose account it is.
    #[must_use]
    pub const fn scope(&self) -> BudgetScope {
        self.scope
    }

    /// Returns how the budget stands at this time, or `None` when there is none.
    #[must_use]
    pub fn balance(&self, now: Timestamp) -> Option<Balance> {
        let mut budget = self.budget.as_ref()?.lock();
        budget.roll(now);
        (!budget.is_lifted).then_some(Balance {
            limit: budget.policy.max_budget,
            spent: budget.spent,
            held: budget.held,
            window_start: budget.window_start,
        })
    }

    fn hold(
        &self,
        budget: Option<MutexGuard<'_, Budget>>,
        held: Option<Money>,
        now: Timestamp,
    ) -> Option<Hold> {
        let mut budget = budget?;
        budget.held = held?;
        budget.used_at = now;
        Some(Hold {
            budget: Arc::clone(self.budget.as_ref()?),
            window: budget.window,
            charge: Charge {
                scope: self.scope,
                window_start: budget.window_start,
            },
        })
    }
}

#[derive(Debug)]
pub(crate) struct Budget {
    policy: BudgetPolicy,
    /// The budget was taken away while the account was in use: everything is admitted.
    is_lifted: bool,
    window_start: Timestamp,
    /// Counts windows: money held in an earlier one is no longer in `held`.
    window: u64,
    spent: Money,
    held: Money,
    used_at: Timestamp,
    /// The drain's cycle in which a charge was written last.
    charged_in: u64,
}

impl Budget {
    /// Begins the window of `now` if it is a later one. A clock that goes back changes nothing, so
    /// that no window is handed out twice.
    fn roll(&mut self, now: Timestamp) {
        let start = self.policy.window_start(now);
        if start > self.window_start {
            self.window_start = start;
            self.window += 1;
            self.spent = Money::ZERO;
            self.held = Money::ZERO;
        }
    }

    /// Changes the policy. What is spent and held stays, also when the windows change.
    fn adopt(&mut self, policy: BudgetPolicy, now: Timestamp) {
        self.roll(now);
        if self.policy.duration != policy.duration {
            self.window_start = policy.window_start(now);
        }
        self.policy = policy;
        self.is_lifted = false;
        self.used_at = now;
    }
}

/// Returns what would be held with this amount, or `None` where nothing has to be.
fn fits(
    budget: Option<&mut Budget>,
    scope: BudgetScope,
    amount: Money,
    now: Timestamp,
) -> Result<Option<Money>, LedgerError> {
    let Some(budget) = budget.filter(|budget| !budget.is_lifted) else {
        return Ok(None);
    };
    budget.roll(now);
    let held = budget.held.checked_add(amount);
    let total = held.and_then(|held| held.checked_add(budget.spent));
    if total.is_some_and(|total| total <= budget.policy.max_budget) {
        return Ok(held);
    }
    Err(LedgerError::BudgetExceeded {
        scope,
        resets_at: budget.policy.window_end(budget.window_start),
    })
}

/// Money held of one budget.
#[derive(Debug)]
pub(crate) struct Hold {
    budget: Arc<Mutex<Budget>>,
    window: u64,
    pub(crate) charge: Charge,
}

impl Hold {
    /// Holds `amount` of every account that has a budget, or of none.
    ///
    /// All accounts are locked while it is decided, in the order given, which must be the same for
    /// every caller: a refused call never takes room away from another, not even for an instant.
    pub(crate) fn take(
        org: &Account,
        key: &Account,
        amount: Money,
        now: Timestamp,
    ) -> Result<[Option<Self>; 2], LedgerError> {
        let mut org_budget = org.budget.as_ref().map(|budget| budget.lock());
        let mut key_budget = key.budget.as_ref().map(|budget| budget.lock());
        let org_held = fits(org_budget.as_deref_mut(), org.scope, amount, now)?;
        let key_held = fits(key_budget.as_deref_mut(), key.scope, amount, now)?;
        Ok([
            org.hold(org_budget, org_held, now),
            key.hold(key_budget, key_held, now),
        ])
    }

    /// Gives back what was held; what it costs can still be booked.
    pub(crate) fn release(&self, held: Money) {
        let mut budget = self.budget.lock();
        if budget.window == self.window {
            budget.held = budget.held.saturating_sub(held);
        }
    }

    /// Gives back what was held and books what it cost, once the cost is in the journal. After the
    /// window's end only the store still counts it.
    pub(crate) fn settle(self, held: Money, cost: Money, drain_cycle: u64) {
        let mut budget = self.budget.lock();
        budget.charged_in = drain_cycle;
        if budget.window == self.window {
            budget.held = budget.held.saturating_sub(held);
            budget.spent = budget.spent.saturating_add(cost);
        }
    }
}

/// All accounts that are in use.
#[derive(Debug, Default)]
pub(crate) struct Books {
    accounts: Mutex<HashMap<BudgetScope, Arc<Mutex<Budget>>>>,
    overruns: AtomicU64,
}

impl Books {
    /// Returns the account of a scope, read from the store when it is not in use.
    pub(crate) fn account(
        &self,
        store: &dyn UsageStore,
        scope: BudgetScope,
        policy: Option<BudgetPolicy>,
        now: Timestamp,
    ) -> Result<Account, LedgerError> {
        let known = self.accounts.lock().get(&scope).map(Arc::clone);
        let Some(policy) = policy else {
            if let Some(budget) = known {
                budget.lock().is_lifted = true;
            }
            return Ok(Account::unlimited(scope));
        };
        let budget = match known {
            Some(budget) => budget,
            None => self.load(store, scope, policy, now)?,
        };
        budget.lock().adopt(policy, now);
        Ok(Account {
            scope,
            budget: Some(budget),
        })
    }

    fn load(
        &self,
        store: &dyn UsageStore,
        scope: BudgetScope,
        policy: BudgetPolicy,
        now: Timestamp,
    ) -> Result<Arc<Mutex<Budget>>, LedgerError> {
        let window_start = policy.window_start(now);
        let spent = store
            .budget_spent(scope, window_start)
            .map_err(|source| LedgerError::BudgetUnverifiable { scope, source })?;
        let loaded = Arc::new(Mutex::new(Budget {
            policy,
            is_lifted: false,
            window_start,
            window: 0,
            spent,
            held: Money::ZERO,
            used_at: now,
            charged_in: 0,
        }));
        // Somebody else may have been faster; then theirs already counts.
        Ok(Arc::clone(
            self.accounts.lock().entry(scope).or_insert(loaded),
        ))
    }

    /// Forgets accounts that nobody has a handle of, that were not used for a while, and all of
    /// whose charges are booked: those of drain cycles before `booked_before`.
    pub(crate) fn sweep(&self, now: Timestamp, booked_before: u64) -> usize {
        let mut accounts = self.accounts.lock();
        let before = accounts.len();
        accounts.retain(|_, account| {
            let is_held = Arc::strong_count(account) > 1;
            let budget = account.lock();
            let idle = now.seconds().saturating_sub(budget.used_at.seconds());
            is_held || idle < IDLE_SECONDS || budget.charged_in >= booked_before
        });
        before - accounts.len()
    }

    /// Counts a call that cost more than was reserved for it.
    pub(crate) fn note_overrun(&self) {
        self.overruns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;
    use tollgate_store::MemoryStore;

    use super::*;
    use crate::testing::{FlakyStore, KEY, NOW, ORG, cost, policy};

    const ORG_SCOPE: BudgetScope = BudgetScope::Org(ORG);
    const KEY_SCOPE: BudgetScope = BudgetScope::Key(KEY);

    fn open(books: &Books, scope: BudgetScope, policy: Option<BudgetPolicy>) -> Account {
        books
            .account(&MemoryStore::default(), scope, policy, NOW)
            .unwrap()
    }

    fn take(org: &Account, key: &Account, tokens: u64) -> Result<[Option<Hold>; 2], LedgerError> {
        Hold::take(org, key, cost(tokens), NOW)
    }

    fn settle(holds: [Option<Hold>; 2], held: u64, spent: u64) {
        for hold in holds.into_iter().flatten() {
            hold.settle(cost(held), cost(spent), 0);
        }
    }

    /// Returns what is spent and held, in nano-dollars.
    fn stand(account: &Account, now: Timestamp) -> (i64, i64) {
        let balance = account.balance(now).unwrap();
        (balance.spent.nano(), balance.held.nano())
    }

    #[test]
    fn a_refused_call_leaves_no_trace_in_any_account() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(100, "1d"));
        let key = open(&books, KEY_SCOPE, policy(10, "1d"));
        let resets = NOW.day().plus_seconds(86_400);
        match take(&org, &key, 11) {
            Err(LedgerError::BudgetExceeded { scope, resets_at }) => {
                assert_eq!((scope, resets_at), (KEY_SCOPE, Some(resets)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((stand(&org, NOW), stand(&key, NOW)), ((0, 0), (0, 0)));
    }

    #[test]
    fn a_budget_of_nothing_admits_what_is_free() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(0, "1d"));
        let key = Account::unlimited(KEY_SCOPE);
        assert!(take(&org, &key, 0).is_ok());
        assert!(take(&org, &key, 1).is_err());
    }

    #[test]
    fn what_exceeds_the_reserve_is_booked_in_full() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(10, "1d"));
        let key = Account::unlimited(KEY_SCOPE);
        settle(take(&org, &key, 10).unwrap(), 10, 25);
        assert_eq!(stand(&org, NOW), (25_000, 0));
        assert!(
            take(&org, &key, 0).is_err(),
            "more than everything is spent"
        );
    }

    #[test]
    fn sums_beyond_all_money_are_refused() {
        let books = Books::default();
        let unbounded = BudgetPolicy {
            max_budget: Money::MAX,
            duration: None,
        };
        let org = open(&books, ORG_SCOPE, Some(unbounded));
        let key = Account::unlimited(KEY_SCOPE);
        let first = Hold::take(&org, &key, Money::MAX, NOW).unwrap();
        assert!(Hold::take(&org, &key, Money::from_nano(1), NOW).is_err());
        for hold in first.into_iter().flatten() {
            hold.settle(Money::MAX, Money::MAX, 0);
        }
        assert!(Hold::take(&org, &key, Money::from_nano(1), NOW).is_err());
    }

    #[test]
    fn what_was_held_before_a_window_began_counts_in_its_own() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(10, "1d"));
        let key = Account::unlimited(KEY_SCOPE);
        let old = take(&org, &key, 10).unwrap();
        let tomorrow = NOW.plus_seconds(86_400);
        let new = Hold::take(&org, &key, cost(10), tomorrow).unwrap();
        settle(old, 10, 10);
        assert_eq!(stand(&org, tomorrow), (0, 10_000));
        settle(new, 10, 4);
        assert_eq!(stand(&org, tomorrow), (4_000, 0));
    }

    #[test]
    fn a_clock_that_goes_back_opens_no_window_again() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(10, "1d"));
        let key = Account::unlimited(KEY_SCOPE);
        let tomorrow = NOW.plus_seconds(86_400);
        settle(Hold::take(&org, &key, cost(10), tomorrow).unwrap(), 10, 10);
        assert!(take(&org, &key, 1).is_err());
        assert!(Hold::take(&org, &key, cost(1), tomorrow).is_err());
        assert_eq!(stand(&org, NOW), (10_000, 0));
    }

    #[test]
    fn another_policy_keeps_what_is_spent_and_held() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(10, "1d"));
        let key = Account::unlimited(KEY_SCOPE);
        settle(take(&org, &key, 4).unwrap(), 4, 4);
        let held = take(&org, &key, 6).unwrap();
        let same = open(&books, ORG_SCOPE, policy(20, "30d"));
        assert_eq!(stand(&org, NOW), (4_000, 6_000));
        assert_eq!(same.balance(NOW).unwrap().limit, cost(20));
        settle(held, 6, 6);
        assert_eq!(stand(&org, NOW), (10_000, 0));
        open(&books, ORG_SCOPE, policy(5, "1d"));
        assert!(take(&org, &key, 1).is_err());
    }

    #[test]
    fn without_a_policy_nothing_is_refused_or_charged() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(10, "1d"));
        let key = Account::unlimited(KEY_SCOPE);
        let held = take(&org, &key, 10).unwrap();
        assert_eq!(open(&books, ORG_SCOPE, None).balance(NOW), None);
        let [charge, _] = take(&org, &key, 1_000).unwrap();
        assert!(charge.is_none(), "handles from before know it too");
        settle(held, 10, 10);
        let again = open(&books, ORG_SCOPE, policy(10, "1d"));
        assert_eq!(stand(&again, NOW), (10_000, 0));
    }

    #[test]
    fn a_budget_that_cannot_be_read_admits_nothing() {
        let store = FlakyStore::default();
        store.set_down(true);
        let books = Books::default();
        let refused = books.account(&store, ORG_SCOPE, policy(10, "1d"), NOW);
        assert!(matches!(
            refused,
            Err(LedgerError::BudgetUnverifiable { .. })
        ));
        store.set_down(false);
        assert!(
            books
                .account(&store, ORG_SCOPE, policy(10, "1d"), NOW)
                .is_ok()
        );
    }

    #[test]
    fn an_account_is_forgotten_when_it_is_idle_unheld_and_booked() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(10, "1d"));
        let key = Account::unlimited(KEY_SCOPE);
        for hold in take(&org, &key, 3).unwrap().into_iter().flatten() {
            hold.settle(cost(3), cost(3), 7);
        }
        let later = NOW.plus_seconds(IDLE_SECONDS);
        assert_eq!(books.sweep(later, 8), 0, "somebody has a handle");
        drop(org);
        assert_eq!(books.sweep(NOW, 8), 0, "it was used just now");
        assert_eq!(books.sweep(later, 7), 0, "its charge may not be booked");
        assert_eq!(books.sweep(later, 8), 1);
    }

    #[test]
    fn threads_together_get_exactly_what_there_is() {
        let books = Books::default();
        let org = open(&books, ORG_SCOPE, policy(500, "1d"));
        let key = open(&books, KEY_SCOPE, policy(300, "1d"));
        let unlimited = Account::unlimited(KEY_SCOPE);
        let admitted: usize = thread::scope(|scope| {
            let workers: Vec<_> = [&key, &unlimited, &key, &unlimited]
                .map(|key| scope.spawn(|| (0..400).filter(|_| take(&org, key, 1).is_ok()).count()))
                .into();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(admitted, 500);
        assert_eq!(stand(&org, NOW), (0, 500_000));
        assert!(stand(&key, NOW).1 <= 300_000);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Reserve {
            tokens: u64,
            with_key: bool,
        },
        Settle {
            which: prop::sample::Index,
            percent: u64,
        },
        Wait {
            seconds: i64,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0..40_u64, any::<bool>()).prop_map(|(tokens, with_key)| Step::Reserve { tokens, with_key }),
            5 => (any::<prop::sample::Index>(), 0..=100_u64)
                .prop_map(|(which, percent)| Step::Settle { which, percent }),
            1 => (-3_600..100_000_i64).prop_map(|seconds| Step::Wait { seconds }),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        /// Against a model that knows every call: no window's budget is ever exceeded, nothing that
        /// fits is refused, and in the end nothing is held.
        #[test]
        fn budgets_are_never_overspent(steps in steps()) {
            const LIMITS: [u64; 2] = [100, 60];
            let books = Books::default();
            let org = open(&books, ORG_SCOPE, policy(LIMITS[0], "1d"));
            let key = open(&books, KEY_SCOPE, policy(LIMITS[1], "1h"));
            let no_key = Account::unlimited(KEY_SCOPE);
            let window = |hold: &Hold| (hold.charge.scope, hold.charge.window_start);
            let mut now = NOW;
            // What each window of each account holds and has spent, in tokens.
            let mut windows = HashMap::<(BudgetScope, Timestamp), u64>::new();
            let hour = |now| policy(0, "1h").unwrap().window_start(now);
            let mut latest = [NOW.day(), hour(NOW)];
            let mut under_way: Vec<([Option<Hold>; 2], u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Wait { seconds } => now = now.plus_seconds(seconds),
                    Step::Reserve { tokens, with_key } => {
                        let mut room = |n: usize, scope, start: Timestamp| {
                            latest[n] = latest[n].max(start);
                            let used = windows.get(&(scope, latest[n])).copied().unwrap_or(0);
                            used + tokens <= LIMITS[n]
                        };
                        let fits = room(0, ORG_SCOPE, now.day())
                            && (!with_key || room(1, KEY_SCOPE, hour(now)));
                        let key = if with_key { &key } else { &no_key };
                        let taken = Hold::take(&org, key, cost(tokens), now);
                        prop_assert_eq!(taken.is_ok(), fits);
                        if let Ok(holds) = taken {
                            for hold in holds.iter().flatten() {
                                *windows.entry(window(hold)).or_default() += tokens;
                            }
                            under_way.push((holds, tokens));
                        }
                    }
                    Step::Settle { which, percent } if !under_way.is_empty() => {
                        let (holds, tokens) = under_way.swap_remove(which.index(under_way.len()));
                        let spent = tokens * percent / 100;
                        for hold in holds.iter().flatten() {
                            *windows.entry(window(hold)).or_default() -= tokens - spent;
                        }
                        settle(holds, tokens, spent);
                    }
                    Step::Settle { .. } => {}
                }
                for ((scope, _), used) in &windows {
                    let limit = if *scope == ORG_SCOPE { LIMITS[0] } else { LIMITS[1] };
                    prop_assert!(*used <= limit);
                }
            }
            for (holds, tokens) in under_way {
                settle(holds, tokens, tokens);
            }
            prop_assert_eq!(stand(&org, Timestamp::default()).1, 0);
            prop_assert_eq!(stand(&key, Timestamp::default()).1, 0);
        }
    }
}
