//! The ledger as a whole.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tollgate_domain::{BudgetPolicy, BudgetScope, Timestamp};
use tollgate_store::UsageStore;

use crate::books::{Account, Books};
use crate::config::LedgerConfig;
use crate::disk::{Disk, SystemDisk};
use crate::drain::Drain;
use crate::error::LedgerError;
use crate::journal::{Backlog, Journal, JournalHealth};
use crate::recovery::{self, Recovery};
use crate::sync;
use crate::verify::{self, VerifyReport};
use crate::writer::{Core, JournalWriter};

/// The books of one process: its journal, its budgets, and the two threads that keep both.
///
/// A cheap handle. When the last one is dropped the threads end; [`close`](Self::close) also waits
/// until everything is booked.
#[derive(Debug, Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Arc<Journal>,
    books: Arc<Books>,
    store: Arc<dyn UsageStore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Ledger {
    /// Takes the journal for this process alone, books what an earlier one left in it, and starts.
    /// Blocks for as long as that takes. `now` tells the time.
    ///
    /// # Errors
    /// [`LedgerError::Setting`] for a setting out of its range, [`LedgerError::Locked`] when another
    /// process has the journal, [`LedgerError::Store`] when the store cannot book what is in it,
    /// [`LedgerError::UnknownRecord`] when another version wrote it, and
    /// [`LedgerError::JournalFailed`] when it cannot be read.
    pub fn open(
        config: LedgerConfig,
        store: Arc<dyn UsageStore>,
        now: fn() -> Timestamp,
    ) -> Result<(Self, Recovery), LedgerError> {
        Self::open_on(Box::new(SystemDisk), config, store, now)
    }

    pub(crate) fn open_on(
        disk: Box<dyn Disk>,
        config: LedgerConfig,
        store: Arc<dyn UsageStore>,
        now: fn() -> Timestamp,
    ) -> Result<(Self, Recovery), LedgerError> {
        let journal = Arc::new(Journal::open(config, disk, now)?);
        let recovery = recovery::recover(&journal.config, &*store)?;
        if let Err(error) = journal.restore_ballast() {
            journal.note_failure("fill", &journal.config.journal_dir, &error);
            journal.release_ballast();
        }
        let ledger = Self {
            inner: Arc::new(Inner {
                journal,
                books: Arc::default(),
                store,
                threads: Mutex::default(),
            }),
        };
        ledger.inner.start().map_err(LedgerError::JournalFailed)?;
        Ok((ledger, recovery))
    }

    /// Returns a new writer; a server takes one for each worker.
    ///
    /// # Errors
    /// [`LedgerError::Closed`] after [`close`](Self::close).
    pub fn writer(&self) -> Result<JournalWriter, LedgerError> {
        let journal = &self.inner.journal;
        if let Err(LedgerError::Closed) = journal.admit() {
            return Err(LedgerError::Closed);
        }
        let core =
            journal.register(|worker, seed| Arc::new(Core::new(Arc::clone(journal), worker, seed)));
        let books = Arc::clone(&self.inner.books);
        Ok(JournalWriter { core, books })
    }

    /// Returns the account of a scope. Blocks while it is read from the store the first time: call
    /// it off the threads that serve requests, and keep the handle.
    ///
    /// A policy other than the account's replaces it, for all its handles; what is spent and held
    /// stays. Without a policy every call is admitted and none is charged.
    ///
    /// # Errors
    /// [`LedgerError::BudgetUnverifiable`] when the store cannot say what was spent.
    pub fn account(
        &self,
        scope: BudgetScope,
        policy: Option<BudgetPolicy>,
    ) -> Result<Account, LedgerError> {
        let Inner {
            journal,
            books,
            store,
            ..
        } = &*self.inner;
        books.account(&**store, scope, policy, (journal.now)())
    }

    /// Forgets accounts that nobody holds and whose charges are all booked, after ten minutes
    /// without use. The ledger does it by itself every minute. Returns how many were forgotten.
    pub fn sweep(&self, now: Timestamp) -> usize {
        self.inner.journal.sweep(&self.inner.books, now)
    }

    /// Returns what is in the journal and not yet in the store.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.inner.journal.backlog()
    }

    /// Returns how the journal is doing.
    #[must_use]
    pub fn health(&self) -> JournalHealth {
        self.inner.journal.health()
    }

    /// Returns how many calls cost more than was reserved for them, since the start. They are booked
    /// in full; a budget can be overspent by such differences only.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.inner.books.overruns()
    }

    /// Waits until all that was settled before is booked in the store; returns whether it is.
    #[must_use]
    pub fn drained(&self, timeout: Duration) -> bool {
        self.inner.drained(Instant::now() + timeout)
    }

    /// Admits nothing more, waits until all that was settled is booked, deletes what is booked and
    /// ends the threads. Returns whether everything is booked. Calls still under way can be settled
    /// afterwards: the next start books them.
    #[must_use]
    pub fn close(self, timeout: Duration) -> bool {
        let inner = &self.inner;
        inner.journal.close();
        let is_drained = inner.drained(Instant::now() + timeout);
        for writer in inner.journal.writers() {
            writer.finish_segment();
        }
        inner.stop();
        is_drained
    }

    #[cfg(test)]
    pub(crate) fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    /// Checks that every attempt in the journal has one end, that the journal is readable, and that
    /// the sums over the events are those that the store keeps. Changes nothing and takes no lock:
    /// run it while no process writes this journal.
    ///
    /// # Errors
    /// When the journal or the store cannot be read.
    pub fn verify(
        store: &dyn UsageStore,
        config: &LedgerConfig,
    ) -> Result<VerifyReport, LedgerError> {
        verify::verify(store, config)
    }
}

impl Inner {
    fn start(&self) -> io::Result<()> {
        let journal = Arc::clone(&self.journal);
        let syncing = thread::Builder::new()
            .name("ledger-sync".to_owned())
            .spawn(move || sync::run(&journal))?;
        let _ = self.journal.sync_bell.thread.set(syncing.thread().clone());
        self.threads.lock().push(syncing);
        let journal = Arc::clone(&self.journal);
        let books = Arc::clone(&self.books);
        let store = Arc::clone(&self.store);
        let draining = thread::Builder::new()
            .name("ledger-drain".to_owned())
            .spawn(move || Drain::new(&journal, &books, &*store).run())?;
        let _ = self.journal.drain_thread.set(draining.thread().clone());
        self.threads.lock().push(draining);
        self.journal.sync_bell.wake();
        Ok(())
    }

    fn drained(&self, deadline: Instant) -> bool {
        let (lock, progress) = &self.journal.progress;
        let is_written = |writer: &Arc<Core>| !writer.is_stuck() && writer.flush_pending();
        while !self.journal.writers().iter().all(is_written) {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let marks: Vec<_> = self
            .journal
            .segments()
            .into_iter()
            .map(|segment| (segment.written(), segment))
            .collect();
        self.journal.wake_drain();
        let mut guard = lock.lock();
        loop {
            let is_booked = marks
                .iter()
                .all(|(written, segment)| segment.booked.load(Ordering::Acquire) >= *written);
            if is_booked || progress.wait_until(&mut guard, deadline).timed_out() {
                return is_booked;
            }
        }
    }

    fn stop(&self) {
        self.journal.stop();
        for writer in self.journal.writers() {
            writer.wake_flusher();
        }
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the ledger panicked");
            }
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { journal, books, .. } = self;
        f.debug_struct("Inner")
            .field("journal", journal)
            .field("books", books)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}
