//! What is in the database and is nobody's to set: no input takes a column that is none of its fields.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_server::{Access, BodyClass, RouteSpec, routes};

use crate::asked::{body, path};
use crate::checks::Inspection;
use crate::server::{Server, Session, bearer};
use crate::world::{Whose, World};

/// Columns that only the server sets, beside those whose names say how they are kept.
const OWN: [&str; 12] = [
    "id",
    "org_id",
    "public_id",
    "mac",
    "previous_mac",
    "password_hash",
    "totp",
    "totp_last_step",
    "recovery_macs",
    "is_platform_admin",
    "failed_sign_ins",
    "created_by",
];

/// Words that are no columns, and would be more than a field if anything took them.
const TRICKS: [&str; 8] = [
    "Name",
    "is_admin",
    "user_role",
    "orgId",
    "organization_id",
    "__proto__",
    "$where",
    "api_base",
];

/// The columns of every table, as the schema names them.
fn columns() -> Vec<&'static str> {
    let schema = include_str!("../../../persistence/src/schema.rs");
    let lines = schema.lines().filter_map(|line| line.split_once(" -> "));
    let mut columns: Vec<_> = lines.map(|(name, _)| name.trim()).collect();
    columns.sort_unstable();
    columns.dedup();
    assert!(columns.len() > 60 && columns.contains(&"previous_mac"));
    columns
}

/// The fields that each input has, of those that columns are called like.
fn fields(route: &RouteSpec) -> Vec<&'static str> {
    let bounds = [
        "name",
        "models",
        "rpm_limit",
        "tpm_limit",
        "max_parallel_requests",
    ];
    let own: &[&str] = match (route.method.as_str(), route.path) {
        ("POST", "/api/v1/keys") => &[
            "role",
            "scopes",
            "team_id",
            "owner_id",
            "allowed_ips",
            "metadata",
            "tags",
        ],
        ("PATCH", "/api/v1/keys/{id}") => &["allowed_ips", "metadata", "tags", "blocked"],
        ("POST", "/api/v1/teams") => &[],
        ("PATCH", "/api/v1/teams/{id}") => &["blocked"],
        ("POST", "/api/v1/organizations") | ("PATCH", "/api/v1/organization") => {
            return bounds
                .into_iter()
                .filter(|name| *name != "models")
                .collect();
        }
        ("PATCH", "/api/v1/organizations/{id}") => {
            let all = bounds.into_iter().filter(|name| *name != "models");
            return all.chain(["blocked"]).collect();
        }
        ("POST", "/api/v1/keys/{id}/rotate") => return Vec::new(),
        ("PUT" | "PATCH", "/api/v1/teams/{id}/members/{user_id}" | "/api/v1/users/{id}") => {
            return vec!["role"];
        }
        ("POST" | "PATCH", "/api/v1/roles" | "/api/v1/roles/{id}") => {
            return vec!["name", "permissions"];
        }
        ("POST", "/api/v1/service-accounts") => return vec!["name", "role"],
        ("POST", "/api/v1/invitations") => return vec!["email", "role", "team_id"],
        (method, path) => panic!("what are the fields of {method} {path}?"),
    };
    bounds.into_iter().chain(own.iter().copied()).collect()
}

/// What changes with every change, and with nothing else.
fn state(world: &World) -> Vec<u64> {
    let store = &world.server.database;
    let heads = [None, Some(world.home), Some(world.foreign)].map(|chain| {
        let head = store.find_audit_head(chain).unwrap();
        head.map_or(0, |head| head.seq)
    });
    let epoch = store.auth_epoch().unwrap();
    heads.into_iter().chain([epoch]).collect()
}

#[test]
fn t_mass_no_input_takes_a_column_that_is_none_of_its_fields() {
    let world = World::new(Server::start());
    let key = world.server.platform_key();
    let owner = world.server.owner.clone();
    let (mut faults, mut asked) = (Vec::new(), 0);
    for route in routes() {
        if !matches!(route.access, Access::Needs(_)) || route.body != BodyClass::Admin {
            continue;
        }
        let method = route.method.as_str();
        let has_id = route.path.contains("{id}");
        let id = has_id.then(|| world.thing(method, route.path, Whose::Own));
        let user = world.user(world.home, false).to_string();
        let path = route.path.replace("{user_id}", &user);
        let path = path.replace("{id}", &id.flatten().unwrap_or_default());
        let key = if path.starts_with("/api/v1/organizations") {
            &key
        } else {
            &owner
        };
        let head = format!("{}if-match: *\r\n", bearer(key));
        let known = fields(&route);
        let before = state(&world);
        for column in columns().into_iter().chain(TRICKS) {
            if known.contains(&column) {
                continue;
            }
            for value in [json!(1), json!("org_owner"), json!(true), json!(null)] {
                let mut body = body(&route).unwrap();
                body[column] = value;
                let answer = world.server.send(method, &path, &head, Some(&body));
                let json = answer.json();
                let is_named = json["errors"][0]["field"] == column
                    && json["errors"][0]["code"] == "unknown_field";
                if !matches!(answer.status, 400 | 422) || !is_named {
                    let text = answer.text();
                    faults.push(format!("{column} to {method} {path}: {text}"));
                }
                asked += 1;
            }
        }
        if state(&world) != before {
            faults.push(format!("{method} {path} has changed something"));
        }
    }
    assert!(asked > 2_000, "{asked}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Those columns: a time, a length or an amount as it is kept is never a field of the API.
fn kept_columns() -> BTreeSet<&'static str> {
    let all = include_str!("../../../persistence/src/schema.rs")
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .map(|(name, _)| name.trim());
    let is_kept_so = |name: &&str| {
        ["_us", "_nano_usd", "_s"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    let found: BTreeSet<_> = all.clone().filter(is_kept_so).collect();
    assert!(
        found.len() > 10,
        "the schema is written otherwise: {found:?}"
    );
    for name in OWN {
        assert!(
            all.clone().any(|column| column == name),
            "there is no column {name}"
        );
    }
    found.into_iter().chain(OWN).collect()
}

impl Inspection {
    /// What people sign in with takes no field that is not its own, whatever else is in the body, and
    /// nothing has changed afterwards.
    pub(crate) fn mass_assignment(&mut self, session: &Session) {
        let (head, signed_in) = (bearer(&self.server.owner), session.head());
        let seen = |this: &Self| {
            ["/api/v1/organization", "/api/v1/keys?limit=200"]
                .map(|path| this.server.send("GET", path, &head, None).text())
        };
        let before = seen(self);
        let fields: Vec<&str> = kept_columns().into_iter().chain(TRICKS).collect();
        for route in routes()
            .iter()
            .filter(|route| route.body == BodyClass::Admin)
            .filter(|route| !matches!(route.access, Access::Needs(_)))
        {
            let own = match route.access {
                Access::Person => signed_in.as_str(),
                _ => "",
            };
            for field in &fields {
                for value in [json!(1), json!("org_owner"), json!(true), Value::Null] {
                    let mut body = body(route).unwrap();
                    body[field] = value;
                    let method = route.method.as_str();
                    let answer = self.server.send(method, &path(route), own, Some(&body));
                    let names = answer.json()["errors"].to_string();
                    let is_refused = answer.status == 400 && names.contains(field);
                    let fault =
                        (!is_refused).then(|| format!("{} {}", answer.status, answer.text()));
                    self.note(
                        &format!("{field} in {method} {}", route.path),
                        &answer,
                        fault,
                    );
                }
            }
        }
        if seen(self) != before {
            self.faults
                .push("a field that is none has changed something".to_owned());
        }
    }
}
