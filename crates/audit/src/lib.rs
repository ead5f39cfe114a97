//! A log that shows when it was changed.
//!
//! Each entry of a chain carries a seal: a MAC over all of it and the seal before ([`Sealer`]). Now and
//! then a [`Notary`] signs how far a chain has come: a [`Checkpoint`], one line that is kept where those
//! who can write to the database cannot. A [`Verifier`] reads a chain in order and says where it is first
//! broken, and why. It must not know where entries are kept, SQL or HTTP.
//!
//! # What is found out, and what is not
//!
//! | who | what they can do unseen |
//! |---|---|
//! | whoever can write to the database, but has no master key | nothing up to the last checkpoint; cut off what follows it |
//! | whoever can also delete the checkpoints that are kept elsewhere | cut a chain off at any entry, and nothing else |
//! | whoever has the running process or the master key | write what they like behind the last checkpoint that has left their reach; nothing before it, except that they can sign that the beginning was pruned, which [`Verified::pruned_seq`] tells |
//!
//! An entry that was never written is in no chain: entries are written in the transaction of the change
//! that they tell of.
//!
//! # Embedding
//!
//! ```
//! use tollgate_audit::{Notary, RootKey, Sealer, Verifier, verify_checkpoint};
//! use tollgate_domain::{Actor, AuditDraft, AuditOutcome, DIGEST_BYTES, Timestamp};
//!
//! let root = RootKey::generate()?; // kept in the vault
//! let sealer = Sealer::derive(&root)?;
//! let draft = AuditDraft {
//!     org_id: None,
//!     at: Timestamp::from_micros(1_790_000_000_000_000),
//!     actor: Actor::System,
//!     action: "key.create",
//!     object: "key_1".to_owned(),
//!     outcome: AuditOutcome::Done,
//!     request_id: String::new(),
//!     client_ip: None,
//!     before: None,
//!     after: None,
//!     details: "role".to_owned(),
//! };
//! let mut entry = draft.follow(1, [0; DIGEST_BYTES]);
//! entry.seal = sealer.seal(&entry);
//!
//! let notary = Notary::derive(&root)?;
//! let line = notary.checkpoint(&entry, entry.at)?.to_string(); // goes to another machine
//!
//! let mut verifier = Verifier::new(&sealer, None);
//! verifier.expect(verify_checkpoint(&line, &notary.public_key())?)?;
//! verifier.push(&entry)?;
//! assert_eq!(verifier.finish()?.entries, 1);
//!
//! let mut verifier = Verifier::new(&sealer, None);
//! verifier.expect(verify_checkpoint(&line, &notary.public_key())?)?;
//! entry.object = "key_2".to_owned();
//! let broken = verifier.push(&entry).unwrap_err();
//! assert_eq!(broken.to_string(), "entry 1: the seal does not fit");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod canonical;
mod digest;
mod error;
mod notary;
mod record;
mod sealer;
mod verifier;

pub use self::canonical::canonical_bytes;
pub use self::digest::digest_of;
pub use self::error::{AuditError, Broken, Fault, RecordError};
pub use self::notary::{Notary, NotaryKey};
pub use self::record::{Checkpoint, Pruned, RECORD_BYTES_MAX, verify_checkpoint, verify_pruned};
pub use self::sealer::{ROOT_KEY_BYTES, RootKey, Sealer};
pub use self::verifier::{Verified, Verifier};
