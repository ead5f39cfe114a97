//! Booking events in the store, and putting aside those that it can never take.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tollgate_domain::UsageEvent;
use tollgate_store::{StoreError, UsageStore};

use crate::error::LedgerError;

/// How many events one transaction of the store books.
pub(crate) const BATCH_EVENTS: usize = 1_000;

/// Books events; returns how many the store did not have yet.
///
/// An event that the store can never take must not keep the others waiting: the batch is halved
/// until it is alone, and it is added to a file, which `verify` reports until somebody saw to it.
pub(crate) fn book(
    store: &dyn UsageStore,
    journal_dir: &Path,
    events: &[UsageEvent],
) -> Result<u64, LedgerError> {
    match (store.record_usage(events), events) {
        (Ok(new), _) => Ok(u64::try_from(new).unwrap_or(u64::MAX)),
        (Err(error @ StoreError::Invalid { .. }), [event]) => {
            tracing::error!(attempt.id = %event.attempt_id, %error, "a usage event cannot be booked and is put aside");
            put_aside(journal_dir, event).map_err(LedgerError::JournalFailed)?;
            Ok(0)
        }
        (Err(StoreError::Invalid { .. }), _) => {
            let (first, second) = events.split_at(events.len() / 2);
            Ok(book(store, journal_dir, first)? + book(store, journal_dir, second)?)
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Returns how many events were put aside.
pub(crate) fn count_put_aside(journal_dir: &Path) -> io::Result<u64> {
    let lines = read(journal_dir)?.lines().count();
    Ok(u64::try_from(lines).unwrap_or(u64::MAX))
}

fn put_aside(journal_dir: &Path, event: &UsageEvent) -> io::Result<()> {
    let line = serde_json::to_string(event)?;
    if read(journal_dir)?.lines().any(|known| known == line) {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    let mut file = options.open(file(journal_dir))?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()
}

fn read(journal_dir: &Path) -> io::Result<String> {
    match fs::read_to_string(file(journal_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text,
    }
}

fn file(journal_dir: &Path) -> PathBuf {
    journal_dir.join("unbookable.jsonl")
}
