//! Requests with names in memory.

use tollgate_domain::{Actor, OrgId, Timestamp};

use crate::error::StoreError;
use crate::memory::MemoryStore;
use crate::repetition::{
    Begun, KeptAnswer, NamedRequest, RepetitionStore, check_answer, check_named_request,
};

/// A request that was begun, and its answer.
#[derive(Debug)]
pub(super) struct BegunRequest {
    digest: [u8; 32],
    expires_at: Timestamp,
    answer: Option<KeptAnswer>,
}

/// Whose name it is.
pub(super) type RequestName = (OrgId, Actor, String);

fn name_of(request: &NamedRequest) -> RequestName {
    (request.org_id, request.actor, request.name.clone())
}

impl RepetitionStore for MemoryStore {
    fn begin_request(&self, request: &NamedRequest, now: Timestamp) -> Result<Begun, StoreError> {
        check_named_request(request)?;
        let mut state = self.state.lock();
        let is_kept = |(org, _, _): &RequestName, begun: &mut BegunRequest| {
            *org != request.org_id || now < begun.expires_at
        };
        state.requests.retain(is_kept);
        if let Some(begun) = state.requests.get(&name_of(request)) {
            return Ok(match &begun.answer {
                _ if begun.digest != request.digest => Begun::Different,
                None => Begun::Unfinished,
                Some(answer) => Begun::Answered(answer.clone()),
            });
        }
        let begun = BegunRequest {
            digest: request.digest,
            expires_at: request.expires_at,
            answer: None,
        };
        state.requests.insert(name_of(request), begun);
        Ok(Begun::First)
    }

    fn finish_request(
        &self,
        request: &NamedRequest,
        answer: &KeptAnswer,
    ) -> Result<(), StoreError> {
        check_answer(answer)?;
        if let Some(begun) = self.state.lock().requests.get_mut(&name_of(request)) {
            begun.answer.get_or_insert_with(|| answer.clone());
        }
        Ok(())
    }

    fn forget_request(&self, request: &NamedRequest) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let name = name_of(request);
        if state
            .requests
            .get(&name)
            .is_some_and(|begun| begun.answer.is_none())
        {
            state.requests.remove(&name);
        }
        Ok(())
    }
}
