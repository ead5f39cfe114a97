//! What the tests share: directories, calls, a store that fails and a disk that fails.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tollgate_domain::{
    AttemptId, BudgetPolicy, BudgetScope, KeyId, ModelPrice, Money, OrgId, Price, Provenance,
    RequestId, Surface, TerminalState, Timestamp, Usage, UsageEvent,
};
use tollgate_store::{
    BooksReport, MemoryStore, Mismatch, StoreError, UsageQuery, UsageRow, UsageStore,
};

use crate::disk::{Disk, Sink, SystemDisk};
use crate::{AttemptDraft, LedgerConfig, Outcome};

pub(crate) const ORG: OrgId = OrgId::from_bytes([1; 16]);
pub(crate) const KEY: KeyId = KeyId::from_bytes([2; 16]);
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
/// Long enough for a busy machine; nothing waits for all of it unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn now() -> Timestamp {
    NOW
}

/// A directory that goes away with its test.
#[derive(Debug)]
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tollgate-ledger-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn config(&self) -> LedgerConfig {
        LedgerConfig {
            journal_dir: self.0.clone(),
            ballast_bytes: 0,
            sync_interval: Duration::from_millis(1),
            drain_interval: Duration::from_millis(1),
            ..LedgerConfig::default()
        }
    }

    /// Returns the segments' paths.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let found = crate::segment::list([&self.0].into_iter()).unwrap();
        found.into_iter().map(|(_, path)| path).collect()
    }

    /// Returns a copy of the segments as they are now: what a process that is killed leaves.
    pub(crate) fn image(&self) -> Self {
        let copy = Self::new();
        for path in self.segments() {
            fs::copy(&path, copy.0.join(path.file_name().unwrap())).unwrap();
        }
        copy
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A call whose tokens cost a dollar per million: 1,000 nano-dollars each.
pub(crate) fn draft(n: u64) -> AttemptDraft {
    let dollar = Price::from_usd_per_million("1").unwrap();
    AttemptDraft {
        attempt_id: attempt(n),
        request_id: RequestId::from_bytes(u128::from(n).to_be_bytes()),
        attempt: 1,
        org_id: ORG,
        key_id: KEY,
        surface: Surface::ChatCompletions,
        model: "fast".into(),
        provider: "openai".into(),
        upstream_model: "gpt-4o-mini".into(),
        started_at: NOW,
        price: ModelPrice::flat(dollar, dollar),
        long_context: None,
        price_version: "2026-11-23".into(),
        prompt_tokens_known: 10,
    }
}

pub(crate) fn attempt(n: u64) -> AttemptId {
    AttemptId::from_bytes(u128::from(n).to_be_bytes())
}

pub(crate) fn usage(input: u64) -> Usage {
    Usage {
        input,
        ..Usage::default()
    }
}

/// What `tokens` of a [`draft`] cost.
pub(crate) fn cost(tokens: u64) -> Money {
    Money::from_nano(i64::try_from(tokens).unwrap() * 1_000)
}

pub(crate) fn outcome(input: u64) -> Outcome {
    Outcome {
        usage: usage(input),
        provenance: Provenance::Provider,
        state: TerminalState::Ok,
        upstream_status: Some(200),
        latency_us: 1_000,
        first_token_us: Some(100),
        is_final: true,
    }
}

pub(crate) fn policy(tokens: u64, duration: &str) -> Option<BudgetPolicy> {
    Some(BudgetPolicy {
        max_budget: cost(tokens),
        duration: duration.parse().ok(),
    })
}

/// A store that can be down, and that can refuse one attempt for ever.
#[derive(Debug, Default)]
pub(crate) struct FlakyStore {
    pub(crate) kept: MemoryStore,
    pub(crate) is_down: AtomicBool,
    /// Every so many calls fail; 0 for none.
    pub(crate) fails_every: u64,
    pub(crate) calls: AtomicU64,
    pub(crate) refuses: Option<AttemptId>,
    /// Its sums do not agree.
    pub(crate) mismatch: bool,
}

impl FlakyStore {
    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    pub(crate) fn events(&self) -> Vec<UsageEvent> {
        self.kept.usage_events()
    }
}

impl UsageStore for FlakyStore {
    fn record_usage(&self, events: &[UsageEvent]) -> Result<usize, StoreError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let is_bad_call = self.fails_every > 0 && call.is_multiple_of(self.fails_every);
        if is_bad_call || self.is_down.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("down".into()));
        }
        if events.iter().any(|e| Some(e.attempt_id) == self.refuses) {
            return Err(StoreError::Invalid { what: "an event" });
        }
        self.kept.record_usage(events)
    }

    fn usage_totals(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        self.kept.usage_totals(query)
    }

    fn budget_spent(&self, scope: BudgetScope, start: Timestamp) -> Result<Money, StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("down".into()));
        }
        self.kept.budget_spent(scope, start)
    }

    fn verify_books(&self) -> Result<BooksReport, StoreError> {
        let mut report = self.kept.verify_books()?;
        report.mismatches.extend(self.mismatch.then(|| Mismatch {
            what: "a sum".to_owned(),
            events: "1".to_owned(),
            kept: "2".to_owned(),
        }));
        Ok(report)
    }
}

/// How a [`TestDisk`] fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation with this number, from 1, fails; an append leaves half of its bytes behind.
    Once(usize),
    /// Every operation fails.
    Always,
    /// Every sync fails.
    Syncs,
    /// Writing below this directory fails.
    Below(&'static str),
    /// No more than so many bytes fit.
    Full(u64),
    /// None.
    Never,
}

/// Real files, failures on demand, and a memory of what has reached the disk.
#[derive(Debug, Clone)]
pub(crate) struct TestDisk(Arc<DiskState>);

#[derive(Debug)]
struct DiskState {
    fault: Mutex<Fault>,
    operations: AtomicUsize,
    appends: AtomicUsize,
    /// How often a file was written that had given an error before.
    misuses: AtomicUsize,
    /// Bytes of every file: written, forced to the disk, and whether its name was.
    files: Mutex<HashMap<PathBuf, Lengths>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Lengths {
    written: u64,
    synced: u64,
    is_named: bool,
    has_failed: bool,
}

#[derive(Debug)]
struct TestFile {
    disk: TestDisk,
    path: PathBuf,
    sink: Arc<dyn Sink>,
}

impl TestDisk {
    pub(crate) fn new(fault: Fault) -> Self {
        Self(Arc::new(DiskState {
            fault: Mutex::new(fault),
            operations: AtomicUsize::new(0),
            appends: AtomicUsize::new(0),
            misuses: AtomicUsize::new(0),
            files: Mutex::default(),
        }))
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.0.fault.lock() = fault;
    }

    pub(crate) fn operations(&self) -> usize {
        self.0.operations.load(Ordering::Relaxed)
    }

    pub(crate) fn appends(&self) -> usize {
        self.0.appends.load(Ordering::Relaxed)
    }

    pub(crate) fn misuses(&self) -> usize {
        self.0.misuses.load(Ordering::Relaxed)
    }

    /// Returns a copy of the segments as a power cut would leave them.
    pub(crate) fn image_after_power_cut(&self) -> TempDir {
        let copy = TempDir::new();
        for (path, lengths) in self.0.files.lock().iter().filter(|(_, l)| l.is_named) {
            let bytes = fs::read(path).unwrap();
            let end = usize::try_from(lengths.synced).unwrap();
            fs::write(copy.0.join(path.file_name().unwrap()), &bytes[..end]).unwrap();
        }
        copy
    }

    fn operate(&self, path: &Path, is_sync: bool, bytes: u64) -> io::Result<()> {
        let n = self.0.operations.fetch_add(1, Ordering::Relaxed) + 1;
        let fault = *self.0.fault.lock();
        let used = || self.0.files.lock().values().map(|l| l.written).sum::<u64>();
        let fails = match fault {
            Fault::Once(at) => n == at,
            Fault::Always => true,
            Fault::Syncs => is_sync,
            Fault::Below(part) => !is_sync && path.components().any(|c| c.as_os_str() == part),
            Fault::Full(size) if bytes > 0 && used() + bytes > size => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Fault::Full(_) | Fault::Never => false,
        };
        if fails {
            return Err(io::Error::other("made to fail"));
        }
        Ok(())
    }
}

impl Disk for TestDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn Sink>> {
        self.operate(path, false, 0)?;
        let sink = SystemDisk.create(path)?;
        self.0.files.lock().insert(path.into(), Lengths::default());
        Ok(Arc::new(TestFile {
            disk: self.clone(),
            path: path.into(),
            sink,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.files.lock().remove(path);
        SystemDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate(dir, true, 0)?;
        for (path, lengths) in self.0.files.lock().iter_mut() {
            lengths.is_named |= path.parent() == Some(dir);
        }
        Ok(())
    }
}

impl Sink for TestFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.0.appends.fetch_add(1, Ordering::Relaxed);
        let length = u64::try_from(bytes.len()).unwrap();
        let result = self.disk.operate(&self.path, false, length);
        let bytes = match result {
            Ok(()) => bytes,
            Err(_) => &bytes[..bytes.len() / 2],
        };
        if let Some(lengths) = self.disk.0.files.lock().get_mut(&self.path) {
            lengths.written += u64::try_from(bytes.len()).unwrap();
            let misuses = usize::from(lengths.has_failed);
            self.disk.0.misuses.fetch_add(misuses, Ordering::Relaxed);
            lengths.has_failed |= result.is_err();
        }
        self.sink.append(bytes).and(result)
    }

    fn sync(&self) -> io::Result<()> {
        let written = self.disk.0.files.lock().get(&self.path).map(|l| l.written);
        let result = self.disk.operate(&self.path, true, 0);
        if let Some(lengths) = self.disk.0.files.lock().get_mut(&self.path) {
            match result {
                Ok(()) => lengths.synced = written.unwrap_or(0),
                Err(_) => lengths.has_failed = true,
            }
        }
        result
    }
}
