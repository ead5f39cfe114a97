//! Usage: events, roll-ups and what is spent of budgets.

use tollgate_domain::{BudgetScope, Money, OrgId, Timestamp, Usage, UsageEvent, UsageGroup};

use crate::error::StoreError;

/// Which usage of one organization is summed, and how. Days are whole days in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Whose usage.
    pub org: OrgId,
    /// By what it is summed.
    pub group_by: UsageGroup,
    /// From the day of this time on.
    pub from: Option<Timestamp>,
    /// Before the day of this time.
    pub until: Option<Timestamp>,
    /// Groups after this one, in the order of their bytes. Nothing comes after a key that is no key
    /// id.
    pub after: Option<String>,
    /// How many groups at the most.
    pub limit: u16,
}

/// The sums of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The group: a key id, a model, or a day as `2026-11-23`.
    pub group: String,
    /// Requests: attempts that were the last of theirs.
    pub requests: u64,
    /// Upstream attempts.
    pub attempts: u64,
    /// Attempts that did not end `ok`.
    pub errors: u64,
    /// Tokens, by bucket.
    pub usage: Usage,
    /// What it cost.
    pub cost: Money,
}

/// Two sums that should be equal and are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What was compared, for example `roll-up org_… 2026-11-23 gpt-4o`.
    pub what: String,
    /// The sum over the events.
    pub events: String,
    /// The sum that is kept.
    pub kept: String,
}

/// Whether the books balance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BooksReport {
    /// How many events there are.
    pub events: u64,
    /// What they cost together, held at the ends of the range.
    pub cost: Money,
    /// How many roll-up rows were compared with them.
    pub rollups: u64,
    /// How many budget rows were compared with them.
    pub budgets: u64,
    /// Where they differ, up to [`MISMATCHES_MAX`](crate::MISMATCHES_MAX); empty when the books
    /// balance.
    pub mismatches: Vec<Mismatch>,
}

/// Keeps usage events and the sums over them.
pub trait UsageStore: Send + Sync {
    /// Books events, all or none, in one transaction: each event that is not there yet is added,
    /// and added to its roll-up and to what is spent of the budgets it is charged to. An event that is
    /// there already changes nothing. Returns how many were new.
    ///
    /// # Errors
    /// When the backend fails; then nothing was booked. `Invalid` when an event cannot be kept
    /// ([`check_usage_event`](crate::check_usage_event) says which) or a sum would leave its range.
    fn record_usage(&self, events: &[UsageEvent]) -> Result<usize, StoreError>;

    /// Returns sums over one organization's usage, ordered by group.
    ///
    /// # Errors
    /// When the backend fails.
    fn usage_totals(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError>;

    /// Returns what was spent of a scope's budget in the window that starts then.
    ///
    /// # Errors
    /// When the backend fails.
    fn budget_spent(
        &self,
        scope: BudgetScope,
        window_start: Timestamp,
    ) -> Result<Money, StoreError>;

    /// Compares Σ events with the roll-ups and with what is spent of the budgets.
    ///
    /// # Errors
    /// When the backend fails.
    fn verify_books(&self) -> Result<BooksReport, StoreError>;
}
