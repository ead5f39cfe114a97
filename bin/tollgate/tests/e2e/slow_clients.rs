//! Clients that are slow, leave early or stay too long, and the gateway's own end.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate_testkit::{
    Call, Connection, End, Gateway, GatewaySettings, Script, StreamEnd, StreamScript, request,
};

use crate::common::{chat, number, start, start_with, stream};

const DEADLINE: Duration = Duration::from_millis(600);
/// What a sweep and a busy machine may add.
const SLACK: Duration = Duration::from_millis(2_400);

fn strict() -> GatewaySettings {
    let server = "head_timeout_ms = 600\nbody_timeout_ms = 600\nkeep_alive_s = 1".to_owned();
    GatewaySettings {
        server,
        ..GatewaySettings::default()
    }
}

fn chat_bytes(gateway: &Gateway, body: &Value) -> Vec<u8> {
    let bearer = format!("Bearer {}", gateway.key());
    request(
        "POST",
        "/v1/chat/completions",
        &[("authorization", &bearer)],
        Some(body),
    )
}

/// Sends a byte now and then, which must not prolong anything, and returns how long that goes well.
fn trickle(connection: &mut Connection, byte: u8) -> Duration {
    let start = Instant::now();
    while start.elapsed() < DEADLINE + SLACK {
        let pause = Duration::from_millis(100);
        if connection.send(&[byte]).is_err() || connection.time_to_close(pause).is_some() {
            return start.elapsed();
        }
    }
    panic!("still open after {:?}", start.elapsed());
}

#[test]
fn a_head_that_never_ends_is_given_up_in_time() {
    let (_upstream, gateway) = start_with(strict());
    let mut first = Connection::open(gateway.address()).unwrap();
    first.send(b"P").unwrap();
    let closed = first
        .time_to_close(DEADLINE + SLACK)
        .expect("the first head has no end");
    assert!(closed >= DEADLINE / 2, "{closed:?}");

    let mut second = Connection::open(gateway.address()).unwrap();
    second
        .send(&chat_bytes(&gateway, &chat("m", (1, 1))))
        .unwrap();
    assert_eq!(second.read_answer().unwrap().status, 200);
    second.send(b"P").unwrap();
    second
        .time_to_close(DEADLINE + SLACK)
        .expect("the second head has no end");
}

#[test]
fn a_head_that_trickles_in_is_given_up_in_time() {
    let (_upstream, gateway) = start_with(strict());
    let mut first = Connection::open(gateway.address()).unwrap();
    first.send(b"GET / HTTP/1.1\r\nx-a: ").unwrap();
    trickle(&mut first, b'a');

    let mut second = Connection::open(gateway.address()).unwrap();
    second
        .send(&chat_bytes(&gateway, &chat("m", (1, 1))))
        .unwrap();
    assert_eq!(second.read_answer().unwrap().status, 200);
    second.send(b"GET / HTTP/1.1\r\nx-a: ").unwrap();
    trickle(&mut second, b'a');
}

#[test]
fn a_body_that_stalls_is_given_up_in_time() {
    let (upstream, gateway) = start_with(strict());
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n",
        gateway.key()
    );
    for (body, trickles) in [(&b"{"[..], false), (b"{\"model\":\"", true)] {
        let mut connection = Connection::open(gateway.address()).unwrap();
        connection.send(head.as_bytes()).unwrap();
        connection.send(body).unwrap();
        if trickles {
            trickle(&mut connection, b'm');
            continue;
        }
        let start = Instant::now();
        if let Ok(answer) = connection.read_answer() {
            assert_eq!(answer.status, 408, "{}", answer.text());
        }
        connection
            .time_to_close(DEADLINE + SLACK)
            .expect("the body has no end");
        assert!(start.elapsed() < DEADLINE + SLACK);
    }
    assert_eq!(upstream.calls().len(), 0);
}

#[test]
fn an_idle_connection_is_closed_and_a_slow_answer_is_not() {
    let (upstream, gateway) = start_with(strict());
    upstream.on("up-m", Script::slow(Duration::from_secs(3)));
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection
        .send(&chat_bytes(&gateway, &chat("m", (1, 1))))
        .unwrap();
    assert_eq!(
        connection.read_answer().unwrap().status,
        200,
        "no deadline of the client's applies"
    );
    connection
        .time_to_close(Duration::from_secs(1) + SLACK)
        .expect("an idle connection is closed");
}

#[test]
fn a_connection_that_is_used_is_not_taken_for_an_idle_one() {
    let (_upstream, gateway) = start_with(strict());
    let bearer = format!("Bearer {}", gateway.key());
    for path in ["/health/live", "/v1/models", "/api/v1/keys"] {
        let bytes = request("GET", path, &[("authorization", &bearer)], None);
        let mut connection = Connection::open(gateway.address()).unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            connection.send(&bytes).unwrap();
            assert_eq!(connection.read_answer().expect(path).status, 200, "{path}");
            std::thread::sleep(Duration::from_millis(250));
        }
    }
}

#[test]
fn a_stranger_is_refused_before_its_body_is_waited_for() {
    let (_upstream, gateway) = start();
    let mut connection = Connection::open(gateway.address()).unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer sk-1\r\n\
                content-type: application/json\r\ncontent-length: 8000000\r\n\r\n";
    connection.send(head.as_bytes()).unwrap();
    connection
        .socket()
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    assert_eq!(
        connection
            .read_answer()
            .expect("an answer without a body")
            .status,
        401
    );
}

/// Has a client leave before a silent upstream, and returns the one event of the books.
fn leave(script: Script, body: &Value, until: impl Fn(&[u8]) -> bool) -> (Gateway, Value) {
    let (upstream, gateway) = start();
    upstream.on("up-m", script);
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection.send(&chat_bytes(&gateway, body)).unwrap();
    drop(upstream.wait_for_calls(1));
    if body["stream"] == true && !until(b"") {
        drop(connection.read_answer_until(until).unwrap());
    }
    let left = Instant::now();
    drop(connection);
    let is_cancelled = |calls: &[Call]| matches!(calls[0].end, End::Cancelled(_));
    assert!(
        upstream.wait_until(Duration::from_secs(5), is_cancelled),
        "never cancelled"
    );
    let End::Cancelled(at) = upstream.calls()[0].end else {
        unreachable!()
    };
    let after = at.saturating_duration_since(left);
    assert!(
        after < Duration::from_secs(1),
        "cancelled only after {after:?}"
    );
    drop(gateway.wait_for_usage("model", |rows| {
        rows.iter().any(|r| number(r, "attempts") == 1)
    }));
    let events = gateway.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["state"], "client_gone", "{events:?}");
    (gateway, events[0].clone())
}

#[test]
fn a_client_that_leaves_cancels_a_silent_upstream() {
    drop(leave(Script::hang(), &chat("m", (1, 1)), |_| true));
    drop(leave(Script::hang(), &stream("m", (1, 1)), |_| true));
}

#[test]
fn a_client_that_leaves_a_stream_pays_for_what_was_used() {
    let silent = StreamScript {
        end: StreamEnd::Hang,
        ..StreamScript::default()
    };
    let has_all = |body: &[u8]| String::from_utf8_lossy(body).contains("w5 ");
    let (_gateway, event) = leave(Script::stream(silent), &stream("m", (30, 5)), has_all);
    assert_eq!(event["provenance"], "partial", "{event}");
    assert!(
        number(&event, "input_tokens") > 0 && number(&event, "output_tokens") > 0,
        "{event}"
    );

    let pause = Duration::from_millis(30);
    let endless = StreamScript {
        end: StreamEnd::Never,
        pause,
        ..StreamScript::default()
    };
    let has_some = |body: &[u8]| String::from_utf8_lossy(body).contains("w3 ");
    let (_gateway, event) = leave(Script::stream(endless), &stream("m", (30, 5)), has_some);
    assert_eq!(event["provenance"], "partial", "{event}");
}

#[test]
fn a_termination_lets_streams_finish_and_takes_no_new_connection() {
    let (upstream, mut gateway) = start();
    let pause = Duration::from_millis(300);
    upstream.on(
        "up-s",
        Script::stream(StreamScript {
            pause,
            ..StreamScript::default()
        }),
    );
    upstream.on("up-m", Script::slow(Duration::from_millis(1_200)));
    let bytes = [stream("s", (2, 5)), chat("m", (2, 5))].map(|body| chat_bytes(&gateway, &body));
    let mut connections = [0, 1].map(|_| Connection::open(gateway.address()).unwrap());
    for (connection, bytes) in connections.iter_mut().zip(&bytes) {
        connection.send(bytes).unwrap();
    }
    drop(upstream.wait_for_calls(2));
    let address = gateway.address();
    gateway.sigterm();
    let deadline = Instant::now() + Duration::from_secs(1);
    let refused = loop {
        match Connection::open(address) {
            Err(error) => break error.kind(),
            Ok(_) => assert!(Instant::now() < deadline, "still accepting"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(refused, ErrorKind::ConnectionRefused);
    let [streamed, whole] = connections.map(|mut connection| connection.read_answer().unwrap());
    assert!(
        streamed.is_done() && streamed.content() == "w1 w2 w3 w4 w5 ",
        "{}",
        streamed.text()
    );
    assert_eq!((whole.status, whole.is_whole), (200, true));
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(10)).code(),
        Some(0)
    );
    let (is_balanced, report) = gateway.ledger_verify();
    assert!(is_balanced, "{report}");
    let events = gateway.events();
    assert_eq!(events.len(), 2, "all is booked at the end");
    assert!(
        events.iter().all(|event| event["state"] == "ok"),
        "{events:?}"
    );
}

#[test]
fn chunks_are_passed_on_as_they_come() {
    let (upstream, gateway) = start();
    let pause = Duration::from_millis(15);
    upstream.on(
        "up-s",
        Script::stream(StreamScript {
            pause,
            ..StreamScript::default()
        }),
    );
    let mut connection = Connection::open(gateway.address()).unwrap();
    let mut first_chunks = Vec::new();
    for _ in 0..24 {
        connection
            .send(&chat_bytes(&gateway, &stream("s", (2, 4))))
            .unwrap();
        let sent = Instant::now();
        let first = connection
            .read_answer_until(|body| !body.is_empty())
            .unwrap();
        // What comes after the first piece of content was not sent yet when that arrived.
        assert!(!first.text().contains("w2 "), "{}", first.text());
        first_chunks.push(sent.elapsed().saturating_sub(pause));
        assert!(
            connection
                .read_rest()
                .unwrap()
                .ends_with("data: [DONE]\n\n")
        );
    }
    first_chunks.sort();
    // A delayed acknowledgement would add 40 ms to each; a busy machine adds something to some.
    let quartile = first_chunks[first_chunks.len() / 4];
    assert!(quartile < Duration::from_millis(5), "{first_chunks:?}");
}

/// The memory that the process has, in KiB.
fn memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_client_that_does_not_read_holds_the_provider_back() {
    let (upstream, gateway) = start();
    let fast = StreamScript {
        end: StreamEnd::Never,
        ..StreamScript::default()
    };
    upstream.on("up-s", Script::stream(fast));
    let before = memory(&gateway);
    let mut connection = Connection::open(gateway.address()).unwrap();
    connection
        .send(&chat_bytes(&gateway, &stream("s", (2, 4))))
        .unwrap();
    let served = || {
        upstream
            .calls()
            .first()
            .map_or(0, |call| call.tokens_served)
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut last = 0;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = served();
        if now > 0 && now == last {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{now} tokens were sent to nobody"
        );
        last = now;
    }
    let grown = memory(&gateway).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more");
    drop(connection);
    let is_cancelled = |calls: &[Call]| matches!(calls[0].end, End::Cancelled(_));
    assert!(
        upstream.wait_until(Duration::from_secs(5), is_cancelled),
        "never cancelled"
    );
}
