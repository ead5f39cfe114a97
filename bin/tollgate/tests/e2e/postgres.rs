//! The same binary on PostgreSQL, and what goes on while that is away.

use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_testkit::{Gateway, GatewaySettings, ScriptedUpstream, TestDatabase, TestPostgres};

use crate::common::{chat, number, start_with, stream, sum};

const CHAT: &str = "/v1/chat/completions";

fn start_on_postgres() -> (TestDatabase, ScriptedUpstream, Gateway) {
    let database = TestPostgres::database();
    let (upstream, gateway) = start_with(GatewaySettings {
        database: database.url.clone(),
        app_role: database.application_role(),
        ..GatewaySettings::default()
    });
    (database, upstream, gateway)
}

fn end_in_balance(gateway: &mut Gateway) {
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(20)).code(),
        Some(0)
    );
    let (is_balanced, report) = gateway.ledger_verify();
    assert!(is_balanced, "{report}");
}

#[test]
fn keys_budgets_and_usage_live_in_postgresql() {
    let (database, _upstream, mut gateway) = start_on_postgres();
    let budget = json!({"name": "app", "max_budget": "0.0005", "budget_duration": "30d"});
    let created = gateway.create_key(&budget);
    let key = created["key"].as_str().unwrap();
    let mut body = chat("m", (20, 40));
    body["max_completion_tokens"] = json!(40);
    let mut answered = 0;
    while gateway.send_as(key, "POST", CHAT, Some(&body)).status == 200 {
        answered += 1;
    }
    assert!(answered > 0);
    assert!(gateway.post(CHAT, &stream("s", (9, 4))).is_done());
    gateway.kill9();
    gateway.restart();
    assert_eq!(gateway.send_as(key, "POST", CHAT, Some(&body)).status, 402);
    let rows = gateway.wait_for_usage("model", |rows| sum(rows, "requests") == answered + 1);
    assert_eq!(sum(&rows, "input_tokens"), 20 * answered + 9);
    let spent = database.execute("SELECT sum(spent_nano_usd) FROM budget_spent");
    assert_eq!(spent, (100_000 * answered).to_string());
    end_in_balance(&mut gateway);
}

#[test]
fn known_keys_work_while_the_database_is_away_and_nothing_is_lost() {
    let (database, _upstream, mut gateway) = start_on_postgres();
    let unseen = gateway.create_key(&json!({"name": "unseen"}));
    assert_eq!(gateway.post(CHAT, &chat("m", (5, 2))).status, 200);
    database.set_reachable(false);
    for _ in 0..20 {
        let answer = gateway.post(CHAT, &chat("m", (5, 2)));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let key = unseen["key"].as_str().unwrap();
    let answer = gateway.send_as(key, "POST", CHAT, Some(&chat("m", (5, 2))));
    assert_eq!(answer.status, 503, "not 401: {}", answer.text());
    assert!(answer.header("retry-after").is_some());
    let asked = Instant::now();
    let answer = gateway.get("/api/v1/usage?group_by=model");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(
        gateway.get("/health/ready").status,
        200,
        "requests can be admitted"
    );

    database.set_reachable(true);
    let deadline = Instant::now() + Duration::from_secs(20);
    while gateway.get("/api/v1/usage?group_by=model").status != 200 {
        assert!(Instant::now() < deadline, "the database is not found again");
        std::thread::sleep(Duration::from_millis(100));
    }
    let rows = gateway.wait_for_usage("model", |rows| sum(rows, "requests") == 21);
    assert_eq!(number(&rows[0], "input_tokens"), 5 * 21);
    assert_eq!(
        gateway
            .send_as(key, "POST", CHAT, Some(&chat("m", (5, 2))))
            .status,
        200
    );
    end_in_balance(&mut gateway);
}
