//! What one process of several does.

use tollgate_domain::Timestamp;

use crate::error::StoreError;

/// The longest name of a lease or of who holds it, in bytes.
pub const LEASE_NAME_BYTES_MAX: usize = 64;

/// Says which of several processes does what only one should do.
pub trait LeaseStore: Send + Sync {
    /// Takes a lease until a time, or keeps it until then, unless another holds it at `now`. Returns
    /// whether it is held.
    ///
    /// # Errors
    /// `Invalid` when a name is empty or too long.
    fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives a lease back, if this one holds it.
    ///
    /// # Errors
    /// When the backend fails.
    fn end_lease(&self, name: &str, holder: &str) -> Result<(), StoreError>;
}

/// Returns whether names of leases and holders can be kept.
///
/// # Errors
/// `Invalid`.
pub fn check_lease(name: &str, holder: &str) -> Result<(), StoreError> {
    let is_name = |text: &str| {
        (1..=LEASE_NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic())
    };
    if is_name(name) && is_name(holder) {
        return Ok(());
    }
    Err(StoreError::Invalid {
        what: "the name of a lease or of who holds it",
    })
}
