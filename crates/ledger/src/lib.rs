//! Exact books for paid calls: a crash-safe journal, reservations against budgets, prices, and the
//! drain to a store.
//!
//! A call reserves what it may cost before it is made and settles what it did cost before its last
//! byte is passed on. What is settled survives `kill -9` at any instant, is booked in the store once,
//! and what is reserved never exceeds a budget. It must not know providers, HTTP or SQL.
//!
//! # How it works
//!
//! - Each worker of a server has its own [`JournalWriter`] and writes its own segment files, with one
//!   plain write each for a tick's reservations and for a settled call. No thread is handed anything.
//! - One thread forces the segments to the disk, one books them in the store in batches and deletes
//!   them. Neither is waited for, except for [`Durability::Power`].
//! - [`Ledger::open`] books what an earlier process left, each attempt once, however often it is
//!   repeated. An attempt without an end is charged with what is known of it.
//! - A segment that gave an error is never written again; what may not have reached the disk is
//!   written to another. When no file can be written, nothing is admitted, and what is under way
//!   settles into the space of a ballast file that is then given up.
//!
//! # Embedding
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, SystemTime};
//!
//! use tollgate_domain::*;
//! use tollgate_ledger::{AttemptDraft, Ledger, LedgerConfig, Outcome, PriceTable};
//! use tollgate_store::MemoryStore;
//!
//! fn now() -> Timestamp {
//!     SystemTime::now().into()
//! }
//!
//! # let dir = std::env::temp_dir().join(format!("tollgate-ledger-doc-{}", std::process::id()));
//! # let config = LedgerConfig { journal_dir: dir.clone(), ballast_bytes: 0, ..LedgerConfig::default() };
//! // let config = LedgerConfig { journal_dir: "data/journal".into(), ..LedgerConfig::default() };
//! let (ledger, _recovered) = Ledger::open(config, Arc::new(MemoryStore::default()), now)?;
//! let writer = ledger.writer()?;
//!
//! let (org_id, key_id) = (OrgId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
//! let budget = BudgetPolicy { max_budget: "0.01".parse()?, duration: Some("1d".parse()?) };
//! let org = ledger.account(BudgetScope::Org(org_id), Some(budget))?;
//! let key = ledger.account(BudgetScope::Key(key_id), None)?;
//!
//! let prices = PriceTable::built_in()?;
//! let model = prices.lookup("gpt-4o-mini-2024-07-18").ok_or("no price")?;
//! let draft = AttemptDraft {
//!     attempt_id: AttemptId::from_bytes([3; 16]),
//!     request_id: RequestId::from_bytes([4; 16]),
//!     attempt: 1,
//!     org_id,
//!     key_id,
//!     surface: Surface::ChatCompletions,
//!     model: "small".into(),
//!     provider: "openai".into(),
//!     upstream_model: "gpt-4o-mini-2024-07-18".into(),
//!     started_at: now(),
//!     price: model.price,
//!     long_context: model.long_context,
//!     price_version: model.version.clone(),
//!     prompt_tokens_known: 900,
//! };
//! let reservation = writer.reserve(draft, &org, &key, model.worst_cost(1_000, 500)?)?;
//! // … the call …
//! let settled = reservation.settle(Outcome {
//!     usage: Usage { input: 1_000, output: 200, ..Usage::default() },
//!     provenance: Provenance::Provider,
//!     state: TerminalState::Ok,
//!     upstream_status: Some(200),
//!     latency_us: 850_000,
//!     first_token_us: None,
//!     is_final: true,
//! });
//! assert_eq!(settled.cost, "0.00027".parse()?);
//! assert_eq!(org.balance(now()).ok_or("no budget")?.spent, settled.cost);
//! assert!(ledger.close(Duration::from_secs(5)));
//! # std::fs::remove_dir_all(dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod booking;
mod books;
mod codec;
mod config;
mod disk;
mod drain;
mod error;
#[cfg(test)]
mod faults;
mod journal;
mod ledger;
mod prices;
mod recovery;
mod reservation;
mod segment;
mod sync;
#[cfg(test)]
mod testing;
mod verify;
mod writer;

pub use self::books::{Account, Balance};
pub use self::config::{Durability, LedgerConfig};
pub use self::error::LedgerError;
pub use self::journal::{Backlog, JournalHealth};
pub use self::ledger::Ledger;
pub use self::prices::{LongContext, Mode, PriceError, PriceTable, PricedModel};
pub use self::recovery::Recovery;
pub use self::reservation::{AttemptDraft, Outcome, Reservation, Settled};
pub use self::verify::{Difference, VerifyReport};
pub use self::writer::JournalWriter;
