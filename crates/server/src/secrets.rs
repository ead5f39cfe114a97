//! The installation's master key, and credentials that settings refer to.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tollgate_auth::KeyText;
use tollgate_vault::MasterKey;

use crate::problem::Problem;
use crate::settings::SecretsSettings;

/// How long a command may take to print the master key.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// The name of the setting, for problems.
pub(crate) const MASTER_KEY: &str = "secrets.master_key";

/// Where the master key comes from: `"file:PATH"`, `"env:NAME"` or `{ command = ["PROGRAM", …] }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub enum MasterKeySetting {
    /// A file, which the first start makes.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// What a program prints: the program and its arguments.
    Command(Vec<String>),
}

/// The setting as it is written.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "master_key must be \"file:PATH\", \"env:NAME\" or { command = [\"PROGRAM\", …] }"
)]
enum Written {
    Reference(SecretString),
    Command(WrittenCommand),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCommand {
    command: Vec<String>,
}

impl TryFrom<Written> for MasterKeySetting {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, &'static str> {
        let reference = match written {
            Written::Command(WrittenCommand { command }) => {
                let is_empty = command.first().is_none_or(String::is_empty);
                let empty = "master_key: the command names no program";
                return if is_empty {
                    Err(empty)
                } else {
                    Ok(Self::Command(command))
                };
            }
            Written::Reference(reference) => reference,
        };
        // What is neither may be the key itself, and is not repeated.
        let text = reference.expose_secret();
        let file = text
            .strip_prefix("file:")
            .map(|path| Self::File(path.into()));
        let env = || {
            text.strip_prefix("env:")
                .map(|name| Self::Env(name.to_owned()))
        };
        file.or_else(env).ok_or(
            "master_key must be \"file:PATH\" or \"env:NAME\"; the key itself does not belong in the settings",
        )
    }
}

/// Reads the master key; `None` when it should be in a file that is not there.
pub(crate) fn master_key(settings: &SecretsSettings) -> Result<Option<MasterKey>, Problem> {
    let source = settings.source();
    match source {
        MasterKeySetting::File(path) if !path.exists() => Ok(None),
        source => read(&source, MASTER_KEY).map(Some),
    }
}

/// Reads the master keys that the current one has replaced.
pub(crate) fn old_master_keys(settings: &SecretsSettings) -> Result<Vec<MasterKey>, Problem> {
    let sources = settings.old_master_keys.iter().enumerate();
    sources
        .map(|(at, source)| read(source, &format!("secrets.old_master_keys[{at}]")))
        .collect()
}

fn read(source: &MasterKeySetting, place: &str) -> Result<MasterKey, Problem> {
    let problem = |error: String| Problem::new(place, error);
    match source {
        MasterKeySetting::File(path) => MasterKey::from_file(path)
            .map_err(|error| problem(format!("{}: {error}", path.display()))),
        MasterKeySetting::Env(name) => {
            let unset = || problem(format!("the variable {name} is not set"));
            let text = SecretString::from(variable(name).ok_or_else(unset)?);
            MasterKey::parse(text.expose_secret())
                .map_err(|error| problem(format!("{name}: {error}")))
        }
        MasterKeySetting::Command(command) => MasterKey::from_command(command, COMMAND_TIMEOUT)
            .map_err(|error| problem(error.to_string())),
    }
}

fn variable(name: &str) -> Option<String> {
    let mut all = std::env::vars();
    all.find(|(variable, _)| variable == name)
        .map(|(_, value)| value)
}

/// Follows a reference to a credential: `env:NAME`, `file:PATH`, or the text itself.
pub(crate) fn resolve(
    place: &str,
    reference: &SecretString,
) -> Result<Option<SecretString>, Problem> {
    let text = reference.expose_secret();
    let problem = |message: String| Problem::new(place, message);
    let found = if let Some(name) = text.strip_prefix("env:") {
        let value = variable(name);
        value.ok_or_else(|| problem(format!("api_key: the variable {name} is not set")))?
    } else if let Some(path) = text.strip_prefix("file:") {
        fs::read_to_string(path)
            .map_err(|error| problem(format!("api_key: {path} cannot be read: {error}")))?
    } else {
        text.to_owned()
    };
    let found = found.trim();
    if KeyText::parse(found).is_ok() {
        return Err(problem(
            "api_key: this is a key of Tollgate, not the provider's".to_owned(),
        ));
    }
    Ok((!found.is_empty()).then(|| SecretString::from(found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn settings(value: Value) -> Result<SecretsSettings, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn check(value: Value, expected: &MasterKeySetting) {
        assert_eq!(&settings(value).unwrap().source(), expected);
    }

    #[test]
    fn the_master_key_comes_from_a_file_a_variable_or_a_command() {
        let file = |path: &str| MasterKeySetting::File(path.into());
        check(json!({}), &file("data/master.key"));
        check(json!({"master_key_file": "a/b"}), &file("a/b"));
        check(json!({"master_key": "file:a/b"}), &file("a/b"));
        check(
            json!({"master_key": "env:NAME"}),
            &MasterKeySetting::Env("NAME".to_owned()),
        );
        check(
            json!({"master_key": {"command": ["kms", "read"]}}),
            &MasterKeySetting::Command(vec!["kms".to_owned(), "read".to_owned()]),
        );
    }

    #[test]
    fn a_key_in_the_settings_is_refused_and_not_repeated() {
        let key = "7c1f8e0d93a25b46e07bd1f2c3489a5566f0e1d2c3b4a5968778695a4b3c2d1e";
        for wrong in [
            json!(key),
            json!(""),
            json!(7),
            json!([key]),
            json!({"command": key}),
            json!({"command": []}),
            json!({"command": [""]}),
            json!({"command": ["a"], "shell": true}),
        ] {
            let problem = settings(json!({"master_key": wrong.clone()})).unwrap_err();
            assert!(problem.contains("master_key"), "{wrong}: {problem}");
            assert!(!problem.contains(key), "{wrong}: {problem}");
        }
    }

    #[test]
    fn one_key_comes_from_one_place() {
        let both = json!({"secrets": {"master_key": "env:A", "master_key_file": "a"}});
        let settings: crate::settings::Settings = serde_json::from_value(both).unwrap();
        let problems = settings.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].to_string().contains("keep one of them"));
    }

    #[test]
    fn every_way_leads_to_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        let in_file = settings(json!({"master_key_file": file})).unwrap();
        assert!(master_key(&in_file).unwrap().is_none() && !file.exists());
        let made = MasterKey::from_file_or_new(&file).unwrap();
        let found = master_key(&in_file).unwrap().unwrap();
        assert_eq!(found.expose(), made.expose());
        let printed = json!({"master_key": {"command": ["cat", file]}});
        let printed = master_key(&settings(printed).unwrap()).unwrap().unwrap();
        assert_eq!(printed.expose(), made.expose());

        // A variable that every process has, and that is no key.
        let path = settings(json!({"master_key": "env:PATH"})).unwrap();
        let problem = master_key(&path).unwrap_err().to_string();
        assert!(problem.starts_with("secrets.master_key: PATH: the master key must be"));
        let unset = settings(json!({"master_key": "env:TOLLGATE_UNSET"})).unwrap();
        let problem = master_key(&unset).unwrap_err().to_string();
        assert!(problem.contains("TOLLGATE_UNSET is not set"), "{problem}");
        fs::write(&file, "secret").unwrap();
        let broken = settings(json!({"master_key_file": file})).unwrap();
        let problem = master_key(&broken).unwrap_err().to_string();
        let place = format!(
            "secrets.master_key: {}: the master key must be",
            file.display()
        );
        assert!(problem.starts_with(&place), "{problem}");
    }
}
