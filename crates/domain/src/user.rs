//! People and service accounts, their sessions, and what is proven once.

use std::fmt;
use std::net::IpAddr;

use crate::event::UnknownName;
use crate::ids::{OrgId, SessionId, UserId};
use crate::key::MAC_BYTES;
use crate::time::Timestamp;

/// The most bytes of a client's `User-Agent` that a session keeps.
pub const USER_AGENT_BYTES_MAX: usize = 256;

/// What kind of user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserKind {
    /// A person, who signs in.
    Human,
    /// A program's account, which never signs in and lives in one organization.
    Service {
        /// Its organization.
        org_id: OrgId,
    },
}

/// A person or a service account.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// The address in its canonical form, unique among those that are not deleted. A service account
    /// has none.
    pub email: Option<String>,
    /// What others call them.
    pub name: String,
    /// A person or a program.
    pub kind: UserKind,
    /// The password's hash, with its salt and parameters in its text.
    pub password_hash: Option<String>,
    /// When the address was proven to be theirs.
    pub email_verified_at: Option<Timestamp>,
    /// The second factor's secret, sealed: opaque here.
    pub totp: Option<Vec<u8>>,
    /// The last time step whose code was used: each code works once.
    pub totp_last_step: Option<u64>,
    /// HMAC-SHA-256 of each recovery code that is left.
    pub recovery_macs: Vec<[u8; MAC_BYTES]>,
    /// Whether they run the installation.
    pub is_platform_admin: bool,
    /// Whether everything of theirs is refused.
    pub blocked: bool,
    /// Sign-ins that failed since the last that did not.
    pub failed_sign_ins: u32,
    /// When the last one failed.
    pub last_failed_at: Option<Timestamp>,
    /// When they came.
    pub created_at: Timestamp,
    /// Since when they are gone.
    pub deleted_at: Option<Timestamp>,
    /// Grows with every change, from 1.
    pub version: u64,
}

impl User {
    /// Returns whether anything of theirs is allowed.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        !self.blocked && self.deleted_at.is_none()
    }
}

/// Shows no address and nothing that proves who somebody is.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("has_password", &self.password_hash.is_some())
            .field("has_totp", &self.totp.is_some())
            .field("is_platform_admin", &self.is_platform_admin)
            .field("blocked", &self.blocked)
            .field("deleted_at", &self.deleted_at)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which session.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// The organization they look at.
    pub org_id: Option<OrgId>,
    /// HMAC-SHA-256 of its token.
    pub token_mac: [u8; MAC_BYTES],
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it was last used, to within the time after which that is written down again.
    pub last_seen_at: Timestamp,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
    /// From where they signed in.
    pub client_ip: Option<IpAddr>,
    /// With what they signed in; up to [`USER_AGENT_BYTES_MAX`].
    pub user_agent: String,
    /// Whether they gave a second factor.
    pub has_second_factor: bool,
    /// Since when it is over.
    pub revoked_at: Option<Timestamp>,
}

impl Session {
    /// Returns whether it is neither revoked nor over at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// What a token that works once is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenPurpose {
    /// Proves that an address is the user's.
    EmailVerify,
    /// Lets the user set a new password.
    PasswordReset,
    /// Lets the first user in.
    Setup,
}

impl TokenPurpose {
    const ALL: [Self; 3] = [Self::EmailVerify, Self::PasswordReset, Self::Setup];

    /// Returns the name used in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmailVerify => "email_verify",
            Self::PasswordReset => "password_reset",
            Self::Setup => "setup",
        }
    }
}

impl std::str::FromStr for TokenPurpose {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.as_str() == text).ok_or(UnknownName {
            what: "purpose of a token",
        })
    }
}

/// A token that works once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeToken {
    /// HMAC-SHA-256 of the token: it is found by this.
    pub mac: [u8; MAC_BYTES],
    /// What it is for.
    pub purpose: TokenPurpose,
    /// For whom; `None` when there is nobody yet.
    pub user_id: Option<UserId>,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_shown_without_what_proves_who_they_are() {
        let user = User {
            id: UserId::from_bytes([1; 16]),
            email: Some("ada@example.com".to_owned()),
            name: "Ada".to_owned(),
            kind: UserKind::Human,
            password_hash: Some("$argon2id$secret".to_owned()),
            email_verified_at: None,
            totp: Some(b"sealed".to_vec()),
            totp_last_step: None,
            recovery_macs: vec![[7; MAC_BYTES]],
            is_platform_admin: false,
            blocked: false,
            failed_sign_ins: 0,
            last_failed_at: None,
            created_at: Timestamp::from_micros(0),
            deleted_at: None,
            version: 1,
        };
        let shown = format!("{user:?}");
        for secret in ["ada@", "Ada", "argon2id", "115", "7, 7"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(user.is_live());
        assert!(
            !User {
                blocked: true,
                ..user
            }
            .is_live()
        );
    }

    #[test]
    fn purposes_read_back() {
        for purpose in TokenPurpose::ALL {
            assert_eq!(purpose.as_str().parse(), Ok(purpose));
        }
        assert!("".parse::<TokenPurpose>().is_err());
    }
}
