//! What seals audit entries, which may come after the database is open: its key is in there, sealed.

use std::sync::{Arc, OnceLock};

use tollgate_store::{AuditSealer, StoreError};

/// The sealer, once there is one.
#[derive(Debug, Default)]
pub(crate) struct LateSealer(OnceLock<Arc<dyn AuditSealer>>);

impl LateSealer {
    /// Takes the sealer. The first one stays.
    pub(crate) fn set(&self, sealer: Arc<dyn AuditSealer>) {
        let _first = self.0.get_or_init(|| sealer);
    }

    /// Returns the sealer; without one, no change that is written down can be made.
    pub(crate) fn get(&self) -> Result<&dyn AuditSealer, StoreError> {
        #[derive(Debug, thiserror::Error)]
        #[error("audit entries cannot be sealed yet")]
        struct NoSealer;
        let sealer = self.0.get().map(|sealer| &**sealer);
        sealer.ok_or_else(|| StoreError::Unavailable(Box::new(NoSealer)))
    }
}
