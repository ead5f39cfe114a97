//! SQLite: one file, one writer, several readers.

mod connect;
mod copy;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use parking_lot::Mutex;
use tollgate_store::{AuditSealer, Store, StoreError};

use crate::error::{Failure, PersistenceError, in_transaction};
use crate::late_sealer::LateSealer;
use crate::migrations;
use crate::open::{Database, PoolOptions, PoolState};
use crate::pool::{Connections, Done};
use crate::rows::Rows;
use crate::sqlite::connect::{Connect, make_file};

pub use self::copy::copy_sqlite;

/// Keeps everything in one SQLite file, or in memory.
///
/// Writes queue for one connection, so that they never fail for each other; readers see the last
/// commit and wait for nobody. A commit survives the end of the process; after a power cut the last
/// ones may be gone, and the ledger's journal books them again.
pub struct SqliteStore {
    writer: Mutex<Option<SqliteConnection>>,
    /// `None` in memory: there a second connection would see another database.
    readers: Option<Connections<SqliteConnection>>,
    connect: Connect,
    acquire_timeout: Duration,
    pub(crate) sealer: LateSealer,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pools = self.pool_state();
        f.debug_struct("SqliteStore")
            .field("pools", &pools)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens this file; makes it and its directory, for the owner alone, when they are missing.
    ///
    /// # Errors
    /// When the file cannot be opened, or its schema is newer than this binary or cannot be changed.
    pub fn open(
        path: &Path,
        options: &PoolOptions,
        sealer: Arc<dyn AuditSealer>,
    ) -> Result<Self, PersistenceError> {
        let store = Self::open_unsealed(path, options)?;
        store.sealer.set(sealer);
        Ok(store)
    }

    pub(crate) fn open_unsealed(
        path: &Path,
        options: &PoolOptions,
    ) -> Result<Self, PersistenceError> {
        make_file(path).map_err(PersistenceError::File)?;
        let connect = Connect::new(path, options)?;
        let writer = connect.migrated(options, migrations::up)?;
        let reader = connect.clone();
        let readers = Connections::new(
            "sqlite_readers",
            options.connections_max,
            options.acquire_timeout,
            move || reader.read_only(),
        );
        Ok(Self {
            writer: Mutex::new(Some(writer)),
            readers: Some(readers),
            connect,
            acquire_timeout: options.acquire_timeout,
            sealer: LateSealer::default(),
        })
    }

    /// Makes an empty database that is gone when the store is dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn in_memory(
        options: &PoolOptions,
        sealer: Arc<dyn AuditSealer>,
    ) -> Result<Self, PersistenceError> {
        let store = Self::in_memory_unsealed(options)?;
        store.sealer.set(sealer);
        Ok(store)
    }

    pub(crate) fn in_memory_unsealed(options: &PoolOptions) -> Result<Self, PersistenceError> {
        let connect = Connect::new(Path::new(":memory:"), options)?;
        Ok(Self {
            writer: Mutex::new(Some(connect.migrated(options, migrations::up)?)),
            readers: None,
            connect,
            acquire_timeout: options.acquire_timeout,
            sealer: LateSealer::default(),
        })
    }

    /// Runs a query. Which rows it is about is said by the query alone: SQLite has no second wall.
    pub(crate) fn read<T>(
        &self,
        _: Rows,
        work: impl Fn(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        match &self.readers {
            Some(readers) => readers
                .run(|connection| work(connection).map_err(|failure| (failure, Done::Nothing))),
            None => self.with_writer(|connection| work(connection)),
        }
    }

    /// Runs several queries that all see the same state.
    pub(crate) fn snapshot<T>(
        &self,
        rows: Rows,
        work: impl Fn(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.read(rows, |connection| {
            in_transaction(connection, &work, |c, work| c.transaction(work))
        })
    }

    /// Runs a unit of work that is committed whole or not at all.
    pub(crate) fn write<T>(
        &self,
        _: Rows,
        work: impl Fn(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.with_writer(|connection| {
            in_transaction(connection, work, |c, work| c.immediate_transaction(work))
        })
    }

    fn with_writer<T>(
        &self,
        work: impl FnOnce(&mut SqliteConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        #[derive(Debug, thiserror::Error)]
        #[error("other writes took too long")]
        struct WriterBusy;
        let Some(mut writer) = self.writer.try_lock_for(self.acquire_timeout) else {
            return Err(StoreError::Unavailable(Box::new(WriterBusy)));
        };
        let mut connection = match writer.take() {
            Some(connection) => connection,
            None => (self.connect.read_write())
                .map_err(|error| StoreError::Unavailable(Box::new(error)))?,
        };
        let result = work(&mut connection);
        if self.readers.is_none() || !connection.is_broken() {
            *writer = Some(connection);
        }
        Ok(result?)
    }
}

impl Store for SqliteStore {
    fn ping(&self) -> Result<(), StoreError> {
        self.read(Rows::Shared, |connection| Ok(connection.ping()?))
    }
}

impl Database for SqliteStore {
    fn pool_state(&self) -> Vec<PoolState> {
        let writer = PoolState {
            name: "sqlite_writer",
            size: 1,
            idle: u32::from(!self.writer.is_locked()),
            max: 1,
        };
        let readers = self.readers.as_ref().map(Connections::state);
        readers.into_iter().chain([writer]).collect()
    }

    fn seal_with(&self, sealer: Arc<dyn AuditSealer>) {
        self.sealer.set(sealer);
    }
}

crate::accounts::impl_account_store!(SqliteStore);
crate::api_keys::impl_api_key_store!(SqliteStore);
crate::audit::impl_audit_store!(SqliteStore, SqliteConnection);
crate::audit_upkeep::impl_audit_upkeep_store!(SqliteStore, SqliteConnection);
crate::custom_roles::impl_role_store!(SqliteStore);
crate::identities::impl_identity_store!(SqliteStore);
crate::invitations::impl_invitation_store!(SqliteStore);
crate::leases::impl_lease_store!(SqliteStore);
crate::memberships::impl_membership_store!(SqliteStore);
crate::organizations::impl_organization_store!(SqliteStore);
crate::repetition::impl_repetition_store!(SqliteStore);
crate::secrets::impl_secret_store!(SqliteStore);
crate::sessions::impl_session_stores!(SqliteStore);
crate::teams::impl_team_store!(SqliteStore);
crate::tokens::impl_token_stores!(SqliteStore);
crate::users::impl_user_store!(SqliteStore);
crate::usage::impl_usage_store!(SqliteStore, crate::usage::sqlite::insert);

/// Reverts every migration of this file.
pub(crate) fn migrate_down(path: &Path, options: &PoolOptions) -> Result<(), PersistenceError> {
    make_file(path).map_err(PersistenceError::File)?;
    let connect = Connect::new(path, options)?;
    connect.migrated(options, migrations::down).map(drop)
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use tollgate_store::conformance::fixtures::{TestSealer, audit, event, org_id, organization};
    use tollgate_store::{OrganizationStore, UsageStore};

    use super::*;

    fn pragma(connection: &mut SqliteConnection, name: &str) -> String {
        let value = format!("(SELECT CAST({name} AS TEXT) FROM pragma_{name})");
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(&value))
            .get_result(connection)
            .unwrap()
    }

    #[test]
    fn connections_have_their_settings() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("test.db");
        let store =
            SqliteStore::open(&path, &PoolOptions::default(), TestSealer::shared()).unwrap();
        let settings = |connection: &mut SqliteConnection| {
            let names = [
                "journal_mode",
                "foreign_keys",
                "trusted_schema",
                "query_only",
            ];
            Ok(names.map(|name| pragma(connection, name)).join(" "))
        };
        assert_eq!(store.read(Rows::All, settings).unwrap(), "wal 1 0 1");
        assert_eq!(store.write(Rows::All, settings).unwrap(), "wal 1 0 0");
        let synchronous = store.write(Rows::All, |connection| {
            Ok(pragma(connection, "synchronous"))
        });
        assert_eq!(synchronous.unwrap(), "2", "FULL");
    }

    #[test]
    fn a_full_disk_is_unavailable_and_books_nothing() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("test.db");
        let store =
            SqliteStore::open(&path, &PoolOptions::default(), TestSealer::shared()).unwrap();
        let pages = |count: u32| {
            let limit = format!("PRAGMA max_page_count = {count}");
            store.with_writer(|connection| Ok(connection.batch_execute(&limit)?))
        };
        let events: Vec<_> = (1..=2_000).map(event).collect();
        pages(1).unwrap();
        let refused = store.record_usage(&events);
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
        assert_eq!(
            store.verify_books().unwrap(),
            tollgate_store::BooksReport::default()
        );
        pages(100_000).unwrap();
        assert_eq!(store.record_usage(&events).unwrap(), 2_000);
        assert_eq!(store.verify_books().unwrap().mismatches, []);
    }

    #[test]
    fn changes_wait_for_the_sealer_of_their_audit_entries() {
        let store = SqliteStore::in_memory_unsealed(&PoolOptions::default()).unwrap();
        let add = || store.add_organization(&organization(1), &audit(1));
        let refused = add();
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
        assert_eq!(store.find_organization(org_id(1)).unwrap(), None);
        store.seal_with(TestSealer::shared());
        add().unwrap();
    }

    #[test]
    fn a_writer_that_is_lost_to_a_panic_is_replaced() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("test.db");
        let store =
            SqliteStore::open(&path, &PoolOptions::default(), TestSealer::shared()).unwrap();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            store.write(Rows::All, |connection| {
                connection.batch_execute("UPDATE auth_epoch SET epoch = 7")?;
                panic!("in the middle of a transaction");
                #[expect(unreachable_code, reason = "gives the closure its type")]
                Ok(())
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(tollgate_store::ApiKeyStore::auth_epoch(&store).unwrap(), 0);
        assert_eq!(store.record_usage(&[event(1)]).unwrap(), 1);
    }
}
