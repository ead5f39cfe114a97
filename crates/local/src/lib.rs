//! A provider that runs a small chat model in the process: no account, no network, no GPU.
//!
//! [`LocalModel`] is an [`Upstream`](tollgate_providers::Upstream) that speaks the `OpenAI` chat
//! dialect. It reads a GGUF file of a llama, such as `SmolLM2`, with the tokens and the chat
//! template that the file itself holds, and computes on the CPU. It knows what a provider is, and
//! nothing else of a gateway: who calls, what it costs and which model was asked for are not its
//! business.
//!
//! What it does not offer (tools, structured output, log probabilities, images, more than one
//! choice, embeddings) it refuses by the name of the field.
//!
//! # Embedding it
//!
//! ```
//! use tollgate_local::{LocalConfig, LocalModel};
//! use tollgate_providers::{Endpoint, Health, Upstream, UpstreamError, UpstreamRequest};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let model = LocalModel::new(LocalConfig::new("no/such.gguf", "smollm2-135m"));
//! assert!(matches!(model.health(), Health::Failed { .. }));
//!
//! let request = UpstreamRequest {
//!     endpoint: Endpoint::ChatCompletions,
//!     body: r#"{"messages": [{"role": "user", "content": "What is the capital of France?"}]}"#.into(),
//!     is_stream: false,
//!     trace_parent: None,
//!     deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(30),
//! };
//! // With a file in its place, this is the answer.
//! let Err(UpstreamError::NotReady { advice }) = model.call(request).await else {
//!     panic!("there is no file");
//! };
//! assert!(advice.starts_with("there is no model at no/such.gguf"));
//! # }
//! ```
//!
//! # What it costs
//!
//! Weights are kept with 8 bits, whatever the file has: with `SmolLM2-135M` loaded a process takes
//! about 190 MiB, and 45 KiB more for each token of the one call that is being answered. Compile
//! for `x86-64-v3` or better (`-C target-cpu`): without its vector instructions all of this is
//! several times slower. `examples/bench_local.rs` prints what a machine makes of it.

mod chat;
mod config;
mod fields;
mod llama;
mod loaded;
mod matrix;
mod message;
mod model;
mod model_file;
mod numbers;
mod positions;
mod queue;
mod refusal;
mod reply;
mod sample;
mod template;
mod text;
mod vocabulary;
mod worker;

#[cfg(test)]
#[path = "../tests/fetched/mod.rs"]
mod fetched;

pub use self::config::LocalConfig;
pub use self::model::LocalModel;
