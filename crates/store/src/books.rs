//! The sums over usage events, computed once for every backend.

use std::collections::BTreeMap;
use std::fmt;

use tollgate_domain::{
    BudgetScope, KeyId, Money, OrgId, TerminalState, Timestamp, Usage, UsageEvent,
};

use crate::check::day_name;
use crate::error::StoreError;
use crate::usage::{BooksReport, Mismatch, UsageRow};

/// How many mismatches a [`BooksReport`] lists at the most.
pub const MISMATCHES_MAX: usize = 1_000;

/// What the sums need to know of one event.
#[derive(Debug, Clone, Copy)]
pub struct Posting<'a> {
    /// Whose it is.
    pub org_id: OrgId,
    /// The API key that was used.
    pub key_id: KeyId,
    /// The model that the client asked for.
    pub model: &'a str,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// Whether no further attempt followed.
    pub is_final: bool,
    /// Whether it ended `ok`.
    pub is_ok: bool,
    /// The tokens.
    pub usage: Usage,
    /// What it cost.
    pub cost: Money,
    /// The window of the organization's budget that it is charged to.
    pub org_window: Option<Timestamp>,
    /// The window of the key's budget that it is charged to.
    pub key_window: Option<Timestamp>,
}

impl<'a> From<&'a UsageEvent> for Posting<'a> {
    fn from(event: &'a UsageEvent) -> Self {
        Self {
            org_id: event.org_id,
            key_id: event.key_id,
            model: &event.model,
            started_at: event.started_at,
            is_final: event.is_final,
            is_ok: event.state == TerminalState::Ok,
            usage: event.usage,
            cost: event.cost,
            org_window: event.org_charge.map(|charge| charge.window_start),
            key_window: event.key_charge.map(|charge| charge.window_start),
        }
    }
}

/// What a roll-up sums over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RollupKey {
    /// Whose usage.
    pub org_id: OrgId,
    /// The start of the day in UTC.
    pub day: Timestamp,
    /// The API key.
    pub key_id: KeyId,
    /// The model that clients asked for.
    pub model: String,
}

impl fmt::Display for RollupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = day_name(self.day);
        write!(f, "{} {day} {} {}", self.org_id, self.key_id, self.model)
    }
}

/// Sums over events. Counts are held at the end of `u64`, which no column can hold, so that
/// [`checked_plus`](Self::checked_plus) notices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Attempts that were the last of their request.
    pub requests: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts that did not end `ok`.
    pub errors: u64,
    /// Tokens, by bucket.
    pub usage: Usage,
    /// Nano-dollars.
    pub cost_nano: i128,
}

impl Sums {
    /// Returns the sum of both.
    ///
    /// # Errors
    /// `Invalid` when a part of it does not fit 63 bits and a sign.
    pub fn checked_plus(&self, other: &Self) -> Result<Self, StoreError> {
        let sum = self.plus(other);
        let counts = [sum.requests, sum.attempts, sum.errors].into_iter();
        if counts
            .chain(buckets(&sum.usage))
            .any(|count| i64::try_from(count).is_err())
        {
            return Err(OUT_OF_RANGE);
        }
        money(sum.cost_nano)?;
        Ok(sum)
    }

    /// Returns the sums as a row of a report.
    ///
    /// # Errors
    /// `Invalid` when the cost is out of range.
    pub fn into_row(self, group: String) -> Result<UsageRow, StoreError> {
        Ok(UsageRow {
            group,
            requests: self.requests,
            attempts: self.attempts,
            errors: self.errors,
            usage: self.usage,
            cost: money(self.cost_nano)?,
        })
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            attempts: self.attempts.saturating_add(other.attempts),
            errors: self.errors.saturating_add(other.errors),
            usage: self.usage.plus(&other.usage),
            cost_nano: self.cost_nano.saturating_add(other.cost_nano),
        }
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            attempts,
            errors,
            usage,
            cost_nano,
        } = self;
        write!(
            f,
            "requests {requests}, attempts {attempts}, errors {errors}, tokens {:?}, cost {cost_nano} nano-dollars",
            buckets(usage)
        )
    }
}

/// Sums over a set of events: a batch that is to be booked, all that is kept, or a recount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// How many events.
    pub events: u64,
    /// By organization, day, key and model.
    pub rollups: BTreeMap<RollupKey, Sums>,
    /// Nano-dollars by budget and start of its window.
    pub budgets: BTreeMap<(BudgetScope, Timestamp), i128>,
}

impl Books {
    /// Adds one event.
    pub fn post(&mut self, event: &Posting<'_>) {
        let key = RollupKey {
            org_id: event.org_id,
            day: event.started_at.day(),
            key_id: event.key_id,
            model: event.model.to_owned(),
        };
        let cost_nano = i128::from(event.cost.nano());
        let sums = self.rollups.entry(key).or_default();
        *sums = sums.plus(&Sums {
            requests: u64::from(event.is_final),
            attempts: 1,
            errors: u64::from(!event.is_ok),
            usage: event.usage,
            cost_nano,
        });
        let org = (BudgetScope::Org(event.org_id), event.org_window);
        let key = (BudgetScope::Key(event.key_id), event.key_window);
        for (scope, window) in [org, key] {
            if let Some(window) = window {
                let spent = self.budgets.entry((scope, window)).or_default();
                *spent = spent.saturating_add(cost_nano);
            }
        }
        self.events = self.events.saturating_add(1);
    }

    /// Adds the sums of other events; on an error nothing is changed.
    ///
    /// # Errors
    /// `Invalid` when a sum does not fit 63 bits and a sign.
    pub fn checked_add(&mut self, other: Self) -> Result<(), StoreError> {
        let mut rollups = Vec::with_capacity(other.rollups.len());
        for (key, sums) in other.rollups {
            let kept = self.rollups.get(&key).copied().unwrap_or_default();
            rollups.push((key, kept.checked_plus(&sums)?));
        }
        let mut budgets = Vec::with_capacity(other.budgets.len());
        for (budget, spent) in other.budgets {
            let kept = self.budgets.get(&budget).copied().unwrap_or_default();
            let sum = kept.saturating_add(spent);
            money(sum)?;
            budgets.push((budget, sum));
        }
        self.rollups.extend(rollups);
        self.budgets.extend(budgets);
        self.events = self.events.saturating_add(other.events);
        Ok(())
    }

    /// Compares what is kept with this recount of the events.
    #[must_use]
    pub fn compare(&self, kept: &Self) -> BooksReport {
        let mut mismatches = Vec::new();
        let rollups = differences(&self.rollups, &kept.rollups, |key, events, kept| Mismatch {
            what: format!("roll-up {key}"),
            events: events.unwrap_or_default().to_string(),
            kept: kept.unwrap_or_default().to_string(),
        });
        let budgets = differences(
            &self.budgets,
            &kept.budgets,
            |(scope, start), events, kept| Mismatch {
                what: format!("budget {scope} from {start}"),
                events: format!("{} nano-dollars", events.unwrap_or_default()),
                kept: format!("{} nano-dollars", kept.unwrap_or_default()),
            },
        );
        mismatches.extend(rollups.chain(budgets).take(MISMATCHES_MAX));
        let cost = self.rollups.values().map(|sums| sums.cost_nano);
        BooksReport {
            events: self.events,
            cost: held(cost.fold(0, i128::saturating_add)),
            rollups: count(kept.rollups.len()),
            budgets: count(kept.budgets.len()),
            mismatches,
        }
    }
}

/// Returns what `describe` makes of each entry that is not the same in both maps.
fn differences<'a, K: Ord, V: PartialEq + Copy>(
    events: &'a BTreeMap<K, V>,
    kept: &'a BTreeMap<K, V>,
    describe: impl Fn(&K, Option<V>, Option<V>) -> Mismatch + 'a,
) -> impl Iterator<Item = Mismatch> + 'a {
    let only_kept = kept.keys().filter(|key| !events.contains_key(key));
    events
        .keys()
        .chain(only_kept)
        .map(|key| (key, events.get(key).copied(), kept.get(key).copied()))
        .filter(|(_, events, kept)| events != kept)
        .map(move |(key, events, kept)| describe(key, events, kept))
}

/// Returns an amount of nano-dollars as money.
///
/// # Errors
/// `Invalid` when it is out of range.
pub fn money(nano: i128) -> Result<Money, StoreError> {
    i64::try_from(nano)
        .map(Money::from_nano)
        .map_err(|_| OUT_OF_RANGE)
}

const OUT_OF_RANGE: StoreError = StoreError::Invalid {
    what: "a sum out of range",
};

fn held(nano: i128) -> Money {
    money(nano).unwrap_or(if nano < 0 {
        Money::from_nano(i64::MIN)
    } else {
        Money::MAX
    })
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Returns the token counts, in the order of [`Usage`]'s fields.
pub(crate) fn buckets(usage: &Usage) -> [u64; 7] {
    [
        usage.input,
        usage.cached_input,
        usage.cache_write,
        usage.audio_input,
        usage.output,
        usage.reasoning,
        usage.audio_output,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(cost_nano: i128) -> Books {
        let mut books = Books::default();
        let id = [1; 16];
        let key = RollupKey {
            org_id: OrgId::from_bytes(id),
            day: Timestamp::default(),
            key_id: KeyId::from_bytes(id),
            model: "m".to_owned(),
        };
        let sums = Sums {
            cost_nano,
            ..Sums::default()
        };
        books.rollups.insert(key, sums);
        let budget = (
            BudgetScope::Org(OrgId::from_bytes(id)),
            Timestamp::default(),
        );
        books.budgets.insert(budget, cost_nano);
        books
    }

    #[test]
    fn sums_that_differ_or_are_on_one_side_only_are_named() {
        let none = Books::default();
        for (events, kept, differing) in [
            (books(5), books(5), 0),
            (books(5), books(6), 2),
            (books(0), none.clone(), 2),
            (none, books(0), 2),
        ] {
            let report = events.compare(&kept);
            assert_eq!(report.mismatches.len(), differing, "{report:?}");
        }
        let report = books(5).compare(&books(6));
        assert_eq!(report.cost, Money::from_nano(5));
        let [rollup, budget] = &report.mismatches[..] else {
            panic!("{report:?}");
        };
        let org = "org_01010101010101010101010101010101";
        assert_eq!(
            rollup.what,
            format!("roll-up {org} 1970-01-01 key_01010101010101010101010101010101 m")
        );
        assert!(rollup.events.ends_with("cost 5 nano-dollars"));
        assert!(rollup.kept.ends_with("cost 6 nano-dollars"));
        assert_eq!(
            budget.what,
            format!("budget {org} from 1970-01-01T00:00:00Z")
        );
    }

    #[test]
    fn a_sum_out_of_range_changes_nothing() {
        let mut kept = books(i128::from(i64::MAX));
        let before = kept.clone();
        assert!(kept.checked_add(books(1)).is_err());
        assert_eq!(kept, before);
        kept.checked_add(books(-1)).unwrap();
        assert_ne!(kept, before);
    }

    #[test]
    fn a_report_is_bounded() {
        let mut kept = Books::default();
        for window in 0..2_000 {
            let scope = BudgetScope::Org(OrgId::from_bytes([1; 16]));
            kept.budgets
                .insert((scope, Timestamp::from_micros(window)), 1);
        }
        let report = Books::default().compare(&kept);
        assert_eq!(
            (report.budgets, report.mismatches.len()),
            (2_000, MISMATCHES_MAX)
        );
    }
}
