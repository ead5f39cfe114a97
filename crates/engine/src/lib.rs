//! The life of a request, from its credential to its bill.
//!
//! A [`Worker`] takes an [`Inbound`] call through one admission path (authenticate, parse, authorize,
//! limit, reserve), calls providers under breakers, deadlines and one retry budget, and settles what
//! was used before the last byte leaves. It must not know actix or SQL, and embeds without HTTP: a
//! service with its own front end makes an [`Engine`], a [`Worker`] per thread, and hands over bodies.
//!
//! ```no_run
//! # async fn embed(worker: &tollgate_engine::Worker, key: tollgate_auth::KeyText, body: bytes::Bytes) {
//! use tollgate_engine::{Inbound, ReplyBody};
//!
//! let reply = worker.chat(Inbound::new(Ok(key), body)).await;
//! if let ReplyBody::Whole(json) = reply.body {
//!     println!("{} {}", reply.status, String::from_utf8_lossy(&json));
//! }
//! # }
//! ```

mod admission;
mod asked;
mod attempts;
mod callers;
mod catalog;
mod clock;
mod error;
mod limits;
mod opened;
mod record;
mod reply;
mod rights;
mod stream;
mod worker;

pub use self::callers::{Caller, Callers};
pub use self::catalog::{Catalog, CatalogError, ModelConfig, Target, TargetConfig, UnknownPrice};
pub use self::clock::now;
pub use self::error::EngineError;
pub use self::limits::{Rate, Rates};
pub use self::record::{AttemptRecord, Finish, RequestRecord};
pub use self::reply::{Identity, Inbound, Reply, ReplyBody, status_of};
pub use self::rights::rights_of_user;
pub use self::stream::AnswerStream;
pub use self::worker::{Engine, EngineConfig, Worker};
