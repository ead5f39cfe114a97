//! The command line.
#![expect(
    clippy::doc_markdown,
    reason = "the help is read in a terminal, as it is"
)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::admin_args::{Audit, Keys, Orgs, Remote, Roles, Teams, Users};

/// An LLM gateway whose books are right.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, propagate_version = true)]
pub(crate) struct Cli {
    /// The settings file
    #[arg(long, global = true, value_name = "FILE", env = "TOLLGATE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until SIGTERM, then finish what is under way
    Serve(Serve),
    /// Serve on loopback with SQLite, the local model and every provider whose key is in the
    /// environment
    Quickstart(Quickstart),
    /// Make an API key and print it; set it as TOLLGATE_BOOTSTRAP_KEY for a first start
    Keygen,
    /// Print the token that lets the first person in, when there is nobody yet
    SetupLink,
    /// Make, see, change, rotate and revoke API keys of a running server
    Keys(Keys),
    /// Make, see, change and delete teams of a running server, and put people into them
    Teams(Teams),
    /// See who belongs to the organization, change what they are, invite others
    Users(Users),
    /// See the roles that there are, and make ones of your own
    Roles(Roles),
    /// See and change your organization; run the installation's
    Orgs(Orgs),
    /// Show what was used and what it cost, from a running server
    Usage(Usage),
    /// Check the books of a stopped server
    #[command(subcommand)]
    Ledger(Ledger),
    /// See which master key the secrets need, and have a new one take over
    #[command(subcommand)]
    Secrets(Secrets),
    /// See what was done and what was refused; check, export and prune the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Copy the database and the journal while the server runs (SQLite)
    Backup {
        /// A directory that is not there yet
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Put a backup where there is nothing; everybody has to sign in again
    Restore {
        /// The directory of the backup
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
    },
    /// Check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask the configured providers
    #[command(subcommand)]
    Providers(ProvidersCommand),
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Write one byte to this file descriptor when requests are accepted
    #[arg(long, value_name = "N")]
    pub(crate) ready_fd: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Quickstart {
    /// Where the database, the journal and the secrets are kept
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The GGUF file of the local model
    #[arg(
        long,
        default_value = "models/SmolLM2-135M-Instruct.Q4_1.gguf",
        value_name = "FILE"
    )]
    pub(crate) model: PathBuf,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: std::net::SocketAddr,
    /// The address of the metrics
    #[arg(long, default_value = "127.0.0.1:9464")]
    pub(crate) metrics_listen: std::net::SocketAddr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum GroupBy {
    Key,
    Model,
    Day,
}

#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// By what it is summed
    #[arg(long, value_enum, default_value = "model")]
    pub(crate) group_by: GroupBy,
    /// From this day on, such as 2026-11-01
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Before this day
    #[arg(long)]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Prove that every attempt has one end, and that events, roll-ups and budgets agree
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Seal everything under the current master key, with the old ones among secrets.old_master_keys
    Rotate,
    /// Say which master keys are needed; the exit code is 0 when no old one is
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditLog {
    /// Say whether it is as it was written; the exit code is 0 when it is whole
    Verify {
        /// The checkpoints that were kept elsewhere, a line each
        #[arg(long, value_name = "FILE")]
        checkpoints: Option<PathBuf>,
        /// An organization's id, or "installation" for what belongs to none; all without it
        #[arg(long, value_name = "ID")]
        org: Option<String>,
    },
    /// Print it, a line of JSON for each entry
    Export {
        /// An organization's id, or "installation" for what belongs to none; all without it
        #[arg(long, value_name = "ID")]
        org: Option<String>,
    },
    /// Drop the entries from before a day; a signed record stands for them
    Prune {
        /// The day, such as 2026-01-01, or a time, such as 2026-01-01T12:00:00Z
        #[arg(long, value_name = "DATE")]
        before: String,
        /// An organization's id, or "installation" for what belongs to none; all without it
        #[arg(long, value_name = "ID")]
        org: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report every problem of the settings
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProvidersCommand {
    /// Ask each provider for its models, to see that its address and credential work
    Check,
}
