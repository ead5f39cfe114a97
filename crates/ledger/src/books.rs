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
        resets_at: budget.policy.window_end(now),
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
