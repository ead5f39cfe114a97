//! The writer of one worker's segments.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tollgate_domain::{AttemptId, UsageEvent};

use crate::books::Books;
use crate::codec::{self, Checkpoint, Record, ReservedParts, Step};
use crate::config::Durability;
use crate::disk::Sink;
use crate::error::LedgerError;
use crate::journal::{Journal, Urgency};
use crate::segment::Segment;

/// A segment that is being written, or that was and is not on the disk yet.
#[derive(Debug, Clone)]
struct Open {
    segment: Arc<Segment>,
    sink: Arc<dyn Sink>,
}

#[derive(Debug, Default)]
struct State {
    /// Whole frames that are in no segment yet.
    pending: Vec<u8>,
    /// How many of them are settled records.
    pending_settled: u64,
    /// How many bytes of frames there ever were.
    accepted: u64,
    current: Option<Open>,
    /// Full or failed segments that are not on the disk yet.
    retired: Vec<Open>,
    next_seq: u32,
    /// How often forcing to the disk failed in a row. Once, and it is done over; more often, and
    /// nothing is admitted.
    sync_failures: u32,
}

/// How much is on the disk; what [`Durability::Power`] waits for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Synced {
    /// Of all bytes of frames that there ever were.
    pub(crate) bytes: u64,
    /// Nothing can be written at present.
    pub(crate) is_stuck: bool,
}

/// The writer's inside: shared with its reservations and the sync thread.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) journal: Arc<Journal>,
    worker: u32,
    seed: u32,
    state: Mutex<State>,
    /// Held by whoever syncs, so that nobody takes a segment for synced that another is at.
    sync_turn: Mutex<()>,
    is_stuck: AtomicBool,
    flush_wanted: Arc<Notify>,
    /// Whether somebody writes what is pending at the end of each tick.
    has_flusher: AtomicBool,
    /// How many of all bytes of frames are written, and who waits for more.
    written: AtomicU64,
    more_written: Notify,
    synced: watch::Sender<Synced>,
}

/// What a settled record waits for.
#[derive(Debug)]
pub(crate) enum Wait {
    /// To be written, with the others of its tick.
    Written { core: Arc<Core>, place: u64 },
    /// To be on the disk.
    Synced {
        synced: watch::Receiver<Synced>,
        place: u64,
    },
}

impl Wait {
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Written { core, place } => core.written.load(Ordering::Acquire) >= *place,
            Self::Synced { synced, place } => synced.borrow().bytes >= *place,
        }
    }

    /// Returns whether it came to what was waited for; false means that the disk fails.
    pub(crate) async fn end(self) -> bool {
        match self {
            Self::Written { core, place } => loop {
                // Made before the look, so that nothing is missed between the two.
                let more_written = core.more_written.notified();
                if core.written.load(Ordering::Acquire) >= place {
                    return true;
                }
                if core.is_stuck() {
                    return false;
                }
                more_written.await;
            },
            Self::Synced { mut synced, place } => {
                let is_decided = |synced: &Synced| synced.bytes >= place || synced.is_stuck;
                let synced = synced.wait_for(is_decided).await;
                synced.is_ok_and(|synced| synced.bytes >= place)
            }
        }
    }
}

impl Core {
    pub(crate) fn new(journal: Arc<Journal>, worker: u32, seed: u32) -> Self {
        Self {
            journal,
            worker,
            seed,
            state: Mutex::default(),
            sync_turn: Mutex::default(),
            is_stuck: AtomicBool::new(false),
            flush_wanted: Arc::default(),
            has_flusher: AtomicBool::new(false),
            written: AtomicU64::new(0),
            more_written: Notify::new(),
            synced: watch::Sender::default(),
        }
    }

    /// Answers whether a call may be admitted through this writer.
    pub(crate) fn admit(&self) -> Result<(), LedgerError> {
        self.journal.admit()?;
        if self.is_stuck() {
            return Err(self.journal.failed());
        }
        Ok(())
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Acquire)
    }

    /// Takes a record in, to be written with the tick's others.
    pub(crate) fn push_reserved(&self, record: &ReservedParts<'_>) -> bool {
        self.push(|frames| codec::append_reserved(frames, self.seed, record))
    }

    /// Takes a record in, to be written with the tick's others. Lost when nothing can be written:
    /// it is worth less than the memory.
    pub(crate) fn push_checkpoint(&self, record: &Checkpoint) {
        if !self.is_stuck() {
            self.push(|frames| codec::append_checkpoint(frames, self.seed, record));
        }
    }

    fn push(&self, append: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let mut state = self.state.lock();
        let is_first = state.pending.is_empty();
        let is_in = state.push(append);
        drop(state);
        if is_first {
            self.flush_wanted.notify_one();
            self.journal.sync_bell.ring(Urgency::Soon);
        }
        is_in
    }

    /// Takes a settled record in, and returns what has to be waited for until it is as durable as it
    /// is to be. It is written with the others of its tick where somebody sees to that, and at once
    /// elsewhere.
    pub(crate) fn push_settled(self: &Arc<Self>, event: &UsageEvent) -> Option<Wait> {
        let is_written_later = self.journal.config.durability == Durability::Process
            && self.has_flusher.load(Ordering::Relaxed)
            && !self.journal.is_stopping();
        let mut state = self.state.lock();
        let is_first = state.pending.is_empty();
        let append = |frames: &mut Vec<u8>| codec::append_settled(frames, self.seed, event);
        if state.push(append) {
            state.pending_settled += 1;
        } else {
            tracing::error!(attempt.id = %event.attempt_id, "a usage event does not fit the journal");
        }
        // While nothing can be written, the sync thread alone keeps trying.
        if !self.is_stuck() && !is_written_later {
            self.flush(&mut state);
        }
        let place = state.accepted;
        drop(state);
        match self.journal.config.durability {
            Durability::Process => {
                self.journal.sync_bell.ring(Urgency::Soon);
                is_written_later.then(|| {
                    if is_first {
                        self.flush_wanted.notify_one();
                    }
                    let core = Arc::clone(self);
                    Wait::Written { core, place }
                })
            }
            Durability::Power => {
                if self.journal.is_stopping() {
                    self.sync();
                }
                self.journal.sync_bell.ring(Urgency::Now);
                let synced = self.synced.subscribe();
                Some(Wait::Synced { synced, place })
            }
        }
    }

    /// Writes what is pending; returns whether nothing is pending any more.
    pub(crate) fn flush_pending(&self) -> bool {
        self.flush(&mut self.state.lock())
    }

    fn flush(&self, state: &mut State) -> bool {
        if state.pending.is_empty() {
            self.set_stuck(state.sync_failures > 1);
            return true;
        }
        let is_flushed = self.write_somewhere(state).is_ok();
        self.set_stuck(!is_flushed || state.sync_failures > 1);
        if is_flushed {
            self.written.store(state.accepted, Ordering::Release);
        }
        self.more_written.notify_waiters();
        is_flushed
    }

    fn set_stuck(&self, is_stuck: bool) {
        if self.is_stuck() != is_stuck {
            let cycle = self.journal.cycle();
            self.journal.late_cycle.fetch_max(cycle, Ordering::AcqRel);
            self.is_stuck.store(is_stuck, Ordering::Release);
            self.synced.send_modify(|synced| synced.is_stuck = is_stuck);
        }
    }

    /// Tries the segment in use, then a new one in the fallback directory or the same, then one in
    /// the space that the ballast took.
    fn write_somewhere(&self, state: &mut State) -> io::Result<()> {
        let config = &self.journal.config;
        let main = &config.journal_dir;
        let Err(first) = self.write(state, main) else {
            return Ok(());
        };
        let fallback = config.fallback_dir.as_ref().unwrap_or(main);
        let Err(second) = self.write(state, fallback) else {
            return Ok(());
        };
        let is_full = |error: &io::Error| {
            use io::ErrorKind::{QuotaExceeded, StorageFull};
            matches!(error.kind(), StorageFull | QuotaExceeded)
        };
        if !((is_full(&first) || is_full(&second)) && self.journal.release_ballast()) {
            return Err(second);
        }
        self.write(state, main)
    }

    /// Writes all that is pending to the segment in use, or to a new one in `dir`. A segment that
    /// gave an error is never written again.
    fn write(&self, state: &mut State, dir: &Path) -> io::Result<()> {
        let max = self.journal.config.segment_bytes_max;
        if state
            .current
            .as_ref()
            .is_some_and(|open| open.is_done(state.pending.len(), max))
        {
            state.retire();
        }
        let open = match &state.current {
            Some(open) => open,
            None => {
                let (segment, sink) = self
                    .journal
                    .create(dir, self.worker, state.next_seq)
                    .inspect_err(|error| {
                        self.journal.note_failure("create a file in", dir, error)
                    })?;
                state.next_seq += 1;
                state.current.insert(Open { segment, sink })
            }
        };
        match open.sink.append(&state.pending) {
            Ok(()) => {
                open.segment
                    .wrote(state.pending.len(), state.pending_settled);
                state.pending.clear();
                state.pending_settled = 0;
                Ok(())
            }
            Err(error) => {
                self.journal
                    .note_failure("write", &open.segment.path, &error);
                let segment = Arc::clone(&open.segment);
                state.retire();
                if segment.written() == 0 {
                    self.journal.delete(&segment);
                }
                Err(error)
            }
        }
    }

    /// Forces what was written to the disk; returns whether all of it is there.
    pub(crate) fn sync(&self) -> bool {
        let _turn = self.sync_turn.lock();
        let mut state = self.state.lock();
        let mut is_done = self.flush(&mut state);
        let place = state.accepted;
        let mut opens = std::mem::take(&mut state.retired);
        opens.extend(state.current.clone());
        drop(state);
        opens.retain(|open| !open.segment.is_synced());
        let are_names_synced = opens.is_empty() || self.journal.sync_names();
        let synced = opens
            .iter()
            .filter(|open| self.sync_segment(open, are_names_synced))
            .count();
        let mut state = self.state.lock();
        if synced < opens.len() {
            is_done = false;
            state.sync_failures = state.sync_failures.saturating_add(1);
        } else {
            state.sync_failures = 0;
        }
        self.set_stuck(!state.pending.is_empty() && self.is_stuck() || state.sync_failures > 1);
        drop(state);
        if is_done {
            self.synced.send_if_modified(|synced| {
                let is_more = place > synced.bytes;
                synced.bytes = place.max(synced.bytes);
                is_more
            });
        }
        is_done
    }

    fn sync_segment(&self, open: &Open, is_name_synced: bool) -> bool {
        let written = open.segment.written();
        let result = open.sink.sync();
        let is_synced = result.is_ok() && is_name_synced;
        if let Err(error) = result {
            self.journal
                .note_failure("sync", &open.segment.path, &error);
        }
        if !is_synced {
            self.rescue(&open.segment);
        }
        open.segment.synced.store(written, Ordering::Release);
        is_synced
    }

    /// Writes what may not have reached the disk again, to another segment. The operating system
    /// still has it, but will not try the disk again.
    fn rescue(&self, segment: &Segment) {
        let mut state = self.state.lock();
        let is_current = |open: &mut Open| std::ptr::eq(&*open.segment, segment);
        if state.current.as_mut().is_some_and(is_current) {
            state.retire();
        }
        let unsynced = segment.read_unsynced().unwrap_or_else(|error| {
            self.journal.note_failure("read", &segment.path, &error);
            Vec::new()
        });
        let mut rest = unsynced.as_slice();
        let mut rescued = Vec::with_capacity(rest.len() + state.pending.len());
        while let Step::Record(record, size) = codec::step::<AttemptId>(self.seed, rest) {
            let (frame, after) = rest.split_at(size);
            rescued.extend_from_slice(frame);
            state.pending_settled += u64::from(matches!(record, Record::Settled(_)));
            rest = after;
        }
        let lost = u64::try_from(rest.len()).unwrap_or(u64::MAX);
        self.journal.note_corrupt(&segment.path, lost);
        rescued.append(&mut state.pending);
        state.pending = rescued;
        self.flush(&mut state);
        self.journal.sync_bell.ring(Urgency::Now);
    }

    /// Ends the segment in use, so that it can be deleted once it is booked.
    pub(crate) fn finish_segment(&self) {
        self.state.lock().retire();
    }

    /// Wakes the flusher, which ends if the journal is closed.
    pub(crate) fn wake_flusher(&self) {
        self.flush_wanted.notify_one();
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.sync();
        let state = self.state.get_mut();
        state.retire();
        let mut rest = state.pending.as_slice();
        while let Step::Record(record, size) = codec::step::<AttemptId>(self.seed, rest) {
            if let Record::Settled(event) = record {
                let event = serde_json::to_string(&event).unwrap_or_default();
                tracing::error!(event, "a usage event could not be written and is only here");
            }
            rest = rest.get(size..).unwrap_or_default();
        }
        self.flush_wanted.notify_one();
    }
}

impl State {
    fn push(&mut self, append: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let before = self.pending.len();
        let is_in = append(&mut self.pending);
        let bytes = self.pending.len().saturating_sub(before);
        self.accepted += u64::try_from(bytes).unwrap_or(u64::MAX);
        is_in
    }

    fn retire(&mut self) {
        if let Some(open) = self.current.take() {
            open.segment.is_finished.store(true, Ordering::Release);
            self.retired.push(open);
        }
    }
}

impl Open {
    /// Returns whether the next bytes belong into a new segment: this one would be too large, or
    /// has been read and is not too small to be worth a file.
    fn is_done(&self, next_bytes: usize, bytes_max: u64) -> bool {
        let written = self.segment.written();
        let next = u64::try_from(next_bytes).unwrap_or(u64::MAX);
        let is_read = self.segment.is_read.load(Ordering::Relaxed);
        written > 0 && (written.saturating_add(next) > bytes_max || is_read)
    }
}

/// Writes one worker's records. Clones write to the same segments.
///
/// A server has one for each worker, so that workers do not wait for each other.
#[derive(Debug, Clone)]
pub struct JournalWriter {
    pub(crate) core: Arc<Core>,
    pub(crate) books: Arc<Books>,
}

impl JournalWriter {
    /// Returns a future that writes what was reserved and settled soon after, all of one tick of the
    /// runtime together. Spawn it once on the worker's own runtime. It ends when the ledger is
    /// closed or the last writer is dropped.
    ///
    /// Without it a settled call is written at once, and reservations with the next one or at the
    /// next sync, whichever comes first; a process that dies before loses the reservation of a call
    /// nobody has an answer of.
    pub fn flusher(&self) -> impl Future<Output = ()> + Send + 'static {
        self.core.has_flusher.store(true, Ordering::Relaxed);
        let weak = Arc::downgrade(&self.core);
        let wanted = Arc::clone(&self.core.flush_wanted);
        async move {
            loop {
                wanted.notified().await;
                tokio::task::yield_now().await;
                match weak.upgrade() {
                    Some(core) if core.journal.is_stopping() => return,
                    Some(core) if core.is_stuck() => {}
                    Some(core) => drop(core.flush_pending()),
                    None => return,
                }
            }
        }
    }
}
