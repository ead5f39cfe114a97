//! Writes `tracing` events as lines.

use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::json_line::{JsonLine, push_escaped, push_rfc3339};
use crate::logs::LogFormat;
use crate::redact::redact;
use crate::sink::Sink;

/// Each value is cut to this, so that no event can flood the log.
const VALUE_BYTES_MAX: usize = 2_048;

/// Writes each event into the sink: secrets masked, control characters escaped, every value bounded.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) sink: Sink,
    pub(crate) format: LogFormat,
}

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut values = Values::default();
        event.record(&mut values);
        let mut line = String::with_capacity(256);
        match self.format {
            LogFormat::Json => json(&mut line, event, &values),
            LogFormat::Pretty => pretty(&mut line, event, &values),
        }
        self.sink.push(line.as_bytes());
    }
}

fn json(line: &mut String, event: &Event<'_>, values: &Values) {
    let mut line = JsonLine::begin(line);
    line.time("timestamp", SystemTime::now());
    line.string("level", event.metadata().level().as_str());
    line.string("message", &values.message);
    for (name, value) in &values.fields {
        match value {
            Value::Bare(value) => line.bare(name, value),
            Value::Text(value) => line.string(name, value),
        }
    }
    line.string("target", event.metadata().target());
    line.end();
}

fn pretty(line: &mut String, event: &Event<'_>, values: &Values) {
    push_rfc3339(line, SystemTime::now());
    let metadata = event.metadata();
    // Writing to a string cannot fail, here and below.
    let _ = write!(line, " {:>5} {}: ", metadata.level(), metadata.target());
    push_escaped(line, &values.message);
    for (name, value) in &values.fields {
        let _ = write!(line, " {name}=");
        match value {
            Value::Bare(value) => line.push_str(value),
            Value::Text(value) => {
                line.push('"');
                push_escaped(line, value);
                line.push('"');
            }
        }
    }
    line.push('\n');
}

/// A value as it is written.
#[derive(Debug)]
enum Value {
    /// Valid JSON as it stands: a number or a boolean.
    Bare(String),
    Text(String),
}

/// The values of one event.
#[derive(Debug, Default)]
struct Values {
    message: String,
    fields: Vec<(String, Value)>,
}

impl Values {
    fn bare(&mut self, field: &Field, value: &dyn ToString) {
        self.fields
            .push((key(field), Value::Bare(value.to_string())));
    }

    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // More than is kept, so that a secret across the cut is still whole when it is looked for.
        let mut text = Bounded {
            text: String::new(),
            bytes_max: 2 * VALUE_BYTES_MAX,
        };
        // The error only says that the bound was reached.
        let _ = text.write_fmt(value);
        let mut text = redact(&text.text).into_owned();
        if text.len() > VALUE_BYTES_MAX {
            text.truncate(text.floor_char_boundary(VALUE_BYTES_MAX));
            text.push('…');
        }
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.push((key(field), Value::Text(text)));
        }
    }
}

/// The name of a field, which may be any literal; one that the line itself has is prefixed.
fn key(field: &Field) -> String {
    let name = field.name().trim_start_matches("r#");
    let is_taken = matches!(name, "timestamp" | "level" | "target" | "message");
    let mut key = String::from(if is_taken { "field." } else { "" });
    push_escaped(&mut key, name);
    key
}

impl Visit for Values {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.bare(field, &value);
        } else {
            self.text(field, format_args!("{value}"));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    /// With its causes: what went wrong mostly stands in the last.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, format_args!("{}", Causes(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, format_args!("{value:?}"));
    }
}

struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        // A chain that is longer than this is a circle.
        for _ in 0..16 {
            let Some(error) = cause else { break };
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Takes so much text, and then no more.
struct Bounded {
    text: String,
    bytes_max: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.bytes_max.saturating_sub(self.text.len());
        let taken = part.floor_char_boundary(room);
        self.text.push_str(part.get(..taken).unwrap_or_default());
        if taken < part.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}
