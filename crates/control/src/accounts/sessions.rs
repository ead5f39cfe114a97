//! Sessions: opened, found, listed, ended.

use std::net::IpAddr;

use serde::Serialize;
use tollgate_auth::{Principal, SecretToken, TokenPurpose};
use tollgate_domain::{
    Actor, AuditDraft, OrgId, Session, SessionId, Timestamp, USER_AGENT_BYTES_MAX, User, UserKind,
};
use tollgate_engine::rights_of_user;
use uuid::Uuid;

use super::{AccountError, Accounts, Visitor};

/// How many sessions somebody has at once; one more ends the oldest.
pub const SESSIONS_MAX: u16 = 50;

/// How long after it was written down the use of a session is written down again.
pub const TOUCH_AFTER_SECONDS: i64 = 60;

/// Somebody who has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// The secret of the session, shown this once.
    pub token: SecretToken,
    /// The session.
    pub session: SessionView,
}

/// A session, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// Which session.
    pub id: SessionId,
    /// The organization that it looks at.
    pub org_id: Option<OrgId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to within a minute.
    pub last_seen_at: Timestamp,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
    /// From where it began.
    pub client_ip: Option<IpAddr>,
    /// With what it began.
    pub user_agent: String,
    /// Whether a second factor was given.
    pub has_second_factor: bool,
    /// Whether it is the one that asks.
    pub is_current: bool,
}

impl SessionView {
    fn new(session: Session, current: SessionId) -> Self {
        Self {
            id: session.id,
            org_id: session.org_id,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            client_ip: session.client_ip,
            user_agent: session.user_agent,
            has_second_factor: session.has_second_factor,
            is_current: session.id == current,
        }
    }
}

/// Somebody whose session was checked just now; there is no other way to make one.
#[derive(Debug, Clone)]
pub struct Current {
    user: User,
    session: Session,
    principal: Option<Principal>,
}

impl Current {
    /// Returns who it is.
    #[must_use]
    pub const fn user(&self) -> &User {
        &self.user
    }

    /// Returns by which session.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Returns the session as its person sees it.
    #[must_use]
    pub fn view(&self) -> SessionView {
        SessionView::new(self.session.clone(), self.session.id)
    }

    /// Returns what they may do now in the organization that the session looks at; `None` when it looks
    /// at none.
    #[must_use]
    pub const fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    pub(super) const fn actor(&self) -> Actor {
        Actor::User(self.user.id)
    }
}

/// What a new session is.
pub(super) struct Opening {
    pub(super) org_id: Option<OrgId>,
    pub(super) has_second_factor: bool,
    /// `None` is the whole time of a session.
    pub(super) expires_at: Option<Timestamp>,
}

impl Accounts {
    /// Returns who has a session with this token, and what they may do now. A use is written down once
    /// a minute.
    ///
    /// # Errors
    /// `NotSignedIn` when there is no such session, it was not used for too long, its time is up, it was
    /// ended, or its user is blocked or gone; a store's error.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Current, AccountError> {
        let session = self.find_live(token, now)?;
        self.current_of(session, now)
    }

    /// Returns who has a session that can be used, and notes that it was.
    pub(super) fn current_of(
        &self,
        session: Session,
        now: Timestamp,
    ) -> Result<Current, AccountError> {
        let user = self.store().find_user(session.user_id)?;
        let user = user
            .filter(|user| user.is_live() && user.kind == UserKind::Human)
            .ok_or(AccountError::NotSignedIn)?;
        if now >= session.last_seen_at.plus_seconds(TOUCH_AFTER_SECONDS) {
            self.store().touch_session(session.id, now)?;
        }
        let principal = match session.org_id {
            None => None,
            Some(org_id) => Some(Principal {
                org_id,
                actor: Actor::User(user.id),
                rights: rights_of_user(self.store(), org_id, user.id)?,
            }),
        };
        Ok(Current {
            user,
            session,
            principal,
        })
    }

    fn find_live(&self, token: &str, now: Timestamp) -> Result<Session, AccountError> {
        let token = SecretToken::parse(TokenPurpose::Session, token);
        let token = token.map_err(|_| AccountError::NotSignedIn)?;
        let found = self
            .store()
            .find_session_by_mac(&self.parts.pepper.mac(&token))?;
        found
            .filter(|session| self.is_in_use(session, now))
            .ok_or(AccountError::NotSignedIn)
    }

    /// Returns whether a session has neither ended nor waited for too long.
    pub(super) fn is_in_use(&self, session: &Session, now: Timestamp) -> bool {
        let idle_end = session.last_seen_at.plus_seconds(self.config.idle_seconds);
        session.is_live(now) && now < idle_end
    }

    /// Lists the sessions of whoever asks that can still be used, oldest first.
    ///
    /// # Errors
    /// A store's error.
    pub fn list_sessions(
        &self,
        current: &Current,
        now: Timestamp,
    ) -> Result<Vec<SessionView>, AccountError> {
        let all = self
            .store()
            .list_sessions(current.user.id, None, SESSIONS_MAX)?;
        let live = all.into_iter().filter(|one| self.is_in_use(one, now));
        Ok(live
            .map(|one| SessionView::new(one, current.session.id))
            .collect())
    }

    /// Ends a session of whoever asks.
    ///
    /// # Errors
    /// `NotFound` when they have no such session; a store's error.
    pub fn revoke_session(
        &self,
        current: &Current,
        id: SessionId,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let audit = visitor
            .done(current.actor(), "session.revoke", now)
            .about(id);
        let is_ended = self
            .store()
            .revoke_session(current.user.id, id, now, &audit)?;
        is_ended
            .then_some(())
            .ok_or(AccountError::NotFound("session"))
    }

    /// Ends the sessions of whoever asks, all or all but the one that asks. Returns how many.
    ///
    /// # Errors
    /// A store's error.
    pub fn revoke_sessions(
        &self,
        current: &Current,
        but_this: bool,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<usize, AccountError> {
        let kept = but_this.then_some(current.session.id);
        let audit = visitor
            .done(current.actor(), "session.revoke_all", now)
            .about(current.user.id);
        Ok(self
            .store()
            .revoke_sessions(current.user.id, kept, now, &audit)?)
    }

    /// Ends the session with this token; one that is over already stays so.
    ///
    /// # Errors
    /// A store's error.
    pub fn sign_out(
        &self,
        token: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let Ok(token) = SecretToken::parse(TokenPurpose::Session, token) else {
            return Ok(());
        };
        let mac = self.parts.pepper.mac(&token);
        if let Some(session) = self.store().find_session_by_mac(&mac)? {
            let actor = Actor::User(session.user_id);
            let audit = visitor.done(actor, "session.sign_out", now);
            let audit = audit.about(session.id);
            self.store()
                .revoke_session(session.user_id, session.id, now, &audit)?;
        }
        Ok(())
    }

    /// Opens a session with a token that nobody has seen before, whatever the visitor came with.
    pub(super) fn open_session(
        &self,
        user: &User,
        opening: &Opening,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<SignedIn, AccountError> {
        self.make_room(user, now)?;
        let token = SecretToken::generate(TokenPurpose::Session)?;
        let end = now.plus_seconds(self.config.session_seconds);
        let session = Session {
            id: SessionId::new(Uuid::now_v7()),
            user_id: user.id,
            org_id: opening.org_id,
            token_mac: self.parts.pepper.mac(&token),
            created_at: now,
            last_seen_at: now,
            expires_at: opening.expires_at.unwrap_or(end),
            client_ip: visitor.client_ip,
            user_agent: kept_agent(&visitor.user_agent),
            has_second_factor: opening.has_second_factor,
            revoked_at: None,
        };
        let audit = visitor
            .done(Actor::User(user.id), "session.open", now)
            .about(session.id);
        self.store().add_session(&session, &audit)?;
        let id = session.id;
        Ok(SignedIn {
            token,
            session: SessionView::new(session, id),
        })
    }

    /// Replaces the session that asks by a new one, which ends when the old one would have, and ends all
    /// others: what was stolen before a change is worth nothing after it.
    pub(super) fn rotate(
        &self,
        current: &Current,
        user: &User,
        has_second_factor: bool,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<SignedIn, AccountError> {
        // First, so that an end in between leaves too few sessions and not too many.
        self.revoke_sessions(current, false, visitor, now)?;
        let opening = Opening {
            org_id: current.session.org_id,
            has_second_factor,
            expires_at: Some(current.session.expires_at),
        };
        self.open_session(user, &opening, visitor, now)
    }

    /// Ends the oldest sessions of somebody who has as many as they may.
    fn make_room(&self, user: &User, now: Timestamp) -> Result<(), AccountError> {
        let all = self.store().list_sessions(user.id, None, SESSIONS_MAX)?;
        let too_many = (all.len() + 1).saturating_sub(usize::from(SESSIONS_MAX));
        for session in all.iter().take(too_many) {
            let audit = AuditDraft::done(Actor::System, "session.revoke", now);
            let audit = audit.about(session.id);
            self.store()
                .revoke_session(user.id, session.id, now, &audit)?;
        }
        Ok(())
    }
}

/// Returns of a `User-Agent` what a session keeps.
fn kept_agent(text: &str) -> String {
    let mut kept = text.replace('\0', "");
    let mut end = kept.len().min(USER_AGENT_BYTES_MAX);
    while !kept.is_char_boundary(end) {
        end -= 1;
    }
    kept.truncate(end);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_keeps_of_an_agent_is_bounded() {
        assert_eq!(kept_agent("curl/8\0"), "curl/8");
        assert_eq!(kept_agent(&"ä".repeat(300)).len(), USER_AGENT_BYTES_MAX);
        let odd = format!("x{}", "ä".repeat(300));
        assert_eq!(kept_agent(&odd).len(), USER_AGENT_BYTES_MAX - 1);
    }
}
