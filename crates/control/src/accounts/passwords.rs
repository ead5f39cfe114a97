//! Passwords: confirmed, and changed by those who know the old one.

use tollgate_auth::PasswordCheck;
use tollgate_domain::{Timestamp, TokenPurpose, User};

use super::second_factor::email_of;
use super::{AccountError, Accounts, Current, SignedIn, Visitor};

impl Accounts {
    /// Changes the password of whoever asks and knows the old one. All of their sessions end but a new
    /// one, and so do the links of password resets.
    ///
    /// # Errors
    /// `Refused` when the old password is not right; `Password` when the new one may not be chosen;
    /// `Wait`; a store's error.
    pub fn change_password(
        &self,
        current: &Current,
        old: &str,
        new: &str,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<SignedIn, AccountError> {
        let user = self.confirm_person(current, old, None, visitor, now)?;
        let new = self.parts.rules.check(new, &Self::context(&user))?;
        let changed = User {
            password_hash: Some(self.parts.hasher.hash(new.expose())?),
            ..user
        };
        let audit = visitor
            .done(current.actor(), "user.password_change", now)
            .about(changed.id);
        self.store().update_user(&changed, &audit)?;
        let audit = visitor.done(current.actor(), "token.void", now);
        self.store().void_one_time_tokens(
            changed.id,
            TokenPurpose::PasswordReset,
            now,
            &audit.about(changed.id),
        )?;
        let has_second_factor = current.session().has_second_factor;
        self.rotate(current, &changed, has_second_factor, visitor, now)
    }

    /// Makes sure that it is the person themselves who asks, and not whoever found their browser. Returns
    /// the person as they are now: a recovery code may have been used.
    pub(super) fn confirm_person(
        &self,
        current: &Current,
        password: &str,
        code: Option<&str>,
        visitor: &Visitor,
        now: Timestamp,
    ) -> Result<User, AccountError> {
        let user = current.user();
        let attempt = self.begin(&email_of(user), Some(user), visitor, now)?;
        let stored = user.password_hash.as_deref();
        let confirmed = match self.parts.hasher.check(password, stored) {
            Ok(PasswordCheck::Right { .. }) if code.is_none() => Ok(()),
            Ok(PasswordCheck::Right { .. }) => {
                self.check_second_factor(user, code, visitor, now).map(drop)
            }
            Ok(PasswordCheck::Wrong) => Err(AccountError::Refused),
            Err(error) => Err(error.into()),
        };
        match confirmed {
            Err(AccountError::Refused) => {
                self.refuse(Some(user.id), "user.confirm", visitor, now)?;
            }
            _ => self.sign_ins.take_back(&attempt),
        }
        confirmed?;
        let user = self.store().find_user(user.id)?;
        user.filter(User::is_live).ok_or(AccountError::NotSignedIn)
    }
}
