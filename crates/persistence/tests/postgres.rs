//! PostgreSQL passes the rules of all backends, and its own.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

use std::ops::Deref;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tollgate_domain::Timestamp;
use tollgate_persistence::{
    Database, PersistenceError, PoolOptions, PostgresStore, migrate_down, open,
};
use tollgate_store::conformance::fixtures::{
    TestSealer, audit, charged, event, key, key_id, org_id, organization,
};
use tollgate_store::{ApiKeyStore, OrganizationStore, Store, StoreError, UsageStore};
use tollgate_testkit::{TestDatabase, TestPostgres};

/// A store in a database that goes with it.
struct InDatabase {
    store: PostgresStore,
    database: TestDatabase,
}

impl InDatabase {
    fn new() -> Self {
        Self::with(&options())
    }

    /// The tests' own role may do everything; as the application's role the store may do no more than
    /// it must.
    fn with(options: &PoolOptions) -> Self {
        let database = TestPostgres::database();
        let options = PoolOptions {
            app_role: Some(database.application_role()),
            ..options.clone()
        };
        let store = PostgresStore::open(&database.url, &options, TestSealer::shared()).unwrap();
        Self { store, database }
    }
}

impl Deref for InDatabase {
    type Target = PostgresStore;

    fn deref(&self) -> &PostgresStore {
        &self.store
    }
}

/// Longer than anything takes on a busy machine.
const PATIENT: Duration = Duration::from_secs(60);

fn options() -> PoolOptions {
    PoolOptions {
        connections_max: 4,
        acquire_timeout: PATIENT,
        lock_timeout: PATIENT,
        statement_timeout: PATIENT,
        ..PoolOptions::default()
    }
}

mod rules {
    use super::*;
    tollgate_store::store_conformance!(InDatabase::new());
}

#[test]
fn two_stores_on_one_database_book_each_event_once() {
    let first = InDatabase::new();
    let second =
        PostgresStore::open(&first.database.url, &options(), TestSealer::shared()).unwrap();
    let now = Timestamp::default();
    let events: Vec<_> = (1..=400).map(|n| charged(event(n), now, now)).collect();
    let booked: usize = std::thread::scope(|scope| {
        let stores = [&first.store, &second, &first.store, &second];
        let threads = stores.map(|store| {
            let batches = events.chunks(25);
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
    assert_eq!(booked, 400);
    let report = second.verify_books().unwrap();
    assert_eq!((report.events, report.mismatches), (400, vec![]));
}

/// Another process books events 1 and 2 in this order. Whoever has booked 2 when it waits for 1
/// waits in a circle.
#[test]
fn events_are_booked_in_the_order_of_their_ids() {
    let store = InDatabase::new();
    let events = [event(2), event(1)];
    store.record_usage(&events).unwrap();
    let mut elsewhere = PgConnection::establish(&store.database.url).unwrap();
    let book = "INSERT INTO usage_events SELECT * FROM kept WHERE get_byte(attempt_id, 15) =";
    let mut execute = |sql: &str| elsewhere.batch_execute(sql);
    execute("CREATE TEMP TABLE kept AS SELECT * FROM usage_events; DELETE FROM usage_events")
        .unwrap();
    execute(&format!("BEGIN; {book} 1")).unwrap();
    let booked = std::thread::scope(|scope| {
        let booking = scope.spawn(|| store.record_usage(&events));
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND \
                       datname = current_database()";
        while store.database.execute(waiting) != "1" && !booking.is_finished() {}
        execute(&format!("{book} 2; COMMIT")).unwrap();
        booking.join().unwrap()
    });
    assert_eq!(booked.unwrap(), 0);
}

#[test]
fn connections_that_were_lost_are_replaced_unnoticed() {
    let store = InDatabase::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| store.find_organization(org_id(1)).unwrap());
        }
    });
    for n in 1..=3 {
        store.database.end_connections();
        store.find_organization(org_id(1)).unwrap();
        store.database.end_connections();
        store.add_organization(&organization(n), &audit(n)).unwrap();
        store.database.end_connections();
        store.verify_books().unwrap();
    }
}

#[test]
fn a_server_that_is_away_is_unavailable_in_time_and_found_again() {
    let store = InDatabase::with(&PoolOptions {
        acquire_timeout: Duration::from_millis(300),
        ..options()
    });
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.database.set_reachable(false);
    let started = Instant::now();
    for refused in [
        store.find_organization(org_id(1)).map(drop),
        store.add_organization(&organization(2), &audit(2)),
        store.record_usage(&[event(1)]).map(drop),
        store.ping(),
    ] {
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
    }
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    store.database.set_reachable(true);
    let started = Instant::now();
    while store.ping().is_err() {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(store.record_usage(&[event(1)]).unwrap(), 1);
}

#[test]
fn nobody_at_the_address_is_said_at_once_and_without_the_password() {
    let started = Instant::now();
    for url in [
        "postgres://u:hunter2@127.0.0.1:1/db",
        "postgres://u:hunter2@[::1]x/db",
        "postgres://u@127.0.0.1:x/db?password=hunter2",
        "postgres://u:hunter2@127.0.0.1/db?nonsense",
        "postgresql://u:hunter2@%zz/db",
    ] {
        let refused = open(url, &options(), TestSealer::shared())
            .map(drop)
            .unwrap_err();
        assert!(
            matches!(refused, PersistenceError::Unavailable(_)),
            "{refused:?}"
        );
        assert!(
            !format!("{refused} {refused:?}").contains("hunter2"),
            "{refused:?}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_lock_held_elsewhere_is_waited_for_no_longer_than_the_limits() {
    let short = Duration::from_millis(100);
    for (lock_timeout, statement_timeout) in [(short, PATIENT), (PATIENT, short)] {
        let store = InDatabase::with(&PoolOptions {
            lock_timeout,
            statement_timeout,
            ..options()
        });
        let mut elsewhere = PgConnection::establish(&store.database.url).unwrap();
        elsewhere
            .batch_execute("BEGIN; LOCK TABLE usage_rollups")
            .unwrap();
        let refused = store.record_usage(&[event(1)]);
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
        elsewhere.batch_execute("ROLLBACK").unwrap();
        let count = "SELECT count(*) FROM usage_events";
        assert_eq!(store.database.execute(count), "0");
    }
}

#[test]
fn a_database_that_may_only_be_read_is_unavailable_for_writes() {
    let store = InDatabase::new();
    let name = store.database.execute("SELECT current_database()");
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    store.database.execute(&read_only);
    store.database.end_connections();
    let refused = store.add_organization(&organization(1), &audit(1));
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(store.find_organization(org_id(1)).unwrap(), None);
    // A connection that could not write is not used again, as another may reach a server that can.
    let again = read_only.replace("= on", "= off");
    store
        .database
        .execute(&format!("BEGIN READ WRITE; {again}; COMMIT"));
    let added = (0..=options().connections_max)
        .map(|_| store.add_organization(&organization(1), &audit(1)));
    assert_eq!(added.filter(Result::is_ok).count(), 1);
}

#[test]
fn verification_finds_what_was_tampered_with() {
    let store = InDatabase::new();
    let now = Timestamp::default();
    let events: Vec<_> = (1..=3).map(|n| charged(event(n), now, now)).collect();
    store.record_usage(&events).unwrap();
    for (change, names) in [
        ("UPDATE usage_rollups SET requests = 2", "roll-up"),
        (
            "UPDATE usage_rollups SET requests = 3; \
             UPDATE budget_spent SET spent_nano_usd = 1 WHERE scope LIKE 'key%'",
            "budget key",
        ),
    ] {
        store.database.execute(change);
        let report = store.verify_books().unwrap();
        let whats: Vec<_> = report.mismatches.iter().map(|m| m.what.as_str()).collect();
        assert_eq!(whats.len(), 1, "{report:?}");
        assert!(whats[0].starts_with(names), "{report:?}");
    }
}

#[test]
fn a_row_that_holds_nonsense_is_an_error() {
    let store = InDatabase::new();
    store.add_organization(&organization(1), &audit(1)).unwrap();
    store.add_api_key(&key(1, 1), &audit(1)).unwrap();
    for nonsense in ["role = 'king'", "role = 'member', models = '{}'"] {
        let change = format!("UPDATE api_keys SET {nonsense}");
        store.database.execute(&change);
        let found = store.find_api_key(org_id(1), key_id(1));
        assert!(matches!(found, Err(StoreError::Backend(_))), "{found:?}");
    }
}

#[test]
fn migrations_go_down_and_up_again() {
    let store = InDatabase::new();
    let url = &store.database.url;
    store.add_organization(&organization(1), &audit(1)).unwrap();
    migrate_down(url, &options()).unwrap();
    let count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(store.database.execute(count), "1", "the list of migrations");
    let store = open(url, &options(), TestSealer::shared()).unwrap();
    assert_eq!(store.find_organization(org_id(1)).unwrap(), None);
    store.add_organization(&organization(1), &audit(1)).unwrap();
}

#[test]
fn processes_that_start_at_once_agree_on_the_schema() {
    let database = TestPostgres::database();
    let together = Barrier::new(8);
    std::thread::scope(|scope| {
        for n in 1..=8 {
            let url = &database.url;
            let together = &together;
            scope.spawn(move || {
                together.wait();
                let store = PostgresStore::open(url, &options(), TestSealer::shared()).unwrap();
                store.add_organization(&organization(n), &audit(n)).unwrap();
            });
        }
    });
    assert_eq!(database.execute("SELECT epoch FROM auth_epoch"), "8");
}

#[test]
fn a_schema_from_the_future_is_refused() {
    let store = InDatabase::new();
    let future = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000001')";
    store.database.execute(future);
    let refused = open(&store.database.url, &options(), TestSealer::shared())
        .map(drop)
        .unwrap_err();
    let message = refused.to_string();
    assert!(
        matches!(refused, PersistenceError::NewerSchema { .. }),
        "{refused:?}"
    );
    assert!(
        message.contains("29991231000001") && message.contains("20261125000015"),
        "{message}"
    );
}

#[test]
fn the_pool_is_bounded_and_can_be_watched() {
    let store = InDatabase::new();
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| store.verify_books().unwrap());
        }
    });
    let [state] = store.pool_state().try_into().unwrap();
    assert_eq!((state.name, state.max), ("postgres", 4));
    assert!(
        state.idle <= state.size && state.size <= state.max,
        "{state:?}"
    );
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND \
                     application_name = 'tollgate'";
    // A connection that was closed, such as the one that made the schema, is listed for a moment.
    let started = Instant::now();
    while store.database.execute(connected) != store.pool_state()[0].size.to_string() {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn what_a_record_stands_for_can_be_removed_by_the_owner() {
    let database = TestPostgres::database();
    let store = PostgresStore::open(&database.url, &options(), TestSealer::shared()).unwrap();
    tollgate_store::conformance::upkeep::what_a_record_stands_for_can_be_removed(&store);
}
