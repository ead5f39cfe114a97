//! How to ask each route for something that it can do.

use serde_json::{Value, json};
use tollgate_server::{BodyClass, RouteSpec};

/// A path of the route.
pub(crate) fn path(route: &RouteSpec) -> String {
    let path = route
        .path
        .replace("{id}", "key_07070707070707070707070707070707")
        .replace("{model:.+}", "m");
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
        ("POST", "/api/v1/keys") => json!({"name": "made by a test"}),
        ("PATCH", "/api/v1/organization") => json!({}),
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
