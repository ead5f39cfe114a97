//! The audit log on the command line.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate_domain::Timestamp;
use tollgate_engine::now;
use tollgate_store::Store;
use tollgate_upkeep::{AuditLog, AuditScope, INSTALLATION_CHAIN, KeptCheckpoints};

use crate::installation::{Installation, failure};
use crate::problem::{Failure, Problem};
use crate::settings::Settings;
use crate::tools::Report;

fn scope(chain: Option<&str>) -> Result<AuditScope, Failure> {
    match chain {
        None => Ok(AuditScope::All),
        Some(INSTALLATION_CHAIN) => Ok(AuditScope::Chain(None)),
        Some(id) => id.parse().map_or_else(
            |_| {
                let message = format!("must be the id of an organization, or {INSTALLATION_CHAIN}");
                Err(Failure::Settings(Problem::new("--org", message)))
            },
            |id| Ok(AuditScope::Chain(Some(id))),
        ),
    }
}

/// Reads a day or a time.
fn time_of(text: &str) -> Result<Timestamp, Failure> {
    let day = format!("{text}T00:00:00Z");
    let time = text.parse().or_else(|_| day.parse());
    time.map_err(|_| {
        let message = "must be a day such as 2026-01-01, or a time such as 2026-01-01T12:00:00Z";
        Failure::Settings(Problem::new("--before", message.to_owned()))
    })
}

/// Says whether the audit log is as it was written, and agrees with the checkpoints that are kept: in
/// this file, or else in the one that the settings name, if it is there. All chains are read, or that of an
/// organization's id, or the one named `installation`.
///
/// # Errors
/// When the database or the file cannot be read, or the master key is not the database's.
pub fn verify_audit(
    settings: &Settings,
    chain: Option<&str>,
    checkpoints: Option<&Path>,
) -> Result<Report, Failure> {
    let scope = scope(chain)?;
    let (store, log) = open(settings)?;
    let usual = settings.audit.checkpoint_file.as_deref();
    let usual = usual.filter(|path| path.exists());
    let kept = match checkpoints.or(usual) {
        Some(path) => read_checkpoints(path, &log)?,
        None => KeptCheckpoints::default(),
    };
    let report = log.verify(&*store, scope, &kept).map_err(failure)?;
    Report::new(report.is_whole, &report)
}

/// Writes the audit log as lines of JSON. Returns how many entries there were.
///
/// # Errors
/// As [`verify_audit`]; when the lines cannot be written.
pub fn export_audit(
    settings: &Settings,
    chain: Option<&str>,
    out: &mut dyn Write,
) -> Result<u64, Failure> {
    let scope = scope(chain)?;
    let (store, log) = open(settings)?;
    log.export(&*store, scope, out).map_err(failure)
}

/// Drops the audit entries from before a time, as the owner of the tables: without the role that the
/// settings name. Returns what was dropped, in words and as JSON.
///
/// # Errors
/// As [`verify_audit`]; when a chain is broken, or the tables are another's.
pub fn prune_audit(
    settings: &Settings,
    chain: Option<&str>,
    before: &str,
) -> Result<Report, Failure> {
    let (scope, before) = (scope(chain)?, time_of(before)?);
    let mut settings = settings.clone();
    settings.database.app_role = None;
    let (store, log) = open(&settings)?;
    let pruned = log.prune(&*store, scope, before, now).map_err(failure)?;
    let lines: Vec<_> = pruned.iter().map(ToString::to_string).collect();
    let json = serde_json::json!({ "pruned": pruned }).to_string();
    let text = if lines.is_empty() {
        "no entry is from before that".to_owned()
    } else {
        lines.join("\n")
    };
    Ok(Report {
        is_well: true,
        text,
        json,
    })
}

fn open(settings: &Settings) -> Result<(Arc<dyn Store>, AuditLog), Failure> {
    let Installation { database, secrets } = Installation::open(settings)?;
    let log = AuditLog::new(&secrets.audit_root).map_err(failure)?;
    Ok((database, log))
}

fn read_checkpoints(path: &Path, log: &AuditLog) -> Result<KeptCheckpoints, Failure> {
    let file = File::open(path).map_err(|error| {
        let path: PathBuf = path.into();
        Failure::Other(anyhow::Error::new(error).context(format!("{}", path.display())))
    })?;
    KeptCheckpoints::read(BufReader::new(file), &log.public_key()).map_err(failure)
}
