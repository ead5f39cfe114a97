//! Health: alive, ready, and each part with its state.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::{Value, json};
use tollgate_providers::Health;

use crate::state::WorkerState;

/// The process answers.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// Requests can be admitted: the journal can be written, and the server is not draining. A database
/// that is away does not count: known keys are served without it.
pub(crate) async fn ready(state: Data<WorkerState>) -> HttpResponse {
    let shared = state.shared();
    let reason = if shared.is_draining() {
        Some("draining")
    } else if !shared.ledger.health().is_admitting {
        Some("the journal cannot be written")
    } else {
        None
    };
    match reason {
        None => HttpResponse::Ok().json(json!({"status": "ok"})),
        Some(reason) => HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE)
            .json(json!({"status": "failed", "reason": reason})),
    }
}

/// Every part, without anything that belongs to an organization.
pub(crate) async fn report(state: Data<WorkerState>) -> HttpResponse {
    let shared = state.shared();
    let backlog = shared.ledger.backlog();
    let health = shared.ledger.health();
    let journal = match (health.is_admitting, health.failures) {
        (false, _) => "failed",
        (true, 0) => "ok",
        (true, _) => "degraded",
    };
    let mut components = vec![
        json!({"name": "journal", "status": journal, "backlog_events": backlog.events}),
        database(&state),
    ];
    let health = state.worker().providers().health();
    components.extend(
        shared
            .provider_names
            .iter()
            .zip(health)
            .map(|(name, health)| provider(name, &health)),
    );
    let breakers = state
        .worker()
        .engine()
        .catalog()
        .targets()
        .map(|(model, target)| {
            let state = target.breaker.state();
            json!({
                "name": format!("{model} at {}", target.provider),
                "status": if state.is_closed() { "ok" } else { "degraded" },
                "breaker": state.as_str(),
            })
        });
    components.extend(breakers);
    let is = |wanted: &str| {
        components
            .iter()
            .any(|one| one.get("status") == Some(&json!(wanted)))
    };
    let status = match (journal, is("failed") || is("degraded")) {
        ("failed", _) => "failed",
        (_, true) => "degraded",
        _ => "ok",
    };
    let code = if status == "failed" {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    HttpResponse::build(code).json(json!({"status": status, "components": components}))
}

fn database(state: &WorkerState) -> Value {
    match state.shared().database_latency() {
        Some(latency) => json!({
            "name": "database",
            "status": "ok",
            "latency_ms": latency.as_millis(),
        }),
        None => json!({
            "name": "database",
            "status": "degraded",
            "detail": "no answer; known keys are served, usage waits in the journal",
        }),
    }
}

fn provider(name: &str, health: &Health) -> Value {
    match health {
        Health::Ready => json!({"name": name, "status": "ok"}),
        Health::Starting => json!({"name": name, "status": "ok", "detail": "starting"}),
        Health::Failed { advice } => json!({"name": name, "status": "failed", "detail": advice}),
    }
}
