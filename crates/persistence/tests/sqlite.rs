//! SQLite passes the rules of all backends, and its own.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tempfile::TempDir;
use tollgate_domain::Timestamp;
use tollgate_persistence::{
    Database, PersistenceError, PoolOptions, SqliteStore, copy_sqlite, migrate_down, open,
};
use tollgate_store::conformance::fixtures::{
    TestSealer, audit, charged, event, key, key_id, org_id, organization,
};
use tollgate_store::{ApiKeyStore, AuditStore, OrganizationStore, Store, StoreError, UsageStore};

/// A store in a directory that goes with it.
struct InFile {
    store: SqliteStore,
    directory: TempDir,
}

impl InFile {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = SqliteStore::open(
            &directory.path().join("test.db"),
            &options(),
            TestSealer::shared(),
        )
        .unwrap();
        Self { store, directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("test.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    /// Returns a connection that knows no rules.
    fn raw(&self) -> SqliteConnection {
        SqliteConnection::establish(self.path().to_str().unwrap()).unwrap()
    }
}

impl Deref for InFile {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

/// Longer than anything takes on a busy machine.
const PATIENT: Duration = Duration::from_secs(60);

fn options() -> PoolOptions {
    PoolOptions {
        connections_max: 2,
        acquire_timeout: PATIENT,
        ..PoolOptions::default()
    }
}

mod file {
    use super::*;
    tollgate_store::store_conformance!(InFile::new());
}

mod memory {
    use super::*;
    tollgate_store::store_conformance!(Box::new(
        SqliteStore::in_memory(&options(), TestSealer::shared()).unwrap()
    ));
}

#[test]
fn what_is_kept_outlives_the_store() {
    let store = InFile::new();
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_api_key(&key(1, 1), &audit(1)).unwrap();
    let now = Timestamp::from_micros(1);
    store.record_usage(&[charged(event(1), now, now)]).unwrap();
    let epoch = store.auth_epoch().unwrap();
    let InFile { store, directory } = store;
    drop(store);
    let store = SqliteStore::open(
        &directory.path().join("test.db"),
        &options(),
        TestSealer::shared(),
    )
    .unwrap();
    let found = store.find_api_key(org_id(1), key_id(1)).unwrap();
    assert_eq!(found, Some(key(1, 1)));
    assert_eq!(store.auth_epoch().unwrap(), epoch);
    assert_eq!(store.verify_books().unwrap().events, 1);
    store.ping().unwrap();
}

#[cfg(unix)]
#[test]
fn the_file_and_its_directory_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a/b/test.db");
    let store = SqliteStore::open(&path, &options(), TestSealer::shared()).unwrap();
    store.add_organization(&organization(1), &audit(1)).unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["test.db", "test.db-wal", "test.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[test]
fn two_stores_on_one_file_book_each_event_once() {
    let first = InFile::new();
    let second = SqliteStore::open(&first.path(), &options(), TestSealer::shared()).unwrap();
    let events: Vec<_> = (1..=200).map(event).collect();
    let booked: usize = std::thread::scope(|scope| {
        let stores = [&first.store, &second];
        let threads = stores.map(|store| {
            let batches = events.chunks(10);
            scope.spawn(move || -> usize {
                batches
                    .map(|batch| store.record_usage(batch).unwrap())
                    .sum()
            })
        });
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(booked, 200);
    let report = second.verify_books().unwrap();
    assert_eq!((report.events, report.mismatches), (200, vec![]));
}

#[test]
fn a_writer_elsewhere_makes_writes_unavailable_and_reads_go_on() {
    let store = InFile::new();
    let impatient = SqliteStore::open(
        &store.path(),
        &PoolOptions {
            acquire_timeout: Duration::from_millis(50),
            ..options()
        },
        TestSealer::shared(),
    )
    .unwrap();
    let mut elsewhere = store.raw();
    elsewhere.batch_execute("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let refused = impatient.add_organization(&organization(1), &audit(1));
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(impatient.find_organization(org_id(1)).unwrap(), None);
    elsewhere.batch_execute("ROLLBACK").unwrap();
    impatient
        .add_organization(&organization(1), &audit(1))
        .unwrap();
}

#[test]
fn verification_finds_what_was_tampered_with() {
    let store = InFile::new();
    let now = Timestamp::from_micros(1);
    let events: Vec<_> = (1..=3).map(|n| charged(event(n), now, now)).collect();
    store.record_usage(&events).unwrap();
    for (change, names) in [
        (
            "UPDATE usage_rollups SET cost_nano_usd = cost_nano_usd + 1",
            "roll-up",
        ),
        (
            "UPDATE usage_rollups SET cost_nano_usd = cost_nano_usd - 1, errors = 1",
            "roll-up",
        ),
        (
            "UPDATE usage_rollups SET errors = 0; UPDATE budget_spent SET spent_nano_usd = 0 \
          WHERE scope LIKE 'org%'",
            "budget org",
        ),
        (
            "DELETE FROM budget_spent WHERE scope LIKE 'org%'",
            "budget org",
        ),
        (
            "INSERT INTO budget_spent SELECT replace(scope, 'key', 'org'), window_start_us, \
          spent_nano_usd FROM budget_spent; DELETE FROM usage_events WHERE attempt_id = \
          (SELECT max(attempt_id) FROM usage_events)",
            "roll-up",
        ),
    ] {
        assert_ne!(
            store.verify_books().unwrap().events,
            2,
            "the last change is the last"
        );
        store.raw().batch_execute(change).unwrap();
        let report = store.verify_books().unwrap();
        assert!(!report.mismatches.is_empty(), "{change}");
        assert!(report.mismatches[0].what.starts_with(names), "{report:?}");
    }
}

#[test]
fn a_row_that_holds_nonsense_is_an_error() {
    let store = InFile::new();
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_api_key(&key(1, 1), &audit(1)).unwrap();
    store.record_usage(&[event(1)]).unwrap();
    let find_key = || store.find_api_key(org_id(1), key_id(1)).map(drop);
    for (nonsense, sense) in [
        ("role = 'king'", "role = 'member'"),
        ("models = '{}'", "models = '[]'"),
        ("models = '[1]'", "models = '[]'"),
        ("rpm_limit = -1", "rpm_limit = NULL"),
        (
            "max_budget_nano_usd = 1, budget_duration_s = 1",
            "budget_duration_s = NULL",
        ),
    ] {
        let set = |values: &str| {
            store
                .raw()
                .batch_execute(&format!("UPDATE api_keys SET {values}"))
        };
        set(nonsense).unwrap();
        let found = find_key();
        assert!(
            matches!(found, Err(StoreError::Backend(_))),
            "{nonsense}: {found:?}"
        );
        set(sense).unwrap();
        find_key().unwrap();
    }
    for nonsense in ["state = 'fine'", "input_tokens = -1", "org_id = x'00'"] {
        let change = format!("UPDATE usage_events SET {nonsense}");
        store.raw().batch_execute(&change).unwrap();
        let verified = store.verify_books();
        assert!(
            matches!(verified, Err(StoreError::Backend(_))),
            "{verified:?}"
        );
    }
}

#[test]
fn migrations_go_down_and_up_again() {
    let store = InFile::new();
    store.add_organization(&organization(1), &audit(1)).unwrap();
    drop(store.store);
    let url = format!(
        "sqlite://{}",
        store.directory.path().join("test.db").display()
    );
    migrate_down(&url, &options()).unwrap();
    let mut raw = SqliteConnection::establish(&url).unwrap();
    let tables = "SELECT 1 FROM organizations";
    assert!(raw.batch_execute(tables).is_err());
    drop(raw);
    let store = open(&url, &options(), TestSealer::shared()).unwrap();
    assert_eq!(store.find_organization(org_id(1)).unwrap(), None);
    store.add_organization(&organization(1), &audit(1)).unwrap();
}

/// The schema before this version, with an organization and a key in it.
const BEFORE: &str = concat!(
    include_str!("../../../migrations/sqlite/2026-11-23-000001_initial/up.sql"),
    "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
     INSERT INTO __diesel_schema_migrations (version) VALUES ('20261123000001');
     INSERT INTO organizations VALUES (x'00000000000000000000000000000001', 'organization 1',
         NULL, NULL, NULL, NULL, NULL, 0, 1795420800000000);
     INSERT INTO api_keys VALUES (x'00000000000000000000000000000001',
         x'00000000000000000000000000000001', 'public1',
         x'0707070707070707070707070707070707070707070707070707070707070707', 'key 1', 'member',
         '[]', NULL, NULL, NULL, NULL, NULL, 1795420800000000, NULL, NULL);"
);

#[test]
fn what_is_there_from_before_goes_on() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("test.db");
    let mut raw = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    raw.batch_execute(BEFORE).unwrap();
    let store = SqliteStore::open(&path, &options(), TestSealer::shared()).unwrap();
    let found = store.find_api_key(org_id(1), key_id(1)).unwrap();
    assert_eq!(found, Some(key(1, 1)));
    let found = store.find_organization(org_id(1)).unwrap();
    assert_eq!(found, Some(organization(1)));
}

#[test]
fn audit_entries_are_never_changed() {
    let store = InFile::new();
    store.record_audit(&audit(1)).unwrap();
    for change in [
        "UPDATE audit_entries SET details = 'x'",
        "DELETE FROM audit_entries",
    ] {
        assert!(store.raw().batch_execute(change).is_err(), "{change}");
    }
    let kept = store.read_audit(Some(org_id(1)), 0, 9).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].details, "");
}

#[test]
fn processes_that_start_at_once_agree_on_the_schema() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("test.db");
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for n in 1..=8 {
            let path = &path;
            let together = &together;
            scope.spawn(move || {
                together.wait();
                let store = SqliteStore::open(path, &options(), TestSealer::shared()).unwrap();
                store.add_organization(&organization(n), &audit(n)).unwrap();
            });
        }
    });
    let store = SqliteStore::open(&path, &options(), TestSealer::shared()).unwrap();
    assert!((1..=8).all(|n| store.find_organization(org_id(n)).unwrap().is_some()));
}

#[test]
fn a_schema_from_the_future_is_refused_untouched() {
    let store = InFile::new();
    let future = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000001')";
    store.raw().batch_execute(future).unwrap();
    let refused = open(&store.url(), &options(), TestSealer::shared())
        .map(drop)
        .unwrap_err();
    let PersistenceError::NewerSchema { found, known } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(found, "29991231000001");
    let message = refused.to_string();
    assert!(
        message.contains(found) && message.contains(known),
        "{message}"
    );
    assert!(matches!(
        migrate_down(&store.url(), &options()),
        Err(PersistenceError::NewerSchema { .. })
    ));
}

#[test]
fn what_is_no_database_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("test.db");
    std::fs::write(
        &path,
        "this is a letter, and it is long enough to be read as a header".repeat(9),
    )
    .unwrap();
    let refused = SqliteStore::open(&path, &options(), TestSealer::shared())
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(refused, PersistenceError::Unusable(_)),
        "{refused:?}"
    );
    let refused = SqliteStore::open(directory.path(), &options(), TestSealer::shared()).map(drop);
    assert!(
        matches!(refused, Err(PersistenceError::File(_))),
        "{refused:?}"
    );
}

#[test]
fn urls_that_name_nothing_are_refused_without_being_repeated() {
    for url in [
        "",
        "sqlite",
        "sqlite:",
        "sqlite://",
        "sqlite:relative.db",
        "sqlite://x.db?mode=ro",
        "mysql://root:hunter2@localhost/x",
        "/var/lib/x.db",
    ] {
        let refused = open(url, &options(), TestSealer::shared())
            .map(drop)
            .unwrap_err();
        assert!(
            matches!(refused, PersistenceError::Url { .. }),
            "{url}: {refused:?}"
        );
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}

#[test]
fn pools_are_bounded_and_can_be_watched() {
    let store = InFile::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| store.find_organization(org_id(1)).unwrap());
        }
    });
    let store: Arc<dyn Database> = open(&store.url(), &options(), TestSealer::shared()).unwrap();
    let states = store.pool_state();
    let names: Vec<_> = states.iter().map(|state| (state.name, state.max)).collect();
    assert_eq!(names, [("sqlite_readers", 2), ("sqlite_writer", 1)]);
    assert!(
        states
            .iter()
            .all(|state| state.idle <= state.size && state.size <= state.max)
    );
}

#[test]
fn what_a_record_stands_for_can_be_removed() {
    let store = InFile::new();
    tollgate_store::conformance::upkeep::what_a_record_stands_for_can_be_removed(&*store);
}

#[test]
fn a_copy_is_whole_and_leaves_those_who_write_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("t.db"), folder.path().join("copy.db"));
    let store = SqliteStore::open(&from, &options(), TestSealer::shared()).unwrap();
    store.add_organization(&organization(1), &audit(1)).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 2..40 {
                store.add_organization(&organization(n), &audit(n)).unwrap();
            }
        });
        copy_sqlite(&from, &to).unwrap();
        writing.join().unwrap();
    });
    let copy = SqliteStore::open(&to, &options(), TestSealer::shared()).unwrap();
    let organizations = copy.list_organizations(None, 99).unwrap();
    assert!(organizations.contains(&organization(1)));
    for found in &organizations {
        let entries = copy.read_audit(Some(found.id), 0, 9).unwrap();
        assert_eq!(
            entries.len(),
            1,
            "a change and its entry are copied together"
        );
    }
    assert!(copy_sqlite(&from, &to).is_err(), "it is there already");
    let none = folder.path().join("none.db");
    assert!(copy_sqlite(&none, &folder.path().join("other.db")).is_err());
    assert!(!none.exists());
}

#[test]
fn a_damaged_database_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("t.db");
    drop(SqliteStore::open(&from, &options(), TestSealer::shared()).unwrap());
    let mut bytes = std::fs::read(&from).unwrap();
    let middle = bytes.len() / 4;
    bytes[middle..].fill(0x5a);
    std::fs::write(&from, bytes).unwrap();
    assert!(copy_sqlite(&from, &folder.path().join("copy.db")).is_err());
}
