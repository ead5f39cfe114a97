//! The second wall between organizations, in PostgreSQL.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use tollgate_domain::Timestamp;
use tollgate_persistence::{PersistenceError, PoolOptions, PostgresStore, open};
use tollgate_store::conformance::fixtures::{
    TestSealer, audit, charged, event, invitation, key, key_id, member, org_id, organization,
    platform_audit, role, team, team_member, user,
};
use tollgate_store::{
    ApiKeyStore, AuditPruned, AuditStore, AuditUpkeepStore, InvitationStore, MembershipStore,
    OrganizationStore, RoleStore, TeamStore, UsageStore, UserStore,
};
use tollgate_testkit::{TestDatabase, TestPostgres};

/// The tables whose rows belong to an organization.
const TABLES: [&str; 12] = [
    "organizations",
    "api_keys",
    "teams",
    "custom_roles",
    "memberships",
    "team_memberships",
    "invitations",
    "audit_entries",
    "audit_heads",
    "audit_pruned",
    "usage_events",
    "usage_rollups",
];

fn with_role() -> (TestDatabase, String) {
    let database = TestPostgres::database();
    let role = database.application_role();
    (database, role)
}

fn options(role: &str) -> PoolOptions {
    PoolOptions {
        app_role: Some(role.to_owned()),
        ..PoolOptions::default()
    }
}

/// A database in which organization 1 has a row in every table.
fn filled() -> (TestDatabase, String, PostgresStore) {
    let (database, name) = with_role();
    let store = PostgresStore::open(&database.url, &options(&name), TestSealer::shared()).unwrap();
    for n in [1, 2] {
        store.add_organization(&organization(n), &audit(n)).unwrap();
    }
    store.add_api_key(&key(1, 1), &audit(1)).unwrap();
    store.add_team(&team(1, 1), &audit(1)).unwrap();
    store.add_role(&role(1, 1), &audit(1)).unwrap();
    store.add_user(&user(1), &platform_audit()).unwrap();
    store.set_membership(&member(1, 1), &audit(1)).unwrap();
    store
        .set_team_membership(&team_member(1, 1, 1), &audit(1))
        .unwrap();
    store.add_invitation(&invitation(1, 1), &audit(1)).unwrap();
    let now = Timestamp::from_micros(1);
    store.record_usage(&[charged(event(1), now, now)]).unwrap();
    owner(&database)
        .add_audit_pruned(&pruned(1), &audit(1))
        .unwrap();
    (database, name, store)
}

/// The store as whoever owns the tables opens it.
fn owner(database: &TestDatabase) -> PostgresStore {
    PostgresStore::open(&database.url, &PoolOptions::default(), TestSealer::shared()).unwrap()
}

fn pruned(seq: u64) -> AuditPruned {
    AuditPruned {
        org_id: Some(org_id(1)),
        seq,
        record: "signed".to_owned(),
    }
}

/// A connection with the rights of the application, and none of its queries.
fn as_application(database: &TestDatabase, role: &str) -> PgConnection {
    let mut connection = PgConnection::establish(&database.url).unwrap();
    connection
        .batch_execute(&format!("SET ROLE {role}"))
        .unwrap();
    connection
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(connection: &mut PgConnection, table: &str) -> Result<i64, String> {
    let query = format!("SELECT count(*) AS count FROM {table}");
    let found: QueryResult<Count> = diesel::sql_query(query).get_result(connection);
    found
        .map(|row| row.count)
        .map_err(|error| error.to_string())
}

fn confine(connection: &mut PgConnection, whose: &str, is_local: bool) {
    let confine = format!("SELECT set_config('app.org_id', '{whose}', {is_local})");
    connection.batch_execute(&confine).unwrap();
}

#[test]
fn a_query_that_does_not_say_whose_rows_it_is_about_fails() {
    let (database, role, _store) = filled();
    let mut connection = as_application(&database, &role);
    for table in TABLES {
        let refused = count(&mut connection, table);
        assert!(
            refused
                .as_ref()
                .is_err_and(|why| why.contains("app.org_id")),
            "{table}: {refused:?}"
        );
    }
    // The setting of an earlier transaction leaves an empty text behind.
    connection.batch_execute("BEGIN").unwrap();
    confine(&mut connection, "*", true);
    connection.batch_execute("COMMIT").unwrap();
    for table in TABLES {
        let refused = count(&mut connection, table);
        assert!(
            refused.as_ref().is_err_and(|why| why.contains("uuid")),
            "{table}: {refused:?}"
        );
    }
}

#[test]
fn another_organizations_rows_are_neither_seen_nor_changed_nor_made() {
    let (database, role, _store) = filled();
    let mut connection = as_application(&database, &role);
    let uuid = |n: u8| format!("00000000-0000-0000-0000-0000000000{n:02x}");
    for table in TABLES {
        for (whose, sees) in [(uuid(1), true), (uuid(9), false), ("*".to_owned(), true)] {
            confine(&mut connection, &whose, false);
            let seen = count(&mut connection, table).unwrap();
            assert_eq!(seen > 0, sees, "{whose} sees {seen} of {table}");
        }
    }
    confine(&mut connection, &uuid(2), false);
    for (change, table) in [
        ("UPDATE api_keys SET blocked = TRUE", "api_keys"),
        ("DELETE FROM memberships", "memberships"),
        ("UPDATE teams SET name = 'stolen'", "teams"),
    ] {
        let changed = diesel::sql_query(change).execute(&mut connection);
        assert_eq!(changed.unwrap(), 0, "{table}");
    }
    let moved = "INSERT INTO memberships SELECT decode(repeat('00', 15) || '01', 'hex'), id, \
                 'org_owner', 0 FROM users";
    let refused = connection.batch_execute(moved).unwrap_err().to_string();
    assert!(refused.contains("row-level security"), "{refused}");
}

#[test]
fn the_owner_of_the_tables_is_confined_too() {
    let (database, name, _store) = filled();
    database.execute(&format!("ALTER TABLE api_keys OWNER TO {name}"));
    let mut connection = as_application(&database, &name);
    assert!(count(&mut connection, "api_keys").is_err());
}

#[test]
fn the_application_adds_audit_entries_and_nobody_changes_them() {
    let (database, role, store) = filled();
    let mut connection = as_application(&database, &role);
    confine(&mut connection, "*", false);
    for change in [
        "UPDATE audit_entries SET details = 'x'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL",
        "INSERT INTO audit_pruned VALUES (decode(repeat('01', 16), 'hex'), 1, 'x')",
        "UPDATE audit_pruned SET seq = 99",
        "DELETE FROM audit_pruned",
        "DELETE FROM __diesel_schema_migrations",
    ] {
        assert!(connection.batch_execute(change).is_err(), "{change}");
    }
    let mut owner = PgConnection::establish(&database.url).unwrap();
    for change in [
        "UPDATE audit_entries SET details = 'x'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
    ] {
        let refused = owner.batch_execute(change).unwrap_err().to_string();
        assert!(refused.contains("never changed"), "{change}: {refused}");
    }
    assert_eq!(store.read_audit(None, 0, 99).unwrap().len(), 1);
}

#[test]
fn only_the_owner_of_the_tables_drops_the_beginning_of_a_chain() {
    let (database, _role, store) = filled();
    let chain = Some(org_id(1));
    let before = store.read_audit(chain, 0, 99).unwrap();
    let refused = store.add_audit_pruned(&pruned(3), &audit(1)).unwrap_err();
    assert!(
        format!("{refused:?}").contains("permission denied"),
        "{refused:?}"
    );
    assert!(store.remove_pruned_audit(chain, 9).is_err());
    assert_eq!(store.read_audit(chain, 0, 99).unwrap(), before);

    let owner = owner(&database);
    owner.add_audit_pruned(&pruned(3), &audit(1)).unwrap();
    assert_eq!(owner.remove_pruned_audit(chain, 9).unwrap(), 3);
    let left = store.read_audit(chain, 0, 99).unwrap();
    assert_eq!((left[0].seq, left.len()), (4, before.len() - 2));
    assert_eq!(store.find_audit_pruned(chain).unwrap(), Some(pruned(3)));
}

#[test]
fn a_role_that_is_none_is_refused() {
    let database = TestPostgres::database();
    let sealer = TestSealer::shared;
    let refused = open(&database.url, &options("x; DROP"), sealer()).map(drop);
    assert!(
        matches!(refused, Err(PersistenceError::AppRole)),
        "{refused:?}"
    );
    let refused = open(&database.url, &options("nobody_of_this_name"), sealer()).map(drop);
    assert!(
        matches!(refused, Err(PersistenceError::Unusable(_))),
        "{refused:?}"
    );
}

#[test]
fn what_is_there_from_before_goes_on() {
    let (database, role) = with_role();
    database.execute(include_str!(
        "../../../migrations/postgres/2026-11-23-000001_initial/up.sql"
    ));
    database.execute(
        "CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20261123000001');
         INSERT INTO organizations VALUES (decode(repeat('00', 15) || '01', 'hex'),
             'organization 1', NULL, NULL, NULL, NULL, NULL, FALSE, 1795420800000000);
         INSERT INTO api_keys VALUES (decode(repeat('00', 15) || '01', 'hex'),
             decode(repeat('00', 15) || '01', 'hex'), 'public1', decode(repeat('07', 32), 'hex'),
             'key 1', 'member', '[]', NULL, NULL, NULL, NULL, NULL, 1795420800000000, NULL, NULL)",
    );
    let store = PostgresStore::open(&database.url, &options(&role), TestSealer::shared()).unwrap();
    let found = store.find_api_key(org_id(1), key_id(1)).unwrap();
    assert_eq!(found, Some(key(1, 1)));
    let found = store.find_organization(org_id(1)).unwrap();
    assert_eq!(found, Some(organization(1)));
}
