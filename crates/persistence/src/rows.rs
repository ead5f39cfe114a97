//! What the columns of several tables hold.

use tollgate_domain::{BudgetDuration, BudgetPolicy, Limits, MAC_BYTES, Money, OrgId, Timestamp};
use tollgate_store::StoreError;

use crate::error::bad_row;

/// Returns the 16 bytes of an id.
pub(crate) fn id_bytes(bytes: &[u8]) -> Result<[u8; 16], StoreError> {
    bytes.try_into().map_err(|_| bad_row("an id"))
}

/// Which rows a unit of work is about. PostgreSQL lets it see no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Those of one organization.
    Of(OrgId),
    /// Those of all: what finds out whose something is, or books and counts for all.
    All,
    /// Those of tables that belong to no organization.
    Shared,
}

/// Returns the 32 bytes of a digest.
pub(crate) fn mac_bytes(bytes: &[u8]) -> Result<[u8; MAC_BYTES], StoreError> {
    bytes.try_into().map_err(|_| bad_row("a digest"))
}

/// Returns the version of a row.
pub(crate) fn version(column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| bad_row("a version"))
}

/// Returns the version as the column holds it; one that is out of range is no row's.
pub(crate) fn version_column(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(-1)
}

/// Writes a list as a JSON array.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Backend(Box::new(error)))
}

/// Reads a list from a JSON array.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    text: &str,
    what: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| bad_row(what))
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
