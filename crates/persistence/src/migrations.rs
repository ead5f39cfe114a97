//! Brings a schema up to date, within the transaction and lock of the caller.

use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use crate::error::{Failure, PersistenceError};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a transaction that changes the schema ended.
pub(crate) enum MigrationFailure {
    Refused(PersistenceError),
    Failed(BoxError),
    Query(diesel::result::Error),
}

impl From<diesel::result::Error> for MigrationFailure {
    fn from(error: diesel::result::Error) -> Self {
        Self::Query(error)
    }
}

impl From<MigrationFailure> for PersistenceError {
    fn from(failure: MigrationFailure) -> Self {
        match failure {
            MigrationFailure::Refused(error) => error,
            MigrationFailure::Failed(error) => Self::Unusable(error),
            MigrationFailure::Query(error) => Failure::Query(error).into(),
        }
    }
}

/// Applies what is missing.
pub(crate) fn up<DB: Backend>(
    harness: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> Result<(), MigrationFailure> {
    refuse_newer(harness, &migrations)?;
    harness
        .run_pending_migrations(migrations)
        .map(drop)
        .map_err(MigrationFailure::Failed)
}

/// Reverts all.
pub(crate) fn down<DB: Backend>(
    harness: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> Result<(), MigrationFailure> {
    refuse_newer(harness, &migrations)?;
    harness
        .revert_all_migrations(migrations)
        .map(drop)
        .map_err(MigrationFailure::Failed)
}

/// An older binary does not know what a newer one's rows mean.
fn refuse_newer<DB: Backend>(
    harness: &mut impl MigrationHarness<DB>,
    migrations: &EmbeddedMigrations,
) -> Result<(), MigrationFailure> {
    let known: Vec<Box<dyn Migration<DB>>> =
        migrations.migrations().map_err(MigrationFailure::Failed)?;
    let known: Vec<MigrationVersion<'_>> = known
        .iter()
        .map(|migration| migration.name().version())
        .collect();
    let applied = harness
        .applied_migrations()
        .map_err(MigrationFailure::Failed)?;
    let name = |version: Option<&MigrationVersion<'_>>| {
        version.map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    match applied
        .iter()
        .filter(|version| !known.contains(version))
        .max()
    {
        None => Ok(()),
        unknown => Err(MigrationFailure::Refused(PersistenceError::NewerSchema {
            found: name(unknown),
            known: name(known.iter().max()),
        })),
    }
}
