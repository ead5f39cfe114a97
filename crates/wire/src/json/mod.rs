//! A scanner over JSON: one pass, no tree, no recursion, nothing copied.
//!
//! It is strict on what clients send, since a text that two readers read differently is a way around
//! limits: RFC 8259 to the letter, valid UTF-8, no half of a surrogate pair, no number beyond an
//! `f64`, no key twice in an object. It is lenient on what providers answer, which is paid for and
//! passed on as it is: the grammar must hold, no more.

mod keys;
mod scanner;
mod text;
mod tokens;

pub(crate) use self::scanner::Scanner;

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

#[cfg(test)]
mod tests;
