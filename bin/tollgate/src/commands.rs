//! What each command does: load, call, print, and the exit code.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory as _;
use tollgate_auth::KeyText;
use tollgate_server::{Failure, Options, Problem, Report, Settings};

use crate::admin_args::{Audit, Remote};
use crate::cli::{AuditLog, Cli, Command, ConfigCommand, Ledger, ProvidersCommand, Secrets};
use crate::client::Asked;
use crate::{admin, client, load, quickstart};

/// The exit code of each way to fail; 0 is a server that drained.
const FAILED: u8 = 1;
const BAD_SETTINGS: u8 = 2;
const NO_DATABASE: u8 = 3;
const PORT_TAKEN: u8 = 4;

pub(crate) fn run(cli: Cli) -> ExitCode {
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Exit { code, message }) => {
            say_error(&message);
            ExitCode::from(code)
        }
    }
}

struct Exit {
    code: u8,
    message: String,
}

impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        Self {
            code: FAILED,
            message: format!("{error:#}"),
        }
    }
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        let code = match failure {
            Failure::Settings(_) => BAD_SETTINGS,
            Failure::Database(_) => NO_DATABASE,
            Failure::Listen { .. } => PORT_TAKEN,
            Failure::Other(_) => FAILED,
        };
        Self {
            code,
            message: failure.to_string(),
        }
    }
}

impl From<Vec<Problem>> for Exit {
    fn from(problems: Vec<Problem>) -> Self {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Self {
            code: BAD_SETTINGS,
            message: lines.join("\n"),
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Exit> {
    let as_json = cli.json;
    let settings = || read_settings(cli.config.as_deref());
    match cli.command {
        Command::Serve(serve) => {
            let options = Options {
                bootstrap_key: bootstrap_key()?,
                ready_fd: serve.ready_fd,
                announcement: None,
            };
            serve_all(&settings()?, &options)
        }
        Command::Quickstart(quick) => {
            let (settings, options) = quickstart::prepare(&quick, std::env::vars())?;
            serve_all(&settings, &options)
        }
        Command::Keygen => {
            let key = KeyText::generate().map_err(anyhow::Error::from)?;
            say(key.expose());
            Ok(())
        }
        Command::SetupLink => {
            say(&tollgate_server::setup_link(&settings()?, as_json)?);
            Ok(())
        }
        Command::Keys(keys) => administer(admin::keys(keys), as_json),
        Command::Teams(teams) => administer(admin::teams(teams), as_json),
        Command::Users(users) => administer(admin::users(users), as_json),
        Command::Roles(roles) => administer(admin::roles(roles), as_json),
        Command::Orgs(orgs) => administer(admin::orgs(orgs), as_json),
        Command::Usage(usage) => say_result(ask(client::usage(usage, as_json))),
        Command::Ledger(Ledger::Verify) => {
            let report = tollgate_server::verify_ledger(&settings()?)?;
            say_report(report, as_json, "the books do not balance")
        }
        Command::Secrets(Secrets::Rotate) => {
            let step = |replaced| say_error(&format!("{replaced} values are under the new key"));
            let report = tollgate_server::rotate_secrets(&settings()?, step)?;
            say_report(report, as_json, "some values are not under the current key")
        }
        Command::Secrets(Secrets::Status) => {
            let report = tollgate_server::secrets_status(&settings()?)?;
            say_report(report, as_json, "some values are not under the current key")
        }
        Command::Audit(Audit::List(list)) => administer(admin::list_audit(*list), as_json),
        Command::Audit(Audit::Download(all)) => administer(admin::download_audit(all), as_json),
        Command::Audit(Audit::Log(log)) => audit_log(&log, &settings()?, as_json),
        Command::Backup { to } => {
            let report = tollgate_server::back_up(&settings()?, &to)?;
            say_report(report, as_json, "the backup is not whole")
        }
        Command::Restore { from } => {
            let report = tollgate_server::restore(&settings()?, &from)?;
            say_report(report, as_json, "the backup is not restored")
        }
        Command::Config(ConfigCommand::Check) => {
            settings()?;
            say(if as_json {
                "{\"problems\":[]}"
            } else {
                "the settings are good"
            });
            Ok(())
        }
        Command::Providers(ProvidersCommand::Check) => {
            say_result(ask(tollgate_server::check_providers(settings()?, as_json)))
        }
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut script);
            say(&String::from_utf8_lossy(&script));
            Ok(())
        }
    }
}

/// Serves, with as many open files as the system allows: each connection is one, and each of its
/// upstream calls another.
fn serve_all(settings: &Settings, options: &Options) -> Result<(), Exit> {
    // A system that refuses leaves the limit as it is; then connections are refused beyond it.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    Ok(tollgate_server::serve(settings, options)?)
}

fn read_settings(file: Option<&Path>) -> Result<Settings, Vec<Problem>> {
    let default = Path::new("tollgate.toml");
    let file = file.or_else(|| default.exists().then_some(default));
    load::settings(file, std::env::vars())
}

/// Reads `TOLLGATE_BOOTSTRAP_KEY`; one that is there but no key is an error, not ignored.
fn bootstrap_key() -> Result<Option<KeyText>, Exit> {
    let found = std::env::vars().find(|(name, _)| name == "TOLLGATE_BOOTSTRAP_KEY");
    let Some((name, text)) = found.filter(|(_, text)| !text.is_empty()) else {
        return Ok(None);
    };
    let problem = || {
        vec![Problem::new(
            &name,
            "is not a key that `tollgate keygen` makes".to_owned(),
        )]
    };
    Ok(Some(KeyText::parse(&text).map_err(|_| problem())?))
}

/// Asks a running server.
fn administer((remote, asked): (Remote, Asked), as_json: bool) -> Result<(), Exit> {
    if let Asked::Stream(path) = asked {
        return Ok(ask(client::stream(remote, &path, std::io::stdout()))?);
    }
    say_result(ask(client::run(remote, asked, as_json)))
}

fn ask<T>(question: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tollgate_server::install_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(question)
}

fn say_result(text: anyhow::Result<String>) -> Result<(), Exit> {
    say(&text?);
    Ok(())
}

/// Says what was found, and fails when that is not good.
fn say_report(report: Report, as_json: bool, problem: &str) -> Result<(), Exit> {
    say(&if as_json { report.json } else { report.text });
    if report.is_well {
        return Ok(());
    }
    Err(Exit {
        code: FAILED,
        message: problem.to_owned(),
    })
}

fn audit_log(audit: &AuditLog, settings: &Settings, as_json: bool) -> Result<(), Exit> {
    match audit {
        AuditLog::Verify { checkpoints, org } => {
            let (checkpoints, org) = (checkpoints.as_deref(), org.as_deref());
            let report = tollgate_server::verify_audit(settings, org, checkpoints)?;
            say_report(report, as_json, "the audit log is broken")
        }
        AuditLog::Export { org } => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            tollgate_server::export_audit(settings, org.as_deref(), &mut out)?;
            out.flush().map_err(anyhow::Error::from)?;
            Ok(())
        }
        AuditLog::Prune { before, org } => {
            let report = tollgate_server::prune_audit(settings, org.as_deref(), before)?;
            say(&if as_json { report.json } else { report.text });
            Ok(())
        }
    }
}

fn say(text: &str) {
    // Whoever closed the pipe does not want the rest.
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn say_error(text: &str) {
    drop(writeln!(std::io::stderr(), "tollgate: {text}"));
}
