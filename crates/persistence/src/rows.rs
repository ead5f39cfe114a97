//! What the columns of several tables hold.

use tollgate_domain::{BudgetDuration, BudgetPolicy, Limits, Money, Timestamp};
use tollgate_store::StoreError;

use crate::error::bad_row;

/// Returns the 16 bytes of an id.
pub(crate) fn id_bytes(bytes: &[u8]) -> Result<[u8; 16], StoreError> {
    bytes.try_into().map_err(|_| bad_row("an id"))
}

pub(crate) fn timestamp(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

pub(crate) fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::micros)
}

pub(crate) fn limits(
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
) -> Result<Limits, StoreError> {
    let limit = |column: Option<i64>| {
        let limit = column.map(u32::try_from).transpose();
        limit.map_err(|_| bad_row("a limit"))
    };
    Ok(Limits {
        rpm_limit: limit(rpm_limit)?,
        tpm_limit: limit(tpm_limit)?,
        max_parallel_requests: limit(max_parallel_requests)?,
    })
}

/// The columns `max_budget_nano_usd` and `budget_duration_s`.
pub(crate) fn budget_columns(budget: Option<&BudgetPolicy>) -> (Option<i64>, Option<i64>) {
    let duration = budget.and_then(|budget| budget.duration);
    (
        budget.map(|budget| budget.max_budget.nano()),
        duration.map(BudgetDuration::seconds),
    )
}

pub(crate) fn budget(
    (max_budget_nano_usd, budget_duration_s): (Option<i64>, Option<i64>),
) -> Result<Option<BudgetPolicy>, StoreError> {
    let duration = budget_duration_s.map(BudgetDuration::from_seconds);
    let duration = duration
        .transpose()
        .map_err(|_| bad_row("a budget duration"))?;
    Ok(max_budget_nano_usd.map(|nano| BudgetPolicy {
        max_budget: Money::from_nano(nano),
        duration,
    }))
}
