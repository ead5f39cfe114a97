//! HTTP/1.1 towards a provider: one request and one answer at a time on a connection.
//!
//! `head` and `body` are pure functions on bytes; `connection` moves the bytes; `timer` bounds the
//! waiting.

mod body;
mod connection;
mod head;
mod timer;

pub(crate) use self::body::{BodyDecoder, Piece};
pub(crate) use self::connection::{Connection, Deadline, ExchangeError, Io};
pub(crate) use self::head::{Framing, Head, parse_head};

/// What is wrong with the bytes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not HTTP/1.1: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);
