//! Malformed requests are answered at once, in the client's dialect, and go no further.

use std::time::{Duration, Instant};

use tollgate_testkit::{Answer, Connection, Gateway, GatewaySettings};

use crate::bad_requests::{BODY_BYTES_MAX, BadRequest, bad_requests};
use crate::common::{chat, start_with};

const IN_TIME: Duration = Duration::from_millis(50);

/// Sends the request and returns the answer and how long it took; a busy machine gets three tries.
fn ask(gateway: &Gateway, request: &BadRequest) -> (std::io::Result<Answer>, Duration) {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let mut connection = Connection::open(gateway.address()).unwrap();
        // A server may answer and close before it has read all of what is too long.
        drop(connection.send(&request.bytes));
        let start = Instant::now();
        let answer = connection.read_answer();
        fastest = fastest.min(start.elapsed());
        if fastest < IN_TIME || answer.is_err() {
            return (answer, fastest);
        }
    }
    panic!("{}: answered in {fastest:?} only", request.name);
}

/// Says what is wrong with the answer.
fn fault(request: &BadRequest, answer: &Answer) -> Option<String> {
    let error = &answer.json()["error"];
    let has_shape = ["message", "type"]
        .iter()
        .all(|name| error[*name].is_string())
        && error
            .as_object()
            .is_some_and(|e| e.contains_key("param") && e.contains_key("code"));
    if answer.status != request.status {
        return Some(format!(
            "{} instead of {}: {}",
            answer.status,
            request.status,
            answer.text()
        ));
    }
    if !request.code.is_empty() && (!has_shape || error["code"] != request.code) {
        return Some(format!("not {}: {}", request.code, answer.text()));
    }
    (!answer.is_whole).then(|| "the answer breaks off".to_owned())
}

#[test]
fn malformed_requests_are_refused_at_once_and_go_no_further() {
    let server = format!("body_bytes_max = {BODY_BYTES_MAX}");
    let settings = GatewaySettings {
        server,
        ..GatewaySettings::default()
    };
    let (upstream, gateway) = start_with(settings);
    let requests = bad_requests(gateway.key());
    assert!(requests.len() >= 80);
    let mut faults = Vec::new();
    for request in &requests {
        let (answer, _) = ask(&gateway, request);
        let found = match answer {
            Ok(answer) => fault(request, &answer),
            Err(error) => Some(format!("no answer: {error}")),
        };
        faults.extend(found.map(|found| format!("{}: {found}", request.name)));
    }
    assert!(
        faults.is_empty(),
        "{} of {}:\n{}",
        faults.len(),
        requests.len(),
        faults.join("\n")
    );
    assert_eq!(upstream.calls().len(), 0);

    assert_eq!(
        gateway
            .post("/v1/chat/completions", &chat("m", (3, 4)))
            .status,
        200
    );
    let rows = gateway.wait_for_usage("model", |rows| !rows.is_empty());
    assert_eq!(
        (rows.len(), &rows[0]["requests"]),
        (1, &serde_json::json!(1)),
        "{rows:?}"
    );
}
