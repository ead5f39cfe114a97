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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tollgate_domain::{BudgetScope, Money, Provenance, TerminalState};

    use super::*;
    use crate::testing::{
        FlakyStore, KEY, NOW, ORG, PATIENCE, TempDir, attempt, cost, draft, now, outcome, policy,
        usage,
    };
    use crate::{Account, Ledger};

    /// What a killed process leaves that settled 1 to 3 and has 4 to 6 under way.
    fn killed() -> TempDir {
        let dir = TempDir::new();
        let store = Arc::new(FlakyStore::default());
        let kept: Arc<FlakyStore> = Arc::clone(&store);
        let (ledger, _) = Ledger::open(dir.config(), kept, now).unwrap();
        let writer = ledger.writer().unwrap();
        let org = ledger
            .account(BudgetScope::Org(ORG), policy(1_000, "1d"))
            .unwrap();
        let key = Account::unlimited(BudgetScope::Key(KEY));
        store.set_down(true);
        let reserve = |n| writer.reserve(draft(n), &org, &key, cost(50)).unwrap();
        let mut under_way = [reserve(4), reserve(5), reserve(6)];
        under_way[1].checkpoint(&usage(30));
        under_way[2].checkpoint(&usage(3));
        for n in 1..=3 {
            reserve(n).settle(outcome(n));
        }
        dir.image()
    }

    fn recovered(dir: &TempDir, store: &Arc<FlakyStore>) -> Recovery {
        let kept: Arc<FlakyStore> = Arc::clone(store);
        let (ledger, recovery) = Ledger::open(dir.config(), kept, now).unwrap();
        assert!(ledger.close(PATIENCE));
        assert_eq!(dir.segments().len(), 0);
        recovery
    }

    fn spent(store: &FlakyStore) -> Money {
        use tollgate_store::UsageStore;
        store
            .kept
            .budget_spent(BudgetScope::Org(ORG), NOW.day())
            .unwrap()
    }

    #[test]
    fn what_is_settled_is_booked_and_what_is_not_is_charged_what_is_known() {
        let store = Arc::new(FlakyStore::default());
        let recovery = recovered(&killed(), &store);
        assert_eq!((recovery.events, recovery.unknown), (3, 3));
        assert_eq!((recovery.corrupt_bytes, recovery.torn_bytes), (0, 0));
        let events = store.events();
        let costs: Vec<_> = events.iter().map(|event| event.cost).collect();
        assert_eq!(costs, [1, 2, 3, 10, 30, 10].map(cost));
        for event in &events[3..] {
            assert_eq!(event.state, TerminalState::Unknown);
            assert_eq!(event.provenance, Provenance::Partial);
            assert!(event.is_final && event.org_charge.is_some());
        }
        assert_eq!(events[4].usage, usage(30));
        assert_eq!(spent(&store), cost(56));
    }

    #[test]
    fn replaying_a_journal_changes_nothing() {
        let killed = killed();
        let store = Arc::new(FlakyStore::default());
        recovered(&killed.image(), &store);
        let events = store.events();
        for _ in 0..3 {
            let again = recovered(&killed.image(), &store);
            assert_eq!((again.segments, again.events, again.unknown), (1, 0, 0));
        }
        assert_eq!(store.events(), events);
        assert_eq!(spent(&store), cost(56));
        assert_eq!(recovered(&TempDir::new(), &store), Recovery::default());
    }

    #[test]
    fn a_recovery_that_is_interrupted_is_done_again() {
        let killed = killed();
        let store = Arc::new(FlakyStore::default());
        store.set_down(true);
        let kept: Arc<FlakyStore> = Arc::clone(&store);
        assert!(matches!(
            Ledger::open(killed.config(), kept, now),
            Err(LedgerError::Store(_))
        ));
        assert_eq!(killed.segments().len(), 1);
        store.set_down(false);
        assert_eq!(recovered(&killed, &store).events, 3);
    }

    #[test]
    fn a_torn_end_is_normal_and_damage_before_it_is_kept_for_inspection() {
        let killed = killed();
        let path = killed.segments().remove(0);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let torn = killed.image();
        let store = Arc::new(FlakyStore::default());
        let recovery = recovered(&torn, &store);
        assert!(recovery.torn_bytes > 0);
        assert_eq!(
            (recovery.corrupt_bytes, recovery.events, recovery.unknown),
            (0, 2, 4)
        );

        let mut bytes = bytes;
        bytes[20] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let recovery = recovered(&killed, &Arc::new(FlakyStore::default()));
        assert!(recovery.corrupt_bytes > 0);
        assert_eq!((recovery.events, recovery.unknown), (3, 2));
        let kept = fs::read(path.with_extension("tgj.damaged")).unwrap();
        assert_eq!(kept, bytes);
    }

    #[test]
    fn records_of_another_version_are_left_where_they_are() {
        let killed = killed();
        let path = killed.segments().remove(0);
        let (name, _) = crate::segment::list([&killed.0].into_iter())
            .unwrap()
            .remove(0);
        let mut bytes = fs::read(&path).unwrap();
        // The first record's version becomes 3, and its checksum that of the change.
        bytes[9] = 3;
        let size = usize::from(bytes[0]);
        let sum = crc32c::crc32c_append(name.seed(), &bytes[..4]);
        let sum = crc32c::crc32c_append(sum, &bytes[8..8 + size]);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let refused = Ledger::open(killed.config(), Arc::new(FlakyStore::default()), now);
        assert!(matches!(refused, Err(LedgerError::UnknownRecord { segment }) if segment == path));
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_journal_has_one_process_at_a_time() {
        let dir = TempDir::new();
        let store = Arc::new(FlakyStore::default());
        let open = || {
            let kept: Arc<FlakyStore> = Arc::clone(&store);
            Ledger::open(dir.config(), kept, now)
        };
        let first = open().unwrap();
        assert!(matches!(open(), Err(LedgerError::Locked { .. })));
        let writer = first.0.writer().unwrap();
        drop(first);
        assert!(
            matches!(open(), Err(LedgerError::Locked { .. })),
            "a writer is left"
        );
        drop(writer);
        assert!(open().is_ok());
    }

    #[test]
    fn what_the_store_never_takes_is_put_aside_once() {
        let killed = killed();
        let store = Arc::new(FlakyStore {
            refuses: Some(attempt(2)),
            ..FlakyStore::default()
        });
        let config = killed.config();
        let image = killed.image();
        for _ in 0..2 {
            for path in image.segments() {
                fs::copy(&path, config.journal_dir.join(path.file_name().unwrap())).unwrap();
            }
            recovered(&killed, &store);
        }
        assert_eq!(store.events().len(), 5);
        assert_eq!(booking::count_put_aside(&config.journal_dir).unwrap(), 1);
        assert!(!Ledger::verify(&*store, &config).unwrap().is_balanced);
    }
}
