//! The master keys at hand.

use tollgate_vault::{MasterKey, Vault};

use crate::error::UpkeepError;

/// The master keys at hand: one that seals, and those that it has replaced.
#[derive(Debug)]
pub struct MasterKeys {
    /// What everything is sealed under from now on.
    pub current: MasterKey,
    /// What older values may still be sealed under.
    pub old: Vec<MasterKey>,
}

impl MasterKeys {
    /// Returns the vault of these keys.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn vault(&self) -> Result<Vault, UpkeepError> {
        Vault::new(&self.current, &self.old).map_err(|_| UpkeepError::Crypto)
    }

    /// All of them, the current one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.current).chain(&self.old)
    }
}
