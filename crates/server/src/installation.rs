//! The database, and the installation's secrets in it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tollgate_persistence::{Database, PoolOptions};
use tollgate_upkeep::{AuditSeal, MasterKeys, Secrets, UpkeepError};
use tollgate_vault::MasterKey;

use crate::MasterKeySetting;
use crate::problem::{Failure, Problem};
use crate::secrets::{MASTER_KEY, master_key, old_master_keys};
use crate::settings::{DatabaseSettings, SecretsSettings, Settings};

/// A database that is open, with what is secret in it.
pub(crate) struct Installation {
    pub(crate) database: Arc<dyn Database>,
    pub(crate) secrets: Secrets,
}

impl Installation {
    /// Opens the database, finds out whether the master key is its own, and opens its secrets; an empty
    /// database gets them, and a master key in a file that is not there. A start that is refused leaves
    /// neither.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Failure> {
        Self::open_at(&settings.database, &settings.secrets)
    }

    /// As [`open`](Self::open), of another database.
    pub(crate) fn open_at(
        database: &DatabaseSettings,
        secrets: &SecretsSettings,
    ) -> Result<Self, Failure> {
        let found = master_key(secrets).map_err(Failure::Settings)?;
        let old = old_master_keys(secrets).map_err(Failure::Settings)?;
        let database = open_database(database)?;
        let source = secrets.source();
        let (current, made) = match (found, &source) {
            (Some(key), _) => (key, None),
            (None, MasterKeySetting::File(path)) => (make(path, &*database)?, Some(path)),
            (None, _) => return Err(refused(MASTER_KEY, "there is none".to_owned())),
        };
        let master_keys = MasterKeys { current, old };
        let secrets = Secrets::open(&*database, &master_keys).map_err(|error| {
            // Of two machines that start at once on one database, this one has made a key of its own.
            if let Some(path) = made.filter(|_| is_about_the_key(&error)) {
                drop(fs::remove_file(path));
            }
            failure(error)
        })?;
        let seal = AuditSeal::new(&secrets.audit_root).map_err(failure)?;
        database.seal_with(Arc::new(seal));
        Ok(Self { database, secrets })
    }
}

/// Makes the master key of a new installation.
fn make(path: &Path, database: &dyn Database) -> Result<MasterKey, Failure> {
    let place = path.display().to_string();
    if !Secrets::are_none(database).map_err(failure)? {
        let missing =
            "the master key is missing, and this database was made with one: restore the file";
        return Err(refused(&place, missing.to_owned()));
    }
    MasterKey::from_file_or_new(path).map_err(|error| refused(&place, error.to_string()))
}

/// Opens the database; its audit entries cannot be sealed yet.
pub(crate) fn open_database(settings: &DatabaseSettings) -> Result<Arc<dyn Database>, Failure> {
    let options = PoolOptions {
        connections_max: settings.connections_max,
        app_role: settings.app_role.clone(),
        ..PoolOptions::default()
    };
    tollgate_persistence::open_unsealed(&settings.url, &options)
        .map_err(|error| Failure::Database(error.into()))
}

fn refused(place: &str, message: String) -> Failure {
    Failure::Settings(Problem::new(place, message))
}

const fn is_about_the_key(error: &UpkeepError) -> bool {
    matches!(
        error,
        UpkeepError::WrongMasterKey { .. } | UpkeepError::ForeignMasterKey
    )
}

/// Returns what a failure means for the process.
pub(crate) fn failure(error: UpkeepError) -> Failure {
    match error {
        error if is_about_the_key(&error) => refused(MASTER_KEY, error.to_string()),
        UpkeepError::Store(_) | UpkeepError::Damaged { .. } => Failure::Database(error.into()),
        error => Failure::Other(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(folder: &Path, database: &str, key: &str) -> Settings {
        let path = |name: &str| folder.join(name).display().to_string();
        serde_json::from_value(json!({
            "database": {"url": format!("sqlite://{}", path(database))},
            "secrets": {"master_key": format!("file:{}", path(key))},
        }))
        .unwrap()
    }

    fn refusal(settings: &Settings) -> String {
        match Installation::open(settings) {
            Err(Failure::Settings(problem)) => problem.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it opened"),
        }
    }

    #[test]
    fn a_start_that_is_refused_leaves_no_key_behind() {
        let folder = tempfile::tempdir().unwrap();
        let first = settings(folder.path(), "a.db", "a.key");
        drop(Installation::open(&first).unwrap());
        let missing = settings(folder.path(), "a.db", "b.key");
        let problem = refusal(&missing);
        assert!(
            problem.contains("b.key: the master key is missing"),
            "{problem}"
        );
        assert!(!folder.path().join("b.key").exists());

        drop(Installation::open(&settings(folder.path(), "b.db", "b.key")).unwrap());
        let problem = refusal(&missing);
        assert!(
            problem.starts_with("secrets.master_key: this is not"),
            "{problem}"
        );
        assert!(folder.path().join("b.key").exists(), "it was there before");
    }

    #[test]
    fn the_secrets_survive_a_new_master_key_with_the_old_one_in_the_ring() {
        let folder = tempfile::tempdir().unwrap();
        let first = settings(folder.path(), "a.db", "a.key");
        let before = Installation::open(&first).unwrap();
        let mut second = settings(folder.path(), "a.db", "b.key");
        second.secrets.old_master_keys = vec![first.secrets.source()];
        MasterKey::from_file_or_new(&folder.path().join("b.key")).unwrap();
        let after = Installation::open(&second).unwrap();
        assert_eq!(
            before.secrets.audit_root.expose(),
            after.secrets.audit_root.expose()
        );
        second.secrets.old_master_keys = vec![MasterKeySetting::File("missing.key".into())];
        let problem = refusal(&second);
        assert!(
            problem.starts_with("secrets.old_master_keys[0]"),
            "{problem}"
        );
    }
}
