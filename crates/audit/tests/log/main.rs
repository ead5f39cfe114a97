//! A log: what its seals and signatures are, and that no change of it goes unseen.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "what cannot be set up fails its test; numbers of entries are small"
)]

mod entries;
mod golden;
mod mutate;
mod mutations;
mod random;
mod records;
mod verifier;
