//! Streams of server-sent events, as they come in chunks.

mod chunk;
mod event;

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use tollgate_domain::{ErrorKind, Usage};

use self::chunk::ChunkFacts;
use self::event::{Fields, Splitter};
use crate::usage::Reported;

/// The longest event that is read.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// One event is longer than 1 MiB.
    #[error("an event of the stream is longer than {bytes_max} bytes")]
    TooLarge {
        /// How long it may be.
        bytes_max: usize,
    },
    /// The data of an event is not a JSON object.
    #[error("an event of the stream is not a JSON object")]
    NotJson,
}

impl StreamError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Upstream
    }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The provider said that it is done, or gave every choice a reason why it ends.
    Complete,
    /// It broke off, or ended with an error.
    Cut,
}

/// Reads a provider's stream of chat completion chunks: says what may be forwarded, and notes what
/// was used and whether it came to its end.
///
/// Whatever the chunks are that the stream comes in, the events are the same. Only whole events are
/// given out, as a slice of the chunk where that is possible. The final `[DONE]` is held back, so that
/// the books can be closed before the last byte leaves, and so is the event that holds nothing but
/// usage if it was asked for on the client's behalf.
pub struct StreamDecoder {
    strip_usage: bool,
    /// The beginning of an event whose end has not come yet.
    partial: BytesMut,
    splitter: Splitter,
    is_first_event: bool,
    usage: Option<Usage>,
    usage_invalid: bool,
    error_seen: bool,
    done: Option<Bytes>,
    failed: Option<StreamError>,
    has_content: bool,
    answer_bytes: u64,
    /// The choices that were seen and those that have ended, one bit for each index below 128.
    seen: u128,
    finished: u128,
}

impl fmt::Debug for StreamDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamDecoder")
            .field("usage", &self.usage)
            .field("is_done", &self.is_done())
            .field("error_seen", &self.error_seen)
            .field("answer_bytes", &self.answer_bytes)
            .finish_non_exhaustive()
    }
}

impl StreamDecoder {
    /// Begins a stream; `strip_usage` keeps the event that holds nothing but usage from the client.
    #[must_use]
    pub fn new(strip_usage: bool) -> Self {
        Self {
            strip_usage,
            partial: BytesMut::new(),
            splitter: Splitter::default(),
            is_first_event: true,
            usage: None,
            usage_invalid: false,
            error_seen: false,
            done: None,
            failed: None,
            has_content: false,
            answer_bytes: 0,
            seen: 0,
            finished: 0,
        }
    }

    /// Takes the next chunk and returns the events that may be forwarded now; there may be none.
    ///
    /// # Errors
    /// When an event is longer than 1 MiB or is not a JSON object. Nothing can be read after that: the
    /// error is repeated.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, StreamError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let pushed = self.push_next(chunk);
        self.failed = pushed.as_ref().err().copied();
        pushed
    }

    fn push_next(&mut self, chunk: Bytes) -> Result<Bytes, StreamError> {
        if self.partial.is_empty() {
            let (ready, rest) = self.take_events(&chunk)?;
            self.partial
                .extend_from_slice(chunk.get(rest..).unwrap_or_default());
            return Ok(ready.of(chunk));
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(&chunk);
        let (ready, rest) = self.take_events(&joined)?;
        if rest == 0 {
            self.partial = joined;
            return Ok(Bytes::new());
        }
        self.partial = joined.split_off(rest);
        Ok(ready.of(joined.freeze()))
    }

    /// Ends the stream: nothing more comes.
    pub fn end(&mut self) -> StreamEnd {
        let partial = std::mem::take(&mut self.partial);
        let fields = Fields::read(&partial, self.is_first_event);
        // The last event may lack its blank line, which makes a difference only for content.
        if fields.is_done() {
            self.done.get_or_insert(DONE);
        }
        let is_whole = self.done.is_some()
            || (self.seen != 0 && self.seen == self.finished && fields.data.is_none());
        if is_whole && !self.error_seen && self.failed.is_none() {
            StreamEnd::Complete
        } else {
            StreamEnd::Cut
        }
    }

    /// Returns what the provider said was used, the last time it did.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Returns whether the provider gave figures that cannot be, which are left out.
    #[must_use]
    pub const fn usage_invalid(&self) -> bool {
        self.usage_invalid
    }

    /// Returns whether the provider said that it is done, and not before that it failed.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.done.is_some() && !self.error_seen
    }

    /// Returns whether there was anything for the client to read: text, a tool call, or an event of
    /// another kind. The opening event that only names the role does not count.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        self.has_content
    }

    /// Returns the bytes that the model wrote so far, to estimate from when the provider does not say
    /// what was used.
    #[must_use]
    pub const fn answer_bytes(&self) -> u64 {
        self.answer_bytes
    }

    /// Returns how many choices have ended, each with its `finish_reason`.
    #[must_use]
    pub const fn finished_choices(&self) -> u32 {
        self.finished.count_ones()
    }

    /// Returns whether the provider reported an error within the stream.
    #[must_use]
    pub const fn error_seen(&self) -> bool {
        self.error_seen
    }

    /// Returns the event to send last: the `[DONE]` that was held back, or one like it.
    #[must_use]
    pub fn done_event(&self) -> Bytes {
        self.done.clone().unwrap_or(DONE)
    }

    /// Looks at all whole events at the start of these bytes. Returns those to forward and where what
    /// follows them begins.
    fn take_events(&mut self, bytes: &[u8]) -> Result<(Ready, usize), StreamError> {
        let mut ready = Ready::default();
        let mut taken = 0;
        while let Some(event) = self.splitter.next_event(bytes) {
            taken = event.end;
            if event.len() > EVENT_BYTES_MAX {
                return Err(StreamError::TooLarge {
                    bytes_max: EVENT_BYTES_MAX,
                });
            }
            if self.is_forwarded(bytes.get(event.clone()).unwrap_or_default())? {
                ready.add(bytes, event);
            }
        }
        if bytes.len() - taken > EVENT_BYTES_MAX {
            return Err(StreamError::TooLarge {
                bytes_max: EVENT_BYTES_MAX,
            });
        }
        self.splitter.forget(taken);
        Ok((ready, taken))
    }

    /// Notes what an event says, and whether it is for the client.
    fn is_forwarded(&mut self, event: &[u8]) -> Result<bool, StreamError> {
        if self.done.is_some() {
            return Ok(false);
        }
        let fields = Fields::read(event, std::mem::take(&mut self.is_first_event));
        if fields.is_done() {
            self.done = Some(Bytes::copy_from_slice(event));
            return Ok(false);
        }
        self.error_seen |= fields.is_error;
        let Some(data) = fields.data else {
            return Ok(true);
        };
        let facts = match ChunkFacts::glance(&data) {
            Some(facts) => facts,
            None => ChunkFacts::read(&data).map_err(|_| StreamError::NotJson)?,
        };
        Ok(!self.note(&facts) || !self.strip_usage)
    }

    /// Notes what a chunk says and returns whether it holds nothing but usage.
    fn note(&mut self, facts: &ChunkFacts) -> bool {
        match facts.usage {
            Reported::Usage(usage) => self.usage = Some(usage),
            Reported::Invalid => self.usage_invalid = true,
            Reported::Nothing => {}
        }
        self.error_seen |= facts.has_error;
        self.answer_bytes = self.answer_bytes.saturating_add(facts.answer_bytes);
        self.has_content |= facts.has_content;
        self.seen |= facts.seen;
        self.finished |= facts.finished;
        facts.is_usage_only()
    }
}

/// Events to forward: where they are, and a copy of those before a gap.
#[derive(Debug, Default)]
struct Ready {
    run: Range<usize>,
    before: Vec<u8>,
}

impl Ready {
    fn add(&mut self, bytes: &[u8], event: Range<usize>) {
        if self.run.end == event.start {
            self.run.end = event.end;
        } else {
            let run = std::mem::replace(&mut self.run, event);
            self.before
                .extend_from_slice(bytes.get(run).unwrap_or_default());
        }
    }

    fn of(mut self, bytes: Bytes) -> Bytes {
        if self.run == (0..bytes.len()) {
            return bytes;
        }
        if self.before.is_empty() {
            return bytes.slice(self.run);
        }
        self.before
            .extend_from_slice(bytes.get(self.run).unwrap_or_default());
        self.before.into()
    }
}

#[cfg(test)]
mod tests;
