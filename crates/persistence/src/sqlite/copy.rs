//! A copy of an SQLite database that others go on writing to.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::error::PersistenceError;
use crate::open::PoolOptions;
use crate::sqlite::connect::{Connect, make_file};

#[derive(QueryableByName)]
struct Checked {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

/// What the check of a copy found; its first line.
#[derive(Debug, thiserror::Error)]
#[error("the copy is not whole: {0}")]
struct NotWhole(String);

/// Writes what a database holds at one moment into a new file, for the owner alone, and checks that the
/// copy is whole. Nobody is kept from reading or writing meanwhile, and the schema stays as it is.
///
/// # Errors
/// When there is no such database, the file is there already, the disk is full, or the database is damaged.
pub fn copy_sqlite(from: &Path, to: &Path) -> Result<(), PersistenceError> {
    let options = PoolOptions::default();
    // A connection would make a file that is missing.
    std::fs::metadata(from).map_err(PersistenceError::File)?;
    make_file(to).map_err(PersistenceError::File)?;
    let unusable = |error: diesel::result::Error| PersistenceError::Unusable(Box::new(error));
    let name = to.to_str().ok_or(PersistenceError::Url {
        problem: "holds a path that is not UTF-8",
    })?;
    // It takes a file that is empty, and no other.
    let mut connection = Connect::new(from, &options)?.plain()?;
    diesel::sql_query("VACUUM INTO ?")
        .bind::<Text, _>(name)
        .execute(&mut connection)
        .map_err(unusable)?;
    let mut copy = Connect::new(to, &options)?.plain()?;
    let lines: Vec<Checked> = diesel::sql_query("PRAGMA integrity_check")
        .load(&mut copy)
        .map_err(unusable)?;
    match lines.into_iter().next() {
        Some(line) if line.integrity_check == "ok" => Ok(()),
        other => {
            let found = other.map(|line| line.integrity_check).unwrap_or_default();
            Err(PersistenceError::Unusable(Box::new(NotWhole(found))))
        }
    }
}
