//! The structure of a text: arrays, objects, and how deep they lie.

use super::keys::{Keys, small};
use super::text::Text;
use super::{Fault, JsonLimits, Kind, Span};
use crate::error::WireError;

/// The depth that the stack of open arrays and objects holds: one bit for each.
const DEPTH_MAX: u16 = 128;

/// A place in a JSON text, and what is open there.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
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

    pub(super) fn is_strict(&self) -> bool {
        self.keys.is_some()
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
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.body.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    pub(super) fn syntax(&self, what: &'static str) -> Fault {
        Fault::Syntax {
            what,
            offset: self.at,
        }
    }

    pub(super) fn unexpected(&self, what: &'static str) -> Fault {
        let is_end = self.at >= self.body.len();
        self.syntax(if is_end {
            "the body ends too early"
        } else {
            what
        })
    }
}
