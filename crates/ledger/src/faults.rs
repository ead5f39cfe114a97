//! What happens when the disk fails.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tollgate_domain::{BudgetScope, TerminalState, UsageEvent};

use crate::books::Account;
use crate::testing::{
    Fault, FlakyStore, KEY, NOW, ORG, PATIENCE, TempDir, TestDisk, attempt, cost, draft, now,
    outcome, policy,
};
use crate::{Durability, Ledger, LedgerConfig, LedgerError, Settled};

fn open(disk: &TestDisk, config: LedgerConfig, store: &Arc<FlakyStore>) -> Ledger {
    let store = Arc::clone(store);
    Ledger::open_on(Box::new(disk.clone()), config, store, now)
        .unwrap()
        .0
}

fn accounts() -> (Account, Account) {
    (
        Account::unlimited(BudgetScope::Org(ORG)),
        Account::unlimited(BudgetScope::Key(KEY)),
    )
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came that {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn is_durable(settled: Settled) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(settled.durable())
}

/// Books `1..=calls` and returns which of them were admitted.
fn run(ledger: &Ledger, calls: u64) -> Vec<u64> {
    let writer = ledger.writer().unwrap();
    let (org, key) = accounts();
    let mut admitted = Vec::new();
    for n in 1..=calls {
        if let Ok(reservation) = writer.reserve(draft(n), &org, &key, cost(n)) {
            reservation.settle(outcome(n));
            admitted.push(n);
        }
    }
    admitted
}

#[test]
fn one_failure_anywhere_loses_nothing_and_books_nothing_twice() {
    const CALLS: u64 = 12;
    for n in 1.. {
        let dir = TempDir::new();
        let store = Arc::new(FlakyStore::default());
        let disk = TestDisk::new(Fault::Once(n));
        let config = LedgerConfig {
            segment_bytes_max: 4 << 10,
            ballast_bytes: 100,
            ..dir.config()
        };
        let ledger = open(&disk, config, &store);
        let admitted = run(&ledger, CALLS);
        assert!(ledger.drained(PATIENCE), "failure {n}");
        let booked: Vec<_> = store.events().iter().map(|e| e.attempt_id).collect();
        let expected: Vec<_> = admitted.iter().map(|n| attempt(*n)).collect();
        assert_eq!(booked, expected, "failure {n}");
        assert!(ledger.close(PATIENCE));
        assert_eq!(dir.segments().len(), 0, "failure {n}");
        assert_eq!(disk.misuses(), 0, "failure {n}");
        if disk.operations() < n {
            return;
        }
    }
}

#[test]
fn a_dead_disk_stops_admission_and_what_is_under_way_is_booked_when_it_is_back() {
    let dir = TempDir::new();
    let store = Arc::new(FlakyStore::default());
    let disk = TestDisk::new(Fault::Never);
    let ledger = open(&disk, dir.config(), &store);
    let writer = ledger.writer().unwrap();
    let (org, key) = accounts();
    let first = writer.reserve(draft(1), &org, &key, cost(1)).unwrap();
    let second = writer.reserve(draft(2), &org, &key, cost(2)).unwrap();
    disk.set(Fault::Always);
    assert_eq!(first.settle(outcome(1)).cost, cost(1));
    let refused = writer.reserve(draft(3), &org, &key, cost(3));
    assert!(matches!(refused, Err(LedgerError::JournalFailed(_))));
    assert!(!ledger.health().is_admitting);
    assert!(!ledger.drained(Duration::from_millis(5)));
    second.settle(outcome(2));
    disk.set(Fault::Never);
    assert!(ledger.drained(PATIENCE));
    assert_eq!(store.events().len(), 2);
    until("it admits again", || ledger.health().is_admitting);
    assert!(writer.reserve(draft(3), &org, &key, cost(3)).is_ok());
}

#[test]
fn trying_a_full_disk_again_leaves_no_files_behind() {
    let dir = TempDir::new();
    let store = Arc::new(FlakyStore::default());
    let disk = TestDisk::new(Fault::Never);
    let ledger = open(&disk, dir.config(), &store);
    store.set_down(true);
    let writer = ledger.writer().unwrap();
    let (org, key) = accounts();
    let reserve = |n| writer.reserve(draft(n), &org, &key, cost(n)).unwrap();
    reserve(1).settle(outcome(1));
    let under_way = reserve(2);
    disk.set(Fault::Full(0));
    under_way.settle(outcome(2));
    let failures = || ledger.health().failures;
    let before = failures();
    until("it is tried again", || failures() > before + 2);
    // One for what was written, and one that may be tried right now.
    assert!(dir.segments().len() <= 2, "{:?}", dir.segments());
}

#[test]
fn a_full_disk_has_room_for_what_is_under_way_and_for_nothing_new() {
    let dir = TempDir::new();
    let store = Arc::new(FlakyStore::default());
    let disk = TestDisk::new(Fault::Never);
    let config = LedgerConfig {
        ballast_bytes: 64 << 10,
        ..dir.config()
    };
    let ledger = open(&disk, config, &store);
    store.set_down(true);
    let writer = ledger.writer().unwrap();
    let (org, key) = accounts();
    let under_way: Vec<_> = (1..=50)
        .map(|n| writer.reserve(draft(n), &org, &key, cost(n)).unwrap())
        .collect();
    disk.set(Fault::Full(65 << 10));
    for (n, reservation) in (1..).zip(under_way) {
        reservation.settle(outcome(n));
    }
    let health = ledger.health();
    assert!(health.is_disk_full && !health.is_admitting, "{health:?}");
    assert!(health.last_error.is_some());
    // Everything is in the files: what a killed process leaves has all of it.
    let image = dir.image();
    let (other, recovery) =
        Ledger::open(image.config(), Arc::new(FlakyStore::default()), now).unwrap();
    assert_eq!((recovery.events, recovery.unknown), (50, 0));
    drop(other);
    // When the store is back, the drain makes room.
    store.set_down(false);
    assert!(ledger.drained(PATIENCE));
    disk.set(Fault::Full(1 << 20));
    until("it admits again", || ledger.health().is_admitting);
    assert!(dir.0.join("ballast").exists());
    assert_eq!(store.events().len(), 50);
}

#[test]
fn what_is_durable_survives_a_power_cut_whatever_fails_once() {
    for n in 1.. {
        let dir = TempDir::new();
        let store = Arc::new(FlakyStore::default());
        let disk = TestDisk::new(Fault::Once(n));
        let config = LedgerConfig {
            durability: Durability::Power,
            ..dir.config()
        };
        let ledger = open(&disk, config, &store);
        store.set_down(true);
        let writer = ledger.writer().unwrap();
        let (org, key) = accounts();
        let mut durable = Vec::new();
        for n in 1..=6 {
            let reservation = writer.reserve(draft(n), &org, &key, cost(n));
            let settled = reservation.map(|reservation| reservation.settle(outcome(n)));
            if settled.is_ok_and(is_durable) {
                durable.push(attempt(n));
            }
        }
        assert!(durable.len() >= 4, "failure {n}: {durable:?}");
        let image = disk.image_after_power_cut();
        let after = Arc::new(FlakyStore::default());
        let opened = Ledger::open(image.config(), Arc::<FlakyStore>::clone(&after), now).unwrap();
        assert_eq!(opened.1.corrupt_bytes, 0);
        let kept = after.events();
        for id in durable {
            let is_kept = |e: &&UsageEvent| e.attempt_id == id && e.state == TerminalState::Ok;
            assert_eq!(kept.iter().filter(is_kept).count(), 1, "failure {n}");
        }
        assert_eq!(disk.misuses(), 0, "failure {n}");
        if disk.operations() < n {
            return;
        }
    }
}

#[test]
fn a_disk_that_cannot_sync_does_not_let_anybody_wait_for_ever() {
    let dir = TempDir::new();
    let store = Arc::new(FlakyStore::default());
    let disk = TestDisk::new(Fault::Syncs);
    let config = LedgerConfig {
        durability: Durability::Power,
        ..dir.config()
    };
    let ledger = open(&disk, config, &store);
    let writer = ledger.writer().unwrap();
    let (org, key) = accounts();
    let reservation = writer.reserve(draft(1), &org, &key, cost(1)).unwrap();
    assert!(!is_durable(reservation.settle(outcome(1))));
    let refused = writer.reserve(draft(2), &org, &key, cost(2));
    assert!(matches!(refused, Err(LedgerError::JournalFailed(_))));
    disk.set(Fault::Never);
    until("it admits again", || ledger.health().is_admitting);
    let reservation = writer.reserve(draft(2), &org, &key, cost(2)).unwrap();
    let settled = reservation.settle(outcome(2));
    assert!(is_durable(settled));
    assert!(ledger.drained(PATIENCE));
    assert_eq!(store.events().len(), 2);
}

#[test]
fn the_fallback_directory_is_used_and_recovered() {
    let dir = TempDir::new();
    let config = LedgerConfig {
        journal_dir: dir.0.join("main"),
        fallback_dir: Some(dir.0.join("fallback")),
        ..dir.config()
    };
    let store = Arc::new(FlakyStore::default());
    let ledger = open(&TestDisk::new(Fault::Below("main")), config.clone(), &store);
    store.set_down(true);
    assert_eq!(run(&ledger, 3), [1, 2, 3]);
    assert!(ledger.health().is_admitting);
    drop(ledger);
    let store = Arc::new(FlakyStore::default());
    let (_ledger, recovery) = Ledger::open(config, Arc::<FlakyStore>::clone(&store), now).unwrap();
    assert_eq!((recovery.events, recovery.unknown), (3, 0));
    assert_eq!(store.events().len(), 3);
}

#[test]
fn accounts_are_kept_until_what_was_written_late_is_booked() {
    let dir = TempDir::new();
    let store = Arc::new(FlakyStore::default());
    let disk = TestDisk::new(Fault::Never);
    let ledger = open(&disk, dir.config(), &store);
    let writer = ledger.writer().unwrap();
    let scope = BudgetScope::Org(ORG);
    let org = ledger.account(scope, policy(100, "1d")).unwrap();
    let (_, key) = accounts();
    let reservation = writer.reserve(draft(1), &org, &key, cost(10)).unwrap();
    disk.set(Fault::Always);
    reservation.settle(outcome(10));
    drop(org);
    let later = NOW.plus_seconds(3_600);
    let cycle = || ledger.journal().cycle();
    let settled_in = cycle();
    until("the drain goes on", || cycle() > settled_in + 3);
    assert_eq!(ledger.sweep(later), 0, "it is only in memory");
    store.set_down(true);
    disk.set(Fault::Never);
    until("it admits again", || ledger.health().is_admitting);
    assert_eq!(ledger.sweep(later), 0, "it is only in the journal");
    store.set_down(false);
    assert!(ledger.drained(PATIENCE));
    until("it is forgotten", || ledger.sweep(later) == 1);
    let org = ledger.account(scope, policy(100, "1d")).unwrap();
    assert_eq!(org.balance(NOW).unwrap().spent, cost(10));
}

#[test]
fn what_is_written_is_on_the_disk_when_the_ledger_ends() {
    let dir = TempDir::new();
    let store = Arc::new(FlakyStore::default());
    let disk = TestDisk::new(Fault::Never);
    let config = LedgerConfig {
        sync_interval: Duration::from_secs(60),
        ..dir.config()
    };
    let ledger = open(&disk, config, &store);
    store.set_down(true);
    let writer = ledger.writer().unwrap();
    let (org, key) = accounts();
    let reservation = writer.reserve(draft(1), &org, &key, cost(1)).unwrap();
    reservation.settle(outcome(1));
    drop(ledger);
    let image = disk.image_after_power_cut();
    let after = Arc::new(FlakyStore::default());
    let (_ledger, recovery) = Ledger::open(image.config(), after, now).unwrap();
    assert_eq!(recovery.events, 1);
}

#[test]
fn what_is_settled_after_the_end_is_still_made_durable() {
    let dir = TempDir::new();
    let store = Arc::new(FlakyStore::default());
    let disk = TestDisk::new(Fault::Never);
    let config = LedgerConfig {
        durability: Durability::Power,
        ..dir.config()
    };
    let ledger = open(&disk, config, &store);
    let writer = ledger.writer().unwrap();
    let (org, key) = accounts();
    let reservation = writer.reserve(draft(1), &org, &key, cost(1)).unwrap();
    assert!(ledger.close(PATIENCE));
    assert!(is_durable(reservation.settle(outcome(1))));
}
