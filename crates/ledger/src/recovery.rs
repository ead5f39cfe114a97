//! What an earlier process left in the journal.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use tollgate_domain::{AttemptId, UsageEvent};
use tollgate_store::UsageStore;

use crate::booking::{self, BATCH_EVENTS};
use crate::codec::{Checkpoint, HEADER_BYTES, PAYLOAD_BYTES_MAX, Record, Reserved};
use crate::config::LedgerConfig;
use crate::error::LedgerError;
use crate::segment::{self, Item, SegmentName, SegmentReader};

/// What was found in the journal and booked when it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Segments, all booked and deleted.
    pub segments: u64,
    /// Settled events that the store did not have yet.
    pub events: u64,
    /// Attempts without an end, charged with what is known of them.
    pub unknown: u64,
    /// Bytes that could not be read although intact records follow them. A segment with such bytes
    /// is renamed to `….damaged`, not deleted.
    pub corrupt_bytes: u64,
    /// Bytes of last records that their process did not live to write whole. That is normal.
    pub torn_bytes: u64,
}

/// What reading segments came upon.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) segments: u64,
    pub(crate) corrupt_bytes: u64,
    pub(crate) torn_bytes: u64,
    /// Segments with more that cannot be read than one unfinished record.
    damaged: Vec<PathBuf>,
}

/// Hands every record in these segments to `each`, in their order.
pub(crate) fn scan(
    segments: &[(SegmentName, PathBuf)],
    mut each: impl FnMut(Record) -> Result<(), LedgerError>,
) -> Result<Scan, LedgerError> {
    let failed = LedgerError::JournalFailed;
    let mut found = Scan::default();
    for (name, path) in segments {
        let mut reader = SegmentReader::open(path, *name, 0).map_err(failed)?;
        let end = reader.len().map_err(failed)?;
        let mut is_damaged = false;
        while let Some(item) = reader.next(end).map_err(failed)? {
            match item {
                Item::Record(record) => each(record)?,
                Item::Corrupt(bytes) => {
                    found.corrupt_bytes += bytes;
                    is_damaged = true;
                }
                Item::Torn(bytes) => {
                    found.torn_bytes += bytes;
                    let frame = u64::try_from(HEADER_BYTES + PAYLOAD_BYTES_MAX);
                    is_damaged |= frame.is_ok_and(|frame| bytes > frame);
                }
                Item::Foreign => {
                    let segment = path.clone();
                    return Err(LedgerError::UnknownRecord { segment });
                }
            }
        }
        found.segments += 1;
        found.damaged.extend(is_damaged.then(|| path.clone()));
    }
    Ok(found)
}

/// Attempts that have no end yet, and what they had used when they were last seen.
#[derive(Debug, Default)]
pub(crate) struct OpenAttempts(HashMap<AttemptId, (Reserved, Option<Checkpoint>)>);

impl OpenAttempts {
    pub(crate) fn reserved(&mut self, record: Reserved) {
        self.0.insert(record.attempt_id, (record, None));
    }

    pub(crate) fn checkpoint(&mut self, record: Checkpoint) {
        if let Some((_, seen)) = self.0.get_mut(&record.attempt_id) {
            *seen = Some(record);
        }
    }

    pub(crate) fn settled(&mut self, attempt: AttemptId) {
        self.0.remove(&attempt);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Books everything that is in the journal, and empties it. Doing it again, or again after it was
/// interrupted anywhere, changes nothing: the store knows each attempt once.
pub(crate) fn recover(
    config: &LedgerConfig,
    store: &dyn UsageStore,
) -> Result<Recovery, LedgerError> {
    let failed = LedgerError::JournalFailed;
    let segments = segment::list(config.dirs()).map_err(failed)?;
    let mut open = OpenAttempts::default();
    let mut batch = Vec::new();
    let book = |batch: &mut Vec<UsageEvent>, events_min| {
        if batch.len() < events_min {
            return Ok(0);
        }
        booking::book(store, &config.journal_dir, &std::mem::take(batch))
    };
    let mut events = 0;
    let scan = scan(&segments, |record| {
        match record {
            Record::Reserved(record) => open.reserved(*record),
            Record::Checkpoint(record) => open.checkpoint(record),
            Record::Settled(event) => {
                open.settled(event.attempt_id);
                batch.push(*event);
                events += book(&mut batch, BATCH_EVENTS)?;
            }
        }
        Ok(())
    })?;
    events += book(&mut batch, 1)?;
    let mut unknown = 0;
    for (_, (reserved, seen)) in open.0 {
        batch.push(reserved.into_unknown(seen));
        unknown += book(&mut batch, BATCH_EVENTS)?;
    }
    unknown += book(&mut batch, 1)?;
    for (_, path) in &segments {
        if scan.damaged.contains(path) {
            fs::rename(path, path.with_extension("tgj.damaged")).map_err(failed)?;
        } else {
            fs::remove_file(path).map_err(failed)?;
        }
    }
    Ok(Recovery {
        segments: scan.segments,
        events,
        unknown,
        corrupt_bytes: scan.corrupt_bytes,
        torn_bytes: scan.torn_bytes,
    })
}
