//! The commands of the administration as requests: what is asked, and what is shown of the answer.

use serde_json::{Map, Value};

use crate::admin_args::{
    AuditDownload, AuditList, ChangeKey, CreateKey, KeyFields, Keys, KeysVerb, Limits, Orgs,
    OrgsVerb, Outcome, Remote, Roles, RolesVerb, Teams, TeamsVerb, Users, UsersVerb,
};
use crate::client::{Asked, Shown, encode};

/// A JSON object of what is given.
#[derive(Default)]
struct Body(Map<String, Value>);

impl Body {
    fn with<T: Into<Value>>(mut self, name: &str, value: Option<T>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    fn with_all(self, name: &str, values: Vec<String>) -> Self {
        self.with(name, (!values.is_empty()).then_some(values))
    }

    fn with_limits(self, limits: Limits) -> Self {
        self.with("rpm_limit", limits.rpm_limit)
            .with("tpm_limit", limits.tpm_limit)
            .with("max_parallel_requests", limits.max_parallel_requests)
            .with("max_budget", limits.max_budget)
            .with("budget_duration", limits.budget_duration)
    }

    fn with_key(self, fields: KeyFields) -> Self {
        self.with_all("models", fields.models)
            .with_all("allowed_ips", fields.allowed_ips)
            .with_all("tags", fields.tags)
            .with("metadata", fields.metadata)
            .with("expires_at", fields.expires_at)
            .with_limits(fields.limits)
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

fn path(collection: &str, id: &str) -> String {
    format!("/api/v1/{collection}/{}", encode(id))
}

/// Adds what is given to the query of a path.
fn with_query(path: &str, given: &[(&str, Option<String>)]) -> String {
    let given = given
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<_> = given
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    match pairs.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", pairs.join("&")),
    }
}

pub(crate) fn keys(command: Keys) -> (Remote, Asked) {
    let columns = &["id", "name", "state", "role", "team_id", "created_at"];
    let asked = match command.verb {
        KeysVerb::Create(create) => {
            Asked::post("/api/v1/keys", new_key(*create), Shown::Once("key"))
        }
        KeysVerb::List { team, owner, state } => {
            let given = [("team_id", team), ("owner_id", owner), ("state", state)];
            Asked::List(with_query("/api/v1/keys", &given), columns)
        }
        KeysVerb::Show { id } => Asked::get(path("keys", &id)),
        KeysVerb::Change(change) => {
            let (id, tag) = (path("keys", &change.id), change.version.if_match.clone());
            Asked::patch(id, tag, changed_key(*change))
        }
        KeysVerb::Rotate {
            id,
            overlap_seconds,
        } => {
            let body = Body::default().with("overlap_seconds", Some(overlap_seconds));
            let path = format!("{}/rotate", path("keys", &id));
            Asked::post(&path, body.done(), Shown::Once("key"))
        }
        KeysVerb::Revoke { id } => Asked::delete(path("keys", &id), format!("{id} is revoked")),
    };
    (command.remote, asked)
}

fn new_key(create: CreateKey) -> Value {
    Body::default()
        .with("name", Some(create.name))
        .with("role", create.role)
        .with_all("scopes", create.scopes)
        .with("team_id", create.team)
        .with("owner_id", create.owner)
        .with_key(create.fields)
        .done()
}

fn changed_key(change: ChangeKey) -> Value {
    Body::default()
        .with("name", change.name)
        .with("blocked", change.blocked)
        .with_key(change.fields)
        .done()
}

pub(crate) fn teams(command: Teams) -> (Remote, Asked) {
    let asked = match command.verb {
        TeamsVerb::Create {
            name,
            models,
            limits,
        } => {
            let body = Body::default()
                .with("name", Some(name))
                .with_all("models", models)
                .with_limits(*limits);
            Asked::post("/api/v1/teams", body.done(), Shown::Fields)
        }
        TeamsVerb::List => Asked::List(
            "/api/v1/teams".to_owned(),
            &["id", "name", "blocked", "max_budget", "created_at"],
        ),
        TeamsVerb::Show { id } => Asked::get(path("teams", &id)),
        TeamsVerb::Change {
            id,
            name,
            models,
            blocked,
            limits,
            version,
        } => {
            let body = Body::default()
                .with("name", name)
                .with_all("models", models)
                .with("blocked", blocked)
                .with_limits(*limits);
            Asked::patch(path("teams", &id), version.if_match, body.done())
        }
        TeamsVerb::Delete { id } => Asked::delete(path("teams", &id), format!("{id} is deleted")),
        TeamsVerb::Members { id } => Asked::List(
            format!("{}/members", path("teams", &id)),
            &["user_id", "name", "role"],
        ),
        TeamsVerb::Join { id, user, role } => {
            let body = Body::default().with("role", Some(role));
            Asked::put(place(&id, &user), body.done())
        }
        TeamsVerb::Leave { id, user } => {
            Asked::delete(place(&id, &user), format!("{user} is not in {id}"))
        }
    };
    (command.remote, asked)
}

fn place(team: &str, user: &str) -> String {
    format!("{}/members/{}", path("teams", team), encode(user))
}

pub(crate) fn users(command: Users) -> (Remote, Asked) {
    let asked = match command.verb {
        UsersVerb::List => Asked::List(
            "/api/v1/users".to_owned(),
            &["id", "name", "email", "kind", "role", "blocked"],
        ),
        UsersVerb::Show { id } => Asked::get(path("users", &id)),
        UsersVerb::Change { id, role, version } => {
            let body = Body::default().with("role", Some(role));
            Asked::patch(path("users", &id), version.if_match, body.done())
        }
        UsersVerb::Remove { id } => Asked::delete(path("users", &id), format!("{id} is removed")),
        UsersVerb::CreateService { name, role } => {
            let body = Body::default().with("name", Some(name)).with("role", role);
            Asked::post("/api/v1/service-accounts", body.done(), Shown::Fields)
        }
        UsersVerb::Invite {
            email,
            role,
            team,
            expires_in_seconds,
        } => {
            let body = Body::default()
                .with("email", Some(email))
                .with("role", role)
                .with("team_id", team)
                .with("expires_in_seconds", expires_in_seconds);
            Asked::post("/api/v1/invitations", body.done(), Shown::Once("token"))
        }
        UsersVerb::Invitations => Asked::List(
            "/api/v1/invitations".to_owned(),
            &["id", "email", "role", "state", "expires_at"],
        ),
        UsersVerb::Uninvite { id } => {
            Asked::delete(path("invitations", &id), format!("{id} is revoked"))
        }
    };
    (command.remote, asked)
}

pub(crate) fn roles(command: Roles) -> (Remote, Asked) {
    let asked = match command.verb {
        RolesVerb::List => Asked::List("/api/v1/roles".to_owned(), &["id", "name", "permissions"]),
        RolesVerb::Builtin => Asked::Within(
            "/api/v1/roles?limit=1".to_owned(),
            "builtin",
            &["role", "permissions"],
        ),
        RolesVerb::Show { id } => Asked::get(path("roles", &id)),
        RolesVerb::Create { name, permissions } => {
            let body = Body::default()
                .with("name", Some(name))
                .with("permissions", Some(permissions));
            Asked::post("/api/v1/roles", body.done(), Shown::Fields)
        }
        RolesVerb::Change {
            id,
            name,
            permissions,
            version,
        } => {
            let body = Body::default()
                .with("name", name)
                .with_all("permissions", permissions);
            Asked::patch(path("roles", &id), version.if_match, body.done())
        }
        RolesVerb::Delete { id } => Asked::delete(path("roles", &id), format!("{id} is deleted")),
    };
    (command.remote, asked)
}

pub(crate) fn orgs(command: Orgs) -> (Remote, Asked) {
    let one = |id: Option<String>| match id {
        Some(id) => path("organizations", &id),
        None => "/api/v1/organization".to_owned(),
    };
    let asked = match command.verb {
        OrgsVerb::Create {
            name,
            owner_email,
            limits,
        } => {
            let body = Body::default()
                .with("name", Some(name))
                .with("owner_email", owner_email)
                .with_limits(*limits);
            Asked::post("/api/v1/organizations", body.done(), Shown::Fields)
        }
        OrgsVerb::List => Asked::List(
            "/api/v1/organizations".to_owned(),
            &["id", "name", "blocked", "max_budget", "created_at"],
        ),
        OrgsVerb::Show { id } => Asked::get(one(id)),
        OrgsVerb::Change {
            id,
            name,
            blocked,
            limits,
            version,
        } => {
            let body = Body::default()
                .with("name", name)
                .with("blocked", blocked)
                .with_limits(*limits);
            Asked::patch(one(id), version.if_match, body.done())
        }
    };
    (command.remote, asked)
}

pub(crate) fn list_audit(list: AuditList) -> (Remote, Asked) {
    let outcome = list.outcome.map(|outcome| match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Denied => "denied".to_owned(),
    });
    let given = [
        ("actor", list.actor),
        ("action", list.action),
        ("object", list.object),
        ("outcome", outcome),
        ("from", list.from),
        ("until", list.until),
    ];
    let columns = &["seq", "at", "actor", "action", "object", "outcome"];
    let asked = Asked::List(with_query("/api/v1/audit", &given), columns);
    (list.remote, asked)
}

pub(crate) fn download_audit(all: AuditDownload) -> (Remote, Asked) {
    let path = format!("/api/v1/audit/export?after_seq={}", all.after_seq);
    (all.remote, Asked::Stream(path))
}
