//! Where the process's log lines go, and which of them.

use std::io::{self, Write};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Level};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Registry};

use crate::error::TelemetryError;
use crate::events::Events;
use crate::sink::Sink;

/// What libraries may log; ours log at the level that was set.
const QUIET: &str = "async_openai=off,hyper=warn,h2=warn,reqwest=warn,rustls=warn,opentelemetry=warn,\
                     actix_server=warn,actix_web=warn";

/// How long the end waits for whoever reads the log.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// A JSON object per line.
    #[default]
    Json,
    /// For people.
    Pretty,
}

/// How logs are written.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or a filter such as `info,tollgate_ledger=debug`. The lines of requests have the
    /// target `access` and the level `info`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: "info".to_owned(),
        }
    }
}

/// Writes out what is left when it is dropped, unless nobody reads it for two seconds.
#[derive(Debug)]
#[must_use = "logs end when this is dropped"]
pub struct LogGuard {
    pub(crate) sink: Sink,
    pub(crate) format: LogFormat,
    pub(crate) has_access_lines: bool,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.sink.close(LAST_WAIT);
    }
}

/// Sets up logs for the process: to standard output, in batches, with secrets masked. Panics are
/// logged by their place, without what they say.
///
/// # Errors
/// When the level cannot be read, or logs were set up before.
pub fn init_logs(config: &LogConfig) -> Result<LogGuard, TelemetryError> {
    init_logs_to(config, io::stdout())
}

/// Does what [`init_logs`] does, with another output.
///
/// # Errors
/// When the level cannot be read, or logs were set up before.
pub fn init_logs_to(
    config: &LogConfig,
    out: impl Write + Send + 'static,
) -> Result<LogGuard, TelemetryError> {
    let (dispatch, guard) = build(config, out)?;
    tracing::dispatcher::set_global_default(dispatch)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        tracing::error!(place, thread, "a defect: a thread panicked");
    }));
    Ok(guard)
}

fn build(
    config: &LogConfig,
    out: impl Write + Send + 'static,
) -> Result<(Dispatch, LogGuard), TelemetryError> {
    let filter = filter(&config.level)?;
    let sink = Sink::start(out)?;
    let events = Events {
        sink: sink.clone(),
        format: config.format,
    };
    let dispatch = Dispatch::new(Registry::default().with(filter).with(events));
    let has_access_lines = tracing::dispatcher::with_default(
        &dispatch,
        || tracing::enabled!(target: "access", Level::INFO),
    );
    Ok((
        dispatch,
        LogGuard {
            sink,
            format: config.format,
            has_access_lines,
        },
    ))
}

/// Reads a filter. A word that is no level would pass for the name of a module, and silence all others.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let mut directives = QUIET.to_owned();
    for part in level.split(',').map(str::trim) {
        let is_level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        if !is_level && !part.contains('=') {
            return Err(TelemetryError::Level(part.to_owned()));
        }
        directives.push(',');
        directives.push_str(part);
    }
    Ok(EnvFilter::try_new(directives)?)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::Value;

    use super::*;
    use crate::sink::tests::Page;
    use crate::{AccessLog, AccessRecord};

    /// What is in the log after some events.
    fn logged(format: LogFormat, level: &str, events: impl FnOnce(&LogGuard)) -> Vec<String> {
        let page = Page::default();
        let config = LogConfig {
            format,
            level: level.to_owned(),
        };
        let (dispatch, guard) = build(&config, page.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || events(&guard));
        drop(guard);
        page.text().lines().map(ToOwned::to_owned).collect()
    }

    fn one_object(events: impl FnOnce(&LogGuard)) -> Value {
        let lines = logged(LogFormat::Json, "info", events);
        assert_eq!(lines.len(), 1, "{lines:?}");
        serde_json::from_str(&lines[0]).unwrap()
    }

    #[test]
    fn an_event_is_an_object_with_its_fields() {
        let nan = f64::NAN;
        let mut line = one_object(|_| {
            tracing::warn!(
                count = 7, left = -1_i64, share = 0.5, nan, is_late = true, key.id = "key_1", list = ?[1],
                level = "mine", "a \"name\"" = 1, "a message with {}", "words"
            );
        });
        let time = line["timestamp"].take();
        let parsed = time.as_str().unwrap();
        assert!(
            parsed.starts_with("20") && parsed.ends_with('Z'),
            "{parsed}"
        );
        let expected = serde_json::json!({
            "timestamp": null, "level": "WARN", "message": "a message with words", "count": 7, "left": -1,
            "share": 0.5, "nan": "NaN", "is_late": true, "key.id": "key_1", "list": "[1]",
            "field.level": "mine", "a \"name\"": 1, "target": "tollgate_telemetry::logs::tests",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn secrets_are_masked_in_messages_and_fields() {
        let key = "tg_live_abcdefgh_0123456789abcdef";
        let line = one_object(|_| tracing::info!(key, list = ?[key, "x"], "got {key}"));
        assert!(!line.to_string().contains(key), "{line}");
        assert_eq!(line["message"], "got [redacted]");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the store failed")]
        struct Store(#[source] io::Error);
        let error = Store(io::Error::other("disk on fire"));
        let line = one_object(|_| {
            tracing::error!(error = &error as &dyn std::error::Error, "no answer");
        });
        assert_eq!(line["error"], "the store failed: disk on fire");
    }

    #[test]
    fn no_event_floods_the_log_and_no_secret_survives_the_cut() {
        let key = "tg_live_abcdefgh_0123456789abcdef";
        for before in 1_990..2_060 {
            let text = format!("{} {key} {}", "x".repeat(before), "é".repeat(10_000));
            let line = one_object(|_| tracing::info!(text, "long"));
            let kept = line["text"].as_str().unwrap();
            assert!(kept.len() < 2_060 && kept.ends_with('…'));
            assert!(!kept.contains("tg_live"), "{}", &kept[1_980..]);
        }
    }

    #[test]
    fn nobody_forges_a_line() {
        let events = |_: &LogGuard| {
            let evil = "x\n2026-01-01T00:00:00Z INFO all is well\u{1b}[2J";
            tracing::info!(evil, "{evil}");
        };
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let lines = logged(format, "info", events);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(!lines[0].contains('\u{1b}'));
        }
    }

    #[test]
    fn the_filter_says_what_is_logged() {
        let events = |_: &LogGuard| {
            tracing::info!("one");
            tracing::debug!(target: "tollgate_ledger", "two");
            tracing::info!(target: "hyper", "library");
            tracing::error!(target: "async_openai", "prompt");
        };
        let count = |level: &str| logged(LogFormat::Pretty, level, events).len();
        assert_eq!(
            ["info", "info,tollgate_ledger=debug", "warn", "off", "debug"].map(count),
            [1, 2, 0, 0, 2]
        );
    }

    #[test]
    fn lines_of_requests_are_information() {
        let write = |guard: &LogGuard| AccessLog::new(guard).write(&AccessRecord::default());
        for (level, expected) in [
            ("info", 1),
            ("warn", 0),
            ("info,access=off", 0),
            ("off,access=info", 1),
        ] {
            assert_eq!(
                logged(LogFormat::Json, level, write).len(),
                expected,
                "{level}"
            );
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_an_error() {
        for level in ["inof", "", "info,", "debug,ledger"] {
            assert!(
                matches!(filter(level), Err(TelemetryError::Level(_))),
                "{level}"
            );
        }
        assert!(matches!(filter("a=wrong"), Err(TelemetryError::Filter(_))));
        assert!(filter("info, a::b=trace").is_ok());
    }

    #[test]
    fn the_time_of_a_line_is_now() {
        let before = SystemTime::now();
        let line = one_object(|_| tracing::info!("now"));
        let mut expected = String::new();
        crate::json_line::push_rfc3339(&mut expected, before);
        let time = line["timestamp"].as_str().unwrap();
        assert!(time >= expected.as_str(), "{time} {expected}");
    }
}
