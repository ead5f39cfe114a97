//! What the command line does without a running server.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde::Serialize;
use tollgate_auth::SecretToken;
use tollgate_control::AccountError;
use tollgate_engine::now;
use tollgate_ledger::Ledger;
use tollgate_store::Store;

use crate::account_settings::AccountsSettings;
use crate::assemble::{accounts, ledger_config};
use crate::installation::{Installation, failure, open_database};
use crate::problem::Failure;
use crate::secrets::resolve;
use crate::settings::{DialectSetting, Settings};

/// Makes one cryptography library the process's; again is harmless.
pub fn install_crypto() {
    // The error says that it is installed already, which is what is wanted.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}

/// What a check has found, in words and as JSON.
#[derive(Debug)]
pub struct Report {
    /// Whether all is well.
    pub is_well: bool,
    /// In words.
    pub text: String,
    /// As JSON.
    pub json: String,
}

impl Report {
    pub(crate) fn new(is_well: bool, found: &(impl Display + Serialize)) -> Result<Self, Failure> {
        let json = serde_json::to_string(found).map_err(|error| Failure::Other(error.into()))?;
        Ok(Self {
            is_well,
            text: found.to_string(),
            json,
        })
    }
}

/// Checks the books of a server that is not running.
///
/// # Errors
/// When the database or the journal cannot be read.
pub fn verify_ledger(settings: &Settings) -> Result<Report, Failure> {
    let store: Arc<dyn Store> = open_database(&settings.database)?;
    let report = Ledger::verify(&*store, &ledger_config(&settings.ledger))
        .map_err(|error| Failure::Other(error.into()))?;
    Report::new(report.is_balanced, &report)
}

/// Says which master keys the sealed values of an installation need.
///
/// # Errors
/// When the database cannot be read, or the master key is not its own.
pub fn secrets_status(settings: &Settings) -> Result<Report, Failure> {
    let Installation { database, secrets } = Installation::open(settings)?;
    let store: Arc<dyn Store> = database;
    let status = tollgate_upkeep::secrets_status(&*store, &secrets.vault).map_err(failure)?;
    Report::new(status.is_current(), &status)
}

/// Seals everything that is sealed under an old master key under the current one, and says how it stands
/// then. `done` hears how many values each step has replaced.
///
/// # Errors
/// As [`secrets_status`].
pub fn rotate_secrets(settings: &Settings, mut done: impl FnMut(usize)) -> Result<Report, Failure> {
    let Installation { database, secrets } = Installation::open(settings)?;
    let store: Arc<dyn Store> = database;
    tollgate_upkeep::rotate(&*store, &secrets.vault, now, |step| done(step.replaced))
        .map_err(failure)?;
    let status = tollgate_upkeep::secrets_status(&*store, &secrets.vault).map_err(failure)?;
    Report::new(status.is_current(), &status)
}

/// Makes a token that lets the first person in, and returns how to use it, in words or as JSON.
///
/// # Errors
/// When there is somebody already, or the database cannot be used.
pub fn setup_link(settings: &Settings, as_json: bool) -> Result<String, Failure> {
    let Installation { database, secrets } = Installation::open(settings)?;
    let store: Arc<dyn Store> = database;
    let made = accounts(settings, &store, &secrets)?.setup_token(now());
    let token = made.map_err(|error| match error {
        AccountError::SetUp => Failure::Other(error.into()),
        error => Failure::Database(error.into()),
    })?;
    let base = base_url(&settings.accounts, settings.server.listen);
    Ok(if as_json {
        serde_json::json!({"token": token.expose(), "url": format!("{base}{SETUP_PATH}")})
            .to_string()
    } else {
        setup_text(&base, &token)
    })
}

/// Where the first person comes in.
const SETUP_PATH: &str = "/api/v1/auth/setup";

/// Returns the address that people use.
pub(crate) fn base_url(settings: &AccountsSettings, listen: SocketAddr) -> String {
    match settings.public_url.trim_end_matches('/') {
        "" => format!("http://{listen}"),
        url => url.to_owned(),
    }
}

/// Returns what an operator is told of the token of the first set-up.
pub(crate) fn setup_text(base: &str, token: &SecretToken) -> String {
    let token = token.expose();
    format!(
        r#"
Nobody can sign in yet. The first person is whoever sends this token, once, within a day:

curl {base}{SETUP_PATH} -H "Content-Type: application/json" \
  -d '{{"token":"{token}","email":"you@example.com","name":"Your Name","password":"…"}}'
"#
    )
}

/// Asks each provider for its models.
///
/// # Errors
/// When one of them does not answer as it should; the message says what each answered.
pub async fn check_providers(settings: Settings, as_json: bool) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let mut all_well = true;
    for (at, provider) in settings.providers.iter().enumerate() {
        if provider.dialect == DialectSetting::Local {
            continue;
        }
        let place = format!("providers[{at}] ({})", provider.name);
        let key = provider
            .api_key
            .as_ref()
            .map(|reference| resolve(&place, "api_key", reference));
        let key = key
            .transpose()
            .map_err(|problem| anyhow::anyhow!("{problem}"))?
            .flatten();
        let key = key.as_ref().map(|key| key.expose_secret());
        let answer = tollgate_providers::list_models(&provider.base_url, key).await;
        all_well &= answer.is_ok();
        lines.push(match (&answer, as_json) {
            (Ok(models), true) => {
                serde_json::json!({"provider": provider.name, "models": models}).to_string()
            }
            (Err(error), true) => {
                serde_json::json!({"provider": provider.name, "error": error.to_string()})
                    .to_string()
            }
            (Ok(models), false) => format!("{}: {} models", provider.name, models.len()),
            (Err(error), false) => format!("{}: {error}", provider.name),
        });
    }
    if all_well {
        Ok(lines.join("\n"))
    } else {
        Err(anyhow::anyhow!(lines.join("\n")))
    }
}
