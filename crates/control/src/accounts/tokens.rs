//! Access tokens for programs, and the refresh tokens that get the next ones.

use std::fmt;

use tollgate_auth::{
    ACCESS_TOKEN_SECONDS, AccessSubject, RefreshDecision, RefreshFamily, RefreshRecord,
    SecretToken, TokenPurpose, Used, decide_refresh,
};
use tollgate_domain::{Session, Timestamp};
use tollgate_store::RefreshToken;

use super::sessions::Opening;
use super::{AccountError, Accounts, Current, Visitor};

/// How often it is decided anew what becomes of a refresh token that somebody else exchanges meanwhile.
const DECISIONS_MAX: usize = 3;

/// Tokens for a program that acts for somebody.
pub struct IssuedTokens {
    /// Says who calls, for a few minutes.
    pub access_token: String,
    /// For how long the access token is valid, in seconds.
    pub expires_in_s: i64,
    /// Is exchanged for the next two, once.
    pub refresh_token: SecretToken,
    /// From when on no refresh token of this sign-in works.
    pub ends_at: Timestamp,
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens")
            .field("ends_at", &self.ends_at)
            .finish_non_exhaustive()
    }
}

impl Accounts {
    /// Gives whoever asks tokens for a program. They belong to a session of their own, which is listed and
    /// ended like any other, and ends when the one that asks would have.
    ///
    /// # Errors
    /// `Conflict` when the session looks at no organization; a store's error.
    pub fn issue_tokens(
        &self,
        current: &Current,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<IssuedTokens, AccountError> {
        let Some(org_id) = current.session().org_id else {
            return Err(AccountError::Conflict(
                "this session looks at no organization",
            ));
        };
        let opening = Opening {
            org_id: Some(org_id),
            has_second_factor: current.session().has_second_factor,
            expires_at: Some(current.session().expires_at),
        };
        let opened = self.open_session(current.user(), &opening, visitor, now)?;
        let token = SecretToken::generate(TokenPurpose::Refresh)?;
        let session_id = opened.session.id;
        let first = RefreshToken {
            mac: self.parts.pepper.mac(&token),
            session_id,
            generation: 0,
            expires_at: opened.session.expires_at,
            used: None,
        };
        let audit = visitor.done(current.actor(), "token.issue", now);
        self.store()
            .add_refresh_token(&first, &audit.about(session_id))?;
        let subject = AccessSubject {
            user_id: current.user().id,
            org_id,
            session_id,
            epoch: self.store().auth_epoch()?,
        };
        self.issue(&subject, token, opened.session.expires_at, now)
    }

    /// Exchanges a refresh token for the next access token and its own successor. One that was exchanged
    /// a moment ago gets the same successor again, since an answer may have been lost; later, two have it,
    /// and its session ends.
    ///
    /// # Errors
    /// `NotSignedIn` when it is not valid any more; a store's error.
    pub fn refresh(
        &self,
        token: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<IssuedTokens, AccountError> {
        let token = SecretToken::parse(TokenPurpose::Refresh, token);
        let token = token.map_err(|_| AccountError::NotSignedIn)?;
        let session = self.take_turn(&token, visitor, now)?;
        let current = self.current_of(session, now)?;
        let session = current.session();
        let subject = AccessSubject {
            user_id: session.user_id,
            org_id: session.org_id.ok_or(AccountError::NotSignedIn)?,
            session_id: session.id,
            epoch: self.store().auth_epoch()?,
        };
        let next = self.parts.pepper.successor(&token);
        self.issue(&subject, next, session.expires_at, now)
    }

    /// Returns who an access token is for, and what they may do now: its session is looked up, so that an
    /// end of it takes effect at once.
    ///
    /// # Errors
    /// `NotSignedIn` when it is not valid, or its session or user is not any more; a store's error.
    pub fn authenticate_access(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Current, AccountError> {
        let checked = self.access_tokens(now)?.check(token, now);
        let subject = checked.map_err(|_| AccountError::NotSignedIn)?.subject;
        let session = self.store().find_session(subject.session_id)?;
        let session = session.filter(|session| {
            session.user_id == subject.user_id
                && session.org_id == Some(subject.org_id)
                && self.is_in_use(session, now)
        });
        self.current_of(session.ok_or(AccountError::NotSignedIn)?, now)
    }

    fn issue(
        &self,
        subject: &AccessSubject,
        refresh_token: SecretToken,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> Result<IssuedTokens, AccountError> {
        let issued = self.access_tokens(now)?.issue(subject, now);
        Ok(IssuedTokens {
            access_token: issued.map_err(|_| AccountError::NoRandomness)?,
            expires_in_s: ACCESS_TOKEN_SECONDS,
            refresh_token,
            ends_at,
        })
    }

    /// Uses a refresh token up, or finds that it was a moment ago. Returns its session.
    fn take_turn(
        &self,
        token: &SecretToken,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<Session, AccountError> {
        let mac = self.parts.pepper.mac(token);
        let next = self.parts.pepper.mac(&self.parts.pepper.successor(token));
        for _ in 0..DECISIONS_MAX {
            let found = self.store().find_refresh_token(&mac)?;
            let kept = found.ok_or(AccountError::NotSignedIn)?;
            let session = self.store().find_session(kept.session_id)?;
            let session = session.ok_or(AccountError::NotSignedIn)?;
            let family = RefreshFamily {
                ends_at: session.expires_at,
                is_revoked: !self.is_in_use(&session, now),
            };
            match decide_refresh(&record(&kept), &family, now) {
                RefreshDecision::Exchange => {
                    let successor = RefreshToken {
                        mac: next,
                        generation: kept.generation.saturating_add(1),
                        expires_at: session.expires_at,
                        used: None,
                        ..kept
                    };
                    if self.store().exchange_refresh_token(&mac, &successor, now)? {
                        return Ok(session);
                    }
                }
                // Under another pepper it would be another, which nobody has.
                RefreshDecision::Repeat { successor } if successor == next => return Ok(session),
                RefreshDecision::Revoke => {
                    let audit = visitor
                        .denied("session.revoke", "refresh_token_reused", now)
                        .about(session.id);
                    let user = session.user_id;
                    self.store().revoke_session(user, session.id, now, &audit)?;
                    return Err(AccountError::NotSignedIn);
                }
                RefreshDecision::Repeat { .. } | RefreshDecision::Refuse => {
                    return Err(AccountError::NotSignedIn);
                }
            }
        }
        Err(AccountError::NotSignedIn)
    }
}

fn record(kept: &RefreshToken) -> RefreshRecord {
    RefreshRecord {
        family: kept.session_id,
        generation: kept.generation,
        expires_at: kept.expires_at,
        used: kept.used.map(|(at, successor)| Used { at, successor }),
    }
}
