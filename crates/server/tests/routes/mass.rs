//! What is in the database and is nobody's to set.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tollgate_server::{Access, BodyClass, routes};

use crate::asked::{body, path};
use crate::checks::Inspection;
use crate::server::{Session, bearer};

const SCHEMA: &str = include_str!("../../../persistence/src/schema.rs");

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

/// Those columns: a time, a length or an amount as it is kept is never a field of the API.
fn columns() -> BTreeSet<&'static str> {
    let all = SCHEMA
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
    /// Nothing of the administration takes a field that is not its own, whatever else is in the body, and
    /// nothing has changed afterwards.
    pub(crate) fn mass_assignment(&mut self, session: &Session) {
        let (head, signed_in) = (bearer(&self.server.owner), session.head());
        let seen = |this: &Self| {
            ["/api/v1/organization", "/api/v1/keys?limit=200"]
                .map(|path| this.server.send("GET", path, &head, None).text())
        };
        let before = seen(self);
        let fields: Vec<&str> = columns().into_iter().chain(TRICKS).collect();
        for route in routes()
            .iter()
            .filter(|route| route.body == BodyClass::Admin)
        {
            let own = match route.access {
                Access::Needs(_) => &head,
                Access::Person => &signed_in,
                Access::Public | Access::Stranger => "",
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
