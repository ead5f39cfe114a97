//! What all writers of a process share: directories, segments, and how the disk is doing.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use tollgate_domain::Timestamp;

use crate::books::Books;
use crate::config::LedgerConfig;
use crate::disk::{Disk, Sink};
use crate::error::LedgerError;
use crate::segment::{Segment, SegmentName};
use crate::writer::Core;

/// Failures are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// How the journal is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalHealth {
    /// Whether calls are admitted.
    pub is_admitting: bool,
    /// Whether the ballast was given up because a disk was full. It is restored, and calls are
    /// admitted again, when there is room for it.
    pub is_disk_full: bool,
    /// How many segments there are, those included that only wait to be booked.
    pub segments: usize,
    /// How often writing or forcing to the disk failed since the start.
    pub failures: u64,
    /// Bytes of this process's own segments that could not be read back, since the start.
    pub corrupt_bytes: u64,
    /// What failed last.
    pub last_error: Option<String>,
}

/// What is in the journal and not yet in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Settled events.
    pub events: u64,
    /// Bytes of segments.
    pub bytes: u64,
    /// How long ago the oldest event that the drain is holding ended.
    pub age: Duration,
}

#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) config: LedgerConfig,
    pub(crate) now: fn() -> Timestamp,
    run: u64,
    disk: Box<dyn Disk>,
    /// Held for as long as anybody can write.
    _locks: Vec<File>,
    segments: Mutex<Vec<Arc<Segment>>>,
    writers: Mutex<Vec<Weak<Core>>>,
    workers: AtomicU32,
    /// A segment was made whose name may not be on the disk yet.
    has_new_names: AtomicBool,
    ballast: Mutex<bool>,
    is_disk_full: AtomicBool,
    is_closed: AtomicBool,
    is_stopping: AtomicBool,
    failures: AtomicU64,
    corrupt_bytes: AtomicU64,
    /// What failed last, and when a failure was last logged.
    last_failure: Mutex<(Option<String>, Option<Instant>)>,
    /// Counts the rounds of the drain in which it booked all that was there at their beginning.
    pub(crate) drain_cycle: AtomicU64,
    /// The cycle in which records were last written long after they were settled.
    pub(crate) late_cycle: AtomicU64,
    /// When the oldest event that the drain holds ended, in microseconds; 0 when it holds none.
    pub(crate) oldest_us: AtomicI64,
    pub(crate) progress: (Mutex<()>, Condvar),
    pub(crate) sync_bell: Bell,
    pub(crate) drain_thread: OnceLock<Thread>,
}

impl Journal {
    /// Makes the directories, and takes them for this process alone.
    pub(crate) fn open(
        config: LedgerConfig,
        disk: Box<dyn Disk>,
        now: fn() -> Timestamp,
    ) -> Result<Self, LedgerError> {
        config.check()?;
        let locks = config
            .dirs()
            .map(|dir| lock(dir))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config,
            now,
            run: RandomState::new().hash_one(std::process::id()),
            disk,
            _locks: locks,
            segments: Mutex::default(),
            writers: Mutex::default(),
            workers: AtomicU32::new(0),
            has_new_names: AtomicBool::new(false),
            ballast: Mutex::new(false),
            is_disk_full: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            corrupt_bytes: AtomicU64::new(0),
            last_failure: Mutex::default(),
            drain_cycle: AtomicU64::new(0),
            late_cycle: AtomicU64::new(0),
            oldest_us: AtomicI64::new(0),
            progress: (Mutex::new(()), Condvar::new()),
            sync_bell: Bell::default(),
            drain_thread: OnceLock::new(),
        })
    }

    /// Answers whether a call may be admitted.
    pub(crate) fn admit(&self) -> Result<(), LedgerError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(LedgerError::Closed);
        }
        if self.is_disk_full.load(Ordering::Acquire) {
            return Err(self.failed());
        }
        Ok(())
    }

    /// Returns the error that callers get while the journal cannot be written.
    pub(crate) fn failed(&self) -> LedgerError {
        let last = self.last_failure.lock().0.clone();
        LedgerError::JournalFailed(io::Error::other(last.unwrap_or_default()))
    }

    /// Counts a failure, and logs it unless another was logged just now: a disk that fails is tried
    /// often.
    pub(crate) fn note_failure(&self, what: &str, path: &Path, error: &io::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let text = format!("{what} {}: {error}", path.display());
        let mut last = self.last_failure.lock();
        if last.1.is_none_or(|at| at.elapsed() > LOG_INTERVAL) {
            tracing::error!("the journal failed to {text}");
            last.1 = Some(Instant::now());
        }
        last.0 = Some(text);
    }

    /// Counts bytes that were written and cannot be read back.
    pub(crate) fn note_corrupt(&self, path: &Path, bytes: u64) {
        if bytes > 0 {
            self.corrupt_bytes.fetch_add(bytes, Ordering::Relaxed);
            tracing::error!(path = %path.display(), bytes, "the journal is damaged");
        }
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(crate) fn stop(&self) {
        self.close();
        self.is_stopping.store(true, Ordering::Release);
        self.sync_bell.ring(Urgency::Now);
        self.wake_drain();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    pub(crate) fn wake_drain(&self) {
        if let Some(thread) = self.drain_thread.get() {
            thread.unpark();
        }
    }

    /// Returns the seed of this run's checksums and the number of a new writer.
    pub(crate) fn register(&self, make: impl FnOnce(u32, u32) -> Arc<Core>) -> Arc<Core> {
        let worker = self.workers.fetch_add(1, Ordering::Relaxed);
        let core = make(worker, self.name(worker, 0).seed());
        let mut writers = self.writers.lock();
        writers.retain(|writer| writer.strong_count() > 0);
        writers.push(Arc::downgrade(&core));
        core
    }

    pub(crate) fn writers(&self) -> Vec<Arc<Core>> {
        let writers = self.writers.lock();
        writers.iter().filter_map(Weak::upgrade).collect()
    }

    fn name(&self, worker: u32, seq: u32) -> SegmentName {
        let run = self.run;
        SegmentName { run, worker, seq }
    }

    /// Makes a new segment in this directory.
    pub(crate) fn create(
        &self,
        dir: &Path,
        worker: u32,
        seq: u32,
    ) -> io::Result<(Arc<Segment>, Arc<dyn Sink>)> {
        let name = self.name(worker, seq);
        let path = dir.join(name.to_string());
        let sink = self.disk.create(&path)?;
        self.has_new_names.store(true, Ordering::Release);
        let segment = Arc::new(Segment::new(name, path));
        self.segments.lock().push(Arc::clone(&segment));
        Ok((segment, sink))
    }

    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.lock().clone()
    }

    /// Deletes a segment that nobody needs any more; returns whether that worked.
    pub(crate) fn delete(&self, segment: &Arc<Segment>) -> bool {
        match self.disk.remove(&segment.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.note_failure("delete", &segment.path, &error);
                false
            }
            _ => {
                self.segments.lock().retain(|s| !Arc::ptr_eq(s, segment));
                true
            }
        }
    }

    /// Forces the names of the segments to the disk; returns whether they are there.
    pub(crate) fn sync_names(&self) -> bool {
        if !self.has_new_names.swap(false, Ordering::AcqRel) {
            return true;
        }
        let is_synced = self.config.dirs().all(|dir| {
            self.disk
                .sync_dir(dir)
                .inspect_err(|error| self.note_failure("sync", dir, error))
                .is_ok()
        });
        if !is_synced {
            self.has_new_names.store(true, Ordering::Release);
        }
        is_synced
    }

    pub(crate) fn health(&self) -> JournalHealth {
        let is_stuck = self.writers().iter().any(|writer| writer.is_stuck());
        JournalHealth {
            is_admitting: self.admit().is_ok() && !is_stuck,
            is_disk_full: self.is_disk_full.load(Ordering::Acquire),
            segments: self.segments.lock().len(),
            failures: self.failures.load(Ordering::Relaxed),
            corrupt_bytes: self.corrupt_bytes.load(Ordering::Relaxed),
            last_error: self.last_failure.lock().0.clone(),
        }
    }

    pub(crate) fn backlog(&self) -> Backlog {
        let (bytes, events) = self
            .segments
            .lock()
            .iter()
            .map(|segment| segment.backlog())
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let age = match self.oldest_us.load(Ordering::Relaxed) {
            0 => 0,
            oldest => (self.now)().micros().saturating_sub(oldest),
        };
        Backlog {
            events,
            bytes,
            age: Duration::from_micros(u64::try_from(age).unwrap_or(0)),
        }
    }

    /// Takes up the disk space that is given back when a disk is full. What is written is not
    /// compressible, so that it takes up space everywhere.
    pub(crate) fn restore_ballast(&self) -> io::Result<()> {
        let mut is_there = self.ballast.lock();
        let path = self.config.journal_dir.join("ballast");
        let size = self.config.ballast_bytes;
        let is_kept = fs::metadata(&path).is_ok_and(|file| file.len() == size);
        if !(*is_there || is_kept || size == 0) {
            let _ = self.disk.remove(&path);
            let file = self.disk.create(&path)?;
            if let Err(error) = fill(&*file, size) {
                self.disk.remove(&path)?;
                return Err(error);
            }
        }
        *is_there = true;
        self.is_disk_full.store(false, Ordering::Release);
        Ok(())
    }

    /// Gives the ballast back and stops admission; returns whether there was any.
    pub(crate) fn release_ballast(&self) -> bool {
        let mut is_there = self.ballast.lock();
        self.is_disk_full.store(true, Ordering::Release);
        let path = self.config.journal_dir.join("ballast");
        let was_there = std::mem::take(&mut *is_there) && self.config.ballast_bytes > 0;
        was_there && self.disk.remove(&path).is_ok()
    }

    /// Returns the drain's cycle.
    pub(crate) fn cycle(&self) -> u64 {
        self.drain_cycle.load(Ordering::Acquire)
    }

    /// Forgets accounts that are idle and booked. While records wait in memory nothing is known to
    /// be booked, nor until the drain has been once through what was written late.
    pub(crate) fn sweep(&self, books: &Books, now: Timestamp) -> usize {
        if self.writers().iter().any(|writer| writer.is_stuck()) {
            return 0;
        }
        let cycle = self.cycle();
        let late = self.late_cycle.load(Ordering::Acquire);
        if cycle < late + 2 {
            return 0;
        }
        books.sweep(now, cycle.saturating_sub(1))
    }

    pub(crate) fn is_disk_full(&self) -> bool {
        self.is_disk_full.load(Ordering::Acquire)
    }
}

fn lock(dir: &Path) -> Result<File, LedgerError> {
    let failed = LedgerError::JournalFailed;
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(dir.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::Locked {
            dir: dir.to_path_buf(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn fill(file: &dyn Sink, size: u64) -> io::Result<()> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chunk = vec![0; 64 << 10];
    let mut left = usize::try_from(size).unwrap_or(usize::MAX);
    while left > 0 {
        for word in chunk.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let bytes = left.min(chunk.len());
        file.append(chunk.get(..bytes).unwrap_or_default())?;
        left -= bytes;
    }
    Ok(())
}

/// How soon the sync thread is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Urgency {
    /// There is nothing to do.
    Idle = 0,
    /// At the end of its interval.
    Soon = 1,
    /// Somebody waits.
    Now = 2,
}

/// Wakes the sync thread; rings only when that changes something.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    urgency: AtomicU8,
    pub(crate) thread: OnceLock<Thread>,
}

impl Bell {
    pub(crate) fn ring(&self, urgency: Urgency) {
        let level = urgency as u8;
        if self.urgency.load(Ordering::Relaxed) < level
            && self.urgency.fetch_max(level, Ordering::AcqRel) < level
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    pub(crate) fn level(&self) -> Urgency {
        match self.urgency.load(Ordering::Acquire) {
            0 => Urgency::Idle,
            1 => Urgency::Soon,
            _ => Urgency::Now,
        }
    }

    /// Wakes the thread once it is known, for a ring before that.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(crate) fn silence(&self) {
        self.urgency.store(Urgency::Idle as u8, Ordering::Release);
    }
}
