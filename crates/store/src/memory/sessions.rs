//! Sessions and tokens that work once, in memory.

use tollgate_domain::{
    AuditDraft, MAC_BYTES, OneTimeToken, Session, SessionId, Timestamp, TokenPurpose, UserId,
};

use crate::check::check_session;
use crate::error::StoreError;
use crate::memory::{Change, MemoryStore, State, page};
use crate::sessions::{OneTimeTokenStore, SessionStore};
use crate::{ONE_TIME_TOKEN, SESSION, USER};

impl State {
    /// Ends all sessions of a user but one; returns how many.
    pub(super) fn end_sessions(
        &mut self,
        user: UserId,
        except: Option<SessionId>,
        at: Timestamp,
    ) -> usize {
        let mut count = 0;
        for session in self.sessions.values_mut() {
            let is_kept = session.user_id != user || Some(session.id) == except;
            if !is_kept && session.revoked_at.is_none() {
                session.revoked_at = Some(at);
                count += 1;
            }
        }
        count
    }
}

impl SessionStore for MemoryStore {
    fn add_session(&self, session: &Session, audit: &AuditDraft) -> Result<(), StoreError> {
        check_session(session)?;
        self.change(None, audit, |state| {
            if !state.users.contains_key(&session.user_id) {
                return Err(StoreError::Missing { what: USER });
            }
            let mut others = state.sessions.values();
            let is_taken =
                others.any(|other| other.id == session.id || other.token_mac == session.token_mac);
            if is_taken {
                return Err(StoreError::Conflict { what: SESSION });
            }
            state.sessions.insert(session.id, session.clone());
            Ok(((), Change::Audited))
        })
    }

    fn find_session_by_mac(&self, mac: &[u8; MAC_BYTES]) -> Result<Option<Session>, StoreError> {
        let state = self.state.lock();
        let mut sessions = state.sessions.values();
        Ok(sessions.find(|one| one.token_mac == *mac).cloned())
    }

    fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.state.lock().sessions.get(&id).cloned())
    }

    fn list_sessions(
        &self,
        user: UserId,
        after: Option<SessionId>,
        limit: u16,
    ) -> Result<Vec<Session>, StoreError> {
        let state = self.state.lock();
        let is_listed = |one: &Session| one.user_id == user && one.revoked_at.is_none();
        Ok(page(&state.sessions, after, limit, is_listed))
    }

    fn touch_session(&self, id: SessionId, at: Timestamp) -> Result<(), StoreError> {
        if let Some(session) = self.state.lock().sessions.get_mut(&id) {
            session.last_seen_at = session.last_seen_at.max(at);
        }
        Ok(())
    }

    fn revoke_session(
        &self,
        user: UserId,
        id: SessionId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError> {
        self.change(None, audit, |state| {
            let found = state.sessions.get_mut(&id);
            let found = found.filter(|one| one.user_id == user && one.revoked_at.is_none());
            let is_change = found.map(|one| one.revoked_at = Some(at)).is_some();
            Ok((is_change, Change::auth_if(is_change)))
        })
    }

    fn revoke_sessions(
        &self,
        user: UserId,
        except: Option<SessionId>,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<usize, StoreError> {
        self.change(None, audit, |state| {
            let count = state.end_sessions(user, except, at);
            Ok((count, Change::auth_if(count > 0)))
        })
    }

    fn end_all_sessions(&self, at: Timestamp, audit: &AuditDraft) -> Result<usize, StoreError> {
        self.change(None, audit, |state| {
            for token in state.tokens.values_mut() {
                token.used_at = token.used_at.or(Some(at));
            }
            let live = state.sessions.values_mut();
            let live = live.filter(|session| session.revoked_at.is_none());
            let ended = live.map(|session| session.revoked_at = Some(at));
            Ok((ended.count(), Change::Auth))
        })
    }

    fn remove_sessions(&self, ended_before: Timestamp) -> Result<usize, StoreError> {
        let mut state = self.state.lock();
        let before = state.sessions.len();
        state.sessions.retain(|_, one| {
            let end = one.revoked_at.unwrap_or(one.expires_at);
            end.min(one.expires_at) >= ended_before
        });
        let ended = before - state.sessions.len();
        let State {
            sessions,
            refresh_tokens,
            ..
        } = &mut *state;
        refresh_tokens.retain(|_, token| sessions.contains_key(&token.session_id));
        Ok(ended)
    }
}

impl OneTimeTokenStore for MemoryStore {
    fn add_one_time_token(
        &self,
        token: &OneTimeToken,
        audit: &AuditDraft,
    ) -> Result<(), StoreError> {
        self.change(None, audit, |state| {
            if token
                .user_id
                .is_some_and(|id| !state.users.contains_key(&id))
            {
                return Err(StoreError::Missing { what: USER });
            }
            if state.tokens.contains_key(&token.mac) {
                let what = ONE_TIME_TOKEN;
                return Err(StoreError::Conflict { what });
            }
            state.tokens.insert(token.mac, token.clone());
            Ok(((), Change::Audited))
        })
    }

    fn find_one_time_token(
        &self,
        mac: &[u8; MAC_BYTES],
        purpose: TokenPurpose,
        at: Timestamp,
    ) -> Result<Option<OneTimeToken>, StoreError> {
        let state = self.state.lock();
        let found = state.tokens.get(mac);
        let found = found.filter(|token| is_open(token, purpose, at));
        Ok(found.cloned())
    }

    fn use_one_time_token(
        &self,
        mac: &[u8; MAC_BYTES],
        purpose: TokenPurpose,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<OneTimeToken>, StoreError> {
        self.change(None, audit, |state| {
            let found = state.tokens.get_mut(mac);
            let found = found.filter(|token| is_open(token, purpose, at));
            let Some(token) = found else {
                return Ok((None, Change::None));
            };
            token.used_at = Some(at);
            Ok((Some(token.clone()), Change::Audited))
        })
    }

    fn void_one_time_tokens(
        &self,
        user: UserId,
        purpose: TokenPurpose,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<usize, StoreError> {
        self.change(None, audit, |state| {
            let mut count = 0;
            for token in state.tokens.values_mut() {
                if token.user_id == Some(user) && is_open(token, purpose, at) {
                    token.used_at = Some(at);
                    count += 1;
                }
            }
            let change = if count > 0 {
                Change::Audited
            } else {
                Change::None
            };
            Ok((count, change))
        })
    }

    fn remove_one_time_tokens(&self, expired_before: Timestamp) -> Result<usize, StoreError> {
        let mut state = self.state.lock();
        let before = state.tokens.len();
        state
            .tokens
            .retain(|_, token| token.expires_at >= expired_before);
        Ok(before - state.tokens.len())
    }
}

pub(super) fn is_open(token: &OneTimeToken, purpose: TokenPurpose, at: Timestamp) -> bool {
    token.purpose == purpose && token.used_at.is_none() && at < token.expires_at
}
