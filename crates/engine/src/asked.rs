//! What a request asks for, whichever surface it came in by.

use bytes::Bytes;
use tollgate_domain::Surface;
use tollgate_providers::Endpoint;
use tollgate_wire::{ChatEdits, ChatEnvelope, EmbeddingsEnvelope, JsonLimits, WireError};

/// The parsed envelope of a request.
#[derive(Debug)]
pub(crate) enum Asked {
    Chat(ChatEnvelope),
    Embeddings(EmbeddingsEnvelope),
}

impl Asked {
    pub(crate) fn parse(
        surface: Surface,
        body: &[u8],
        limits: &JsonLimits,
    ) -> Result<Self, WireError> {
        match surface {
            Surface::ChatCompletions => ChatEnvelope::parse(body, limits).map(Self::Chat),
            Surface::Embeddings => EmbeddingsEnvelope::parse(body, limits).map(Self::Embeddings),
        }
    }

    pub(crate) const fn endpoint(&self) -> Endpoint {
        match self {
            Self::Chat(_) => Endpoint::ChatCompletions,
            Self::Embeddings(_) => Endpoint::Embeddings,
        }
    }

    pub(crate) fn model(&self) -> &str {
        match self {
            Self::Chat(chat) => chat.model(),
            Self::Embeddings(embeddings) => embeddings.model(),
        }
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Chat(chat) if chat.is_stream())
    }

    /// Whether usage must be asked for on the client's behalf, and its event kept from the client.
    pub(crate) fn hides_usage(&self) -> bool {
        matches!(self, Self::Chat(chat) if chat.is_stream() && !chat.wants_usage())
    }

    pub(crate) fn prompt_tokens_bound(&self) -> u64 {
        match self {
            Self::Chat(chat) => chat.prompt_tokens_bound(),
            Self::Embeddings(embeddings) => embeddings.prompt_tokens_bound(),
        }
    }

    pub(crate) fn prompt_tokens_estimate(&self) -> u64 {
        match self {
            Self::Chat(chat) => chat.prompt_tokens_estimate(),
            Self::Embeddings(embeddings) => embeddings.prompt_tokens_estimate(),
        }
    }

    /// The most answer tokens per choice that the client asked for.
    pub(crate) fn output_tokens_max(&self) -> Option<u64> {
        match self {
            Self::Chat(chat) => chat.output_tokens_max(),
            Self::Embeddings(_) => Some(0),
        }
    }

    pub(crate) fn choices(&self) -> u64 {
        match self {
            Self::Chat(chat) => u64::from(chat.choices()),
            Self::Embeddings(_) => 1,
        }
    }

    /// The body for the provider: the client's bytes with only the edits that must be.
    pub(crate) fn upstream_body(
        &self,
        body: &Bytes,
        model: &str,
        output_tokens_max: Option<u64>,
    ) -> Bytes {
        match self {
            Self::Chat(chat) => {
                let edits = ChatEdits {
                    model,
                    ask_usage: self.hides_usage(),
                    output_tokens_max,
                };
                chat.upstream_body(body, &edits)
            }
            Self::Embeddings(embeddings) => embeddings.upstream_body(body, model),
        }
    }
}
