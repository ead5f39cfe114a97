//! Which passwords may be chosen.
//! Source: <https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver>: length, no composition rules, and
//! a list of refused ones.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use zxcvbn::{Score, zxcvbn};

/// The fewest characters of a password, in Unicode's composed form.
pub const PASSWORD_CHARS_MIN: usize = 12;

/// The most characters of a password, in Unicode's composed form.
pub const PASSWORD_CHARS_MAX: usize = 128;

/// The most bytes that are looked at: more cannot compose to 128 characters.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// The least score of zxcvbn: 3 is "safely unguessable", 10^8 guesses or more.
/// Source: <https://www.usenix.org/conference/usenixsecurity16/technical-sessions/presentation/wheeler>
const SCORE_MIN: Score = Score::Three;

/// How many characters are estimated, from the beginning: the time grows with more than their square, and
/// what is hard to guess so far does not become easier by what follows.
const ESTIMATED_CHARS_MAX: usize = 40;

/// The most words about the person that a password is compared with, and the shortest that counts.
const CONTEXT_WORDS_MAX: usize = 32;
const CONTEXT_WORD_CHARS_MIN: usize = 3;

/// The fewest characters that a password has beside the words about the person: three of those alone
/// make 10^8 guesses in zxcvbn's count, which is not what an acquaintance needs.
const OTHER_CHARS_MIN: usize = 8;

/// Words that every installation has.
const OWN_WORDS: [&str; 2] = ["tollgate", "gateway"];

/// Common and breached passwords of 12 characters and more; data/README.md says where they are from.
static COMMON: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("../data/common_passwords.txt")
        .lines()
        .collect()
});

/// Why a password is refused. The texts are for the person who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than 12 characters.
    #[error("must have at least 12 characters")]
    TooShort,
    /// More than 128 characters.
    #[error("must have at most 128 characters")]
    TooLong,
    /// It is on the list of common ones, or on the installation's own.
    #[error("is one that many people use, or that was stolen elsewhere")]
    Common,
    /// Easy to guess, for example a few common words, a pattern of keys, or the person's own name.
    #[error("is easy to guess; several unusual words make a better one")]
    Guessable,
}

impl PasswordError {
    /// Returns the machine-readable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooShort => "password_too_short",
            Self::TooLong => "password_too_long",
            Self::Common => "password_common",
            Self::Guessable => "password_guessable",
        }
    }
}

/// A password that has passed the rules, in Unicode's composed form (NFC). Overwritten when dropped.
#[derive(Clone)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Returns the password, to be hashed.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(…)")
    }
}

/// Which passwords may be chosen: 12 to 128 characters, not a common one, and not easy to guess. Any
/// character may be in it and none must: rules of composition make passwords worse.
///
/// The list that is built in has 6,560 common and breached passwords of 12 characters and more: the 5,000
/// most frequent ones of ten million that were stolen, and what three other freely licensed lists have
/// of that length (see `data/README.md` of this crate). The estimate of how hard a password is to guess knows another
/// 30,000 passwords and 63,855 words and names, which are those of the crate `zxcvbn`. Neither is a
/// list of all that was ever breached; [`refuse_also`](Self::refuse_also) takes a longer one.
#[derive(Debug, Clone, Default)]
pub struct PasswordRules {
    refused: HashSet<String>,
}

impl PasswordRules {
    /// Adds passwords that are refused whatever their case, one a line, such as a list of breached ones.
    #[must_use]
    pub fn refuse_also(mut self, lines: &str) -> Self {
        let words = lines.lines().map(comparable);
        self.refused.extend(words.filter(|word| !word.is_empty()));
        self
    }

    /// Returns the password in its composed form when it may be chosen. `context` is what is known of the
    /// person and may not be most of it: e-mail address, name, organization.
    ///
    /// It computes for milliseconds, and for a password that was made to be slow for longer: it has no
    /// place on a thread that serves many.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, password: &str, context: &[&str]) -> Result<NewPassword, PasswordError> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        let password = SecretString::from(password.nfc().collect::<String>());
        let text = password.expose_secret();
        let chars = text.chars().count();
        if chars < PASSWORD_CHARS_MIN {
            return Err(PasswordError::TooShort);
        }
        if chars > PASSWORD_CHARS_MAX {
            return Err(PasswordError::TooLong);
        }
        let folded = SecretString::from(comparable(text));
        let folded = folded.expose_secret();
        if COMMON.contains(folded) || self.refused.contains(folded) {
            return Err(PasswordError::Common);
        }
        let words = context_words(context);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let start = text.char_indices().nth(ESTIMATED_CHARS_MAX);
        let start = start.and_then(|(end, _)| text.get(..end)).unwrap_or(text);
        if other_chars(folded, &words) < OTHER_CHARS_MIN
            || zxcvbn(start, &words).score() < SCORE_MIN
        {
            return Err(PasswordError::Guessable);
        }
        Ok(NewPassword(password))
    }
}

fn comparable(password: &str) -> String {
    password.nfc().collect::<String>().to_lowercase()
}

/// Returns how many characters are left without these words.
fn other_chars(password: &str, words: &[&str]) -> usize {
    let mut rest = SecretString::from(password);
    for word in words {
        rest = SecretString::from(rest.expose_secret().replace(word, ""));
    }
    rest.expose_secret().chars().count()
}

/// Returns each text and the words in it, the longest first.
fn context_words(context: &[&str]) -> Vec<String> {
    let whole = context.iter().copied();
    let parts = context
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let mut words: Vec<String> = whole
        .chain(parts)
        .chain(OWN_WORDS)
        .filter(|word| word.chars().count() >= CONTEXT_WORD_CHARS_MIN)
        .map(comparable)
        .collect();
    words.sort_unstable_by(|one, two| two.len().cmp(&one.len()).then_with(|| one.cmp(two)));
    words.dedup();
    words.truncate(CONTEXT_WORDS_MAX);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONTEXT: [&str; 3] = [
        "ann.margrethe@example.com",
        "Ann Margrethe",
        "Northwind Traders",
    ];

    fn check(password: &str) -> Result<(), PasswordError> {
        PasswordRules::default().check(password, &CONTEXT).map(drop)
    }

    #[test]
    fn any_characters_do_if_they_are_hard_to_guess() {
        for good in [
            "correct giraffe battery moon",
            "vuqozibenkarw",
            "8401957236183",
            "gränsöverskridande fåglar sover",
            "皆さんの猫は木曜日に踊ります",
            "Tr0ub4dour&3-Kestrel",
            &"zq9-"
                .repeat(2)
                .chars()
                .chain("hovering lilac".chars())
                .collect::<String>(),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn length_counts_composed_characters() {
        assert_eq!(check("vuqozibenka"), Err(PasswordError::TooShort));
        assert_eq!(check(&"e\u{301}".repeat(11)), Err(PasswordError::TooShort));
        let unusual: String = (0..128u8)
            .map(|i| char::from(b'!' + i.wrapping_mul(37) % 90))
            .collect();
        assert_eq!(check(&unusual), Ok(()));
        assert_eq!(check(&format!("{unusual}x")), Err(PasswordError::TooLong));
        assert_eq!(check(&"x".repeat(10_000_000)), Err(PasswordError::TooLong));
        let rules = PasswordRules::default();
        let composed = rules.check("u\u{308}ber-vuqozibenkarw", &[]).unwrap();
        assert_eq!(composed.expose(), "über-vuqozibenkarw");
    }

    #[test]
    fn common_ones_are_refused_in_any_case() {
        for bad in [
            "q1w2e3r4t5y6u7i8",
            "Q1W2E3R4T5Y6U7I8",
            "123456azsxdcfv",
            "playstation2",
            "123qweasdzxc",
            "Manchesterunited",
            "Mailcreated5240",
        ] {
            assert_eq!(check(bad), Err(PasswordError::Common), "{bad}");
        }
        let rules = PasswordRules::default().refuse_also("vuqozibenkarw\n\nOther-Breached-One\n");
        let refused = |text| rules.check(text, &[]).map(drop);
        assert_eq!(refused("Vuqozibenkarw"), Err(PasswordError::Common));
        assert_eq!(refused("other-breached-one"), Err(PasswordError::Common));
        assert_eq!(refused("vuqozibenkarx"), Ok(()));
    }

    #[test]
    fn words_about_the_person_do_no_harm_beside_enough_others() {
        assert_eq!(check("ann-vuqozibenkarw"), Ok(()));
        assert_eq!(check("ann-vuqozib"), Err(PasswordError::TooShort));
        assert_eq!(check("ann-margrethe-xqjvk"), Err(PasswordError::Guessable));
        assert_eq!(check("ann-margrethe-xqjvkw"), Ok(()));
    }

    #[test]
    fn patterns_and_what_is_known_of_the_person_are_easy_to_guess() {
        for bad in [
            "11111111111111111",
            "bcdefghijklmnopq",
            "password12345678",
            "P@ssw0rd1234",
            "qwertyuiop[]asdf",
            "annmargrethe1",
            "northwindtraders",
            "Northwind2026",
            "tollgategateway1",
            "example.com2026",
        ] {
            assert_eq!(check(bad), Err(PasswordError::Guessable), "{bad}");
        }
        let elsewhere = PasswordRules::default().check("margrethe-northwind", &[]);
        assert!(elsewhere.is_ok(), "the words are only common for her");
        assert_eq!(check("margrethe-northwind"), Err(PasswordError::Guessable));
    }

    #[test]
    fn a_password_that_was_made_to_be_slow_does_not_stall() {
        // Each character stands for one or two letters, so that there are many ways to read it.
        let slow: String = "4@8({[<6931!|10$5+72%z"
            .repeat(6)
            .chars()
            .take(128)
            .collect();
        let begin = std::time::Instant::now();
        assert_eq!(check(&slow), Ok(()));
        let took = begin.elapsed();
        assert!(took.as_secs() < 5, "{took:?}");
    }

    #[test]
    fn the_list_is_what_its_description_says() {
        assert_eq!(COMMON.len(), 6_560);
        for word in COMMON.iter() {
            assert!(word.len() >= PASSWORD_CHARS_MIN, "{word}");
            assert_eq!(*word, comparable(word));
        }
    }

    #[test]
    fn a_password_does_not_show() {
        let password = PasswordRules::default()
            .check("vuqozibenkarw", &[])
            .unwrap();
        assert_eq!(format!("{password:?}"), "NewPassword(…)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_password_makes_it_panic(
            text in "\\PC{0,140}|.{0,140}|[a-zA-Z@4301$]{0,40}",
            context in prop::collection::vec("\\PC{0,40}", 0..4),
        ) {
            let context: Vec<&str> = context.iter().map(String::as_str).collect();
            if let Ok(password) = PasswordRules::default().check(&text, &context) {
                prop_assert!((12..=128).contains(&password.expose().chars().count()));
            }
        }
    }
}
