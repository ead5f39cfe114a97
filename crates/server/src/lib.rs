//! HTTP for Tollgate: the data plane, the admin API, health and metrics, and the life of the process.
//!
//! Handlers extract, make one call to the engine or the control plane, and render; the order of
//! policies is the engine's. Embed the parts below it instead where another front end serves HTTP;
//! this crate is for running the whole:
//!
//! ```no_run
//! # fn embed(settings: tollgate_server::Settings) -> Result<(), tollgate_server::Failure> {
//! use tollgate_server::{Options, serve};
//!
//! serve(&settings, &Options::default()) // until SIGTERM, and until what is under way is finished
//! # }
//! ```

mod access_line;
mod account_settings;
mod admin;
mod assemble;
mod audit_settings;
mod audit_tools;
mod backup_tools;
mod body;
mod caller;
mod checkpoint_sinks;
mod checkpoints;
mod client;
mod cors;
mod data_plane;
mod error;
mod hardening;
mod health;
mod installation;
mod observe;
mod people;
mod problem;
mod respond;
mod routes;
mod run;
mod secrets;
mod settings;
mod state;
mod strangers;
mod sweeper;
mod tls;
mod tools;

pub use self::account_settings::AccountsSettings;
pub use self::audit_settings::{AuditSettings, SyslogSetting, WebhookSetting};
pub use self::audit_tools::{export_audit, prune_audit, verify_audit};
pub use self::backup_tools::{back_up, restore};
pub use self::problem::{Failure, Problem};
pub use self::routes::{Access, BodyClass, RouteSpec, routes};
pub use self::run::{Options, serve};
pub use self::secrets::MasterKeySetting;
pub use self::settings::{
    DatabaseSettings, DialectSetting, DurabilitySetting, ForwardedSetting, LedgerSettings,
    LogFormatSetting, LogSettings, ModelSettings, ProviderSettings, ResilienceSettings,
    SecretsSettings, ServerSettings, Settings, TargetSettings, TelemetrySettings, TlsSettings,
    UnknownPriceSetting,
};
pub use self::tools::{
    Report, check_providers, install_crypto, rotate_secrets, secrets_status, setup_link,
    verify_ledger,
};
