//! Server-sent events: where they end, and what their fields say.
//! Source: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;

/// Finds the ends of events in bytes that arrive piecemeal, looking at each byte once.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    event_start: usize,
    line_start: usize,
    looked_at: usize,
}

impl Splitter {
    /// Returns the next event that is whole, with the blank line that ends it.
    ///
    /// A carriage return at the very end waits for the next byte, which may belong to it. Only two
    /// in a row, which no line feed can have come between, end an event at once.
    pub(super) fn next_event(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        while let Some(found) = memchr2(b'\n', b'\r', bytes.get(self.looked_at..)?) {
            let at = self.looked_at + found;
            let is_blank = at == self.line_start;
            let byte = |at: usize| bytes.get(at).copied();
            let follows_return = at > self.event_start && byte(at - 1) == Some(b'\r');
            let next_line = match (byte(at), byte(at + 1)) {
                (Some(b'\n'), _) => at + 1,
                _ if is_blank && follows_return => at + 1,
                (_, Some(b'\n')) => at + 2,
                (_, Some(_)) => at + 1,
                (_, None) => {
                    self.looked_at = at;
                    return None;
                }
            };
            self.looked_at = next_line;
            self.line_start = next_line;
            if is_blank {
                let start = std::mem::replace(&mut self.event_start, next_line);
                return Some(start..next_line);
            }
        }
        self.looked_at = bytes.len();
        None
    }

    /// Notes that the first bytes, up to where an event ended, are gone.
    pub(super) fn forget(&mut self, count: usize) {
        self.event_start -= count;
        self.line_start -= count;
        self.looked_at -= count;
    }
}

/// The fields of an event that matter here.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    /// The data, its lines joined; `None` when there is none or it is empty.
    pub(super) data: Option<Cow<'a, [u8]>>,
    /// Whether the event is named `error`.
    pub(super) is_error: bool,
}

impl<'a> Fields<'a> {
    /// Reads an event; the first one of a stream may begin with a byte order mark.
    pub(super) fn read(event: &'a [u8], is_first: bool) -> Self {
        let mark: &[u8] = if is_first { b"\xEF\xBB\xBF" } else { b"" };
        let event = event.strip_prefix(mark).unwrap_or(event);
        let mut fields = Self::default();
        let mut rest = event;
        while !rest.is_empty() {
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            // The line feed of a pair makes an empty line, which says nothing.
            rest = after.get(1..).unwrap_or_default();
            fields.line(line);
        }
        fields.data = fields.data.filter(|data| !data.is_empty());
        fields
    }

    fn line(&mut self, line: &'a [u8]) {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => match &mut self.data {
                Some(data) => {
                    let data = data.to_mut();
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(Cow::Borrowed(value)),
            },
            b"event" => self.is_error = value == b"error",
            _ => {}
        }
    }

    /// Returns whether this is the event that ends a stream.
    pub(super) fn is_done(&self) -> bool {
        self.data
            .as_ref()
            .is_some_and(|data| data.trim_ascii() == b"[DONE]")
    }
}
