//! Killed at any instant, the gateway loses no usage that a client has seen and bills none twice.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tollgate_testkit::{
    Call, Connection, Gateway, GatewaySettings, Script, ScriptedUpstream, StreamScript, request,
};

use crate::common::{BINARY, chat, number, stream, sum};

const CLIENTS: u64 = 32;

/// An answer that a client saw to its end.
#[derive(Debug)]
struct Seen {
    request_id: String,
    /// The number of the provider's call, from the answer's id.
    call: usize,
    tokens: (u64, u64),
}

struct Load {
    address: SocketAddr,
    bearer: String,
    is_over: AtomicBool,
    sent: AtomicU64,
    seen: Mutex<Vec<Seen>>,
}

impl Load {
    /// Sends requests on one connection until it breaks or the load is over.
    fn run(&self, client: u64) {
        let Ok(mut connection) = Connection::open(self.address) else {
            return;
        };
        while !self.is_over.load(Ordering::Relaxed) {
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            let tokens = (number % 89 + 1, number % 13 + 1);
            let is_stream = (client + number).is_multiple_of(2);
            let body = if is_stream {
                stream("s", tokens)
            } else {
                chat("m", tokens)
            };
            let headers = [("authorization", self.bearer.as_str())];
            let bytes = request("POST", "/v1/chat/completions", &headers, Some(&body));
            let Ok(answer) = connection
                .send(&bytes)
                .and_then(|()| connection.read_answer())
            else {
                return;
            };
            let is_seen = if is_stream {
                answer.is_done()
            } else {
                answer.is_whole
            };
            if !is_seen {
                return;
            }
            assert_eq!(answer.status, 200, "{}", answer.text());
            let request_id = answer.header("x-request-id").unwrap_or_default().to_owned();
            let call = number_of_call(&answer.text());
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(Seen {
                request_id,
                call,
                tokens,
            });
        }
    }
}

/// Reads the number in the first `chatcmpl-<number>` of an answer.
fn number_of_call(text: &str) -> usize {
    let (_, rest) = text.split_once("chatcmpl-").unwrap();
    rest.split('"').next().unwrap().parse().unwrap()
}

/// Loads the gateway for so long, kills it, and returns what clients saw.
fn load_and_kill(gateway: &mut Gateway, time: Duration) -> Vec<Seen> {
    let load = Load {
        address: gateway.address(),
        bearer: format!("Bearer {}", gateway.key()),
        is_over: AtomicBool::new(false),
        sent: AtomicU64::new(0),
        seen: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let load = &load;
            scope.spawn(move || load.run(client));
        }
        let start = Instant::now();
        while load.seen.lock().unwrap().is_empty() || start.elapsed() < time {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "no answer under load"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        gateway.kill9();
        load.is_over.store(true, Ordering::Relaxed);
    });
    load.seen.into_inner().unwrap()
}

/// Compares what clients saw with what the books and the provider's own log say.
fn check_books(seen: &[Seen], events: &[Value], calls: &[Call]) {
    let mut by_request: HashMap<&str, Vec<&Value>> = HashMap::new();
    for event in events {
        let id = event["request_id"].as_str().unwrap();
        by_request
            .entry(id.trim_start_matches("req_"))
            .or_default()
            .push(event);
    }
    for answer in seen {
        let id = answer.request_id.trim_start_matches("req_");
        let billed = by_request
            .get(id)
            .unwrap_or_else(|| panic!("not billed: {answer:?}"));
        assert_eq!(billed.len(), 1, "{answer:?}: {billed:?}");
        let tokens = (
            number(billed[0], "input_tokens"),
            number(billed[0], "output_tokens"),
        );
        assert_eq!(
            (tokens, &billed[0]["state"]),
            (answer.tokens, &Value::from("ok")),
            "{billed:?}"
        );
        assert_eq!(calls[answer.call - 1].reported, Some(tokens), "{answer:?}");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure that it is run for")]
fn kill_9_under_load_loses_nothing_that_was_seen_and_bills_nothing_twice() {
    let rounds = std::env::var_os("TOLLGATE_CRASH_ROUNDS")
        .map_or(10, |text| text.to_str().unwrap().parse::<u64>().unwrap());
    let upstream = ScriptedUpstream::start();
    let pause = Duration::from_millis(2);
    upstream.on(
        "up-s",
        Script::stream(StreamScript {
            pause,
            ..StreamScript::default()
        }),
    );
    let settings = GatewaySettings::default()
        .provider("scripted", &upstream.base_url(), "")
        .model("m", &["scripted/up-m"])
        .model("s", &["scripted/up-s"]);
    let mut gateway = Gateway::start(BINARY, &settings);

    let mut seen = Vec::new();
    let mut moment = u64::from(std::process::id());
    for _ in 0..rounds {
        // Any instant will do; the process id makes it another one in every run.
        moment = moment
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seen.extend(load_and_kill(
            &mut gateway,
            Duration::from_millis(50 + (moment >> 33) % 400),
        ));
        gateway.restart();
    }
    gateway.sigterm();
    assert_eq!(
        gateway.wait_for_exit(Duration::from_secs(20)).code(),
        Some(0)
    );

    let (is_balanced, report) = gateway.ledger_verify();
    assert!(is_balanced, "{report}");
    let events = gateway.events();
    let calls = upstream.calls();
    check_books(&seen, &events, &calls);

    let unknown = events
        .iter()
        .filter(|event| event["state"] == "unknown")
        .count();
    assert!(
        events.len() <= calls.len() + unknown,
        "more was billed than was called"
    );
    let in_flight = usize::try_from(CLIENTS * rounds).unwrap();
    assert!(
        unknown <= in_flight,
        "more ends are unknown than were under way"
    );
    let reported: u64 = calls
        .iter()
        .filter_map(|call| call.reported)
        .map(|(input, _)| input)
        .sum();
    let billed: Vec<Value> = events
        .into_iter()
        .filter(|event| event["state"] == "ok")
        .collect();
    assert!(
        sum(&billed, "input_tokens") <= reported,
        "more tokens were billed than were reported"
    );
    println!(
        "{rounds} kills: {} answers seen, each billed once; {} calls, {} billed ok, {unknown} unknown",
        seen.len(),
        calls.len(),
        billed.len(),
    );
}
