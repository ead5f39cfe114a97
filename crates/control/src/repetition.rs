//! Requests that are repeated: done once, and answered alike.

use tollgate_auth::Principal;
use tollgate_domain::Timestamp;
use tollgate_store::{Begun, KeptAnswer, NamedRequest};
use tollgate_validation::IdempotencyKey;

use crate::control::Control;
use crate::error::ControlError;

/// How long an answer is kept, in seconds: a day.
pub const ANSWER_SECONDS: i64 = 86_400;

/// A request that its caller may repeat under a name.
#[derive(Debug, Clone)]
pub struct Repeatable {
    request: NamedRequest,
}

impl Repeatable {
    /// Makes it of who asks, under which name, and the SHA-256 of what is asked for.
    #[must_use]
    pub fn new(
        principal: &Principal,
        key: &IdempotencyKey,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Self {
        Self {
            request: NamedRequest {
                org_id: principal.org_id,
                actor: principal.actor,
                name: key.as_str().to_owned(),
                digest,
                expires_at: now.plus_seconds(ANSWER_SECONDS),
            },
        }
    }
}

impl Control {
    /// Does something once: when it was done under this name already, returns how that was answered, and
    /// `true` with it. Whoever answers for the first time says what is kept of the answer; what is not
    /// answered can be tried again.
    ///
    /// # Errors
    /// `Reused` when the name stands for something else; `Unfinished` when it is being done, or was begun
    /// by a process that ended since; what `run` fails with; a store's error.
    pub fn once<T>(
        &self,
        repeatable: &Repeatable,
        now: Timestamp,
        run: impl FnOnce(&Self) -> Result<T, ControlError>,
        keep: impl FnOnce(&T) -> KeptAnswer,
    ) -> Result<Once<T>, ControlError> {
        let request = &repeatable.request;
        match self.store.begin_request(request, now)? {
            Begun::First => {}
            Begun::Unfinished => return Err(ControlError::Unfinished),
            Begun::Different => return Err(ControlError::Reused),
            Begun::Answered(answer) => return Ok(Once::Again(answer)),
        }
        match run(self) {
            Ok(done) => {
                // It is done, and an answer that says otherwise would have it done again: without what
                // is kept of it, a repetition is told that the end is not known.
                let _kept = self.store.finish_request(request, &keep(&done));
                Ok(Once::First(done))
            }
            Err(error) => {
                let _forgotten = self.store.forget_request(request);
                Err(error)
            }
        }
    }
}

/// How something that is done once went.
#[derive(Debug)]
pub enum Once<T> {
    /// It was done now.
    First(T),
    /// It was done before, and answered like this.
    Again(KeptAnswer),
}
