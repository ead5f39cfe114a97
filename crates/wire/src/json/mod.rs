//! A scanner over JSON: one pass, no tree, no recursion, nothing copied.
//!
//! It is strict on what clients send, since a text that two readers read differently is a way around
//! limits: RFC 8259 to the letter, valid UTF-8, no half of a surrogate pair, no number beyond an
//! `f64`, no key twice in an object. It is lenient on what providers answer, which is paid for and
//! passed on as it is: the grammar must hold, no more.

mod keys;
mod text;

pub(crate) use self::keys::small;
pub(crate) use self::text::Text;

use self::keys::Keys;
use self::text::{hex, plain_bytes};
use crate::error::{Position, WireError};

/// How strictly a client's JSON is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// How deep arrays and objects may lie within one another: 1 to 128, more counts as 128.
    pub depth_max: u16,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { depth_max: 64 }
    }
}

/// The depth that the stack of open arrays and objects holds: one bit for each.
const DEPTH_MAX: u16 = 128;

/// Numbers up to this length without an exponent are finite as an `f64`.
const FINITE_DIGITS: usize = 300;

/// Why a scan ended early.
#[derive(Debug)]
pub(crate) enum Fault {
    Syntax {
        what: &'static str,
        offset: usize,
    },
    DuplicateKey {
        offset: usize,
    },
    TooDeep {
        depth_max: u16,
        offset: usize,
    },
    /// The JSON is valid; what it says is not.
    Meaning(Box<WireError>),
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::Meaning(Box::new(error))
    }
}

impl Fault {
    /// Finds line and column in the body that was scanned.
    pub(crate) fn within(self, body: &[u8]) -> WireError {
        match self {
            Self::Syntax { what, offset } => WireError::Syntax {
                what,
                at: Position::of(body, offset),
            },
            Self::DuplicateKey { offset } => WireError::DuplicateKey {
                at: Position::of(body, offset),
            },
            Self::TooDeep { depth_max, offset } => WireError::TooDeep {
                depth_max,
                at: Position::of(body, offset),
            },
            Self::Meaning(error) => *error,
        }
    }
}

/// What a value is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Bool,
    Null,
}

/// Bytes of the body, from `start` up to `end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn empty_at(position: u32) -> Self {
        Self {
            start: position,
            end: position,
        }
    }
}

/// A place in a JSON text, and what is open there.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
    depth_max: u16,
    depth: u16,
    /// What is open, the innermost in the lowest bit: 1 for an object, 0 for an array.
    open: u128,
    /// Whether the innermost was just opened, so that no comma stands before what comes.
    is_fresh: bool,
    /// Only when strict.
    keys: Option<Keys<'a>>,
}

impl<'a> Scanner<'a> {
    /// Begins a strict scan.
    pub(crate) fn strict(body: &'a [u8], limits: &JsonLimits) -> Result<Self, Fault> {
        if u32::try_from(body.len()).is_err() {
            return Err(WireError::TooLarge.into());
        }
        let mut scanner = Self::lenient(body)?;
        scanner.depth_max = limits.depth_max.min(DEPTH_MAX);
        scanner.keys = Some(Keys::new(body));
        Ok(scanner)
    }

    /// Begins a lenient scan of a whole text.
    pub(crate) fn lenient(body: &'a [u8]) -> Result<Self, Fault> {
        match std::str::from_utf8(body) {
            Ok(_) => Ok(Self::within(body, 0)),
            Err(error) => Err(Fault::Syntax {
                what: "bytes that are not UTF-8",
                offset: error.valid_up_to(),
            }),
        }
    }

    /// Begins a lenient scan in the middle of a text, without looking at its encoding.
    pub(crate) fn within(body: &'a [u8], at: usize) -> Self {
        Self {
            body,
            at,
            depth_max: DEPTH_MAX,
            depth: 0,
            open: 0,
            is_fresh: false,
            keys: None,
        }
    }

    /// Passes white space and returns where the next token begins.
    pub(crate) fn position(&mut self) -> u32 {
        self.peek();
        small(self.at)
    }

    /// Passes white space and returns the kind of the value that comes.
    pub(crate) fn kind(&mut self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'"') => Ok(Kind::Text),
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.unexpected("a value is expected")),
        }
    }

    /// Begins the object that comes.
    pub(crate) fn open_object(&mut self) -> Result<(), Fault> {
        self.open(b'{')?;
        if let Some(keys) = &mut self.keys {
            keys.open();
        }
        Ok(())
    }

    /// Begins the array that comes.
    pub(crate) fn open_array(&mut self) -> Result<(), Fault> {
        self.open(b'[')
    }

    /// Returns the next key of the object, up to its value; `None` when the object has ended.
    pub(crate) fn next_key(&mut self) -> Result<Option<Text<'a>>, Fault> {
        match (self.peek(), std::mem::take(&mut self.is_fresh)) {
            (Some(b'}'), _) => {
                self.close();
                let twice = self.keys.as_mut().map_or(Ok(()), Keys::close);
                return twice
                    .map(|()| None)
                    .map_err(|offset| Fault::DuplicateKey { offset });
            }
            (Some(b','), false) => self.at += 1,
            (_, true) => {}
            (_, false) => return Err(self.unexpected("',' or '}' is expected")),
        }
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in double quotes is expected"));
        }
        let at = self.at;
        let key = self.text()?;
        if let Some(keys) = &mut self.keys {
            keys.add(key, at)
                .map_err(|offset| Fault::DuplicateKey { offset })?;
        }
        if self.peek() != Some(b':') {
            return Err(self.unexpected("':' is expected"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Goes to the next value of the array; `false` when the array has ended.
    pub(crate) fn next_element(&mut self) -> Result<bool, Fault> {
        match (self.peek(), std::mem::take(&mut self.is_fresh)) {
            (Some(b']'), _) => {
                self.close();
                return Ok(false);
            }
            (Some(b','), false) => self.at += 1,
            (_, true) => return Ok(true),
            (_, false) => return Err(self.unexpected("',' or ']' is expected")),
        }
        if self.peek() == Some(b']') {
            return Err(self.unexpected("a value is expected"));
        }
        Ok(true)
    }

    /// Reads the string that comes.
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a string is expected"));
        }
        self.at += 1;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            self.at += plain_bytes(self.rest());
            match self.body.get(self.at) {
                Some(b'"') => {
                    let raw = self.body.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Text { raw, has_escapes });
                }
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(_) => {
                    return Err(self.syntax("a control character in a string must be escaped"));
                }
                None => return Err(self.syntax("a string does not end")),
            }
        }
    }

    /// Reads the number that comes, as it is written.
    pub(crate) fn number(&mut self) -> Result<&'a [u8], Fault> {
        self.peek();
        let start = self.at;
        self.take_if(|byte| byte == b'-');
        if !self.take_if(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.take_if(|byte| byte == b'.') {
            self.digits()?;
        }
        let has_exponent = self.take_if(|byte| matches!(byte, b'e' | b'E'));
        if has_exponent {
            self.take_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        let number = self.body.get(start..self.at).unwrap_or_default();
        let may_be_infinite = has_exponent || number.len() > FINITE_DIGITS;
        if self.keys.is_some() && may_be_infinite && !is_finite(number) {
            return Err(Fault::Syntax {
                what: "a number is out of range",
                offset: start,
            });
        }
        Ok(number)
    }

    /// Reads the `true` or `false` that comes.
    pub(crate) fn bool(&mut self) -> Result<bool, Fault> {
        if self.peek() == Some(b't') {
            self.literal(b"true").map(|()| true)
        } else {
            self.literal(b"false").map(|()| false)
        }
    }

    /// Passes the value that comes, whatever it is, and returns the length of all strings in it that
    /// are not keys.
    pub(crate) fn skip(&mut self) -> Result<usize, Fault> {
        let outside = self.depth;
        let mut text_bytes = 0;
        loop {
            match self.kind()? {
                Kind::Object => self.open_object()?,
                Kind::Array => self.open_array()?,
                Kind::Text => text_bytes += self.text()?.raw.len(),
                Kind::Number => drop(self.number()?),
                Kind::Bool => drop(self.bool()?),
                Kind::Null => self.literal(b"null")?,
            }
            loop {
                if self.depth == outside {
                    return Ok(text_bytes);
                }
                let is_in_object = self.open & 1 == 1;
                let goes_on = if is_in_object {
                    self.next_key()?.is_some()
                } else {
                    self.next_element()?
                };
                if goes_on {
                    break;
                }
            }
        }
    }

    /// Passes the value that comes and returns where it is.
    pub(crate) fn skip_span(&mut self) -> Result<Span, Fault> {
        let start = self.position();
        self.skip()?;
        Ok(Span {
            start,
            end: small(self.at),
        })
    }

    /// Returns the place after the last token.
    pub(crate) fn at(&self) -> u32 {
        small(self.at)
    }

    /// Checks that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("something follows after the end")),
        }
    }

    fn open(&mut self, bracket: u8) -> Result<(), Fault> {
        if self.peek() != Some(bracket) {
            return Err(self.unexpected("another kind of value is expected"));
        }
        if self.depth >= self.depth_max {
            return Err(Fault::TooDeep {
                depth_max: self.depth_max,
                offset: self.at,
            });
        }
        self.at += 1;
        self.depth += 1;
        self.open = self.open << 1 | u128::from(bracket == b'{');
        self.is_fresh = true;
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
        self.open >>= 1;
    }

    /// Passes white space and returns the byte that comes.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.body.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    fn take_if(&mut self, is_wanted: impl Fn(u8) -> bool) -> bool {
        let takes = self.body.get(self.at).is_some_and(|byte| is_wanted(*byte));
        self.at += usize::from(takes);
        takes
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        match rest
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(rest.len())
        {
            0 => Err(self.unexpected("a digit is expected")),
            count => {
                self.at += count;
                Ok(())
            }
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        self.peek();
        if !self.rest().starts_with(word) {
            return Err(self.unexpected("a value is expected"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Passes the escape at this place.
    fn escape(&mut self) -> Result<(), Fault> {
        match self.rest().get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                return Ok(());
            }
            Some(b'u') => {}
            _ => return Err(self.syntax("an escape is not one of JSON's")),
        }
        let Some(code) = self.rest().get(2..).and_then(hex) else {
            return Err(self.syntax("\\u must be followed by four hexadecimal digits"));
        };
        let is_strict = self.keys.is_some();
        let follows = || {
            let low = self.rest().get(6..)?.strip_prefix(b"\\u").and_then(hex)?;
            matches!(low, 0xDC00..=0xDFFF).then_some(())
        };
        let length = match code {
            0xD800..=0xDBFF if follows().is_some() => 12,
            0xD800..=0xDFFF if is_strict => {
                return Err(self.syntax("\\u names half of a surrogate pair"));
            }
            _ => 6,
        };
        self.at += length;
        Ok(())
    }

    fn syntax(&self, what: &'static str) -> Fault {
        Fault::Syntax {
            what,
            offset: self.at,
        }
    }

    fn unexpected(&self, what: &'static str) -> Fault {
        let is_end = self.at >= self.body.len();
        self.syntax(if is_end {
            "the body ends too early"
        } else {
            what
        })
    }
}

fn is_finite(number: &[u8]) -> bool {
    let number = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(f64::is_finite)
}

#[cfg(test)]
mod tests;
