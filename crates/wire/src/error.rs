//! Why bytes are not what they should be.

use std::borrow::Cow;
use std::fmt;

use tollgate_domain::ErrorKind;

/// A place in a body, as people and editors count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// The byte within the body, from 0.
    pub offset: usize,
}

impl Position {
    /// Finds the line and column of a byte.
    pub(crate) fn of(body: &[u8], offset: usize) -> Self {
        let before = body.get(..offset).unwrap_or(body);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let line = before.get(line_start..).unwrap_or_default();
        // Bytes that go on with a character, 0b10xx_xxxx, are not counted.
        let characters = line.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        Self {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: characters + 1,
            offset,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {} (byte {})",
            self.line, self.column, self.offset
        )
    }
}

/// Why a body is refused. Its text is for the client and holds nothing of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON as RFC 8259 has it.
    #[error("the body is not valid JSON: {what} at {at}")]
    Syntax {
        /// What is wrong.
        what: &'static str,
        /// Where it is.
        at: Position,
    },
    /// JSON, but not an object.
    #[error("the body must be a JSON object")]
    NotObject,
    /// An object has a key twice; readers would differ on which counts.
    #[error("the body has a key twice in one object: the second is at {at}")]
    DuplicateKey {
        /// Where the second one is.
        at: Position,
    },
    /// Arrays and objects lie within one another too deep.
    #[error("the body is nested more than {depth_max} deep at {at}")]
    TooDeep {
        /// How deep they may lie.
        depth_max: u16,
        /// Where the first one that is too deep is.
        at: Position,
    },
    /// Longer than positions can be kept of: 4 GiB.
    #[error("the body is too large")]
    TooLarge,
    /// A field that must be there is not.
    #[error("'{param}' is required")]
    Missing {
        /// The field.
        param: Cow<'static, str>,
    },
    /// A field is of another type.
    #[error("'{param}' must be {expected}")]
    Type {
        /// The field.
        param: Cow<'static, str>,
        /// What it must be.
        expected: &'static str,
    },
    /// A field is of the right type, but out of range.
    #[error("'{param}' must be {expected}")]
    Value {
        /// The field.
        param: Cow<'static, str>,
        /// What it must be.
        expected: &'static str,
    },
}

impl WireError {
    /// Returns what the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::TooLarge,
            _ => ErrorKind::InvalidRequest,
        }
    }

    /// Returns the field that is at fault, as `messages[0].role`.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Missing { param } | Self::Type { param, .. } | Self::Value { param, .. } => {
                Some(param)
            }
            _ => None,
        }
    }

    /// Returns the code by which programs tell errors apart.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } | Self::NotObject => "invalid_json",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::TooDeep { .. } => "too_deep",
            Self::TooLarge => "request_too_large",
            Self::Missing { .. } => "missing_required_parameter",
            Self::Type { .. } => "invalid_type",
            Self::Value { .. } => "invalid_value",
        }
    }

    pub(crate) fn wrong_type(param: impl Into<Cow<'static, str>>, expected: &'static str) -> Self {
        Self::Type {
            param: param.into(),
            expected,
        }
    }

    pub(crate) fn wrong_value(param: impl Into<Cow<'static, str>>, expected: &'static str) -> Self {
        Self::Value {
            param: param.into(),
            expected,
        }
    }

    pub(crate) fn missing(param: impl Into<Cow<'static, str>>) -> Self {
        Self::Missing {
            param: param.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_not_bytes() {
        let body = "{\n \"ключ\": x".as_bytes();
        let offset = body.len() - 1;
        assert_eq!(
            Position::of(body, offset),
            Position {
                line: 2,
                column: 10,
                offset
            }
        );
        assert_eq!(
            Position::of(b"", 0),
            Position {
                line: 1,
                column: 1,
                offset: 0
            }
        );
        assert_eq!(Position::of(b"a\n", 99).line, 2);
    }
}
