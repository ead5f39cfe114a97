//! Calls providers: an address, a credential and a transport behind one small trait.
//!
//! It must not know retries, routing or money: one call in, one answer or one error out.

mod upstream;

pub use self::upstream::{
    AnswerBody, ByteStream, CallFuture, Endpoint, Health, Phase, Upstream, UpstreamAnswer,
    UpstreamError, UpstreamRequest,
};
