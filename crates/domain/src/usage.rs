//! What a call used.

use serde::{Deserialize, Serialize};

/// Tokens by what they are billed as. The buckets are disjoint: no token is in two of them.
///
/// Providers report overlapping figures, each in its own way; the `wire` crate normalises them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens that are in no other bucket.
    pub input: u64,
    /// Prompt tokens read from the provider's prompt cache.
    pub cached_input: u64,
    /// Prompt tokens written to the provider's prompt cache.
    pub cache_write: u64,
    /// Prompt tokens that are audio.
    pub audio_input: u64,
    /// Answer tokens that are in no other bucket.
    pub output: u64,
    /// Answer tokens spent on reasoning.
    pub reasoning: u64,
    /// Answer tokens that are audio.
    pub audio_output: u64,
}

impl Usage {
    /// Nothing.
    pub const ZERO: Self = Self {
        input: 0,
        cached_input: 0,
        cache_write: 0,
        audio_input: 0,
        output: 0,
        reasoning: 0,
        audio_output: 0,
    };

    /// The largest count that one bucket of one call is believed: more than any provider's context.
    pub const BUCKET_MAX: u64 = 100_000_000;

    /// Returns the buckets of the prompt, summed.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        [
            self.input,
            self.cached_input,
            self.cache_write,
            self.audio_input,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Returns the buckets of the answer, summed.
    #[must_use]
    pub fn answer_tokens(&self) -> u64 {
        [self.output, self.reasoning, self.audio_output]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Returns all buckets, summed.
    #[must_use]
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens().saturating_add(self.answer_tokens())
    }

    /// Returns whether nothing was used.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.total_tokens() == 0
    }

    /// Returns the sum of both, bucket by bucket.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_output: self.audio_output.saturating_add(other.audio_output),
        }
    }
}

/// By what usage is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageGroup {
    /// By API key id.
    Key,
    /// By the model that clients asked for.
    Model,
    /// By day in UTC.
    Day,
}
