//! Whether the books balance, checked while nobody writes them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use serde::Serialize;
use tollgate_domain::{AttemptId, Money, UsageEvent};
use tollgate_store::UsageStore;

use crate::booking::count_put_aside;
use crate::codec::{self, Record};
use crate::config::LedgerConfig;
use crate::error::LedgerError;
use crate::recovery::{OpenAttempts, scan};
use crate::segment;

/// How many attempts with two different ends are listed.
const LISTED_MAX: usize = 100;

/// The outcome of [`Ledger::verify`](crate::Ledger::verify).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Whether every attempt has one end, the journal is readable and all sums agree.
    pub is_balanced: bool,
    /// Segments in the journal.
    pub segments: u64,
    /// Attempts that are settled in the journal: each is booked already or will be at the next start.
    pub settled: u64,
    /// Attempts that are reserved and not settled: they will be charged at the next start.
    pub open: u64,
    /// Attempts with two different ends; a hundred at the most.
    pub conflicts: Vec<AttemptId>,
    /// Events that the store could never take and that were put aside in `unbookable.jsonl`.
    pub unbookable: u64,
    /// Bytes that cannot be read although intact records follow them.
    pub corrupt_bytes: u64,
    /// Bytes of unfinished last records. That is normal after a crash.
    pub torn_bytes: u64,
    /// Events in the store.
    pub events: u64,
    /// What they cost together.
    pub cost: Money,
    /// Roll-ups that were compared with the events.
    pub rollups: u64,
    /// Budgets that were compared with the events.
    pub budgets: u64,
    /// Sums that differ.
    pub mismatches: Vec<Difference>,
}

/// Two sums that should be equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What was compared.
    pub what: String,
    /// The sum over the events.
    pub events: String,
    /// The sum that is kept.
    pub kept: String,
}

pub(crate) fn verify(
    store: &dyn UsageStore,
    config: &LedgerConfig,
) -> Result<VerifyReport, LedgerError> {
    let segments = segment::list(config.dirs()).map_err(LedgerError::JournalFailed)?;
    let mut open = OpenAttempts::default();
    let mut settled: HashMap<AttemptId, u32> = HashMap::new();
    let mut conflicts = Vec::new();
    let scan = scan(&segments, |record| {
        match record {
            Record::Reserved(record) if settled.contains_key(&record.attempt_id) => {}
            Record::Reserved(record) => open.reserved(*record),
            Record::Checkpoint(_) => {}
            Record::Settled(event) => {
                open.settled(event.attempt_id);
                let digest = digest(&event);
                match settled.entry(event.attempt_id) {
                    Entry::Vacant(place) => drop(place.insert(digest)),
                    Entry::Occupied(first) if *first.get() == digest => {}
                    Entry::Occupied(_) => conflicts.push(event.attempt_id),
                }
            }
        }
        Ok(())
    })?;
    let unbookable = count_put_aside(&config.journal_dir).map_err(LedgerError::JournalFailed)?;
    let books = store.verify_books()?;
    conflicts.truncate(LISTED_MAX);
    Ok(VerifyReport {
        is_balanced: conflicts.is_empty()
            && scan.corrupt_bytes == 0
            && unbookable == 0
            && books.mismatches.is_empty(),
        segments: scan.segments,
        settled: count(settled.len()),
        open: count(open.len()),
        conflicts,
        unbookable,
        corrupt_bytes: scan.corrupt_bytes,
        torn_bytes: scan.torn_bytes,
        events: books.events,
        cost: books.cost,
        rollups: books.rollups,
        budgets: books.budgets,
        mismatches: books
            .mismatches
            .into_iter()
            .map(|mismatch| Difference {
                what: mismatch.what,
                events: mismatch.events,
                kept: mismatch.kept,
            })
            .collect(),
    })
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Returns a number that tells two ends of one attempt apart.
fn digest(event: &UsageEvent) -> u32 {
    let mut frame = Vec::new();
    codec::append_settled(&mut frame, 0, event);
    crc32c::crc32c(&frame)
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            segments,
            settled,
            open,
            unbookable,
            corrupt_bytes,
            torn_bytes,
            events,
            cost,
            rollups,
            budgets,
            ..
        } = self;
        writeln!(
            f,
            "journal: {segments} segments, {settled} settled, {open} open, {unbookable} put aside, {corrupt_bytes} bytes corrupt, {torn_bytes} torn"
        )?;
        writeln!(
            f,
            "store: {events} events, ${cost}, compared with {rollups} roll-ups and {budgets} budgets"
        )?;
        for attempt in &self.conflicts {
            writeln!(f, "two ends: {attempt}")?;
        }
        for Difference { what, events, kept } in &self.mismatches {
            writeln!(f, "differs: {what}: events {events}, kept {kept}")?;
        }
        f.write_str(if self.is_balanced {
            "the books balance"
        } else {
            "the books do not balance"
        })
    }
}
