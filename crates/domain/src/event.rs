//! Usage events: what one upstream attempt used and cost, and how it ended.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::budget::Charge;
use crate::ids::{AttemptId, KeyId, OrgId, RequestId};
use crate::money::Money;
use crate::time::Timestamp;
use crate::usage::Usage;

/// A text is none of an enumeration's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what}")]
pub struct UnknownName {
    /// What the text should have named.
    pub what: &'static str,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Returns the name used in the API, the database, metrics and logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(UnknownName { what: $what }),
                }
            }
        }
    };
}

named! {
    /// How an attempt ended. Every attempt has exactly one.
    TerminalState, "terminal state" {
        /// The answer arrived whole.
        Ok = "ok",
        /// The provider failed, refused or could not be reached.
        UpstreamError = "upstream_error",
        /// The client left before the end.
        ClientGone = "client_gone",
        /// The provider's stream broke off.
        Cut = "cut",
        /// The process died before the end was known.
        Unknown = "unknown",
    }
}

named! {
    /// Where the figures of a usage come from.
    Provenance, "provenance" {
        /// The provider reported them.
        Provider = "provider",
        /// Counted or bounded by Tollgate, because the provider said nothing.
        Estimated = "estimated",
        /// What was seen before the attempt broke off.
        Partial = "partial",
        /// Nothing is known to have been used.
        Missing = "missing",
    }
}

named! {
    /// The inbound API that a request used.
    Surface, "surface" {
        /// `POST /v1/chat/completions`.
        ChatCompletions = "chat_completions",
        /// `POST /v1/embeddings`.
        Embeddings = "embeddings",
    }
}

/// What one upstream attempt used and cost: a row of the books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageEvent {
    /// Which attempt; made by Tollgate, unique for ever.
    pub attempt_id: AttemptId,
    /// The request it belongs to.
    pub request_id: RequestId,
    /// The attempt's place within the request, from 1.
    pub attempt: u16,
    /// Whether no further attempt followed: requests are counted by these.
    pub is_final: bool,
    /// Whose it is.
    pub org_id: OrgId,
    /// The API key that was used.
    pub key_id: KeyId,
    /// The inbound API.
    pub surface: Surface,
    /// The model that the client asked for.
    pub model: Arc<str>,
    /// The provider that was called.
    pub provider: Arc<str>,
    /// The model that the provider was asked for.
    pub upstream_model: Arc<str>,
    /// When the attempt began.
    pub started_at: Timestamp,
    /// From its beginning to its end, in microseconds.
    pub latency_us: u64,
    /// To the first content of a stream, in microseconds.
    pub first_token_us: Option<u64>,
    /// The tokens, by bucket.
    pub usage: Usage,
    /// Where the figures come from.
    pub provenance: Provenance,
    /// What it cost the caller.
    pub cost: Money,
    /// Which price list the cost was computed with.
    pub price_version: Arc<str>,
    /// How it ended.
    pub state: TerminalState,
    /// The status that the provider answered, when it did.
    pub upstream_status: Option<u16>,
    /// The budget of the organization that it is charged to.
    pub org_charge: Option<Charge>,
    /// The budget of the key that it is charged to.
    pub key_charge: Option<Charge>,
}

impl UsageEvent {
    /// Returns the budgets that the cost is charged to.
    pub fn charges(&self) -> impl Iterator<Item = Charge> {
        self.org_charge.into_iter().chain(self.key_charge)
    }
}
