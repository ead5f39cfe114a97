//! How to ask each route for something that it can do.

use serde_json::{Value, json};
use tollgate_server::{BodyClass, RouteSpec};

/// The hexadecimal digits of an id that nothing has.
const NOBODY: &str = "07070707070707070707070707070707";

/// The prefix of the ids that a route takes as `{id}`.
fn prefix(path: &str) -> &'static str {
    let collection = path.trim_start_matches("/api/v1/").split('/').next();
    match collection.unwrap_or_default() {
        "keys" => "key",
        "teams" => "team",
        "roles" => "role",
        "users" => "user",
        "invitations" => "inv",
        "auth" => "sess",
        "organizations" => "org",
        other => panic!("what are the ids of {other}?"),
    }
}

/// A path of the route, about things that do not exist.
pub(crate) fn path(route: &RouteSpec) -> String {
    let mut path = route.path.replace("{model:.+}", "m");
    if path.contains("{id}") {
        path = path.replace("{id}", &format!("{}_{NOBODY}", prefix(route.path)));
    }
    path = path.replace("{user_id}", &format!("user_{NOBODY}"));
    assert!(!path.contains('{'), "what is {path}?");
    match path.as_str() {
        "/api/v1/usage" => format!("{path}?group_by=model"),
        _ => path,
    }
}

/// A body that the route accepts.
pub(crate) fn body(route: &RouteSpec) -> Option<Value> {
    let body = match (route.method.as_str(), route.path) {
        ("POST", "/v1/chat/completions") => {
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
        }
        ("POST", "/v1/embeddings") => json!({"model": "m", "input": "hi"}),
        ("POST", "/api/v1/keys" | "/api/v1/service-accounts") => json!({"name": "made by a test"}),
        ("POST", "/api/v1/teams" | "/api/v1/organizations") => json!({"name": unique("test")}),
        ("POST", "/api/v1/roles") => json!({"name": unique("test"), "permissions": []}),
        ("POST", "/api/v1/invitations") => json!({"email": "ann@example.com"}),
        ("PATCH", "/api/v1/users/{id}") => json!({"role": "member"}),
        ("PUT", "/api/v1/teams/{id}/members/{user_id}") => json!({"role": "member"}),
        ("POST", "/api/v1/auth/setup") => json!({
            "token": "tg_setup_x", "email": "b@example.com", "name": "B", "password": "x",
        }),
        ("POST", "/api/v1/auth/sign-in") => json!({"email": "b@example.com", "password": "x"}),
        ("POST", "/api/v1/auth/password") => {
            json!({"current_password": "x", "new_password": "y"})
        }
        ("POST", "/api/v1/auth/password-reset") => json!({"email": "b@example.com"}),
        ("POST", "/api/v1/auth/password-reset/confirm") => {
            json!({"token": "tg_rst_x", "new_password": "y"})
        }
        ("POST", "/api/v1/auth/verify-email/confirm") => json!({"token": "tg_ver_x"}),
        ("POST", "/api/v1/auth/totp") => json!({"password": "x"}),
        ("POST", "/api/v1/auth/totp/confirm") => json!({"enrolment": "x", "code": "123456"}),
        ("POST", "/api/v1/auth/totp/disable" | "/api/v1/auth/totp/recovery-codes") => {
            json!({"password": "x", "code": "123456"})
        }
        ("POST", "/api/v1/auth/invitations/accept") => {
            json!({"token": "tg_inv_x", "name": "B", "password": "x"})
        }
        ("POST", "/api/v1/auth/sign-out" | "/api/v1/auth/verify-email") => json!({}),
        ("POST", "/api/v1/auth/token") => json!({}),
        ("POST", "/api/v1/auth/refresh") => json!({"refresh_token": "tg_ref_x"}),
        ("PATCH", _) | ("POST", "/api/v1/keys/{id}/rotate") => json!({}),
        (method, path) => {
            assert_eq!(
                route.body,
                BodyClass::None,
                "what does {method} {path} take?"
            );
            return None;
        }
    };
    Some(body)
}

/// A name that no other thing has.
pub(crate) fn unique(name: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name} {}", NEXT.fetch_add(1, Ordering::Relaxed))
}
