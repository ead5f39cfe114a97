//! Budgets: how much money a scope may spend in a window of time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{KeyId, OrgId};
use crate::money::Money;
use crate::time::Timestamp;

/// Whose spending is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BudgetScope {
    /// All of an organization.
    Org(OrgId),
    /// One API key.
    Key(KeyId),
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Org(id) => id.fmt(f),
            Self::Key(id) => id.fmt(f),
        }
    }
}

impl FromStr for BudgetScope {
    type Err = crate::ids::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self::Org)
            .or_else(|_| text.parse().map(Self::Key))
    }
}

/// Why a text is not a duration of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a budget duration is a whole number and s, m, h or d, from 30s to 366d, such as 30d")]
pub struct BudgetDurationError;

/// The length of a budget's window, `30s` to `366d`.
///
/// Windows lie end to end from 1970-01-01T00:00:00Z, so that `1d` begins at midnight UTC and every
/// replica agrees on where a window begins without a job that resets anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetDuration {
    seconds: i64,
}

impl BudgetDuration {
    /// Returns the length in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Wraps a length in seconds.
    ///
    /// # Errors
    /// When it is not within 30 seconds to 366 days.
    pub const fn from_seconds(seconds: i64) -> Result<Self, BudgetDurationError> {
        if seconds < 30 || seconds > 366 * 86_400 {
            return Err(BudgetDurationError);
        }
        Ok(Self { seconds })
    }
}

impl FromStr for BudgetDuration {
    type Err = BudgetDurationError;

    fn from_str(text: &str) -> Result<Self, BudgetDurationError> {
        let unit = match text.as_bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3_600,
            Some(b'd') => 86_400,
            _ => return Err(BudgetDurationError),
        };
        let digits = text.get(..text.len() - 1).unwrap_or_default();
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BudgetDurationError);
        }
        let count: i64 = digits.parse().map_err(|_| BudgetDurationError)?;
        Self::from_seconds(count.saturating_mul(unit))
    }
}

impl fmt::Display for BudgetDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
            .into_iter()
            .find(|(seconds, _)| self.seconds % seconds == 0)
            .map_or((self.seconds, 's'), |(seconds, unit)| {
                (self.seconds / seconds, unit)
            });
        write!(f, "{count}{unit}")
    }
}

impl Serialize for BudgetDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BudgetDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// How much a scope may spend, and in which window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetPolicy {
    /// The most that may be spent in one window.
    pub max_budget: Money,
    /// The window's length; `None` counts from the beginning of time.
    pub duration: Option<BudgetDuration>,
}

impl BudgetPolicy {
    /// Returns the start of the window that holds `now`.
    #[must_use]
    pub fn window_start(&self, now: Timestamp) -> Timestamp {
        self.duration.map_or(Timestamp::default(), |duration| {
            let length = duration.seconds().saturating_mul(1_000_000);
            Timestamp::from_micros(now.micros().div_euclid(length).saturating_mul(length))
        })
    }

    /// Returns when the window that holds `now` ends, or `None` when it never does.
    #[must_use]
    pub fn window_end(&self, now: Timestamp) -> Option<Timestamp> {
        let duration = self.duration?;
        Some(self.window_start(now).plus_seconds(duration.seconds()))
    }
}

/// A budget that a call is charged to: the scope, and the window in which it was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Whose budget.
    pub scope: BudgetScope,
    /// The start of the window.
    pub window_start: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown_in_the_largest_unit() {
        for (text, shown) in [
            ("30s", "30s"),
            ("90m", "90m"),
            ("120m", "2h"),
            ("24h", "1d"),
        ] {
            assert_eq!(text.parse::<BudgetDuration>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "d",
            "29s",
            "367d",
            "1w",
            "-1d",
            "1.5h",
            "99999999999999999999d",
            "+3d",
            "é",
        ] {
            assert_eq!(
                text.parse::<BudgetDuration>(),
                Err(BudgetDurationError),
                "{text}"
            );
        }
    }

    #[test]
    fn windows_lie_end_to_end() {
        let policy = BudgetPolicy {
            max_budget: Money::ZERO,
            duration: "1d".parse().ok(),
        };
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        assert_eq!(policy.window_start(now).to_string(), "2026-11-23T00:00:00Z");
        let end = policy.window_end(now).unwrap();
        assert_eq!(policy.window_start(end), end);
    }
}
