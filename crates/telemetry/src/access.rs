//! One line per request.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::SystemTime;

use crate::json_line::{JsonLine, push_escaped, push_rfc3339};
use crate::logs::{LogFormat, LogGuard};
use crate::redact::redact;
use crate::sink::Sink;

/// Model names are cut to this: with a pattern of models, clients choose them.
const MODEL_BYTES_MAX: usize = 128;

/// What is logged of a request: never its content or its credential.
#[derive(Debug, Clone, Default)]
pub struct AccessRecord<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The trace it belongs to.
    pub trace_id: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The route, not the path as it was sent.
    pub route: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// From its beginning to its end.
    pub duration_us: u64,
    /// How much of that was the gateway's own.
    pub overhead_us: u64,
    /// Whose it was.
    pub org_id: Option<&'a str>,
    /// The API key's id.
    pub key_id: Option<&'a str>,
    /// The public part of the API key that was shown, be it valid or not.
    pub public_id: Option<&'a str>,
    /// The model that was asked for.
    pub model: Option<&'a str>,
    /// The provider that answered last.
    pub provider: Option<&'a str>,
    /// Upstream calls.
    pub attempts: u64,
    /// Whether it was a stream.
    pub is_stream: bool,
    /// Prompt tokens, all kinds.
    pub input_tokens: u64,
    /// Answer tokens, all kinds.
    pub output_tokens: u64,
    /// What it cost in US dollars.
    pub cost_usd: Option<&'a str>,
    /// How the last upstream call ended.
    pub state: Option<&'a str>,
    /// The code of the error.
    pub error_code: Option<&'a str>,
    /// Where it came from.
    pub client_ip: Option<&'a str>,
}

/// Writes the line of each request straight into the log's buffer, at the level of information.
#[derive(Debug, Clone)]
pub struct AccessLog {
    sink: Sink,
    format: LogFormat,
    is_on: bool,
}

thread_local! {
    /// So that a line costs no allocation.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl AccessLog {
    /// Writes to the process's log.
    #[must_use]
    pub fn new(logs: &LogGuard) -> Self {
        Self {
            sink: logs.sink.clone(),
            format: logs.format,
            is_on: logs.has_access_lines,
        }
    }

    /// Returns how many log lines were dropped because nobody read them fast enough.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// Writes one line.
    pub fn write(&self, record: &AccessRecord<'_>) {
        if !self.is_on {
            return;
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            match self.format {
                LogFormat::Json => json(line, record, SystemTime::now()),
                LogFormat::Pretty => pretty(line, record, SystemTime::now()),
            }
            self.sink.push(line.as_bytes());
        });
    }
}

/// The model's name as it may be written.
fn model_name<'a>(record: &AccessRecord<'a>) -> Option<std::borrow::Cow<'a, str>> {
    let model = record.model?;
    Some(redact(
        model
            .get(..model.floor_char_boundary(MODEL_BYTES_MAX))
            .unwrap_or_default(),
    ))
}

fn json(line: &mut String, record: &AccessRecord<'_>, now: SystemTime) {
    let mut line = JsonLine::begin(line);
    line.time("timestamp", now);
    line.string("level", "INFO");
    line.string("message", "request");
    line.string("request.id", record.request_id);
    line.optional("trace.id", record.trace_id);
    line.string("http.method", record.method);
    line.string("http.route", record.route);
    line.number("http.status", u64::from(record.status));
    line.number("duration_us", record.duration_us);
    line.number("overhead_us", record.overhead_us);
    line.optional("org.id", record.org_id);
    line.optional("key.id", record.key_id);
    line.optional("key.public_id", record.public_id);
    line.optional("model", model_name(record).as_deref());
    line.optional("provider", record.provider);
    line.number("attempts", record.attempts);
    line.boolean("stream", record.is_stream);
    line.number("input_tokens", record.input_tokens);
    line.number("output_tokens", record.output_tokens);
    line.optional("cost_usd", record.cost_usd);
    line.optional("state", record.state);
    line.optional("error.code", record.error_code);
    line.optional("client.ip", record.client_ip);
    line.end();
}

fn pretty(line: &mut String, record: &AccessRecord<'_>, now: SystemTime) {
    push_rfc3339(line, now);
    let model = model_name(record);
    for word in [
        "  INFO",
        record.method,
        record.route,
        model.as_deref().unwrap_or("-"),
    ] {
        line.push(' ');
        push_escaped(line, word);
    }
    let (millis, micros) = (record.duration_us / 1_000, record.duration_us % 1_000);
    // Writing to a string cannot fail.
    let _ = write!(
        line,
        " {} {millis}.{micros:03} ms {}+{} tokens ${} {} {}",
        record.status,
        record.input_tokens,
        record.output_tokens,
        record.cost_usd.unwrap_or("0"),
        record.error_code.or(record.state).unwrap_or("-"),
        record.request_id,
    );
    line.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json as value};

    fn record<'a>(model: &'a str) -> AccessRecord<'a> {
        AccessRecord {
            request_id: "req_1",
            method: "POST",
            route: "/v1/chat/completions",
            status: 200,
            duration_us: 12_034,
            model: Some(model),
            is_stream: true,
            ..AccessRecord::default()
        }
    }

    #[test]
    fn a_line_holds_what_is_known_and_nothing_else() {
        let mut line = String::new();
        json(&mut line, &record("m\n"), SystemTime::UNIX_EPOCH);
        let read: Value = serde_json::from_str(&line).unwrap();
        let expected = value!({
            "timestamp": "1970-01-01T00:00:00.000000Z", "level": "INFO", "message": "request",
            "request.id": "req_1", "http.method": "POST", "http.route": "/v1/chat/completions",
            "http.status": 200, "duration_us": 12_034, "overhead_us": 0, "model": "m\n", "attempts": 0,
            "stream": true, "input_tokens": 0, "output_tokens": 0,
        });
        assert_eq!(read, expected);
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn a_line_for_people_is_one_line() {
        let mut line = String::new();
        pretty(&mut line, &record("m\n\u{1b}[31m"), SystemTime::UNIX_EPOCH);
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000000Z   INFO POST /v1/chat/completions m\\n\\u001b[31m 200 12.034 ms \
             0+0 tokens $0 - req_1\n"
        );
    }

    #[test]
    fn names_that_clients_choose_are_cut_and_masked() {
        let secret = "sk-abcdefghijklmnopqrstu";
        let long = "é".repeat(10_000);
        for (model, expected) in [(secret, "[redacted]"), (&long, &*"é".repeat(64))] {
            assert_eq!(model_name(&record(model)).as_deref(), Some(expected));
        }
    }
}
