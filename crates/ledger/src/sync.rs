//! The thread that forces the journal to the disk, and that keeps trying when the disk fails.

use std::thread;
use std::time::{Duration, Instant};

use crate::journal::{Journal, Urgency};

/// How often a disk that fails is tried again, and whether there is room for the ballast again.
const RETRY: Duration = Duration::from_millis(250);
const BALLAST_RETRY: Duration = Duration::from_secs(1);

/// Runs until the journal is stopped and what was written then is on the disk.
pub(crate) fn run(journal: &Journal) {
    let mut ballast_due = Instant::now();
    loop {
        wait(journal);
        let is_last = journal.is_stopping();
        journal.sync_bell.silence();
        let mut is_failing = false;
        for writer in journal.writers() {
            writer.sync();
            is_failing |= writer.is_stuck();
        }
        if is_last {
            return;
        }
        if journal.is_disk_full() && Instant::now() >= ballast_due {
            let _ = journal.restore_ballast();
            ballast_due = Instant::now() + BALLAST_RETRY;
        }
        if is_failing || journal.is_disk_full() {
            journal.sync_bell.ring(Urgency::Soon);
            thread::park_timeout(RETRY);
        }
    }
}

/// Waits until there is something to do, and for the interval unless somebody waits.
fn wait(journal: &Journal) {
    let mut due = None;
    while !journal.is_stopping() {
        match journal.sync_bell.level() {
            Urgency::Now => return,
            Urgency::Idle => thread::park(),
            Urgency::Soon => {
                let due = *due.get_or_insert_with(|| Instant::now() + journal.config.sync_interval);
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                thread::park_timeout(left);
            }
        }
    }
}
