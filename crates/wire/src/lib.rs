//! The OpenAI dialect as pure functions on bytes.
//!
//! What a gateway must know of a request, an answer or a stream is read in one pass, and what it
//! must change is spliced in; all other bytes stay as they are, so that fields nobody here has heard
//! of survive in both directions. It must not know sockets or credentials, and nothing here waits.
//!
//! # Embedding
//!
//! A service between a client and a provider, which asks for usage on the client's behalf:
//!
//! ```
//! use bytes::Bytes;
//! use tollgate_wire::{ChatEdits, ChatEnvelope, JsonLimits, StreamDecoder, StreamEnd};
//!
//! let body = Bytes::from_static(
//!     br#"{"model":"fast","messages":[{"role":"user","content":"Hi"}],"stream":true}"#,
//! );
//! let chat = ChatEnvelope::parse(&body, &JsonLimits::default())?;
//! assert_eq!(chat.model(), "fast");
//!
//! let edits = ChatEdits { model: "gpt-4o-mini", ask_usage: true, output_tokens_max: None };
//! assert_eq!(
//!     chat.upstream_body(&body, &edits),
//!     r#"{"stream_options":{"include_usage":true},"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"stream":true}"#,
//! );
//!
//! // What the provider answers, in whatever pieces it comes.
//! let answer = [
//!     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n",
//!     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1}}\n\nda",
//!     "ta: [DONE]\n\n",
//! ];
//! let mut decoder = StreamDecoder::new(!chat.wants_usage());
//! let mut forwarded = Vec::new();
//! for chunk in answer {
//!     forwarded.extend(decoder.push(Bytes::from_static(chunk.as_bytes()))?);
//! }
//! assert_eq!(decoder.usage().map(|usage| usage.input), Some(8));
//! assert_eq!(decoder.end(), StreamEnd::Complete);
//! // Here the call is booked; then the last event may leave.
//! forwarded.extend(decoder.done_event());
//! assert_eq!(forwarded, [answer[0], "data: [DONE]\n\n"].concat().as_bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod chat;
mod embeddings;
mod error;
mod error_body;
mod fields;
mod json;
mod media;
mod models;
mod splice;
mod stream;
mod upstream_error;
mod usage;

pub use self::answer::{AnswerFacts, read_answer};
pub use self::chat::{ChatEdits, ChatEnvelope};
pub use self::embeddings::EmbeddingsEnvelope;
pub use self::error::{Position, WireError};
pub use self::error_body::{ErrorBody, error_body, error_event};
pub use self::json::JsonLimits;
pub use self::models::{model_object, models_list};
pub use self::stream::{StreamDecoder, StreamEnd, StreamError};
pub use self::upstream_error::{UpstreamErrorFacts, is_context_overflow, read_error};
