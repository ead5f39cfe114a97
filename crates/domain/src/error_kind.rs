//! The kinds of error that a caller can act on.

/// What a caller can do about an error. Each crate's error type answers one of these; the server
/// turns it into a status once, in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is malformed or asks for what cannot be: change it.
    InvalidRequest,
    /// No credential, or one that is not valid: send another.
    Unauthenticated,
    /// The credential is valid but may not do this.
    Forbidden,
    /// What was named does not exist, or not for this caller.
    NotFound,
    /// It contradicts the present state, for example a name that is taken.
    Conflict,
    /// Larger than a stated bound.
    TooLarge,
    /// Too many requests or tokens in a time: wait and repeat.
    RateLimited,
    /// The budget is used up: repeating does not help.
    BudgetExceeded,
    /// A provider failed or answered nonsense.
    Upstream,
    /// A part that is needed is not there right now: repeat later.
    Unavailable,
    /// A provider or part did not answer in time.
    Timeout,
    /// A defect of Tollgate.
    Internal,
}
