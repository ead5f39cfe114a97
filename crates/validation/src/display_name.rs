//! The names of people, organizations and teams.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::rules;

/// The most bytes that are composed: what has more cannot become 64 characters.
const TEXT_BYTES_MAX: usize = 4_096;

/// A text that cannot be a name. It says what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(String);

/// The name of a person, an organization or a team: 1 to 64 characters in Unicode's composed form
/// (NFC), none of which is invisible, changes the direction of writing or controls a terminal, and no
/// space at its ends. See [`rules::name`].
///
/// Names that look the same because an accent was typed as a character of its own are the same.
/// Source: <https://www.unicode.org/reports/tr15/>
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DisplayName(String);

impl DisplayName {
    /// Reads a name and composes its characters.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(NameError(rules::NAME_LENGTH.to_owned()));
        }
        let name: String = text.nfc().collect();
        rules::name(&name, &()).map_err(|error| NameError(error.message().to_owned()))?;
        Ok(Self(name))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Option<&str>) {
        let name = DisplayName::parse(text).ok();
        assert_eq!(name.as_ref().map(DisplayName::as_str), expected, "{text:?}");
    }

    #[test]
    fn names_are_composed_and_then_measured() {
        check("Ann Lee", Some("Ann Lee"));
        check("Zu\u{308}rich", Some("Zürich"));
        check("\u{212b}ngstro\u{308}m", Some("Ångström"));
        check("東京 Search", Some("東京 Search"));
        check(&"e\u{301}".repeat(64), Some(&"é".repeat(64)));
        check(&"e\u{301}".repeat(65), None);
        check(&"x".repeat(65), None);
        check(&"x".repeat(100_000), None);
        check(&"é".repeat(100_000), None);
        assert_eq!(DisplayName::parse("e\u{301}"), DisplayName::parse("é"));
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        for bad in [
            "",
            " ",
            " Ann",
            "Ann ",
            "Ann\n",
            "A\0",
            "A\u{200b}nn",
            "A\u{200d}nn",
            "\u{202e}nnA",
            "\u{2066}Ann\u{2069}",
            "Ann\u{feff}",
            "\u{1b}[31mAnn",
            "\u{7f}",
            "\u{3164}",
        ] {
            check(bad, None);
        }
        let error = DisplayName::parse("").unwrap_err();
        assert_eq!(error.to_string(), "must have 1 to 64 characters");
    }

    proptest! {
        #[test]
        fn a_name_that_was_read_reads_as_itself(text in "\\PC{0,70}|.{0,70}") {
            if let Ok(name) = DisplayName::parse(&text) {
                prop_assert!((1..=64).contains(&name.as_str().chars().count()));
                prop_assert_eq!(DisplayName::parse(name.as_str()), Ok(name));
            }
        }
    }
}
