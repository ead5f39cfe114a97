//! Whether the books balance, checked while nobody writes them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
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
    pub conflicts: BTreeSet<AttemptId>,
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
    let mut conflicts = BTreeSet::new();
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
                    Entry::Occupied(_) if conflicts.len() >= LISTED_MAX => {}
                    Entry::Occupied(_) => drop(conflicts.insert(event.attempt_id)),
                }
            }
        }
        Ok(())
    })?;
    let unbookable = count_put_aside(&config.journal_dir).map_err(LedgerError::JournalFailed)?;
    let books = store.verify_books()?;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use tollgate_domain::BudgetScope;

    use super::*;
    use crate::testing::{FlakyStore, KEY, ORG, TempDir, cost, draft, now, outcome, policy};
    use crate::{Account, Ledger};

    /// A journal with two settled calls, the second of which costs this many tokens, and an open one.
    fn journal(tokens: u64) -> TempDir {
        let dir = TempDir::new();
        let store = Arc::new(FlakyStore::default());
        store.set_down(true);
        let kept: Arc<FlakyStore> = Arc::clone(&store);
        let (ledger, _) = Ledger::open(dir.config(), kept, now).unwrap();
        let writer = ledger.writer().unwrap();
        let org = Account::unlimited(BudgetScope::Org(ORG));
        let key = Account::unlimited(BudgetScope::Key(KEY));
        let reserve = |n| writer.reserve(draft(n), &org, &key, cost(50)).unwrap();
        let _open = reserve(3);
        reserve(1).settle(outcome(1));
        reserve(2).settle(outcome(tokens));
        dir.image()
    }

    fn report(dir: &TempDir, store: &FlakyStore) -> VerifyReport {
        Ledger::verify(store, &dir.config()).unwrap()
    }

    #[test]
    fn a_journal_with_work_left_balances() {
        let report = report(&journal(2), &FlakyStore::default());
        assert!(report.is_balanced);
        assert_eq!((report.segments, report.settled, report.open), (1, 2, 1));
        assert!(report.to_string().ends_with("the books balance"));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (&json["is_balanced"], &json["cost"]),
            (&true.into(), &"0".into())
        );
    }

    #[test]
    fn the_same_end_twice_is_one_and_two_ends_are_a_conflict() {
        let dir = journal(2);
        let add = |other: &TempDir| {
            for path in other.segments() {
                fs::copy(&path, dir.0.join(path.file_name().unwrap())).unwrap();
            }
        };
        add(&journal(2));
        let same = report(&dir, &FlakyStore::default());
        assert!(same.is_balanced && same.settled == 2 && same.segments == 2);
        add(&journal(3));
        let other = report(&dir, &FlakyStore::default());
        assert!(!other.is_balanced);
        assert_eq!(other.conflicts, [crate::testing::attempt(2)].into());
        assert!(
            other
                .to_string()
                .contains(&crate::testing::attempt(2).to_string())
        );
    }

    #[test]
    fn damage_and_sums_that_differ_do_not_balance() {
        let dir = journal(2);
        let path = dir.segments().remove(0);
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
        let damaged = report(&dir, &FlakyStore::default());
        assert!(!damaged.is_balanced && damaged.corrupt_bytes > 0);

        let store = FlakyStore {
            mismatch: true,
            ..FlakyStore::default()
        };
        let differs = report(&TempDir::new(), &store);
        assert!(!differs.is_balanced);
        assert_eq!(differs.mismatches.len(), 1);
        assert!(
            differs
                .to_string()
                .contains("differs: a sum: events 1, kept 2")
        );
    }

    #[test]
    fn a_journal_that_is_booked_agrees_with_the_store() {
        let dir = TempDir::new();
        let store = Arc::new(FlakyStore::default());
        let kept: Arc<FlakyStore> = Arc::clone(&store);
        let (ledger, _) = Ledger::open(dir.config(), kept, now).unwrap();
        let writer = ledger.writer().unwrap();
        let org = ledger
            .account(BudgetScope::Org(ORG), policy(100, "1d"))
            .unwrap();
        let key = ledger
            .account(BudgetScope::Key(KEY), policy(100, "1h"))
            .unwrap();
        for n in 1..=5 {
            let reservation = writer.reserve(draft(n), &org, &key, cost(n)).unwrap();
            reservation.settle(outcome(n));
        }
        assert!(ledger.close(crate::testing::PATIENCE));
        let report = report(&dir, &store);
        assert!(report.is_balanced, "{report}");
        assert_eq!(
            (report.segments, report.events, report.cost),
            (0, 5, cost(15))
        );
        assert_eq!((report.rollups, report.budgets), (1, 2));
    }
}
