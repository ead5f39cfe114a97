//! Passwords: how they are stored and checked.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
};
use tollgate_domain::ErrorKind;
use unicode_normalization::UnicodeNormalization;

use crate::key_text::fill_random;
use crate::turnstile::Turnstile;

/// Argon2id with 19 MiB, two passes and one lane.
/// Source: <https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id>
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The most that a stored hash may ask for: one that asks for more did not come from here.
const STORED_MEMORY_KIB_MAX: u32 = 131_072;
const STORED_PASSES_MAX: u32 = 10;
const STORED_LANES_MAX: u32 = 4;

const SALT_BYTES: usize = 16;

/// How many passwords are computed at once, and how many wait for it. Each takes tens of milliseconds
/// of a core and 19 MiB, so that this bounds what a flood of sign-ins can take.
pub const COMPUTATIONS_MAX: usize = 2;

/// How many passwords wait to be computed. See [`COMPUTATIONS_MAX`].
pub const WAITING_MAX: usize = 32;

/// The most bytes of a password: more than 128 characters of any kind have.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// The most bytes of a stored hash.
const STORED_BYTES_MAX: usize = 512;

/// Why a password could not be hashed or checked. It says nothing of whether it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// 2 are computed and 32 wait: repeat later.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// Longer than 4,096 bytes.
    #[error("the password is too long")]
    TooLong,
    /// What is stored is not a hash that this makes.
    #[error("the stored hash of a password cannot be read")]
    Stored,
    /// There was no memory, or the system gave no random bytes.
    #[error("a password could not be hashed")]
    Failed,
}

impl PasswordHashError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::Busy => ErrorKind::Unavailable,
            Self::TooLong => ErrorKind::InvalidRequest,
            Self::Stored | Self::Failed => ErrorKind::Internal,
        }
    }
}

/// Whether a password is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It is.
    Right {
        /// It is stored with settings that are no longer used: hash it again while it is at hand.
        needs_rehash: bool,
    },
    /// It is not, or there is none.
    Wrong,
}

/// Hashes and checks passwords with argon2id, a bounded number at once. Both take tens of milliseconds
/// and may wait: call them from a thread that may block. Passwords are brought into Unicode's composed
/// form (NFC) first, so that they do not depend on the keyboard.
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    /// What is checked when there is no such user.
    decoy: String,
    turnstile: Turnstile,
}

impl fmt::Debug for PasswordHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHasher").finish_non_exhaustive()
    }
}

impl PasswordHasher {
    /// Makes a hasher. It computes one hash.
    ///
    /// # Errors
    /// `Failed`.
    pub fn new() -> Result<Self, PasswordHashError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
        let params = params.map_err(|_| PasswordHashError::Failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut nobodys = [0; 32];
        fill_random(&mut nobodys).map_err(|_| PasswordHashError::Failed)?;
        Ok(Self {
            decoy: hash_with(&argon2, &nobodys)?,
            argon2,
            turnstile: Turnstile::new(COMPUTATIONS_MAX, WAITING_MAX),
        })
    }

    /// Returns what to store for a password, as a PHC string with a salt of its own.
    /// Source: <https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md>
    ///
    /// # Errors
    /// `Busy`, `TooLong` or `Failed`.
    pub fn hash(&self, password: &str) -> Result<String, PasswordHashError> {
        let password = composed(password).ok_or(PasswordHashError::TooLong)?;
        let _pass = self.turnstile.enter().ok_or(PasswordHashError::Busy)?;
        hash_with(&self.argon2, password.as_bytes())
    }

    /// Checks a password against what is stored for a user; `None` when there is no such user or it has
    /// no password. That takes as long as a password that is wrong, so that the time does not tell who
    /// is known.
    ///
    /// # Errors
    /// `Busy`; `Stored` when what is stored is no such hash.
    pub fn check(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<PasswordCheck, PasswordHashError> {
        let password = composed(password);
        let (hash, is_known) = match stored.map(read_stored) {
            Some(Ok(hash)) => (hash, Ok(true)),
            Some(Err(error)) => (read_stored(&self.decoy)?, Err(error)),
            None => (read_stored(&self.decoy)?, Ok(false)),
        };
        let _pass = self.turnstile.enter().ok_or(PasswordHashError::Busy)?;
        // One that is too long was never stored; the empty one takes its place in the computation.
        let bytes = password.as_ref().map_or(&[][..], |text| text.as_bytes());
        let is_right = self.argon2.verify_password(bytes, &hash).is_ok();
        let is_known = is_known?;
        Ok(if is_right && is_known && password.is_some() {
            PasswordCheck::Right {
                needs_rehash: self.is_outdated(&hash),
            }
        } else {
            PasswordCheck::Wrong
        })
    }

    /// Returns whether what is stored was made with other settings than those that are used now.
    ///
    /// # Errors
    /// `Stored`.
    pub fn needs_rehash(&self, stored: &str) -> Result<bool, PasswordHashError> {
        Ok(self.is_outdated(&read_stored(stored)?))
    }

    fn is_outdated(&self, hash: &PasswordHash) -> bool {
        let Ok(used) = Params::try_from(hash) else {
            return true;
        };
        let now = self.argon2.params();
        hash.algorithm != Algorithm::Argon2id.ident()
            || hash.version != Some(Version::V0x13.into())
            || (used.m_cost(), used.t_cost(), used.p_cost())
                != (now.m_cost(), now.t_cost(), now.p_cost())
    }
}

fn composed(password: &str) -> Option<secrecy::zeroize::Zeroizing<String>> {
    (password.len() <= PASSWORD_BYTES_MAX).then(|| password.nfc().collect::<String>().into())
}

fn hash_with(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, PasswordHashError> {
    let mut salt = [0; SALT_BYTES];
    fill_random(&mut salt).map_err(|_| PasswordHashError::Failed)?;
    let hash = argon2.hash_password_with_salt(password, &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|_| PasswordHashError::Failed)
}

fn read_stored(stored: &str) -> Result<PasswordHash, PasswordHashError> {
    if stored.len() > STORED_BYTES_MAX {
        return Err(PasswordHashError::Stored);
    }
    let hash = PasswordHash::new(stored).map_err(|_| PasswordHashError::Stored)?;
    let params = Params::try_from(&hash).map_err(|_| PasswordHashError::Stored)?;
    let is_ours = Algorithm::try_from(hash.algorithm.as_str()).is_ok()
        && hash.salt.is_some()
        && hash.hash.is_some()
        && params.m_cost() <= STORED_MEMORY_KIB_MAX
        && params.t_cost() <= STORED_PASSES_MAX
        && params.p_cost() <= STORED_LANES_MAX;
    is_ours.then_some(hash).ok_or(PasswordHashError::Stored)
}

#[cfg(test)]
mod tests;
