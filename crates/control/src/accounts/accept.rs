//! Invitations: accepted by somebody new, or by who is signed in.

use std::fmt;

use tollgate_auth::{SecretToken, TokenPurpose};
use tollgate_domain::{Actor, Invitation, Timestamp, User, UserId};
use tollgate_store::StoreError;
use uuid::Uuid;

use super::sessions::Opening;
use super::{AccountError, Accounts, Current, NewPerson, SignedIn, Visitor};

/// Who accepts an invitation.
#[derive(Clone, Copy)]
pub enum Guest<'a> {
    /// Somebody who has no account. The address is the invitation's.
    New {
        /// What others call them.
        name: &'a str,
        /// The password that they chose.
        password: &'a str,
    },
    /// Somebody who is signed in, with the address that was invited.
    Known(&'a Current),
}

impl fmt::Debug for Guest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New { .. } => "Guest::New",
            Self::Known(_) => "Guest::Known",
        })
    }
}

impl Accounts {
    /// Lets whoever has the token of an invitation into its organization. They get a new session, which
    /// looks at it.
    ///
    /// Somebody new gets an account. Its address is not proven by that: whoever invited them may have
    /// passed the link on by other means than a letter.
    ///
    /// # Errors
    /// `InvalidToken`; `NotSignedIn` when the address has an account and its person is not who asks;
    /// `Invalid` or `Password` when an input is not what it must be, and then the invitation stays open.
    pub fn accept_invitation(
        &self,
        token: &str,
        guest: Guest<'_>,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<SignedIn, AccountError> {
        let token = SecretToken::parse(TokenPurpose::Invitation, token)?;
        let mac = self.parts.pepper.mac(&token);
        let invitation = self.store().find_invitation_by_mac(&mac)?;
        let invitation = invitation
            .filter(|invitation| invitation.is_open(now))
            .ok_or(AccountError::InvalidToken)?;
        let known = self.store().find_user_by_email(&invitation.email)?;
        let opening = Opening {
            org_id: Some(invitation.org_id),
            has_second_factor: false,
            expires_at: None,
        };
        match (guest, known) {
            (Guest::Known(current), Some(user)) if current.user().id == user.id => {
                self.join(&invitation, user.id, visitor, now)?;
                self.sign_out_of(current, visitor, now)?;
                let opening = Opening {
                    has_second_factor: current.session().has_second_factor,
                    expires_at: Some(current.session().expires_at),
                    ..opening
                };
                self.open_session(&user, &opening, visitor, now)
            }
            // The token proves an invitation, and not who somebody is.
            (_, Some(_)) | (Guest::Known(_), None) => Err(AccountError::NotSignedIn),
            (Guest::New { name, password }, None) => {
                let user = self.add_guest(&invitation, name, password, visitor, now)?;
                if let Err(error) = self.join(&invitation, user.id, visitor, now) {
                    let audit = visitor.done(Actor::System, "user.delete", now);
                    self.store()
                        .delete_user(user.id, now, &audit.about(user.id))?;
                    return Err(error);
                }
                self.open_session(&user, &opening, visitor, now)
            }
        }
    }

    fn add_guest(
        &self,
        invitation: &Invitation,
        name: &str,
        password: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<User, AccountError> {
        let person = NewPerson {
            email: &invitation.email,
            name,
            password,
        };
        let user = self.new_user(UserId::new(Uuid::now_v7()), &person, now)?;
        let audit = visitor.done(Actor::User(user.id), "user.create", now);
        match self.store().add_user(&user, &audit.about(user.id)) {
            Ok(()) => Ok(user),
            // They accepted twice at once.
            Err(StoreError::Conflict { .. }) => Err(AccountError::NotSignedIn),
            Err(error) => Err(error.into()),
        }
    }

    fn join(
        &self,
        invitation: &Invitation,
        user: UserId,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let audit = visitor
            .done(Actor::User(user), "invitation.accept", now)
            .in_chain(invitation.org_id)
            .about(invitation.id);
        let (org, id) = (invitation.org_id, invitation.id);
        let is_open = self.store().accept_invitation(org, id, user, now, &audit)?;
        is_open.then_some(()).ok_or(AccountError::InvalidToken)
    }

    fn sign_out_of(
        &self,
        current: &Current,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let session = current.session();
        let audit = visitor.done(current.actor(), "session.replace", now);
        let audit = audit.about(session.id);
        self.store()
            .revoke_session(session.user_id, session.id, now, &audit)?;
        Ok(())
    }
}
