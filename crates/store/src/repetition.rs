//! Requests that their callers may repeat, and how they were answered.

use std::fmt;

use tollgate_domain::{Actor, OrgId, Timestamp};

use crate::check::NAME_BYTES_MAX;
use crate::error::StoreError;

/// The longest answer that is kept, in bytes: 64 KiB.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A request that its caller has given a name, to repeat it without having it done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRequest {
    /// The caller's organization.
    pub org_id: OrgId,
    /// The caller: names are each caller's own.
    pub actor: Actor,
    /// The name.
    pub name: String,
    /// SHA-256 of what is asked for.
    pub digest: [u8; 32],
    /// From when on the name is free again.
    pub expires_at: Timestamp,
}

/// How a request was answered, without what is shown only once.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body; up to [`ANSWER_BYTES_MAX`].
    pub body: String,
}

/// Bodies may name people: they are not for logs.
impl fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptAnswer")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// What is known of a request that is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: it is to be done now, and nobody else does it.
    First,
    /// It was begun, and how it ends is not known.
    Unfinished,
    /// It was done and answered like this.
    Answered(KeptAnswer),
    /// The name stands for something else.
    Different,
}

/// Keeps what was answered to requests with names.
pub trait RepetitionStore: Send + Sync {
    /// Takes the name for a request, unless it is taken and has not expired at `now`: of several that
    /// begin at once, one is first. Names of the organization that have expired are forgotten.
    ///
    /// # Errors
    /// `Invalid` when the name cannot be kept.
    fn begin_request(&self, request: &NamedRequest, now: Timestamp) -> Result<Begun, StoreError>;

    /// Keeps the answer of a request that was begun and has none; otherwise changes nothing.
    ///
    /// # Errors
    /// `Invalid` when the answer cannot be kept.
    fn finish_request(&self, request: &NamedRequest, answer: &KeptAnswer)
    -> Result<(), StoreError>;

    /// Gives the name of a request free that was begun and has no answer; otherwise changes nothing.
    ///
    /// # Errors
    /// When the backend fails.
    fn forget_request(&self, request: &NamedRequest) -> Result<(), StoreError>;
}

/// Returns whether a request can be kept by every backend.
///
/// # Errors
/// `Invalid` when its name is longer than [`NAME_BYTES_MAX`] or holds a NUL.
pub fn check_named_request(request: &NamedRequest) -> Result<(), StoreError> {
    if request.name.len() > NAME_BYTES_MAX || request.name.contains('\0') {
        let what = "the name of a request";
        return Err(StoreError::Invalid { what });
    }
    Ok(())
}

/// Returns whether an answer can be kept by every backend.
///
/// # Errors
/// `Invalid` when it is longer than [`ANSWER_BYTES_MAX`] or holds a NUL.
pub fn check_answer(answer: &KeptAnswer) -> Result<(), StoreError> {
    if answer.body.len() > ANSWER_BYTES_MAX || answer.body.contains('\0') {
        let what = "the answer of a request";
        return Err(StoreError::Invalid { what });
    }
    Ok(())
}
