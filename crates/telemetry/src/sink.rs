//! A bounded buffer of log lines, which one thread writes out in batches.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::TelemetryError;

/// What waits at most; lines beyond it are dropped and counted.
const BUFFER_BYTES_MAX: usize = 8 << 20;

/// At this much the writer does not wait for more.
const BATCH_BYTES: usize = 64 << 10;

/// How long the writer waits for more lines.
const BATCH_WAIT: Duration = Duration::from_millis(50);

/// A buffer that has grown beyond this is given back after it was written.
const KEPT_BYTES_MAX: usize = 4 * BATCH_BYTES;

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    is_closed: bool,
    is_written: bool,
}

/// Where lines go. Nobody who pushes ever waits for the output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sink(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    buffer: Mutex<Buffer>,
    filled: Condvar,
    written: Condvar,
    dropped: AtomicU64,
}

impl Sink {
    /// Starts the thread that writes.
    pub(crate) fn start(out: impl Write + Send + 'static) -> Result<Self, TelemetryError> {
        let sink = Self::default();
        let writing = sink.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writing.write_to(out))
            .map_err(TelemetryError::Thread)?;
        Ok(sink)
    }

    /// Takes lines, or drops them when the buffer is full or closed.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut buffer = self.0.buffer.lock();
        let before = buffer.bytes.len();
        let after = before + lines.len();
        if buffer.is_closed || after > BUFFER_BYTES_MAX {
            drop(buffer);
            self.drop_lines(lines);
            return;
        }
        buffer.bytes.extend_from_slice(lines);
        drop(buffer);
        if before == 0 || (before < BATCH_BYTES && after >= BATCH_BYTES) {
            self.0.filled.notify_one();
        }
    }

    /// Returns how many lines were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Takes no more lines, and waits until those that are there are written, but no longer than `wait`.
    pub(crate) fn close(&self, wait: Duration) {
        let mut buffer = self.0.buffer.lock();
        buffer.is_closed = true;
        self.0.filled.notify_one();
        let _ = self
            .0
            .written
            .wait_while_for(&mut buffer, |buffer| !buffer.is_written, wait);
    }

    fn drop_lines(&self, lines: &[u8]) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        self.0.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let is_last = self.next_batch(&mut batch);
            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                self.drop_lines(&batch);
            }
            if is_last {
                break;
            }
            batch.clear();
            batch.shrink_to(KEPT_BYTES_MAX);
        }
        self.0.buffer.lock().is_written = true;
        self.0.written.notify_all();
    }

    /// Waits for lines, and a little for more of them; returns whether they are the last.
    fn next_batch(&self, batch: &mut Vec<u8>) -> bool {
        let mut buffer = self.0.buffer.lock();
        self.0.filled.wait_while(&mut buffer, |buffer| {
            buffer.bytes.is_empty() && !buffer.is_closed
        });
        let is_short = |buffer: &mut Buffer| buffer.bytes.len() < BATCH_BYTES && !buffer.is_closed;
        let _ = self
            .0
            .filled
            .wait_while_for(&mut buffer, is_short, BATCH_WAIT);
        std::mem::swap(batch, &mut buffer.bytes);
        buffer.is_closed
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;

    use super::*;

    /// Keeps what is written to it.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Nobody reads it, until the channel's other end is gone.
    struct Stuck(std::sync::mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn every_line_is_written_in_its_order_before_it_is_closed() {
        let page = Page::default();
        let sink = Sink::start(page.clone()).unwrap();
        (0..50_000).for_each(|at| sink.push(format!("line {at}\n").as_bytes()));
        sink.close(LONG);
        assert_eq!(sink.dropped(), 0);
        let text = page.text();
        let expected: Vec<_> = (0..50_000).map(|at| format!("line {at}")).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn lines_beyond_the_bound_and_after_the_end_are_dropped_and_counted() {
        let sink = Sink::default();
        let mut line = vec![b'x'; 1 << 20];
        line.push(b'\n');
        (0..10).for_each(|_| sink.push(&line));
        assert_eq!(sink.dropped(), 3);
        sink.close(Duration::ZERO);
        sink.push(b"late\n");
        assert_eq!(sink.dropped(), 4);
    }

    #[test]
    fn an_output_that_nobody_reads_holds_nobody_up() {
        let (unstick, stuck) = std::sync::mpsc::channel();
        let sink = Sink::start(Stuck(stuck)).unwrap();
        (0..1_000).for_each(|_| sink.push(b"line\n"));
        sink.close(Duration::from_millis(10));
        drop(unstick);
        sink.close(LONG);
        assert_eq!(
            sink.dropped(),
            1_000,
            "what could not be written is counted"
        );
    }
}
