//! What callers of the control plane send.

use garde::Validate;
use serde::{Deserialize, Deserializer};
use tollgate_domain::{BudgetDuration, Money, Role, Timestamp};

use crate::rules;

/// The most entries of a list of models.
const MODELS_MAX: usize = 256;

/// The largest limit of requests or tokens in a minute, or of requests at once.
const LIMIT_MAX: u32 = 10_000_000;

/// An API key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    /// What people call it.
    #[garde(custom(rules::name))]
    pub name: String,
    /// What it may do; absent is the least.
    #[garde(skip)]
    pub role: Option<Role>,
    /// The models it may call; empty allows all. A trailing `*` matches any ending.
    #[serde(default)]
    #[garde(length(max = MODELS_MAX), inner(custom(rules::model_pattern)))]
    pub models: Vec<String>,
    /// Requests per minute.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub rpm_limit: Option<u32>,
    /// Tokens per minute.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub tpm_limit: Option<u32>,
    /// Requests at once.
    #[garde(range(min = 1, max = LIMIT_MAX))]
    pub max_parallel_requests: Option<u32>,
    /// US dollars per window.
    #[garde(inner(custom(rules::budget)))]
    pub max_budget: Option<Money>,
    /// The window's length; absent counts from the beginning of time.
    #[garde(custom(needs_budget(&self.max_budget)))]
    pub budget_duration: Option<BudgetDuration>,
    /// From when on it is refused.
    #[garde(skip)]
    pub expires_at: Option<Timestamp>,
}

/// What is to change of an organization: a value sets a field, `null` removes it, absence leaves it
/// as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct OrganizationChange {
    /// Its name.
    #[garde(inner(custom(rules::name)))]
    pub name: Option<String>,
    /// Requests per minute, over all keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub rpm_limit: Option<Option<u32>>,
    /// Tokens per minute, over all keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub tpm_limit: Option<Option<u32>>,
    /// Requests at once, over all keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(range(min = 1, max = LIMIT_MAX)))]
    pub max_parallel_requests: Option<Option<u32>>,
    /// US dollars per window, over all keys.
    #[serde(deserialize_with = "given")]
    #[garde(inner(inner(custom(rules::budget))))]
    pub max_budget: Option<Option<Money>>,
    /// The window's length.
    #[serde(deserialize_with = "given")]
    #[garde(skip)]
    pub budget_duration: Option<Option<BudgetDuration>>,
}

fn needs_budget(
    max_budget: &Option<Money>,
) -> impl FnOnce(&Option<BudgetDuration>, &()) -> garde::Result + '_ {
    move |duration, _context| {
        if duration.is_some() && max_budget.is_none() {
            return Err(garde::Error::new("needs a max_budget"));
        }
        Ok(())
    }
}

/// Reads a field that is there, so that null is told from absence.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
