//! The body of an answer: what of the bytes that arrived belongs to it, and where it ends.
//!
//! Source: RFC 9112 sections 6 and 7.1 (chunks).

use bytes::{Buf, Bytes, BytesMut};

use super::{Framing, Malformed};

/// The longest line with the length of a chunk, its extensions included.
const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;

/// The most bytes of headers after the last chunk.
const TRAILER_BYTES_MAX: usize = 16 << 10;

/// What comes next of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These bytes.
    Data(Bytes),
    /// More has to arrive first.
    More,
    /// Nothing: it is whole.
    End,
}

/// A body as it is read.
#[derive(Debug)]
pub(crate) struct BodyDecoder {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes are still to come.
    Length(u64),
    /// The length of a chunk comes next.
    ChunkLine,
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    /// The end of line behind a chunk comes next.
    ChunkEnd,
    /// So many bytes of headers have come behind the last chunk.
    Trailers(usize),
    UntilClose,
    Done,
}

impl BodyDecoder {
    pub(crate) const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkLine,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Returns how many bytes are still to come, if that is known.
    pub(crate) const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(remaining) => Some(remaining),
            State::Done => Some(0),
            _ => None,
        }
    }

    #[cfg(test)]
    fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what comes next off the front of what has arrived.
    pub(crate) fn next(&mut self, arrived: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            let is_stuck = match self.state {
                State::Done => return Ok(Piece::End),
                State::Length(_) | State::Chunk(_) | State::UntilClose => {
                    return Ok(self.data(arrived));
                }
                State::ChunkLine => !self.chunk_line(arrived)?,
                State::ChunkEnd => !self.chunk_end(arrived)?,
                State::Trailers(seen) => !self.trailer(arrived, seen)?,
            };
            if is_stuck {
                return Ok(Piece::More);
            }
        }
    }

    /// Notes that the connection has ended.
    pub(crate) fn close(&mut self) -> Result<Piece, Malformed> {
        match self.state {
            State::UntilClose | State::Done => {
                self.state = State::Done;
                Ok(Piece::End)
            }
            _ => Err(Malformed("it ends before its body does")),
        }
    }

    fn data(&mut self, arrived: &mut BytesMut) -> Piece {
        if arrived.is_empty() {
            return Piece::More;
        }
        let take = |remaining: u64| match usize::try_from(remaining) {
            Ok(remaining) => remaining.min(arrived.len()),
            Err(_) => arrived.len(),
        };
        let taken = match self.state {
            State::Length(remaining) | State::Chunk(remaining) => take(remaining),
            _ => arrived.len(),
        };
        let left = |remaining: u64| remaining - taken as u64;
        self.state = match self.state {
            State::Length(remaining) if left(remaining) == 0 => State::Done,
            State::Length(remaining) => State::Length(left(remaining)),
            State::Chunk(remaining) if left(remaining) == 0 => State::ChunkEnd,
            State::Chunk(remaining) => State::Chunk(left(remaining)),
            other => other,
        };
        Piece::Data(arrived.split_to(taken).freeze())
    }

    fn chunk_line(&mut self, arrived: &mut BytesMut) -> Result<bool, Malformed> {
        // The parser takes a line without any digit for a length of zero.
        if !arrived.first().is_none_or(u8::is_ascii_hexdigit) {
            return Err(Malformed("a chunk has no length"));
        }
        match httparse::parse_chunk_size(arrived) {
            Ok(httparse::Status::Complete((line, _))) if line > CHUNK_LINE_BYTES_MAX => {
                Err(Malformed("a chunk's length is too long"))
            }
            Ok(httparse::Status::Complete((line, length))) => {
                arrived.advance(line);
                self.state = match length {
                    0 => State::Trailers(0),
                    length => State::Chunk(length),
                };
                Ok(true)
            }
            Ok(httparse::Status::Partial) if arrived.len() <= CHUNK_LINE_BYTES_MAX => Ok(false),
            Ok(httparse::Status::Partial) => Err(Malformed("a chunk's length is too long")),
            Err(_) => Err(Malformed("a chunk has no length")),
        }
    }

    fn chunk_end(&mut self, arrived: &mut BytesMut) -> Result<bool, Malformed> {
        match arrived.get(..2) {
            None => Ok(false),
            Some(b"\r\n") => {
                arrived.advance(2);
                self.state = State::ChunkLine;
                Ok(true)
            }
            Some(_) => Err(Malformed("a chunk is longer than it says")),
        }
    }

    /// Skips a line behind the last chunk; the empty one is the end.
    fn trailer(&mut self, arrived: &mut BytesMut, seen: usize) -> Result<bool, Malformed> {
        let line = memchr::memchr(b'\n', arrived).map(|at| at + 1);
        let seen = seen + line.unwrap_or(0);
        if seen.max(arrived.len()) > TRAILER_BYTES_MAX {
            return Err(Malformed("there is too much behind the last chunk"));
        }
        let Some(line) = line else { return Ok(false) };
        let is_empty = matches!(arrived.get(..line), Some(b"\n" | b"\r\n"));
        arrived.advance(line);
        self.state = if is_empty {
            State::Done
        } else {
            State::Trailers(seen)
        };
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes bytes that arrive in these pieces; returns the body and what is left behind it.
    fn decode<'a>(
        framing: Framing,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), Malformed> {
        let mut decoder = BodyDecoder::new(framing);
        let (mut arrived, mut body) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            arrived.extend_from_slice(piece);
            while let Piece::Data(data) = decoder.next(&mut arrived)? {
                body.extend_from_slice(&data);
            }
        }
        let rest = decoder.is_done().then(|| arrived.to_vec());
        Ok((body, rest))
    }

    fn whole(framing: Framing, text: &str) -> Result<(Vec<u8>, Option<Vec<u8>>), Malformed> {
        decode(framing, [text.as_bytes()])
    }

    #[test]
    fn each_framing_ends_where_it_says() {
        let rest = |text: &str| Some(text.as_bytes().to_vec());
        for (framing, text, body, left) in [
            (Framing::Length(3), "abcX", "abc", rest("X")),
            (Framing::Length(3), "ab", "ab", None),
            (Framing::Length(0), "X", "", rest("X")),
            (
                Framing::Chunked,
                "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nX",
                "abc0123456789",
                rest("X"),
            ),
            (
                Framing::Chunked,
                "1\r\na\r\n0\r\nt: u\r\nv: w\r\n\r\n",
                "a",
                rest(""),
            ),
            (Framing::Chunked, "3\r\nab", "ab", None),
            (Framing::UntilClose, "anything", "anything", None),
        ] {
            let decoded = whole(framing, text).unwrap();
            assert_eq!(decoded, (body.as_bytes().to_vec(), left), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let long = format!("1;{}", "x".repeat(CHUNK_LINE_BYTES_MAX));
        let trailers = format!("0\r\n{}", "t: u\r\n".repeat(TRAILER_BYTES_MAX / 4));
        for bad in [
            "\r\n",
            "x\r\n",
            "-1\r\na",
            "1\r\nabc",
            "1\r\na\n1\r\n",
            "11111111111111111\r\n",
            &long,
            &trailers,
        ] {
            assert!(whole(Framing::Chunked, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_a_body_that_ends_with_the_connection_may_end_with_it() {
        for (framing, text, is_good) in [
            (Framing::UntilClose, "ab", true),
            (Framing::Length(2), "ab", true),
            (Framing::Length(3), "ab", false),
            (Framing::Chunked, "1\r\na\r\n", false),
            (Framing::Chunked, "1\r\na\r\n0\r\n", false),
        ] {
            let mut decoder = BodyDecoder::new(framing);
            let mut arrived = BytesMut::from(text);
            while let Piece::Data(_) = decoder.next(&mut arrived).unwrap() {}
            assert_eq!(decoder.close().is_ok(), is_good, "{framing:?}");
        }
    }

    proptest! {
        #[test]
        fn every_split_of_the_bytes_gives_the_same_body(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in prop::collection::vec(0_usize..400, 0..12),
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\nt: u\r\n\r\n");
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]);
            let decoded = decode(Framing::Chunked, pieces).unwrap();
            prop_assert_eq!(decoded, (chunks.concat(), Some(Vec::new())));
        }
    }
}
