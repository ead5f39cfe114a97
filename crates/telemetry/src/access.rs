//! One line per request.

use std::time::SystemTime;

use crate::json_line::{JsonLine, rfc3339};
use crate::logs::{LogFormat, LogGuard, Sink};

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

/// Writes the line of each request straight into the log's buffer.
#[derive(Debug, Clone)]
pub struct AccessLog {
    sink: Sink,
    format: LogFormat,
}

impl AccessLog {
    /// Writes to the process's log.
    #[must_use]
    pub fn new(logs: &LogGuard) -> Self {
        Self {
            sink: logs.sink.clone(),
            format: logs.format,
        }
    }

    /// Returns how many log lines were dropped because the buffer was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    /// Writes one line.
    pub fn write(&self, record: &AccessRecord<'_>) {
        let line = match self.format {
            LogFormat::Json => json(record),
            LogFormat::Pretty => pretty(record),
        };
        self.sink.push(line.as_bytes());
    }
}

fn now_micros() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn json(record: &AccessRecord<'_>) -> String {
    let mut line = JsonLine::new();
    line.string("timestamp", &rfc3339(now_micros()));
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
    line.optional("model", record.model);
    line.optional("provider", record.provider);
    line.number("attempts", record.attempts);
    line.boolean("stream", record.is_stream);
    line.number("input_tokens", record.input_tokens);
    line.number("output_tokens", record.output_tokens);
    line.optional("cost_usd", record.cost_usd);
    line.optional("state", record.state);
    line.optional("error.code", record.error_code);
    line.optional("client.ip", record.client_ip);
    line.end()
}

fn pretty(record: &AccessRecord<'_>) -> String {
    let time = rfc3339(now_micros());
    let clean = |text: Option<&str>| -> String {
        text.unwrap_or("-")
            .chars()
            .filter(|c| !c.is_control())
            .collect()
    };
    format!(
        "{}  INFO {} {} {} {} {}.{:03} ms {}+{} tokens ${} {}\n",
        time,
        record.method,
        record.route,
        record.status,
        clean(record.model),
        record.duration_us / 1_000,
        record.duration_us % 1_000,
        record.input_tokens,
        record.output_tokens,
        clean(record.cost_usd),
        clean(record.error_code.or(record.state)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_is_known_and_nothing_else() {
        let line = json(&AccessRecord {
            request_id: "req_1",
            method: "POST",
            route: "/v1/chat/completions",
            status: 200,
            model: Some("m\n"),
            ..AccessRecord::default()
        });
        assert!(line.contains("\"http.status\":200"));
        assert!(line.contains("\"model\":\"m\\u000a\""));
        assert!(!line.contains("provider") && !line.contains("error.code"));
        assert!(line.ends_with("}\n"));
    }
}
