//! Rates, budgets, keys and usage, over HTTP and the command line.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{Answer, Connection, End, Gateway, GatewaySettings, Script, request};

use crate::common::{chat, key_of, number, start, start_with, stream, sum};

const CHAT: &str = "/v1/chat/completions";

/// Sends the same request from so many clients at once.
fn all_at_once(gateway: &Gateway, key: &str, clients: usize, body: &Value) -> Vec<Answer> {
    let bearer = format!("Bearer {key}");
    let bytes = request("POST", CHAT, &[("authorization", &bearer)], Some(body));
    let answers = Mutex::new(Vec::new());
    let barrier = std::sync::Barrier::new(clients);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut connection = Connection::open(gateway.address()).unwrap();
                barrier.wait();
                connection.send(&bytes).unwrap();
                let answer = connection.read_answer().unwrap();
                answers.lock().unwrap().push(answer);
            });
        }
    });
    answers.into_inner().unwrap()
}

fn with_status(answers: &[Answer], status: u16) -> Vec<&Answer> {
    answers
        .iter()
        .filter(|answer| answer.status == status)
        .collect()
}

#[test]
fn requests_per_minute_are_exact_under_concurrency() {
    let (upstream, gateway) = start();
    let key = key_of(&gateway.create_key(&json!({"name": "rpm", "rpm_limit": 5})));
    let answers = all_at_once(&gateway, &key, 50, &chat("m", (1, 1)));
    assert_eq!(
        (
            with_status(&answers, 200).len(),
            with_status(&answers, 429).len()
        ),
        (5, 45)
    );
    for refused in with_status(&answers, 429) {
        assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(refused.header("x-ratelimit-limit-requests"), Some("5"));
        assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    }
    assert_eq!(upstream.calls().len(), 5);
}

#[test]
fn tokens_per_minute_count_what_was_really_used() {
    let (upstream, gateway) = start();
    let key = key_of(&gateway.create_key(&json!({"name": "tpm", "tpm_limit": 1_000})));
    let mut body = chat("m", (500, 100));
    body["max_completion_tokens"] = json!(100);
    let statuses: Vec<u16> = (0..3)
        .map(|_| gateway.send_as(&key, "POST", CHAT, Some(&body)).status)
        .collect();
    assert_eq!(statuses, [200, 200, 429], "600 tokens each, of 1,000");
    assert_eq!(upstream.calls().len(), 2);

    let other = key_of(&gateway.create_key(&json!({"name": "small", "tpm_limit": 1_000})));
    let mut small = chat("m", (5, 5));
    small["max_completion_tokens"] = json!(900);
    let status = |body: &Value| gateway.send_as(&other, "POST", CHAT, Some(body)).status;
    let statuses = [status(&small), status(&small), status(&small)];
    assert_eq!(
        statuses, [200; 3],
        "what is held and not used is given back"
    );
}

#[test]
fn parallel_requests_are_bounded_and_a_leaving_client_makes_room() {
    let (upstream, gateway) = start();
    upstream.on("up-m", Script::slow(Duration::from_millis(700)));
    let fields = json!({"name": "parallel", "max_parallel_requests": 3});
    let key = key_of(&gateway.create_key(&fields));
    let answers = all_at_once(&gateway, &key, 12, &chat("m", (1, 1)));
    assert_eq!(
        (
            with_status(&answers, 200).len(),
            with_status(&answers, 429).len()
        ),
        (3, 9)
    );

    upstream.on("up-s", Script::hang());
    let bearer = format!("Bearer {key}");
    let bytes = request(
        "POST",
        CHAT,
        &[("authorization", &bearer)],
        Some(&stream("s", (1, 1))),
    );
    let mut leaving = Vec::new();
    for _ in 0..3 {
        let mut connection = Connection::open(gateway.address()).unwrap();
        connection.send(&bytes).unwrap();
        leaving.push(connection);
    }
    let is_full = |calls: &[tollgate_testkit::Call]| {
        calls.iter().filter(|call| call.model == "up-s").count() == 3
    };
    assert!(upstream.wait_until(Duration::from_secs(5), is_full));
    assert_eq!(
        gateway
            .send_as(&key, "POST", CHAT, Some(&chat("m", (1, 1))))
            .status,
        429
    );
    drop(leaving);
    let is_empty = |calls: &[tollgate_testkit::Call]| {
        calls
            .iter()
            .filter(|call| matches!(call.end, End::Cancelled(_)))
            .count()
            == 3
    };
    assert!(upstream.wait_until(Duration::from_secs(5), is_empty));
    assert_eq!(
        gateway
            .send_as(&key, "POST", CHAT, Some(&chat("m", (1, 1))))
            .status,
        200
    );
}

#[test]
fn a_budget_is_spent_to_the_last_affordable_request_and_never_beyond() {
    let (upstream, gateway) = start();
    // 20 prompt tokens at 1 USD and 40 answer tokens at 2 USD per million: 0.0001 USD.
    let mut body = chat("m", (20, 40));
    body["max_completion_tokens"] = json!(40);
    let budget = json!({"name": "budget", "max_budget": "0.0031", "budget_duration": "30d"});
    let key = key_of(&gateway.create_key(&budget));
    let mut answered = 0;
    let mut refused = 0;
    while refused < 50 {
        let answers = all_at_once(&gateway, &key, 50, &body);
        answered += with_status(&answers, 200).len();
        refused = with_status(&answers, 402).len();
        assert_eq!(with_status(&answers, 200).len() + refused, 50);
        for answer in with_status(&answers, 402) {
            assert_eq!(answer.json()["error"]["code"], "budget_exceeded");
            assert_eq!(answer.header("x-should-retry"), Some("false"));
        }
    }
    // A request is admitted if its worst case fits: a token for each of its bytes, those that a
    // model's template may add, and all the answer tokens that it asks for.
    let bytes = u64::try_from(body.to_string().len()).unwrap();
    let worst = (bytes + 128) * 1_000 + 40 * 2_000;
    let left = 3_100_000 - 100_000 * u64::try_from(answered).unwrap();
    assert!(
        left < worst,
        "{answered} answered, {left} nano-USD left, {worst} would have fitted"
    );
    assert_eq!(upstream.calls().len(), answered);
    let rows = gateway.wait_for_usage("model", |rows| {
        rows.iter()
            .any(|row| number(row, "requests") >= u64::try_from(answered).unwrap())
    });
    let cost: f64 = rows[0]["cost_usd"].as_str().unwrap().parse().unwrap();
    assert!(
        (cost - 0.0001 * f64::from(u32::try_from(answered).unwrap())).abs() < 1e-12,
        "{cost}"
    );

    let mut long = body;
    long["max_completion_tokens"] = json!(1_000_000);
    let rich = json!({"name": "rich", "max_budget": "1.00", "budget_duration": "30d"});
    let key = key_of(&gateway.create_key(&rich));
    assert_eq!(
        gateway.send_as(&key, "POST", CHAT, Some(&long)).status,
        402,
        "2 USD of 1"
    );
}

#[test]
fn a_budget_outlives_a_kill() {
    let (_upstream, mut gateway) = start();
    let mut body = chat("m", (20, 40));
    body["max_completion_tokens"] = json!(40);
    let budget = json!({"name": "budget", "max_budget": "0.0005", "budget_duration": "30d"});
    let key = key_of(&gateway.create_key(&budget));
    while gateway.send_as(&key, "POST", CHAT, Some(&body)).status == 200 {}
    gateway.kill9();
    gateway.restart();
    assert_eq!(gateway.send_as(&key, "POST", CHAT, Some(&body)).status, 402);
}

#[test]
fn usage_is_what_the_provider_reported() {
    let (upstream, gateway) = start_with(GatewaySettings::default());
    let key = key_of(&gateway.create_key(&json!({"name": "app"})));
    let requests = 40;
    for number in 0..requests {
        let tokens = (number * 7 % 50 + 1, number * 3 % 11 + 1);
        let body = if number % 2 == 0 {
            chat("m", tokens)
        } else {
            stream("s", tokens)
        };
        assert_eq!(gateway.send_as(&key, "POST", CHAT, Some(&body)).status, 200);
    }
    let embed = json!({"model": "m", "input": ["a", tollgate_testkit::prompt(33, 0)]});
    assert_eq!(
        gateway
            .send_as(&key, "POST", "/v1/embeddings", Some(&embed))
            .status,
        200
    );
    let reported: Vec<(u64, u64)> = upstream
        .calls()
        .iter()
        .filter_map(|call| call.reported)
        .collect();
    let input: u64 = reported.iter().map(|(input, _)| input).sum();
    let output: u64 = reported.iter().map(|(_, output)| output).sum();
    for group_by in ["model", "key", "day"] {
        let rows = gateway.wait_for_usage(group_by, |rows| sum(rows, "requests") == requests + 1);
        assert_eq!(sum(&rows, "attempts"), requests + 1, "{rows:?}");
        assert_eq!(
            (sum(&rows, "input_tokens"), sum(&rows, "output_tokens")),
            (input, output)
        );
        assert_eq!(sum(&rows, "errors"), 0);
        let cost: f64 = rows
            .iter()
            .map(|row| row["cost_usd"].as_str().unwrap().parse::<f64>().unwrap())
            .sum();
        let expected = f64::from(u32::try_from(input + 2 * output).unwrap()) / 1e6;
        assert!(
            (cost - expected).abs() < 1e-9,
            "{cost} instead of {expected}"
        );
    }
}
