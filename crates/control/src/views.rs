//! What callers are shown.

use serde::Serialize;
use tollgate_domain::Money;
use tollgate_store::{UsageGroup, UsageRow};

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
