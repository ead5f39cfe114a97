//! What a ledger can be told.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::LedgerError;

/// When a settled record counts as kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// When the operating system has it: survives the death of the process, not of the machine.
    #[default]
    Process,
    /// When the disk has it.
    Power,
}

/// Where the journal lies and how it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerConfig {
    /// The directory of the segments; made when it is missing. One process at a time may use it.
    pub journal_dir: PathBuf,
    /// Where segments go when `journal_dir` cannot be written; best on another disk.
    pub fallback_dir: Option<PathBuf>,
    /// What settling waits for.
    pub durability: Durability,
    /// A segment is closed at this size; 4 KiB to 1 GiB.
    pub segment_bytes_max: u64,
    /// Disk space held back so that calls in flight can be settled on a full disk; 0 to 1 GiB.
    pub ballast_bytes: u64,
    /// How often written records are forced to the disk under [`Durability::Process`]; 1 ms to 60 s.
    pub sync_interval: Duration,
    /// How often settled events are booked in the store; 1 ms to 60 s.
    pub drain_interval: Duration,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            journal_dir: PathBuf::from("data/journal"),
            fallback_dir: None,
            durability: Durability::default(),
            segment_bytes_max: 64 << 20,
            ballast_bytes: 16 << 20,
            sync_interval: Duration::from_millis(50),
            drain_interval: Duration::from_millis(250),
        }
    }
}

impl LedgerConfig {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`LedgerError::Setting`] names the first setting that is out of its range.
    pub fn check(&self) -> Result<(), LedgerError> {
        let setting = |name, problem| Err(LedgerError::Setting { name, problem });
        let interval = Duration::from_millis(1)..=Duration::from_secs(60);
        if self.journal_dir.as_os_str().is_empty() {
            return setting("journal_dir", "is empty");
        }
        if self.fallback_dir.as_ref() == Some(&self.journal_dir) {
            return setting("fallback_dir", "is the journal_dir");
        }
        if !(4 << 10..=1 << 30).contains(&self.segment_bytes_max) {
            return setting("segment_bytes_max", "is not within 4 KiB to 1 GiB");
        }
        if self.ballast_bytes > 1 << 30 {
            return setting("ballast_bytes", "is more than 1 GiB");
        }
        if !interval.contains(&self.sync_interval) {
            return setting("sync_interval", "is not within 1 ms to 60 s");
        }
        if !interval.contains(&self.drain_interval) {
            return setting("drain_interval", "is not within 1 ms to 60 s");
        }
        Ok(())
    }

    /// Returns the directories that hold segments.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.journal_dir).chain(&self.fallback_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_its_range_is_named() {
        let check = |change: fn(&mut LedgerConfig)| {
            let mut config = LedgerConfig::default();
            change(&mut config);
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(|_| ()), Ok(()));
        for (change, name) in [
            (
                (|c| c.journal_dir = PathBuf::new()) as fn(&mut LedgerConfig),
                "journal_dir",
            ),
            (
                |c| c.fallback_dir = Some(c.journal_dir.clone()),
                "fallback_dir",
            ),
            (|c| c.segment_bytes_max = 1, "segment_bytes_max"),
            (|c| c.ballast_bytes = u64::MAX, "ballast_bytes"),
            (|c| c.sync_interval = Duration::ZERO, "sync_interval"),
            (|c| c.drain_interval = Duration::MAX, "drain_interval"),
        ] {
            let error = check(change).expect_err(name);
            assert!(error.contains(name), "{error}");
        }
    }
}
