//! What a request says of what it is about: the version that it is for, and the name of its repetition.

/// The longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

/// A header that is not what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HeaderError(&'static str);

/// The version that a change is for, as `If-Match` names it.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc9110#name-if-match>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there: `*`.
    Any,
    /// This one: `"v3"`.
    Version(u64),
}

impl Expected {
    /// Reads the value of the header: one entity tag as an answer had it, or `*`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let error = HeaderError("If-Match must be one ETag as an answer had it, or *");
        let text = std::str::from_utf8(value).map_err(|_| error)?.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let digits = text
            .strip_prefix("\"v")
            .and_then(|rest| rest.strip_suffix('"'));
        digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self::Version)
            .ok_or(error)
    }

    /// Returns whether a thing at this version is meant.
    #[must_use]
    pub const fn is_met_by(self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Version(expected) => expected == version,
        }
    }
}

/// Returns the entity tag of a version: `"v3"`.
#[must_use]
pub fn entity_tag(version: u64) -> String {
    format!("\"v{version}\"")
}

/// The name under which a caller repeats a request, as `Idempotency-Key` gives it: 1 to
/// [`IDEMPOTENCY_KEY_CHARS_MAX`] visible characters of ASCII.
///
/// Source: <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let is_length = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&value.len());
        let text = std::str::from_utf8(value).ok();
        text.filter(|text| is_length && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(|text| Self(text.to_owned()))
            .ok_or(HeaderError(
                "Idempotency-Key must be 1 to 255 visible characters of ASCII",
            ))
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_its_entity_tag() {
        for (text, expected) in [
            ("*", Some(Expected::Any)),
            (" * ", Some(Expected::Any)),
            ("\"v1\"", Some(Expected::Version(1))),
            (
                "\"v18446744073709551615\"",
                Some(Expected::Version(u64::MAX)),
            ),
            ("\"v18446744073709551616\"", None),
            ("v1", None),
            ("\"1\"", None),
            ("\"v\"", None),
            ("\"v+1\"", None),
            ("\"v-1\"", None),
            ("W/\"v1\"", None),
            ("\"v1\", \"v2\"", None),
            ("\"v1", None),
            ("", None),
            ("*, *", None),
        ] {
            assert_eq!(Expected::parse(text.as_bytes()).ok(), expected, "{text}");
        }
        assert!(Expected::parse(b"\xff").is_err());
        for version in [1, 7, u64::MAX] {
            let read = Expected::parse(entity_tag(version).as_bytes());
            assert_eq!(read, Ok(Expected::Version(version)));
        }
    }

    #[test]
    fn any_version_is_met_by_all_and_a_version_by_itself() {
        assert!(Expected::Any.is_met_by(7) && Expected::Version(7).is_met_by(7));
        assert!(!Expected::Version(7).is_met_by(8));
    }

    #[test]
    fn an_idempotency_key_is_visible_and_short() {
        let longest = "k".repeat(255);
        for good in [
            "a",
            "8e03978e-40d5-43e8-bc93-6894a57f9324",
            "~!\"",
            &longest,
        ] {
            let read = IdempotencyKey::parse(good.as_bytes()).unwrap();
            assert_eq!(read.as_str(), good);
        }
        for bad in ["", "a b", "é", "a\t", "\0", &"k".repeat(256)] {
            assert!(IdempotencyKey::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
