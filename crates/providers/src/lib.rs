//! Calls providers: an address, a credential and a transport behind one small trait.
//!
//! It must not know retries, routing or money: one call in, one answer or one error out.

mod connect;
mod http;
mod own_calls;
mod pool;
mod set;
mod upstream;

pub use self::connect::OriginError;
pub use self::http::{HttpLimits, HttpProvider};
pub use self::own_calls::list_models;
pub use self::set::{Admitted, Gate, Providers};
pub use self::upstream::{
    AnswerBody, ByteStream, CallFuture, Endpoint, Health, Phase, Upstream, UpstreamAnswer,
    UpstreamError, UpstreamRequest,
};
