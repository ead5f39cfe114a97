//! PostgreSQL: one pool of connections.

mod role;

use std::cell::Cell;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use tollgate_store::{AuditSealer, Store, StoreError};

use crate::error::{Failure, PersistenceError, in_transaction};
use crate::late_sealer::LateSealer;
use crate::migrations::{self, MigrationFailure};
use crate::open::{Database, PoolOptions, PoolState};
use crate::pool::{Connections, Done};
use crate::postgres::role::{grants, quoted, report_role};
use crate::rows::Rows;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");

/// The advisory lock under which the schema is changed: "tollgate" in ASCII.
const MIGRATION_LOCK: i64 = 0x746f_6c6c_6761_7465;

/// Keeps everything in a PostgreSQL database.
///
/// Any number of processes may share it. A connection that was lost while it was idle, for example
/// by a restart of the server, is replaced without the caller noticing.
pub struct PostgresStore {
    connections: Connections<PgConnection>,
    pub(crate) sealer: LateSealer,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("pool", &self.connections)
            .finish()
    }
}

impl PostgresStore {
    /// Opens the database at `postgres://user:password@host:port/name?sslmode=…`, a connection URL
    /// of [libpq](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING).
    /// Unless the URL says otherwise, reaching a server takes 2 seconds at the most, and a server
    /// that vanished is given up within about 10.
    ///
    /// # Errors
    /// When the server cannot be reached, the schema is newer than this binary or cannot be changed, or
    /// the role of [`PoolOptions::app_role`] cannot be taken on.
    pub fn open(
        url: &str,
        options: &PoolOptions,
        sealer: Arc<dyn AuditSealer>,
    ) -> Result<Self, PersistenceError> {
        let store = Self::open_unsealed(url, options)?;
        store.sealer.set(sealer);
        Ok(store)
    }

    pub(crate) fn open_unsealed(
        url: &str,
        options: &PoolOptions,
    ) -> Result<Self, PersistenceError> {
        let url = with_time_limits(url);
        let role = options.app_role.as_deref().map(quoted).transpose()?;
        migrate(&url, options, |connection, migrations| {
            migrations::up(connection, migrations)?;
            if let Some(role) = &role {
                connection.batch_execute(&grants(role))?;
            }
            Ok(())
        })?;
        let settings = settings(options, role.as_deref());
        report_role(&mut establish(&url, &settings)?)?;
        let connections = Connections::new(
            "postgres",
            options.connections_max,
            options.acquire_timeout,
            move || establish(&url, &settings),
        );
        Ok(Self {
            connections,
            sealer: LateSealer::default(),
        })
    }

    /// Runs a query, in a transaction that can see no other rows than those it is about.
    pub(crate) fn read<T>(
        &self,
        rows: Rows,
        work: impl Fn(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.connections.run(|connection| {
            let answer = match rows {
                Rows::Shared => work(connection),
                rows => in_transaction(connection, confined(rows, &work), |connection, work| {
                    connection.build_transaction().read_only().run(work)
                }),
            };
            answer.map_err(|failure| (failure, Done::Nothing))
        })
    }

    /// Runs several queries that all see the same state.
    pub(crate) fn snapshot<T>(
        &self,
        rows: Rows,
        work: impl Fn(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.connections.run(|connection| {
            let answer = in_transaction(connection, confined(rows, &work), |connection, work| {
                connection
                    .build_transaction()
                    .repeatable_read()
                    .read_only()
                    .run(work)
            });
            answer.map_err(|failure| (failure, Done::Nothing))
        })
    }

    /// Runs a unit of work that is committed whole or not at all.
    pub(crate) fn write<T>(
        &self,
        rows: Rows,
        work: impl Fn(&mut PgConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.connections.run(|connection| {
            // What a lost connection had begun may have been committed.
            let done = Cell::new(Done::Nothing);
            let result = in_transaction(connection, confined(rows, &work), |connection, work| {
                connection.transaction(|connection| {
                    done.set(Done::Something);
                    work(connection)
                })
            });
            result.map_err(|failure| (failure, done.get()))
        })
    }
}

/// Returns the work behind its first statement: whose rows the transaction is about. The setting ends
/// with the transaction, so that no later one on the connection has it.
fn confined<T>(
    rows: Rows,
    work: impl Fn(&mut PgConnection) -> Result<T, Failure>,
) -> impl Fn(&mut PgConnection) -> Result<T, Failure> {
    let whose = match rows {
        Rows::Of(org) => {
            let digits = org.as_bytes().iter();
            let hex = digits.fold(String::with_capacity(32), |mut hex, byte| {
                let _written = write!(hex, "{byte:02x}");
                hex
            });
            Some(hex)
        }
        Rows::All => Some("*".to_owned()),
        Rows::Shared => None,
    };
    // Digits or a star: nothing here comes from outside.
    let confine = whose.map(|whose| format!("SELECT set_config('app.org_id', '{whose}', true)"));
    move |connection| {
        if let Some(confine) = &confine {
            connection.batch_execute(confine)?;
        }
        work(connection)
    }
}

impl Store for PostgresStore {
    fn ping(&self) -> Result<(), StoreError> {
        self.read(Rows::Shared, |connection| Ok(connection.ping()?))
    }
}

impl Database for PostgresStore {
    fn pool_state(&self) -> Vec<PoolState> {
        vec![self.connections.state()]
    }

    fn seal_with(&self, sealer: Arc<dyn AuditSealer>) {
        self.sealer.set(sealer);
    }
}

crate::accounts::impl_account_store!(PostgresStore);
crate::api_keys::impl_api_key_store!(PostgresStore);
crate::audit::impl_audit_store!(PostgresStore, PgConnection);
crate::audit_upkeep::impl_audit_upkeep_store!(PostgresStore, PgConnection);
crate::custom_roles::impl_role_store!(PostgresStore);
crate::identities::impl_identity_store!(PostgresStore);
crate::invitations::impl_invitation_store!(PostgresStore);
crate::leases::impl_lease_store!(PostgresStore);
crate::memberships::impl_membership_store!(PostgresStore);
crate::organizations::impl_organization_store!(PostgresStore);
crate::repetition::impl_repetition_store!(PostgresStore);
crate::secrets::impl_secret_store!(PostgresStore);
crate::sessions::impl_session_stores!(PostgresStore);
crate::teams::impl_team_store!(PostgresStore);
crate::tokens::impl_token_stores!(PostgresStore);
crate::users::impl_user_store!(PostgresStore);
crate::usage::impl_usage_store!(PostgresStore, crate::usage::postgres::insert);

/// Reverts every migration of this database.
pub(crate) fn migrate_down(url: &str, options: &PoolOptions) -> Result<(), PersistenceError> {
    migrate(&with_time_limits(url), options, migrations::down)
}

fn migrate(
    url: &str,
    options: &PoolOptions,
    change: impl FnOnce(&mut PgConnection, EmbeddedMigrations) -> Result<(), MigrationFailure>,
) -> Result<(), PersistenceError> {
    let wait = options.migration_timeout.as_millis();
    let mut connection = establish(url, &format!("SET lock_timeout = {wait}"))?;
    connection.transaction(|connection| {
        let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        connection.batch_execute(&lock)?;
        change(connection, MIGRATIONS)
    })?;
    Ok(())
}

fn establish(url: &str, settings: &str) -> Result<PgConnection, ConnectionError> {
    let mut connection = PgConnection::establish(url).map_err(without_url)?;
    connection
        .batch_execute(settings)
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// Removes the URL, which may hold a password: libpq repeats one that it cannot parse.
fn without_url(error: ConnectionError) -> ConnectionError {
    match error {
        ConnectionError::BadConnection(message) if message.contains("://") => {
            ConnectionError::BadConnection("the database URL cannot be parsed".to_owned())
        }
        error => error,
    }
}

fn settings(options: &PoolOptions, role: Option<&str>) -> String {
    let limits = format!(
        "SET statement_timeout = {}; SET lock_timeout = {};
         SET idle_in_transaction_session_timeout = {}; SET client_min_messages = warning",
        options.statement_timeout.as_millis(),
        options.lock_timeout.as_millis(),
        options.idle_in_transaction_timeout.as_millis(),
    );
    match role {
        Some(role) => format!("{limits}; SET ROLE {role}"),
        None => limits,
    }
}

/// Adds time limits to a connection URL, each unless it is there already.
fn with_time_limits(url: &str) -> String {
    const LIMITS: [(&str, &str); 6] = [
        ("application_name", "tollgate"),
        ("connect_timeout", "2"),
        ("keepalives_idle", "5"),
        ("keepalives_interval", "2"),
        ("keepalives_count", "3"),
        ("tcp_user_timeout", "10000"),
    ];
    let mut url = url.to_owned();
    for (name, value) in LIMITS {
        if !url.contains(&format!("{name}=")) {
            let separator = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{separator}{name}={value}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_are_added_unless_the_url_has_its_own() {
        let url = with_time_limits("postgres://u@h/db");
        assert!(url.starts_with("postgres://u@h/db?application_name=tollgate&connect_timeout=2&"));
        assert_eq!(with_time_limits(&url), url);
        let own = with_time_limits("postgres://u@h/db?sslmode=require&connect_timeout=9");
        assert!(own.starts_with("postgres://u@h/db?sslmode=require&connect_timeout=9&"));
        assert_eq!(own.matches("connect_timeout").count(), 1);
    }

    #[test]
    fn what_is_shown_holds_no_password() {
        let connections =
            Connections::new("postgres", 1, std::time::Duration::from_millis(1), || {
                establish("postgres://u:hunter2@127.0.0.1:1/db", "")
            });
        let store = PostgresStore {
            connections,
            sealer: LateSealer::default(),
        };
        assert!(!format!("{store:?}").contains("hunter2"));
        let error = store.ping().unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}
