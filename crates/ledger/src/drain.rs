//! The thread that books what the journal holds in the store, and deletes what is booked.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tollgate_domain::{AttemptId, UsageEvent};
use tollgate_store::UsageStore;

use crate::booking::{BATCH_EVENTS, book};
use crate::books::Books;
use crate::codec::Record;
use crate::journal::Journal;
use crate::segment::{Item, Segment, SegmentName, SegmentReader};

/// How many events are booked at once when many wait.
const LARGE_BATCH_EVENTS: usize = 4_000;

/// A store that fails is tried again after the first of these, then after twice as long, and so on.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Segments smaller than this part of the largest are not ended early.
const WORTH_A_FILE: u64 = 16;

/// A segment as far as it is read.
#[derive(Debug)]
struct Tail {
    segment: Arc<Segment>,
    reader: Option<SegmentReader>,
    read: u64,
    /// Settled records read, those in the batch included.
    events: u64,
    /// Attempts whose reservation is here and that are not booked yet.
    open: u64,
}

pub(crate) struct Drain<'a> {
    journal: &'a Journal,
    books: &'a Books,
    store: &'a dyn UsageStore,
    tails: BTreeMap<SegmentName, Tail>,
    /// In which segment an attempt under way was reserved.
    open: HashMap<AttemptId, SegmentName>,
    batch: Vec<UsageEvent>,
    swept_at: Instant,
}

/// The journal is being closed.
struct Stopped;

impl<'a> Drain<'a> {
    pub(crate) fn new(journal: &'a Journal, books: &'a Books, store: &'a dyn UsageStore) -> Self {
        Self {
            journal,
            books,
            store,
            tails: BTreeMap::new(),
            open: HashMap::new(),
            batch: Vec::new(),
            swept_at: Instant::now(),
        }
    }

    /// Runs until the journal is stopped and what could be booked then is booked.
    pub(crate) fn run(mut self) {
        loop {
            let is_last = self.journal.is_stopping();
            if self.cycle().is_err() || is_last {
                return;
            }
            if !self.journal.is_stopping() {
                thread::park_timeout(self.journal.config.drain_interval);
            }
        }
    }

    /// Books everything that was in the journal when the cycle began.
    fn cycle(&mut self) -> Result<(), Stopped> {
        for segment in self.journal.segments() {
            self.tails
                .entry(segment.name)
                .or_insert_with(|| Tail::new(segment));
        }
        let names: Vec<_> = self.tails.keys().copied().collect();
        for name in &names {
            self.read(*name)?;
        }
        self.book()?;
        for name in names {
            self.release(name);
        }
        self.journal.drain_cycle.fetch_add(1, Ordering::AcqRel);
        if self.swept_at.elapsed() > SWEEP_INTERVAL {
            self.swept_at = Instant::now();
            self.journal.sweep(self.books, (self.journal.now)());
        }
        Ok(())
    }

    /// Reads a segment as far as it is written.
    fn read(&mut self, name: SegmentName) -> Result<(), Stopped> {
        let batch_events = match self.journal.backlog().events {
            0..=2_000 => BATCH_EVENTS,
            _ => LARGE_BATCH_EVENTS,
        };
        while let Some(tail) = self.tails.get_mut(&name) {
            let item = match tail.next() {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(error) => {
                    self.journal
                        .note_failure("read", &tail.segment.path, &error);
                    break;
                }
            };
            match item {
                Item::Record(Record::Reserved(attempt_id)) => {
                    tail.open += 1;
                    // A reservation that was written twice is kept where it was written last.
                    let before = self.open.insert(attempt_id, name);
                    self.close(before);
                }
                Item::Record(Record::Checkpoint(_)) => {}
                Item::Record(Record::Settled(event)) => {
                    tail.events += 1;
                    self.push(*event);
                    if self.batch.len() >= batch_events {
                        self.book()?;
                    }
                }
                Item::Corrupt(bytes) | Item::Torn(bytes) => {
                    self.journal.note_corrupt(&tail.segment.path, bytes);
                }
                Item::Foreign => {
                    tracing::error!(path = %tail.segment.path.display(), "a record cannot be read back");
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, event: UsageEvent) {
        if self.batch.is_empty() {
            let latency = i64::try_from(event.latency_us).unwrap_or(0);
            let ended = event.started_at.micros().saturating_add(latency);
            self.journal
                .oldest_us
                .store(ended.max(1), Ordering::Relaxed);
        }
        self.batch.push(event);
    }

    /// Books the batch, however long that takes, and notes how far every segment is booked.
    fn book(&mut self) -> Result<(), Stopped> {
        if !self.batch.is_empty() {
            self.record()?;
        }
        for event in std::mem::take(&mut self.batch) {
            let name = self.open.remove(&event.attempt_id);
            self.close(name);
        }
        for tail in self.tails.values() {
            tail.segment
                .booked_events
                .store(tail.events, Ordering::Relaxed);
            tail.segment.booked.store(tail.read, Ordering::Release);
        }
        self.journal.oldest_us.store(0, Ordering::Relaxed);
        let (lock, progress) = &self.journal.progress;
        drop(lock.lock());
        progress.notify_all();
        Ok(())
    }

    fn record(&self) -> Result<(), Stopped> {
        let mut backoff = BACKOFF;
        let mut is_failing = false;
        let dir = &self.journal.config.journal_dir;
        while let Err(error) = book(self.store, dir, &self.batch) {
            if self.journal.is_stopping() {
                return Err(Stopped);
            }
            if !is_failing {
                tracing::error!(%error, events = self.batch.len(), "usage cannot be booked, it waits in the journal");
            }
            is_failing = true;
            thread::park_timeout(backoff);
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        if is_failing {
            tracing::info!("usage is booked again");
        }
        Ok(())
    }

    fn close(&mut self, name: Option<SegmentName>) {
        if let Some(tail) = name.and_then(|name| self.tails.get_mut(&name)) {
            tail.open = tail.open.saturating_sub(1);
        }
    }

    /// Lets go of a segment that is read to its end, and deletes it when nothing needs it.
    fn release(&mut self, name: SegmentName) {
        let Some(tail) = self.tails.get_mut(&name) else {
            return;
        };
        // In this order: what is finished is not written any more.
        let is_finished = tail.segment.is_finished();
        let written = tail.segment.written();
        if tail.read < written {
            return;
        }
        if !is_finished {
            let worth = self.journal.config.segment_bytes_max / WORTH_A_FILE;
            tail.segment
                .is_read
                .store(written >= worth, Ordering::Relaxed);
            return;
        }
        tail.reader = None;
        if tail.open == 0 && self.journal.delete(&tail.segment) {
            self.tails.remove(&name);
        }
    }
}

impl Tail {
    const fn new(segment: Arc<Segment>) -> Self {
        Self {
            segment,
            reader: None,
            read: 0,
            events: 0,
            open: 0,
        }
    }

    fn next(&mut self) -> io::Result<Option<Item<AttemptId>>> {
        let written = self.segment.written();
        if self.read >= written {
            return Ok(None);
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => {
                let reader = SegmentReader::open(&self.segment.path, self.segment.name, self.read)?;
                self.reader.insert(reader)
            }
        };
        let item = reader.next(written)?;
        self.read = reader.offset();
        Ok(item)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tollgate_domain::BudgetScope;

    use super::*;
    use crate::testing::{
        FlakyStore, KEY, ORG, PATIENCE, TempDir, attempt, cost, draft, now, outcome,
    };
    use crate::{Account, JournalWriter, Ledger, LedgerConfig, Reservation};

    fn open(dir: &TempDir, store: FlakyStore) -> (Ledger, Arc<FlakyStore>) {
        let store = Arc::new(store);
        let config = LedgerConfig {
            segment_bytes_max: 16 << 10,
            ..dir.config()
        };
        let kept: Arc<FlakyStore> = Arc::clone(&store);
        (Ledger::open(config, kept, now).unwrap().0, store)
    }

    fn reserve(writer: &JournalWriter, n: u64) -> Reservation {
        let org = Account::unlimited(BudgetScope::Org(ORG));
        let key = Account::unlimited(BudgetScope::Key(KEY));
        writer.reserve(draft(n), &org, &key, cost(n)).unwrap()
    }

    #[test]
    fn everything_is_booked_once_by_a_store_that_fails_every_other_time() {
        let dir = TempDir::new();
        let store = FlakyStore {
            fails_every: 2,
            ..FlakyStore::default()
        };
        let (ledger, store) = open(&dir, store);
        let writers = [ledger.writer().unwrap(), ledger.writer().unwrap()];
        for n in 0..600 {
            let [first, second] = &writers;
            let writer = if n % 3 == 0 { first } else { second };
            reserve(writer, n).settle(outcome(n));
        }
        assert!(ledger.drained(PATIENCE));
        assert_eq!(ledger.backlog().events, 0);
        let expected: Vec<_> = (0..600).map(attempt).collect();
        let booked: Vec<_> = store.events().iter().map(|e| e.attempt_id).collect();
        assert_eq!(booked, expected);
    }

    #[test]
    fn segments_go_when_they_are_booked_and_stay_while_a_call_of_theirs_is_open() {
        let dir = TempDir::new();
        let (ledger, store) = open(&dir, FlakyStore::default());
        let writer = ledger.writer().unwrap();
        let open_call = reserve(&writer, 1_000);
        for n in 0..500 {
            reserve(&writer, n).settle(outcome(n));
        }
        assert!(ledger.drained(PATIENCE));
        let is_first = |path: &PathBuf| path.to_string_lossy().ends_with("-000000.tgj");
        assert!(dir.segments().iter().any(is_first));
        open_call.settle(outcome(1));
        assert!(ledger.clone().close(PATIENCE));
        assert_eq!(dir.segments().len(), 0);
        assert_eq!(store.events().len(), 501);
    }

    #[test]
    fn a_segment_that_is_booked_is_ended_long_before_it_is_full() {
        let dir = TempDir::new();
        let (ledger, _) = open(&dir, FlakyStore::default());
        let writer = ledger.writer().unwrap();
        // Forty calls are less than a segment, and more than the part of it that is worth a file.
        for n in 0..40 {
            reserve(&writer, n).settle(outcome(n));
            assert!(ledger.drained(PATIENCE));
            let cycle = ledger.journal().cycle();
            while ledger.journal().cycle() < cycle + 2 {
                thread::yield_now();
            }
        }
        let is_first = |path: &PathBuf| path.to_string_lossy().ends_with("-000000.tgj");
        assert!(!dir.segments().iter().any(is_first));
    }

    #[test]
    fn a_backlog_is_counted_while_the_store_is_down() {
        let dir = TempDir::new();
        let (ledger, store) = open(&dir, FlakyStore::default());
        let writer = ledger.writer().unwrap();
        store.set_down(true);
        for n in 0..100 {
            reserve(&writer, n).settle(outcome(n));
        }
        assert!(!ledger.drained(Duration::from_millis(5)));
        let backlog = ledger.backlog();
        assert_eq!(backlog.events, 100);
        assert!(backlog.bytes > 10_000, "{backlog:?}");
        assert!(ledger.health().is_admitting);
        store.set_down(false);
        assert!(ledger.drained(PATIENCE));
        let after = ledger.backlog();
        assert_eq!(
            (after.events, after.bytes, after.age),
            (0, 0, Duration::ZERO)
        );
        assert_eq!(store.events().len(), 100);
    }

    #[test]
    fn one_event_that_is_never_taken_does_not_hold_up_the_others() {
        let dir = TempDir::new();
        let store = FlakyStore {
            refuses: Some(attempt(37)),
            ..FlakyStore::default()
        };
        let (ledger, store) = open(&dir, store);
        let writer = ledger.writer().unwrap();
        for n in 0..100 {
            reserve(&writer, n).settle(outcome(n));
        }
        assert!(ledger.drained(PATIENCE));
        assert_eq!(store.events().len(), 99);
        assert_eq!(crate::booking::count_put_aside(&dir.0).unwrap(), 1);
    }

    #[test]
    fn a_ledger_that_is_dropped_books_what_it_can() {
        let dir = TempDir::new();
        let (ledger, store) = open(&dir, FlakyStore::default());
        let writer = ledger.writer().unwrap();
        reserve(&writer, 1).settle(outcome(1));
        drop(ledger);
        assert_eq!(store.events().len(), 1);
    }
}
