//! Log lines go into a bounded buffer, which one thread writes out in batches.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::TelemetryError;
use crate::redact::redact;

/// What the buffer holds at most; lines beyond it are dropped and counted.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// At this much the writer does not wait for more.
const BATCH_BYTES: usize = 64 << 10;

/// How long the writer waits for more lines.
const BATCH_WAIT: Duration = Duration::from_millis(25);

/// What libraries may log; ours log at the level that was set.
const QUIET: &str = "async_openai=off,hyper=warn,h2=warn,reqwest=warn,rustls=warn,opentelemetry=warn,\
                     opentelemetry_sdk=warn,opentelemetry-otlp=warn,actix_server=warn,actix_web=warn";

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
#[derive(Debug, Clone, Default)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or a filter such as `info,tollgate_ledger=debug`.
    pub level: String,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    is_closed: bool,
}

/// Where lines go.
#[derive(Debug, Clone)]
pub(crate) struct Sink(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    buffer: Mutex<Buffer>,
    filled: Condvar,
    dropped: AtomicU64,
}

impl Sink {
    pub(crate) fn push(&self, line: &[u8]) {
        let mut buffer = self.0.buffer.lock();
        let before = buffer.bytes.len();
        if before + line.len() > BUFFER_BYTES_MAX {
            drop(buffer);
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        buffer.bytes.extend_from_slice(line);
        let is_due = before == 0 || (before < BATCH_BYTES && before + line.len() >= BATCH_BYTES);
        drop(buffer);
        if is_due {
            self.0.filled.notify_one();
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Writes batches until closed and empty.
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut buffer = self.0.buffer.lock();
            while buffer.bytes.is_empty() && !buffer.is_closed {
                self.0.filled.wait(&mut buffer);
            }
            if buffer.bytes.len() < BATCH_BYTES && !buffer.is_closed {
                let _ = self.0.filled.wait_for(&mut buffer, BATCH_WAIT);
            }
            let is_closed = buffer.is_closed;
            std::mem::swap(&mut batch, &mut buffer.bytes);
            drop(buffer);
            // Nobody can be told that nobody listens.
            let _ = out.write_all(&batch).and_then(|()| out.flush());
            if batch.capacity() > 4 * BATCH_BYTES {
                batch = Vec::new();
            }
            if is_closed && batch.is_empty() {
                return;
            }
            batch.clear();
            if is_closed && self.0.buffer.lock().bytes.is_empty() {
                return;
            }
        }
    }

    fn close(&self) {
        self.0.buffer.lock().is_closed = true;
        self.0.filled.notify_one();
    }
}

/// Writes out what is left when it is dropped.
#[derive(Debug)]
pub struct LogGuard {
    pub(crate) sink: Sink,
    pub(crate) format: LogFormat,
    thread: Option<JoinHandle<()>>,
}

impl LogGuard {
    fn start(format: LogFormat, out: impl Write + Send + 'static) -> Result<Self, TelemetryError> {
        let sink = Sink(Arc::default());
        let writing = sink.clone();
        let thread = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writing.write_to(out))
            .map_err(TelemetryError::Thread)?;
        Ok(Self {
            sink,
            format,
            thread: Some(thread),
        })
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.sink.close();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

/// Sets up logs for the process: to standard output, in batches, with secrets masked. Panics are
/// logged by their place, without what they say.
///
/// # Errors
/// When the level cannot be read, or logs were set up before.
pub fn init_logs(config: &LogConfig) -> Result<LogGuard, TelemetryError> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.level))?;
    let guard = LogGuard::start(config.format, io::stdout())?;
    let lines = Lines(guard.sink.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(lines);
    match config.format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .finish()
            .try_init()?,
        LogFormat::Pretty => builder
            .compact()
            .with_target(false)
            .with_ansi(false)
            .finish()
            .try_init()?,
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "a defect: a thread panicked");
    }));
    Ok(guard)
}

/// Hands each event's line to the sink, with secrets masked.
#[derive(Debug, Clone)]
struct Lines(Sink);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .push(redact(&String::from_utf8_lossy(line)).as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_before_the_guard_is_gone() {
        let page = Page::default();
        let guard = LogGuard::start(LogFormat::Json, page.clone()).unwrap();
        for _ in 0..10_000 {
            guard.sink.push(b"a line\n");
        }
        assert_eq!(guard.sink.dropped(), 0);
        drop(guard);
        assert_eq!(page.0.lock().len(), 70_000);
    }

    #[test]
    fn lines_beyond_the_bound_are_dropped_and_counted() {
        let sink = Sink(Arc::default());
        let line = vec![b'x'; 1 << 20];
        (0..10).for_each(|_| sink.push(&line));
        assert_eq!(sink.dropped(), 2);
    }
}
