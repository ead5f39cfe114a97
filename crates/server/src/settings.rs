//! The settings, as written in `tollgate.toml`. Every field is documented in `docs/configuration.md`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tollgate_domain::{IpRange, ModelPrice};

use crate::account_settings::AccountsSettings;
use crate::audit_settings::AuditSettings;
use crate::cors::is_origin;
use crate::problem::Problem;
use crate::secrets::MasterKeySetting;

macro_rules! defaults {
    ($($name:ident: $type:ty = $value:expr;)*) => {$(
        fn $name() -> $type { $value }
    )*};
}

defaults! {
    connect_timeout_ms: u64 = 3_000;
    first_byte_timeout_ms: u64 = 60_000;
    idle_timeout_ms: u64 = 60_000;
    total_timeout_ms: u64 = 600_000;
    weight: u32 = 1;
    local_queue_max: usize = 16;
}

/// All settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where and how to listen.
    pub server: ServerSettings,
    /// Where things are kept.
    pub database: DatabaseSettings,
    /// The journal and the prices.
    pub ledger: LedgerSettings,
    /// Logs.
    pub log: LogSettings,
    /// Traces.
    pub telemetry: TelemetrySettings,
    /// Retries and breakers.
    pub resilience: ResilienceSettings,
    /// Secrets of the installation.
    pub secrets: SecretsSettings,
    /// People who sign in.
    pub accounts: AccountsSettings,
    /// Where the checkpoints of the audit log go.
    pub audit: AuditSettings,
    /// The providers.
    pub providers: Vec<ProviderSettings>,
    /// The models.
    pub models: Vec<ModelSettings>,
}

/// The files of TLS, in PEM. They are read again when they change.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The server's certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub private_key: PathBuf,
    /// The authorities of which clients must have a certificate; absent asks for none.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
}

/// The header in which trusted proxies name the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedSetting {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
}

/// Where and how to listen.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The data plane and the admin API.
    pub listen: SocketAddr,
    /// `/metrics`; keep it on loopback.
    pub metrics_listen: SocketAddr,
    /// Threads that serve requests; 0 is one per core.
    pub workers: usize,
    /// The largest body of a request.
    pub body_bytes_max: usize,
    /// Until the head of a connection's first request is there.
    pub head_timeout_ms: u64,
    /// Until a body is there.
    pub body_timeout_ms: u64,
    /// How long a connection may wait for its next whole request head.
    pub keep_alive_s: u64,
    /// How long streams may go on after SIGTERM.
    pub drain_timeout_s: u64,
    /// Connections at once, over all workers.
    pub connections_max: usize,
    /// Connections at once from one address, or from one /64 network of IPv6; 0 is no bound.
    pub connections_per_address_max: u32,
    /// Requests without a valid credential per minute from one such address; 0 is no bound.
    pub unauthenticated_per_minute_max: u32,
    /// The values that `Host` may have, without ports; empty is any well-formed one.
    pub allowed_hosts: Vec<String>,
    /// TLS for clients; absent is plain HTTP.
    pub tls: Option<TlsSettings>,
    /// The origins whose pages may call models from a browser; empty is none.
    pub cors_origins: Vec<String>,
    /// The proxies that are believed about whom they forward for; empty is none.
    pub trusted_proxies: Vec<IpRange>,
    /// The header in which they say it.
    pub forwarded_header: ForwardedSetting,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
            workers: 0,
            body_bytes_max: 8 << 20,
            head_timeout_ms: 5_000,
            body_timeout_ms: 30_000,
            keep_alive_s: 15,
            drain_timeout_s: 600,
            connections_max: 25_000,
            connections_per_address_max: 256,
            unauthenticated_per_minute_max: 120,
            allowed_hosts: Vec::new(),
            tls: None,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedSetting::XForwardedFor,
        }
    }
}

impl ServerSettings {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |place: &str, message: &str| {
            problems.push(Problem::new(place, message.to_owned()));
        };
        if !self.metrics_listen.ip().is_loopback() && self.metrics_listen == self.listen {
            say(
                "server.metrics_listen",
                "must not be the address that clients use",
            );
        }
        if self.keep_alive_s == 0 || self.body_bytes_max == 0 {
            say(
                "server",
                "keep_alive_s and body_bytes_max must be greater than 0",
            );
        }
        for origin in &self.cors_origins {
            if !is_origin(origin) {
                let message = format!(
                    "{origin:?} is not an origin as browsers send it, such as https://app.example"
                );
                say("server.cors_origins", &message);
            }
        }
        problems
    }
}

/// Where things are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `sqlite://path` or `postgres://…`.
    pub url: String,
    /// Connections at once.
    pub connections_max: u32,
    /// The role that PostgreSQL's connections take on, which does not own the tables.
    pub app_role: Option<String>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: "sqlite://data/tollgate.db".to_owned(),
            connections_max: 8,
            app_role: None,
        }
    }
}

/// What a crash may lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurabilitySetting {
    /// Nothing when the process dies; up to 50 ms when the machine does.
    #[default]
    Process,
    /// Nothing when the machine dies either.
    Power,
}

/// What happens to a call whose price is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPriceSetting {
    /// It is refused.
    #[default]
    Deny,
    /// It is let through and marked.
    AllowFlagged,
}

/// The journal and the prices.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerSettings {
    /// Where the journal is.
    pub journal_dir: PathBuf,
    /// Where the journal goes when its disk fails.
    pub fallback_dir: Option<PathBuf>,
    /// What a crash may lose.
    pub durability: DurabilitySetting,
    /// What happens to a call whose price is not known.
    pub unknown_price: UnknownPriceSetting,
    /// The size at which a segment is closed.
    pub segment_bytes_max: u64,
    /// Space kept free so that calls under way can settle on a full disk.
    pub ballast_bytes: u64,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            journal_dir: PathBuf::from("data/journal"),
            fallback_dir: None,
            durability: DurabilitySetting::Process,
            unknown_price: UnknownPriceSetting::Deny,
            segment_bytes_max: 64 << 20,
            ballast_bytes: 16 << 20,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormatSetting {
    /// A JSON object per line.
    #[default]
    Json,
    /// For people.
    Pretty,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormatSetting,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,tollgate_ledger=debug`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormatSetting::Json,
            level: "info".to_owned(),
        }
    }
}

/// Traces.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// The collector's OTLP/HTTP address, such as `http://127.0.0.1:4318`; empty is off.
    pub otlp_endpoint: String,
    /// The share of requests that is traced when the client did not decide, 0 to 1.
    pub sample_ratio: f64,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            sample_ratio: 1.0,
        }
    }
}

/// Retries and breakers.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResilienceSettings {
    /// Upstream calls per request at the most.
    pub attempts_max: u32,
    /// The longest first wait before a target is tried again.
    pub backoff_base_ms: u64,
    /// The longest wait before a target is tried again.
    pub backoff_max_ms: u64,
    /// Failures in a row that open a target's breaker.
    pub breaker_failures: u32,
    /// How long a breaker stays open at first.
    pub breaker_open_ms: u64,
}

impl Default for ResilienceSettings {
    fn default() -> Self {
        Self {
            attempts_max: 3,
            backoff_base_ms: 200,
            backoff_max_ms: 5_000,
            breaker_failures: 5,
            breaker_open_ms: 5_000,
        }
    }
}

/// Secrets of the installation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsSettings {
    /// Where the master key comes from; absent is the file `data/master.key`.
    pub master_key: Option<MasterKeySetting>,
    /// The same as `master_key = "file:PATH"`, from before there was that.
    pub master_key_file: Option<PathBuf>,
    /// Where master keys come from that this one has replaced: values may still be sealed under them.
    pub old_master_keys: Vec<MasterKeySetting>,
}

impl SecretsSettings {
    /// Returns where the master key comes from.
    #[must_use]
    pub fn source(&self) -> MasterKeySetting {
        let file = || {
            let path = self.master_key_file.clone();
            MasterKeySetting::File(path.unwrap_or_else(|| PathBuf::from("data/master.key")))
        };
        self.master_key.clone().unwrap_or_else(file)
    }
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectSetting {
    /// OpenAI's API, at any base URL.
    Openai,
    /// A GGUF model in this process.
    Local,
}

/// A provider.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// What targets call it.
    pub name: String,
    /// What it speaks.
    pub dialect: DialectSetting,
    /// Its address, such as `https://api.openai.com/v1`.
    #[serde(default)]
    pub base_url: String,
    /// Its credential: `env:NAME`, `file:PATH` or the text itself.
    #[serde(default)]
    pub api_key: Option<secrecy::SecretString>,
    /// The GGUF file, for `local`.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Threads that compute, for `local`; 0 chooses.
    #[serde(default)]
    pub threads: usize,
    /// Calls that may wait for their turn, for `local`.
    #[serde(default = "local_queue_max")]
    pub queue_max: usize,
    /// Until a connection is there.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// Until the head of an answer is there.
    #[serde(default = "first_byte_timeout_ms")]
    pub first_byte_timeout_ms: u64,
    /// Between two chunks of an answer.
    #[serde(default = "idle_timeout_ms")]
    pub idle_timeout_ms: u64,
    /// From the start of a call to its end.
    #[serde(default = "total_timeout_ms")]
    pub total_timeout_ms: u64,
    /// Calls at once per target; 0 is no bound.
    #[serde(default)]
    pub max_parallel: u32,
}

impl std::fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderSettings")
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl ProviderSettings {
    pub(crate) const fn total_timeout(&self) -> Duration {
        Duration::from_millis(self.total_timeout_ms)
    }
}

/// A model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// What clients ask for; `*` at the end matches any ending.
    pub name: String,
    /// Where it is served.
    pub targets: Vec<TargetSettings>,
    /// Its price in US dollars per million tokens; absent is the price list's.
    #[serde(default)]
    pub price: Option<ModelPrice>,
    /// Models to try when every target has failed.
    #[serde(default)]
    pub fallbacks: Vec<String>,
}

/// A target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSettings {
    /// The provider's name.
    pub provider: String,
    /// What the provider calls the model; absent is the model's own name.
    #[serde(default)]
    pub model: Option<String>,
    /// Its share among targets of the same order.
    #[serde(default = "weight")]
    pub weight: u32,
    /// Lower ones are tried first.
    #[serde(default)]
    pub order: u32,
}

impl Settings {
    /// Returns every problem that the types alone do not show.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.server.problems();
        problems.extend(self.audit.problem());
        let mut say = |place: String, message: &str| {
            problems.push(Problem::new(&place, message.to_owned()));
        };
        if !(0.0..=1.0).contains(&self.telemetry.sample_ratio) {
            say(
                "telemetry.sample_ratio".to_owned(),
                "must lie between 0 and 1",
            );
        }
        if self.secrets.master_key.is_some() && self.secrets.master_key_file.is_some() {
            say(
                "secrets".to_owned(),
                "master_key and master_key_file say the same: keep one of them",
            );
        }
        if self.database.app_role.is_some() && self.database.url.starts_with("sqlite:") {
            say(
                "database.app_role".to_owned(),
                "is for PostgreSQL: SQLite has no roles",
            );
        }
        for (place, message) in self.accounts.problems() {
            say(place, message);
        }
        for (at, provider) in self.providers.iter().enumerate() {
            let place = format!("providers[{at}] ({})", provider.name);
            if self
                .providers
                .iter()
                .take(at)
                .any(|other| other.name == provider.name)
            {
                say(place.clone(), "another provider has this name");
            }
            match provider.dialect {
                DialectSetting::Openai if provider.base_url.is_empty() => {
                    say(place, "base_url is missing");
                }
                DialectSetting::Local if provider.path.is_none() => say(place, "path is missing"),
                _ => {}
            }
        }
        for (at, model) in self.models.iter().enumerate() {
            let place = format!("models[{at}] ({})", model.name);
            if model.targets.is_empty() {
                say(place.clone(), "has no targets");
            }
            for target in &model.targets {
                if !self
                    .providers
                    .iter()
                    .any(|provider| provider.name == target.provider)
                {
                    let message = format!(
                        "names the provider {}, which does not exist",
                        target.provider
                    );
                    say(place.clone(), &message);
                }
                if target.weight == 0 {
                    say(place.clone(), "a target's weight must be greater than 0");
                }
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_role_is_for_a_database_that_has_roles() {
        let problems = |url: &str| {
            let settings: Settings = serde_json::from_value(serde_json::json!({
                "database": {"url": url, "app_role": "tollgate_app"},
            }))
            .unwrap();
            settings.problems()
        };
        let is_about_it = |problem: &Problem| problem.to_string().contains("database.app_role");
        assert!(problems("sqlite://data/x.db").iter().any(is_about_it));
        assert!(!problems("postgres://u@h/db").iter().any(is_about_it));
    }
}
