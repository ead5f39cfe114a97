//! Calls providers: an address, a credential and a transport behind one small trait.
//!
//! It must not know retries, routing or money: one call in, one answer or one error out.
//!
//! # Embedding
//!
//! Anything that answers calls is an [`Upstream`]: [`HttpProvider`], or a model of one's own. Only who
//! holds the [`Gate`] of the [`Providers`] can call them:
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::StatusCode;
//! use tokio::time::{Duration, Instant};
//! use tollgate_providers::{
//!     AnswerBody, AnswerHeaders, CallFuture, Endpoint, Providers, Upstream, UpstreamAnswer,
//!     UpstreamRequest,
//! };
//!
//! /// Answers every call with what it was asked.
//! #[derive(Debug)]
//! struct Echo;
//!
//! impl Upstream for Echo {
//!     fn call(&self, request: UpstreamRequest) -> CallFuture<'_> {
//!         let body = AnswerBody::Whole(request.body);
//!         let headers = AnswerHeaders::content_type("application/json");
//!         let answer = UpstreamAnswer { status: StatusCode::OK, headers, body };
//!         Box::pin(async { Ok(answer) })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (providers, gate) = Providers::new(vec![Arc::new(Echo)]);
//! // … whatever has to be checked before a call …
//! let request = UpstreamRequest {
//!     endpoint: Endpoint::ChatCompletions,
//!     body: Bytes::from_static(b"{}"),
//!     is_stream: false,
//!     trace_parent: None,
//!     deadline: Instant::now() + Duration::from_secs(30),
//! };
//! let call = providers.call(&gate.admit(), 0, request).ok_or("no such provider")?;
//! assert_eq!(call.await?.status, StatusCode::OK);
//! # Ok(())
//! # }
//! ```

mod connect;
#[cfg(fuzzing)]
pub mod fuzz;
mod h1;
mod headers;
mod http;
mod own_calls;
mod pool;
mod set;
mod upstream;

pub use self::connect::OriginError;
pub use self::headers::{AnswerHeader, AnswerHeaders};
pub use self::http::{HttpLimits, HttpProvider};
pub use self::own_calls::list_models;
pub use self::set::{Admitted, Gate, Providers};
pub use self::upstream::{
    AnswerBody, ByteStream, CallFuture, Endpoint, Health, Phase, Upstream, UpstreamAnswer,
    UpstreamError, UpstreamRequest,
};
