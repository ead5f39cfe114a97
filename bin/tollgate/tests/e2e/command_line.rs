//! The administration by the command line.

use serde_json::Value;
use tollgate_testkit::Gateway;

use crate::common::{BINARY, start};

/// Runs a command as this key, and returns whether it succeeded and what it printed.
fn run_as(gateway: &Gateway, key: &str, command: &str) -> (bool, String) {
    let output = std::process::Command::new(BINARY)
        .args(command.split_whitespace())
        .env("TOLLGATE_URL", gateway.url())
        .env("TOLLGATE_API_KEY", key)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), format!("{text}{errors}"))
}

fn run(gateway: &Gateway, command: &str) -> String {
    let (is_done, text) = run_as(gateway, gateway.key(), command);
    assert!(is_done, "{command}: {text}");
    text
}

fn refused(gateway: &Gateway, command: &str, reason: &str) {
    let (is_done, text) = run_as(gateway, gateway.key(), command);
    assert!(!is_done && text.contains(reason), "{command}: {text}");
}

fn json(gateway: &Gateway, command: &str) -> Value {
    serde_json::from_str(&run(gateway, &format!("{command} --json"))).unwrap()
}

fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap().to_owned()
}

#[test]
fn keys_are_made_changed_rotated_and_revoked_by_commands() {
    let (_upstream, gateway) = start();
    let status = |key: &str| gateway.send_as(key, "GET", "/v1/models", None).status;
    let text = run(
        &gateway,
        "keys create ci --model m --rpm-limit 9 --tag prod --metadata {\"team\":7} --scope models.use",
    );
    let (key, rest) = text.split_once('\n').unwrap();
    assert!(rest.starts_with("# key_") && rest.contains(" ci; shown once"));
    let listed = json(&gateway, "keys list --state active");
    let made = listed.as_array().unwrap();
    let made = made.iter().find(|one| one["name"] == "ci").unwrap();
    assert_eq!(
        (&made["rpm_limit"], &made["metadata"]["team"]),
        (&9.into(), &7.into())
    );
    let id = id(made);
    let changed = json(
        &gateway,
        &format!("keys change {id} --rpm-limit none --max-budget 1.50 --if-match \"v1\""),
    );
    assert_eq!(
        (&changed["rpm_limit"], &changed["max_budget"]),
        (&Value::Null, &"1.5".into())
    );
    let stale = format!("keys change {id} --name other --if-match \"v1\"");
    refused(&gateway, &stale, "412");
    let rotated = json(&gateway, &format!("keys rotate {id} --overlap-seconds 60"));
    let new = rotated["key"].as_str().unwrap();
    assert_eq!((status(key), status(new)), (200, 200));
    let shown = run(&gateway, &format!("keys show {id}"));
    assert!(
        shown.contains("state: active") && !shown.contains(new),
        "{shown}"
    );
    assert_eq!(
        run(&gateway, &format!("keys revoke {id}")),
        format!("{id} is revoked\n")
    );
    assert_eq!((status(key), status(new)), (401, 401));
    refused(&gateway, "keys create x --rpm-limit many", "whole number");
    refused(&gateway, "keys create x --rpm-limit 0", "rpm_limit");
}

#[test]
fn teams_roles_and_people_are_managed_by_commands() {
    let (_upstream, gateway) = start();
    let team = id(&json(
        &gateway,
        "teams create search --max-budget 5 --budget-duration 1d",
    ));
    let robot = id(&json(&gateway, "users create-service robot --role member"));
    let joined = json(
        &gateway,
        &format!("teams join {team} {robot} --role viewer"),
    );
    assert_eq!(joined["role"], "viewer");
    assert!(run(&gateway, &format!("teams members {team}")).contains("robot"));
    let changed = json(&gateway, &format!("teams change {team} --blocked true"));
    assert_eq!(
        (&changed["blocked"], &changed["name"]),
        (&true.into(), &"search".into())
    );
    run(&gateway, &format!("teams leave {team} {robot}"));
    assert_eq!(
        json(&gateway, &format!("teams members {team}")),
        Value::from(Vec::<Value>::new())
    );

    let role = id(&json(
        &gateway,
        "roles create readers --permission keys.read",
    ));
    let command = format!("users change {robot} --role {role}");
    assert_eq!(json(&gateway, &command)["role"], role);
    refused(&gateway, &format!("roles delete {role}"), "409");
    run(&gateway, &format!("users remove {robot}"));
    assert!(!run(&gateway, "users list").contains(&robot));
    assert_eq!(
        run(&gateway, &format!("roles delete {role}")),
        format!("{role} is deleted\n")
    );
    assert!(run(&gateway, "roles builtin").contains("org_owner"));

    let invited = json(&gateway, "users invite ann@example.com --role viewer");
    assert!(invited["token"].is_string(), "{invited}");
    let invitation = id(&invited);
    run(&gateway, &format!("users uninvite {invitation}"));
    let invitations = json(&gateway, "users invitations");
    assert_eq!(invitations[0]["state"], "revoked");
    assert_eq!(
        run(&gateway, &format!("teams delete {team}")),
        format!("{team} is deleted\n")
    );
    assert_eq!(
        json(&gateway, "teams list"),
        Value::from(Vec::<Value>::new())
    );
}

#[test]
fn the_organization_and_its_log_are_seen_by_commands() {
    let (_upstream, gateway) = start();
    let shown = run(&gateway, "orgs show");
    assert!(shown.contains("name: default"), "{shown}");
    let changed = json(&gateway, "orgs change --tpm-limit 5000");
    assert_eq!(
        (&changed["tpm_limit"], &changed["version"]),
        (&5000.into(), &2.into())
    );
    refused(&gateway, "orgs list", "403");
    refused(
        &gateway,
        "orgs create acme --owner-email ann@example.com",
        "403",
    );
    let denied = json(&gateway, "audit list --outcome denied");
    let actions: Vec<_> = denied
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["action"])
        .collect();
    assert_eq!(actions, ["organization.create"]);
    let exported = run(&gateway, "audit download");
    let seqs: Vec<u64> = exported
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert!(
        seqs.len() >= 3 && seqs.iter().copied().eq(1..=seqs.len() as u64),
        "{seqs:?}"
    );
    let last = format!("audit download --after-seq {}", seqs.len() - 1);
    assert_eq!(run(&gateway, &last).lines().count(), 1);
    let script = run(&gateway, "completion bash");
    for verb in ["orgs", "teams", "users", "roles", "audit", "rotate"] {
        assert!(script.contains(verb), "{verb}");
    }
}
