//! What callers are shown.

use serde::Serialize;
use tollgate_domain::{ApiKey, BudgetDuration, KeyId, Money, RoleRef, Timestamp};
use tollgate_store::{UsageGroup, UsageRow};

/// An API key, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct KeyView {
    /// Which key.
    pub id: KeyId,
    /// The part that may be shown and logged.
    pub public_id: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: RoleRef,
    /// The models it may call; empty is all.
    pub models: Vec<String>,
    /// Requests per minute.
    pub rpm_limit: Option<u32>,
    /// Tokens per minute.
    pub tpm_limit: Option<u32>,
    /// Requests at once.
    pub max_parallel_requests: Option<u32>,
    /// US dollars per window.
    pub max_budget: Option<Money>,
    /// The window's length.
    pub budget_duration: Option<BudgetDuration>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            public_id: key.public_id,
            name: key.name,
            role: key.role,
            models: key.models,
            rpm_limit: key.limits.rpm_limit,
            tpm_limit: key.limits.tpm_limit,
            max_parallel_requests: key.limits.max_parallel_requests,
            max_budget: key.budget.map(|budget| budget.max_budget),
            budget_duration: key.budget.and_then(|budget| budget.duration),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}

/// A key that was just made: the only time its text is shown.
#[derive(Serialize)]
pub struct CreatedKey {
    /// The whole key.
    pub key: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub view: KeyView,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    /// What is on it.
    pub data: Vec<T>,
    /// What to pass as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of up to `limit` out of up to one more, which shows that there is a next one.
    pub(crate) fn cut(mut data: Vec<T>, limit: u16, cursor: impl Fn(&T) -> String) -> Self {
        let has_more = data.len() > usize::from(limit);
        data.truncate(usize::from(limit));
        let next_cursor = data.last().filter(|_| has_more).map(cursor);
        Self { data, next_cursor }
    }
}

/// What one group used. Token counts are disjoint: no token is in two of them.
#[derive(Debug, Clone, Serialize)]
pub struct UsageView {
    /// The key, when grouped by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The model, when grouped by model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The day in UTC, when grouped by day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// Requests.
    pub requests: u64,
    /// Upstream calls.
    pub attempts: u64,
    /// Upstream calls that did not end well.
    pub errors: u64,
    /// Plain prompt tokens.
    pub input_tokens: u64,
    /// Prompt tokens read from a provider's cache.
    pub cached_input_tokens: u64,
    /// Prompt tokens written to a provider's cache.
    pub cache_write_tokens: u64,
    /// Audio in the prompt.
    pub audio_input_tokens: u64,
    /// Plain answer tokens.
    pub output_tokens: u64,
    /// Reasoning tokens.
    pub reasoning_tokens: u64,
    /// Audio in the answer.
    pub audio_output_tokens: u64,
    /// What it cost in US dollars.
    pub cost_usd: Money,
}

impl UsageView {
    pub(crate) fn new(row: &UsageRow, group_by: UsageGroup) -> Self {
        let group = |wanted: UsageGroup| (group_by == wanted).then(|| row.group.clone());
        Self {
            key: group(UsageGroup::Key),
            model: group(UsageGroup::Model),
            day: group(UsageGroup::Day),
            requests: row.requests,
            attempts: row.attempts,
            errors: row.errors,
            input_tokens: row.usage.input,
            cached_input_tokens: row.usage.cached_input,
            cache_write_tokens: row.usage.cache_write,
            audio_input_tokens: row.usage.audio_input,
            output_tokens: row.usage.output,
            reasoning_tokens: row.usage.reasoning,
            audio_output_tokens: row.usage.audio_output,
            cost_usd: row.cost,
        }
    }
}
