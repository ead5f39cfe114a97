//! What the commands that ask a running server's administration take.
#![expect(
    clippy::doc_markdown,
    reason = "the help is read in a terminal, as it is"
)]

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::cli::AuditLog;

/// Which server to ask, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// The server's address
    #[arg(
        long,
        global = true,
        env = "TOLLGATE_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) url: String,
    /// The API key to use
    #[arg(long, global = true, env = "TOLLGATE_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(subcommand)]
    pub(crate) verb: KeysVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysVerb {
    /// Make a key; it is shown once
    Create(Box<CreateKey>),
    /// List the keys
    List {
        /// Those that work for this team, `team_…`
        #[arg(long)]
        team: Option<String>,
        /// Those that this user's rights bound, `user_…`
        #[arg(long)]
        owner: Option<String>,
        /// active, blocked, expired or revoked
        #[arg(long)]
        state: Option<String>,
    },
    /// Show a key, but for its secret
    Show {
        /// The key's id, `key_…`
        id: String,
    },
    /// Change a key
    Change(Box<ChangeKey>),
    /// Give a key a new secret; it is shown once
    Rotate {
        /// The key's id, `key_…`
        id: String,
        /// How long the old secret works on, in seconds, up to a day
        #[arg(long, default_value_t = 0)]
        overlap_seconds: u32,
    },
    /// Revoke a key: it is refused from then on
    Revoke {
        /// The key's id, `key_…`
        id: String,
    },
}

/// What bounds a key, a team or an organization.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// Requests per minute, or none
    #[arg(long, value_parser = number, value_name = "N")]
    pub(crate) rpm_limit: Option<Value>,
    /// Tokens per minute, or none
    #[arg(long, value_parser = number, value_name = "N")]
    pub(crate) tpm_limit: Option<Value>,
    /// Requests at once, or none
    #[arg(long, value_parser = number, value_name = "N")]
    pub(crate) max_parallel_requests: Option<Value>,
    /// US dollars, such as 12.50, or none
    #[arg(long, value_parser = text, value_name = "USD")]
    pub(crate) max_budget: Option<Value>,
    /// The window of the budget, such as 30d, or none
    #[arg(long, value_parser = text, value_name = "TIME")]
    pub(crate) budget_duration: Option<Value>,
}

/// What a key can be made with, and changed to.
#[derive(Debug, Args)]
pub(crate) struct KeyFields {
    /// A model that it may call, or how it begins and a *; repeat for several
    #[arg(long = "model", value_name = "MODEL")]
    pub(crate) models: Vec<String>,
    /// An address or network that it may be used from; repeat for several
    #[arg(long = "allowed-ip", value_name = "NETWORK")]
    pub(crate) allowed_ips: Vec<String>,
    /// A tag; repeat for several
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// A JSON object that is kept with it, up to 4 KiB
    #[arg(long, value_parser = json, value_name = "JSON")]
    pub(crate) metadata: Option<Value>,
    /// When it expires, such as 2027-01-01T00:00:00Z, or none
    #[arg(long, value_parser = text, value_name = "TIME")]
    pub(crate) expires_at: Option<Value>,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

#[derive(Debug, Args)]
pub(crate) struct CreateKey {
    /// What people call it
    pub(crate) name: String,
    /// A built-in role, or one of the organization's, `role_…`
    #[arg(long)]
    pub(crate) role: Option<String>,
    /// A permission that is all it may use of its role; repeat for several
    #[arg(long = "scope", value_name = "PERMISSION")]
    pub(crate) scopes: Vec<String>,
    /// The team that it works for, `team_…`
    #[arg(long)]
    pub(crate) team: Option<String>,
    /// The service account whose rights bound it, `user_…`
    #[arg(long)]
    pub(crate) owner: Option<String>,
    #[command(flatten)]
    pub(crate) fields: KeyFields,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeKey {
    /// The key's id, `key_…`
    pub(crate) id: String,
    /// What people call it
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Whether it is refused for the time being
    #[arg(long)]
    pub(crate) blocked: Option<bool>,
    #[command(flatten)]
    pub(crate) fields: KeyFields,
    #[command(flatten)]
    pub(crate) version: IfMatch,
}

/// Which version a change is for.
#[derive(Debug, Args)]
pub(crate) struct IfMatch {
    /// The version that is changed, such as "v3" with its quotes; * is any
    #[arg(long, default_value = "*", value_name = "ETAG")]
    pub(crate) if_match: String,
}

#[derive(Debug, Args)]
pub(crate) struct Teams {
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(subcommand)]
    pub(crate) verb: TeamsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TeamsVerb {
    /// Make a team
    Create {
        /// What people call it
        name: String,
        /// A model that its keys may call; repeat for several, none allows all
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        #[command(flatten)]
        limits: Box<Limits>,
    },
    /// List the teams
    List,
    /// Show a team
    Show {
        /// The team's id, `team_…`
        id: String,
    },
    /// Change a team
    Change {
        /// The team's id, `team_…`
        id: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// A model that its keys may call; repeat for several
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        /// Whether all of its keys are refused
        #[arg(long)]
        blocked: Option<bool>,
        #[command(flatten)]
        limits: Box<Limits>,
        #[command(flatten)]
        version: IfMatch,
    },
    /// Delete a team: its keys may do nothing from then on
    Delete {
        /// The team's id, `team_…`
        id: String,
    },
    /// List who is in a team
    Members {
        /// The team's id, `team_…`
        id: String,
    },
    /// Put a member of the organization into a team, or change what they are in it
    Join {
        /// The team's id, `team_…`
        id: String,
        /// The user's id, `user_…`
        user: String,
        /// team_admin, member or viewer
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// Take a user out of a team
    Leave {
        /// The team's id, `team_…`
        id: String,
        /// The user's id, `user_…`
        user: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Users {
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(subcommand)]
    pub(crate) verb: UsersVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsersVerb {
    /// List the members of the organization
    List,
    /// Show a member
    Show {
        /// The user's id, `user_…`
        id: String,
    },
    /// Give a member another role
    Change {
        /// The user's id, `user_…`
        id: String,
        /// A built-in role, or one of the organization's, `role_…`
        #[arg(long)]
        role: String,
        #[command(flatten)]
        version: IfMatch,
    },
    /// Take a member out of the organization; a service account is deleted
    Remove {
        /// The user's id, `user_…`
        id: String,
    },
    /// Make a service account, whose rights bound keys of programs
    CreateService {
        /// What people call it
        name: String,
        /// A built-in role, or one of the organization's, `role_…`
        #[arg(long)]
        role: Option<String>,
    },
    /// Invite somebody; the token is shown once
    Invite {
        /// Their e-mail address
        email: String,
        /// A built-in role, or one of the organization's, `role_…`
        #[arg(long)]
        role: Option<String>,
        /// The team that they will be in, `team_…`
        #[arg(long)]
        team: Option<String>,
        /// How long it can be accepted, in seconds, from a minute to 30 days
        #[arg(long)]
        expires_in_seconds: Option<u32>,
    },
    /// List the invitations
    Invitations,
    /// Take an invitation back
    Uninvite {
        /// The invitation's id, `inv_…`
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Roles {
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(subcommand)]
    pub(crate) verb: RolesVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolesVerb {
    /// List the roles that the organization made
    List,
    /// Show what the roles allow that every installation has
    Builtin,
    /// Show a role that the organization made
    Show {
        /// The role's id, `role_…`
        id: String,
    },
    /// Make a role
    Create {
        /// What people call it
        name: String,
        /// What it allows, such as keys.read; repeat for several
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<String>,
    },
    /// Change a role; who has it gains or loses the rights at once
    Change {
        /// The role's id, `role_…`
        id: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// What it allows, all of it; repeat for several
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<String>,
        #[command(flatten)]
        version: IfMatch,
    },
    /// Delete a role that nobody has
    Delete {
        /// The role's id, `role_…`
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Orgs {
    #[command(flatten)]
    pub(crate) remote: Remote,
    #[command(subcommand)]
    pub(crate) verb: OrgsVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OrgsVerb {
    /// Make an organization, as who runs the installation
    Create {
        /// Its name
        name: String,
        /// Who is invited to be its first owner; the token is shown once
        #[arg(long, value_name = "EMAIL")]
        owner_email: Option<String>,
        #[command(flatten)]
        limits: Box<Limits>,
    },
    /// List all organizations, as who runs the installation
    List,
    /// Show your organization, or any as who runs the installation
    Show {
        /// The organization's id, `org_…`
        id: Option<String>,
    },
    /// Change your organization, or any as who runs the installation
    Change {
        /// The organization's id, `org_…`
        id: Option<String>,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        /// Whether all of its requests are refused; for who runs the installation
        #[arg(long, requires = "id")]
        blocked: Option<bool>,
        #[command(flatten)]
        limits: Box<Limits>,
        #[command(flatten)]
        version: IfMatch,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List your organization's entries, newest first, from a running server
    List(Box<AuditList>),
    /// Print your organization's entries from a running server, a line of JSON for each, oldest first
    Download(AuditDownload),
    #[command(flatten)]
    Log(AuditLog),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Outcome {
    Done,
    Denied,
}

#[derive(Debug, Args)]
pub(crate) struct AuditList {
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// Who did it: `key_…`, `user_…`, system or anonymous
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// What was done, such as key.create
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// The id of what it was done to
    #[arg(long)]
    pub(crate) object: Option<String>,
    /// How it ended
    #[arg(long, value_enum)]
    pub(crate) outcome: Option<Outcome>,
    /// From this time on, such as 2026-11-01
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Before this time
    #[arg(long)]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditDownload {
    #[command(flatten)]
    pub(crate) remote: Remote,
    /// Those after the one with this number
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    pub(crate) after_seq: u64,
}

/// A whole number, or nothing in its place.
fn number(given: &str) -> Result<Value, String> {
    if given == "none" {
        return Ok(Value::Null);
    }
    let number: Result<u32, _> = given.parse();
    number
        .map(Value::from)
        .map_err(|error| format!("{error}; give a whole number, or none"))
}

/// A text, or nothing in its place.
#[expect(clippy::unnecessary_wraps, reason = "parsers of values may fail")]
fn text(given: &str) -> Result<Value, String> {
    Ok(match given {
        "none" => Value::Null,
        text => Value::from(text),
    })
}

fn json(given: &str) -> Result<Value, String> {
    serde_json::from_str(given).map_err(|error| error.to_string())
}
