//! Spans, as a collector receives them: OTLP over HTTP, decoded by the protocol's own definition.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use tollgate_telemetry::{AttemptFacts, SpanFacts, TraceConfig, Tracer};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PARENT_NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// What a collector was sent.
struct Collected {
    path: String,
    request: ExportTraceServiceRequest,
}

/// Listens as a collector does. It ends with the process.
fn collector() -> (String, Receiver<Collected>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            thread::spawn(move || serve(&stream.unwrap(), &sender));
        }
    });
    (format!("http://{address}/"), receiver)
}

/// Answers each request of a connection.
fn serve(mut stream: &TcpStream, sender: &Sender<Collected>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        assert!(
            head.contains("content-type: application/x-protobuf"),
            "{head}"
        );
        let request = ExportTraceServiceRequest::decode(&*body).unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let _ = sender.send(Collected { path, request });
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
    }
}

fn tracer(otlp_endpoint: Option<String>, sample_ratio: f64) -> Tracer {
    let service_name = "a-gateway".to_owned();
    Tracer::new(&TraceConfig {
        otlp_endpoint,
        sample_ratio,
        service_name,
    })
    .unwrap()
}

const FACTS: SpanFacts<'static> = SpanFacts {
    operation: "chat",
    request_id: "req_1",
    model: Some("gpt-4o-mini"),
    org_id: Some("org_1"),
    key_id: Some("key_1"),
    status: 200,
    error_code: None,
    input_tokens: 812,
    output_tokens: 143,
    cost_usd: Some("0.0002076"),
};

fn attempt<'a>(provider: &'a str, status: Option<u16>, state: &'a str) -> AttemptFacts<'a> {
    AttemptFacts {
        operation: "chat",
        provider,
        model: "gpt-4o-mini-2024-07-18",
        status,
        state,
        started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
        duration: Duration::from_millis(250),
    }
}

/// Every span that has arrived, oldest first.
fn spans(received: &Receiver<Collected>) -> Vec<Span> {
    let mut spans: Vec<Span> = received
        .try_iter()
        .flat_map(|collected| collected.request.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect();
    spans.sort_by_key(|span| span.start_time_unix_nano);
    spans
}

fn attributes(pairs: &[KeyValue]) -> HashMap<&str, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    pairs
        .iter()
        .map(|pair| (pair.key.as_str(), text(pair)))
        .collect()
}

fn check(span: &Span, expected: &[(&str, &str)]) {
    let expected: HashMap<_, _> = expected
        .iter()
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect();
    assert_eq!(attributes(&span.attributes), expected);
}

fn check_attempt(request: &Span, span: &Span, [provider, status, state]: [&str; 3]) {
    assert_eq!(
        (span.name.as_str(), span.kind()),
        ("chat gpt-4o-mini-2024-07-18", SpanKind::Client)
    );
    assert_eq!(
        (&span.trace_id, &span.parent_span_id),
        (&request.trace_id, &request.span_id)
    );
    assert_eq!(span.start_time_unix_nano, 1_790_000_000_000_000_000);
    assert_eq!(
        span.end_time_unix_nano - span.start_time_unix_nano,
        250_000_000
    );
    let mut expected = vec![
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", provider),
        ("gen_ai.request.model", "gpt-4o-mini-2024-07-18"),
        ("http.response.status_code", status),
        ("tollgate.attempt.state", state),
    ];
    if state != "ok" {
        expected.push(("error.type", status));
        assert_eq!(span.status.clone().unwrap().code(), StatusCode::Error);
    }
    check(span, &expected);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_request_and_its_attempts_are_one_trace_in_the_conventions_words() {
    let (endpoint, received) = collector();
    let tracer = tracer(Some(endpoint), 0.0);
    let span = tracer.begin(Some(PARENT));
    let sent_upstream = span.trace_parent().unwrap();
    assert_eq!(
        span.trace_id().as_deref(),
        Some("0af7651916cd43dd8448eb211c80319c")
    );
    let attempts = [
        attempt("first", Some(503), "upstream_error"),
        attempt("second", Some(200), "ok"),
    ];
    span.finish(&FACTS, attempts.into_iter());
    tracer.stop();

    let collected = received.try_recv().unwrap();
    assert_eq!(collected.path, "/v1/traces");
    let resource = collected.request.resource_spans[0]
        .resource
        .clone()
        .unwrap();
    assert_eq!(
        attributes(&resource.attributes)["service.name"],
        "a-gateway"
    );

    let mut spans: Vec<Span> = collected.request.resource_spans[0].scope_spans[0]
        .spans
        .clone();
    spans.sort_by_key(|span| span.kind);
    let [request, first, second] = &*spans else {
        panic!("{spans:?}")
    };
    assert_eq!(
        (request.name.as_str(), request.kind()),
        ("chat gpt-4o-mini", SpanKind::Server)
    );
    assert_eq!(hex(&request.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(
        sent_upstream,
        format!("00-{}-{}-01", hex(&request.trace_id), hex(&request.span_id))
    );
    check(
        request,
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.request.model", "gpt-4o-mini"),
            ("gen_ai.usage.input_tokens", "812"),
            ("gen_ai.usage.output_tokens", "143"),
            ("http.response.status_code", "200"),
            ("tollgate.request.id", "req_1"),
            ("tollgate.org.id", "org_1"),
            ("tollgate.key.id", "key_1"),
            ("tollgate.cost_usd", "0.0002076"),
        ],
    );
    check_attempt(request, first, ["first", "503", "upstream_error"]);
    check_attempt(request, second, ["second", "200", "ok"]);
}

#[test]
fn a_failure_says_its_kind() {
    let (endpoint, received) = collector();
    let tracer = tracer(Some(endpoint), 1.0);
    let facts = SpanFacts {
        status: 504,
        error_code: Some("provider_timeout"),
        ..FACTS
    };
    tracer.begin(None).finish(
        &facts,
        [attempt("first", None, "upstream_error")].into_iter(),
    );
    tracer.stop();
    let spans = spans(&received);
    let kinds: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                attributes(&span.attributes)["error.type"].clone(),
                span.status.clone().unwrap().code(),
            )
        })
        .collect();
    let error = |kind: &str| (kind.to_owned(), StatusCode::Error);
    assert_eq!(kinds, [error("upstream_error"), error("provider_timeout")]);
}

#[test]
fn the_client_decides_whether_it_is_traced_and_else_the_ratio() {
    let (endpoint, received) = collector();
    for (parent, ratio, expected) in [
        (Some(PARENT), 0.0, 1),
        (Some(PARENT_NOT_SAMPLED), 1.0, 0),
        (None, 0.0, 0),
        (None, 1.0, 1),
        (Some("junk"), 1.0, 1),
    ] {
        let tracer = tracer(Some(endpoint.clone()), ratio);
        let span = tracer.begin(parent);
        assert_eq!(span.is_recording(), expected == 1, "{parent:?} {ratio}");
        let told = span.trace_parent().unwrap();
        assert!(
            told.ends_with(if expected == 1 { "-01" } else { "-00" }),
            "{told}"
        );
        span.finish(&FACTS, [].into_iter());
        tracer.stop();
        assert_eq!(spans(&received).len(), expected, "{parent:?} {ratio}");
    }
}

/// More spans than may wait: nobody is held up, and the end comes soon.
fn check_bad_collector(endpoint: String) {
    let tracer = tracer(Some(endpoint), 1.0);
    let began = Instant::now();
    for _ in 0..20_000 {
        tracer
            .begin(None)
            .finish(&FACTS, [attempt("first", Some(200), "ok")].into_iter());
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    let began = Instant::now();
    tracer.stop();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_collector_that_is_away_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    check_bad_collector(format!("http://{address}"));
}

#[test]
fn a_collector_that_never_answers_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    check_bad_collector(format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
}
