//! A value that has passed its rules.

use std::ops::Deref;

use garde::Validate;
use serde::de::{DeserializeOwned, Deserializer, Visitor};

use crate::error::{Problem, ValidationError};

/// How many problems are listed, and how many characters of each message.
const PROBLEMS_MAX: usize = 32;
const MESSAGE_CHARS_MAX: usize = 300;

/// A value that has passed its rules. Only [`Valid::from_json`] and [`Valid::check`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valid<T>(T);

impl<T: Validate<Context = ()>> Valid<T> {
    /// Checks a value against its rules.
    ///
    /// # Errors
    /// When it breaks one or more of them; up to 32 are listed.
    pub fn check(value: T) -> Result<Self, ValidationError> {
        let report = match value.validate() {
            Ok(()) => return Ok(Self(value)),
            Err(report) => report.into_inner(),
        };
        let problem = |(path, error): (garde::Path, garde::Error)| {
            Problem::new(path.to_string(), "invalid_value", error.message())
        };
        Err(ValidationError {
            problems: report.into_iter().take(PROBLEMS_MAX).map(problem).collect(),
        })
    }
}

impl<T: DeserializeOwned + Validate<Context = ()>> Valid<T> {
    /// Reads a value from a JSON object and checks it against its rules. Keys that are there twice are
    /// refused; keys that are not known are if the type says so (`deny_unknown_fields`).
    ///
    /// # Errors
    /// When the text is not JSON, not of this type, or breaks a rule.
    pub fn from_json(body: &[u8]) -> Result<Self, ValidationError> {
        let json = &mut serde_json::Deserializer::from_slice(body);
        let read = serde_path_to_error::deserialize(ByName(&mut *json));
        let value = read.map_err(|error| {
            let path = error.path().to_string();
            ValidationError::one(unreadable(&path, error.inner()))
        })?;
        json.end()
            .map_err(|error| ValidationError::one(unreadable("", &error)))?;
        Self::check(value)
    }
}

impl<T> Valid<T> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Reads a struct by the names of its fields alone: serde would take an array for one, too, in the order
/// of its fields.
struct ByName<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for ByName<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

fn unreadable(path: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let code = if !error.is_data() {
        "invalid_json"
    } else if message.starts_with("unknown field") {
        "unknown_field"
    } else if message.starts_with("missing field") {
        "missing_field"
    } else if message.starts_with("duplicate field") {
        "duplicate_field"
    } else {
        "invalid_type"
    };
    let path = if path == "." || code == "invalid_json" {
        ""
    } else {
        path
    };
    // These name their field in the message; the path ends at the object that should hold it.
    let named = message
        .split('`')
        .nth(1)
        .filter(|_| code.ends_with("_field"));
    let field = match named {
        Some(name) if path.is_empty() || path == name => name.to_owned(),
        Some(name) if !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
        _ => path.to_owned(),
    };
    let bounded = |text: &str| text.chars().take(MESSAGE_CHARS_MAX).collect::<String>();
    Problem::new(bounded(&field), code, bounded(&message))
}
