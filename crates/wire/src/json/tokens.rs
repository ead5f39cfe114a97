//! Strings, numbers and words.

use super::Fault;
use super::scanner::Scanner;
use super::text::{Text, hex, plain_bytes};

/// Numbers up to this length without an exponent are finite as an `f64`.
const FINITE_DIGITS: usize = 300;

impl<'a> Scanner<'a> {
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
        if self.is_strict() && may_be_infinite && !is_finite(number) {
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

    pub(super) fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
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
        let is_strict = self.is_strict();
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
}

fn is_finite(number: &[u8]) -> bool {
    let number = std::str::from_utf8(number)
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(f64::is_finite)
}
