//! The wall clock, read in one place.

use std::time::SystemTime;

use tollgate_domain::Timestamp;

/// Returns the present time.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}
