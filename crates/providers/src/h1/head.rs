//! The head of an answer: its status, how its body is framed, and the headers that are of use.
//!
//! Sources: RFC 9112 sections 4 (status line), 6 (framing) and 9.3 (persistence).

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::Malformed;
use crate::headers::{AnswerHeader, AnswerHeaders};

/// The most headers of an answer.
const HEADERS_MAX: usize = 100;

/// The largest head of an answer, the interim ones before it included.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the chunk of length zero.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// The head of a final answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: AnswerHeaders,
    pub(crate) framing: Framing,
    /// Whether the connection can be used again after the body.
    pub(crate) is_reusable: bool,
}

/// Takes the head of an answer off the front of what has arrived; `None` when it is not whole yet.
/// Interim answers (1xx) before it are skipped.
pub(crate) fn parse_head(arrived: &mut BytesMut) -> Result<Option<Head>, Malformed> {
    loop {
        match parse_one(arrived)? {
            Some(head) if head.status.is_informational() => {
                if head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Err(Malformed("another protocol was not asked for"));
                }
            }
            head => return Ok(head),
        }
    }
}

fn parse_one(arrived: &mut BytesMut) -> Result<Option<Head>, Malformed> {
    let mut parsed = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        arrived,
        &mut parsed,
    );
    let length = match status {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES_MAX => length,
        Ok(httparse::Status::Partial) if arrived.len() <= HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return Err(Malformed("its head is too large"));
        }
        Err(_) => return Err(Malformed("its head cannot be read")),
    };
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or(Malformed("its status is not one"))?;
    let mut facts = Facts::default();
    let start = arrived.as_ptr().addr();
    let mut found: Vec<(AnswerHeader, std::ops::Range<usize>)> = Vec::new();
    for header in response.headers.iter() {
        if header.value.is_empty() {
            facts.note(header.name, header.value)?;
        } else if let Some(known) = AnswerHeader::find(header.name) {
            // Where the value lies in the head, so that it can be shared instead of copied.
            let at = header.value.as_ptr().addr() - start;
            found.push((known, at..at + header.value.len()));
        } else {
            facts.note(header.name, header.value)?;
        }
    }
    let is_http_1_1 = response.version == Some(1);
    let (framing, is_reusable) = facts.framing(status, is_http_1_1)?;
    let head: Bytes = arrived.split_to(length).freeze();
    let headers = found.into_iter().map(|(name, at)| (name, head.slice(at)));
    Ok(Some(Head {
        status,
        headers: headers.collect(),
        framing,
        is_reusable,
    }))
}

/// What the headers say of the framing.
#[derive(Default)]
struct Facts {
    length: Option<u64>,
    has_transfer_encoding: bool,
    is_chunked: bool,
    says_close: bool,
    says_keep_alive: bool,
}

impl Facts {
    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), Malformed> {
        if name.eq_ignore_ascii_case("content-length") {
            for one in value.split(|byte| *byte == b',') {
                let length = digits(one.trim_ascii())?;
                if self.length.is_some_and(|other| other != length) {
                    return Err(Malformed("it has two lengths"));
                }
                self.length = Some(length);
            }
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            // Chunked is the only coding that was not refused by saying nothing of others.
            if self.has_transfer_encoding || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(Malformed("its transfer coding is not chunked"));
            }
            self.has_transfer_encoding = true;
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.says_close |= option.eq_ignore_ascii_case(b"close");
                self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        Ok(())
    }

    fn framing(&self, status: StatusCode, is_http_1_1: bool) -> Result<(Framing, bool), Malformed> {
        let stays_open = !self.says_close && (is_http_1_1 || self.says_keep_alive);
        if status.is_informational() || matches!(status.as_u16(), 204 | 304) {
            return Ok((Framing::Length(0), stays_open));
        }
        if self.has_transfer_encoding && !is_http_1_1 {
            return Err(Malformed("chunks are not of HTTP/1.0"));
        }
        Ok(match self.length {
            // Two framings: the chunks count, and what follows them is not trusted.
            Some(_) if self.is_chunked => (Framing::Chunked, false),
            None if self.is_chunked => (Framing::Chunked, stays_open),
            Some(length) => (Framing::Length(length), stays_open),
            None => (Framing::UntilClose, false),
        })
    }
}

fn digits(text: &[u8]) -> Result<u64, Malformed> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| is_number)
        .and_then(|text| text.parse().ok())
        .ok_or(Malformed("its length is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<Head>, Malformed> {
        parse_head(&mut BytesMut::from(text))
    }

    fn framing(headers: &str) -> Result<(Framing, bool), Malformed> {
        let head = parse(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n"))?;
        Ok(head.map(|head| (head.framing, head.is_reusable)).unwrap())
    }

    #[test]
    fn a_head_is_taken_off_and_the_body_is_left() {
        let mut arrived = BytesMut::from(
            "HTTP/1.1 429 Too Many\r\nContent-Type: application/json\r\nset-cookie: a=b\r\n\
             Retry-After: 7\r\nContent-Length: 2\r\n\r\n{}",
        );
        let head = parse_head(&mut arrived).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), &arrived[..]), (429, &b"{}"[..]));
        let value = |header| head.headers.get(header).unwrap();
        assert_eq!(value(AnswerHeader::ContentType), b"application/json");
        assert_eq!(value(AnswerHeader::RetryAfter), b"7");
        assert_eq!(head.headers.iter().count(), 2);
        assert_eq!((head.framing, head.is_reusable), (Framing::Length(2), true));
    }

    #[test]
    fn every_part_of_a_head_alone_is_not_whole_and_changes_nothing() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        for end in 0..text.len() {
            let mut arrived = BytesMut::from(&text[..end]);
            assert!(parse_head(&mut arrived).unwrap().is_none(), "{end}");
            arrived.extend_from_slice(&text.as_bytes()[end..]);
            let head = parse_head(&mut arrived).unwrap().unwrap();
            assert_eq!((head.status.as_u16(), arrived.len()), (200, 0));
        }
    }

    #[test]
    fn a_body_is_framed_as_the_standard_says() {
        use Framing::{Chunked, Length, UntilClose};
        for (headers, expected) in [
            ("content-length: 5\r\n", (Length(5), true)),
            (
                "content-length: 5\r\nconnection: close\r\n",
                (Length(5), false),
            ),
            (
                "content-length: 5, 5\r\ncontent-length: 5\r\n",
                (Length(5), true),
            ),
            ("transfer-encoding: Chunked\r\n", (Chunked, true)),
            (
                "transfer-encoding: chunked\r\nconnection: x, Close\r\n",
                (Chunked, false),
            ),
            (
                "content-length: 5\r\ntransfer-encoding: chunked\r\n",
                (Chunked, false),
            ),
            ("", (UntilClose, false)),
            ("connection: keep-alive\r\n", (UntilClose, false)),
        ] {
            assert_eq!(framing(headers), Ok(expected), "{headers}");
        }
        for bad in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 6\r\n",
            "content-length: -5\r\n",
            "content-length: +5\r\n",
            "content-length: 5x\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: gzip\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert!(framing(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_old_version_closes_unless_it_says_otherwise_and_has_no_chunks() {
        let old = |headers: &str| parse(&format!("HTTP/1.0 200 OK\r\n{headers}\r\n"));
        assert!(!old("content-length: 1\r\n").unwrap().unwrap().is_reusable);
        let kept = old("content-length: 1\r\nconnection: keep-alive\r\n");
        assert!(kept.unwrap().unwrap().is_reusable);
        assert!(old("transfer-encoding: chunked\r\n").is_err());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
            "\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        assert!(parse(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).is_err());
        let long = "a".repeat(HEAD_BYTES_MAX);
        assert!(parse(&format!("HTTP/1.1 200 OK\r\na: {long}")).is_err());
        assert!(parse(&format!("HTTP/1.1 200 OK\r\na: {long}\r\n\r\n")).is_err());
    }

    #[test]
    fn answers_without_a_body_have_none_whatever_they_say() {
        for status in [204, 304] {
            let head = parse(&format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\n"));
            assert_eq!(head.unwrap().unwrap().framing, Framing::Length(0));
        }
    }
}
