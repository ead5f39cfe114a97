//! What no backend can keep, refused by all of them alike.

use tollgate_domain::{ApiKey, BudgetScope, Charge, Organization, Timestamp, UsageEvent};

use crate::books::buckets;
use crate::error::StoreError;

/// The longest name of anything, in bytes: names are parts of database keys, which every backend
/// bounds (PostgreSQL at about 2,700 bytes).
pub const NAME_BYTES_MAX: usize = 512;

/// 0000-01-01T00:00:00Z and the last microsecond of 9999: days within sort by their names.
const YEAR_0: i64 = -62_167_219_200_000_000;
const YEAR_9999_END: i64 = 253_402_300_799_999_999;

/// Returns whether an event can be kept by every backend.
///
/// # Errors
/// `Invalid` when a figure does not fit 63 bits, a name is longer than [`NAME_BYTES_MAX`] or holds
/// a NUL, the day is outside the years 0 to 9999, or a charge is to another's budget.
pub fn check_usage_event(event: &UsageEvent) -> Result<(), StoreError> {
    let invalid = |what| Err(StoreError::Invalid { what });
    let names = [
        &event.model,
        &event.provider,
        &event.upstream_model,
        &event.price_version,
    ];
    if !names.into_iter().all(|name| is_name(name)) {
        return invalid("a name in a usage event");
    }
    let counts = buckets(&event.usage).into_iter();
    if counts
        .chain([event.latency_us, event.first_token_us.unwrap_or_default()])
        .any(|count| i64::try_from(count).is_err())
    {
        return invalid("a figure of a usage event");
    }
    if !(YEAR_0..=YEAR_9999_END).contains(&event.started_at.micros()) {
        return invalid("the time of a usage event");
    }
    let is_own = |charge: Option<Charge>, own| charge.is_none_or(|charge| charge.scope == own);
    if !is_own(event.org_charge, BudgetScope::Org(event.org_id))
        || !is_own(event.key_charge, BudgetScope::Key(event.key_id))
    {
        return invalid("the charge of a usage event");
    }
    Ok(())
}

/// Returns whether an organization can be kept by every backend.
///
/// # Errors
/// `Invalid` when its name is longer than [`NAME_BYTES_MAX`] or holds a NUL.
pub fn check_organization(organization: &Organization) -> Result<(), StoreError> {
    if is_name(&organization.name) {
        Ok(())
    } else {
        let what = "the name of an organization";
        Err(StoreError::Invalid { what })
    }
}

/// Returns whether an API key can be kept by every backend.
///
/// # Errors
/// `Invalid` when one of its texts is longer than [`NAME_BYTES_MAX`] or holds a NUL.
pub fn check_api_key(key: &ApiKey) -> Result<(), StoreError> {
    if is_name(&key.public_id) && is_name(&key.name) && key.models.iter().all(|m| is_name(m)) {
        Ok(())
    } else {
        let what = "a text in an API key";
        Err(StoreError::Invalid { what })
    }
}

/// Returns a day's name, such as `2026-11-23`. Times out of the years 0 to 9999 give a text that
/// sorts before or after all of those.
#[must_use]
pub fn day_name(time: Timestamp) -> String {
    match time.micros() {
        ..YEAR_0 => String::new(),
        YEAR_0..=YEAR_9999_END => {
            let mut text = time.to_string();
            text.truncate("2026-11-23".len());
            text
        }
        _ => "~".to_owned(),
    }
}

/// PostgreSQL keeps no NUL in a text.
fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names_that_sort_like_the_days() {
        let names = [
            i64::MIN,
            YEAR_0 - 1,
            YEAR_0,
            -1,
            0,
            YEAR_9999_END,
            YEAR_9999_END + 1,
        ]
        .map(|micros| day_name(Timestamp::from_micros(micros)));
        assert_eq!(
            names,
            [
                "",
                "",
                "0000-01-01",
                "1969-12-31",
                "1970-01-01",
                "9999-12-31",
                "~"
            ]
        );
        assert!(names.is_sorted());
    }
}
