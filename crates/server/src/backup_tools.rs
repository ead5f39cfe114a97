//! Backups on the command line.

use std::path::Path;

use tollgate_domain::{Actor, AuditDraft};
use tollgate_engine::now;
use tollgate_persistence::{copy_sqlite, sqlite_file};
use tollgate_upkeep::{BackupPlace, Manifest, UpkeepError};

use crate::installation::{Installation, failure};
use crate::problem::{Failure, Problem};
use crate::secrets::{MASTER_KEY, master_key};
use crate::settings::Settings;
use crate::tools::Report;

/// Copies the database and what of the journal is not in it yet into a new directory, while the server
/// goes on. The secrets are in the database, sealed; the master key is not part of it.
///
/// # Errors
/// When the database is not SQLite's, which has its own tools; when there is something already, the
/// disk is full, or the database is damaged.
pub fn back_up(settings: &Settings, to: &Path) -> Result<Report, Failure> {
    let place = place(
        settings,
        "pg_dump --format=custom --file=tollgate.dump DATABASE_URL",
    )?;
    let version = env!("CARGO_PKG_VERSION");
    let manifest = tollgate_upkeep::back_up(place, to, (version, now()), |from, to| {
        copy_sqlite(from, to).map_err(|error| UpkeepError::Backup(chain(&error)))
    });
    report("backed up", &manifest.map_err(failure)?)
}

/// Restores a backup where there is nothing yet. The master key has to be there, and to be that of the
/// backup. Every session ends and no link that was sent works any more, since what was revoked after the
/// backup was made is not known.
///
/// # Errors
/// When the database is not SQLite's; when there is something already; when the backup is not what its
/// manifest says, or is another installation's.
pub fn restore(settings: &Settings, from: &Path) -> Result<Report, Failure> {
    let place = place(
        settings,
        "pg_restore --clean --if-exists --dbname=DATABASE_URL tollgate.dump",
    )?;
    if master_key(&settings.secrets)
        .map_err(Failure::Settings)?
        .is_none()
    {
        let message = "the master key is missing: restore it first, it is not part of a backup";
        return Err(Failure::Settings(Problem::new(
            MASTER_KEY,
            message.to_owned(),
        )));
    }
    let manifest = tollgate_upkeep::restore(from, place, |copy| {
        let mut database = settings.database.clone();
        database.url = format!("sqlite://{}", copy.display());
        // A refusal says more than the other error can hold, and is kept whole.
        let opened = Installation::open_at(&database, &settings.secrets);
        let opened = opened.map_err(|refused| UpkeepError::Backup(refused.to_string()))?;
        let at = now();
        let draft = AuditDraft::done(Actor::System, "installation.restore", at);
        opened.database.end_all_sessions(at, &draft)?;
        Ok(())
    });
    report("restored", &manifest.map_err(failure)?)
}

/// Where the settings say that everything is; refused when it is in PostgreSQL.
fn place<'a>(settings: &'a Settings, instead: &str) -> Result<BackupPlace<'a>, Failure> {
    let database = sqlite_file(&settings.database.url).ok_or_else(|| {
        let message = format!("is not a file of SQLite's. With PostgreSQL: {instead}");
        Failure::Settings(Problem::new("database.url", message))
    })?;
    Ok(BackupPlace {
        database,
        journal: &settings.ledger.journal_dir,
        fallback: settings.ledger.fallback_dir.as_deref(),
    })
}

fn report(what: &str, manifest: &Manifest) -> Result<Report, Failure> {
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let (files, at) = (manifest.files.len(), manifest.at);
    Ok(Report {
        is_well: true,
        text: format!("{what}: {files} files of {bytes} bytes, as of {at}"),
        json: serde_json::to_string(manifest).map_err(|error| Failure::Other(error.into()))?,
    })
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
