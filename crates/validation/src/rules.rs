//! Rules for single fields, for `#[garde(custom(…))]`.

use tollgate_domain::Money;

/// The most characters of a name.
pub const NAME_CHARS_MAX: usize = 64;

/// What is said of a name that has more, or none.
pub(crate) const NAME_LENGTH: &str = "must have 1 to 64 characters";

/// The most bytes of a model's name.
pub const MODEL_NAME_BYTES_MAX: usize = 128;

/// Accepts a name that people see: 1 to 64 characters, none of which is invisible, changes the
/// direction of writing or controls a terminal, and no space at its ends.
///
/// # Errors
/// When it is none.
pub fn name(name: &str, _context: &()) -> garde::Result {
    let refuse = |message: &str| Err(garde::Error::new(message));
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return refuse(NAME_LENGTH);
    }
    if name.chars().any(is_unseen) {
        return refuse("must not have control characters, invisible ones or marks of direction");
    }
    if name.trim() != name {
        return refuse("must not begin or end with a space");
    }
    Ok(())
}

/// Accepts the name of a person, an organization or a team, as [`DisplayName`](crate::DisplayName) does:
/// characters count as composed.
///
/// # Errors
/// When it is none.
pub fn display_name(name: &str, _context: &()) -> garde::Result {
    crate::DisplayName::parse(name)
        .map(drop)
        .map_err(|error| garde::Error::new(error.to_string()))
}

/// Accepts an e-mail address, as [`EmailAddress`](crate::EmailAddress) does.
///
/// # Errors
/// When it is none.
pub fn email(address: &str, _context: &()) -> garde::Result {
    crate::EmailAddress::parse(address)
        .map(drop)
        .map_err(|error| garde::Error::new(error.to_string()))
}

/// Accepts a model's name: 1 to 128 of letters, digits and `._:/@+-`.
///
/// # Errors
/// When it is none.
pub fn model_name(name: &str, _context: &()) -> garde::Result {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
    if (1..=MODEL_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    Err(garde::Error::new(
        "must be 1 to 128 of letters, digits and . _ : / @ + -",
    ))
}

/// Accepts an entry of an allow-list: a model's name, or how it begins and a `*`.
///
/// # Errors
/// When it is none.
pub fn model_pattern(pattern: &str, context: &()) -> garde::Result {
    match pattern.strip_suffix('*') {
        Some("") => Ok(()),
        prefix => model_name(prefix.unwrap_or(pattern), context),
    }
}

/// Accepts an amount that is not below zero.
///
/// # Errors
/// When it is below zero.
pub fn budget(budget: &Money, _context: &()) -> garde::Result {
    if *budget < Money::ZERO {
        return Err(garde::Error::new("must not be negative"));
    }
    Ok(())
}

/// Whether a character shows nothing, or changes how its neighbours are shown.
/// Source: <https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>, and the characters of
/// Unicode's property `Default_Ignorable_Code_Point` that stand alone.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00AD}'
                | '\u{034F}'
                | '\u{061C}'
                | '\u{115F}'..='\u{1160}'
                | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF0}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_what_people_can_see_and_type() {
        for good in [
            "a",
            "CI",
            "prod-eu 1",
            "Zürich",
            "東京",
            "a/b (c)",
            "🚀",
            &"x".repeat(64),
        ] {
            assert!(name(good, &()).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a\u{a0}",
            "a\nb",
            "a\0",
            "\u{1b}[31m",
            "a\u{200b}b",
            "a\u{200d}b",
            "\u{202e}cba",
            "\u{2066}a\u{2069}",
            "a\u{feff}",
            "a\u{ad}b",
            "a\u{2028}b",
            "\u{3164}",
            "\u{e0041}",
            "\u{7f}",
            "\u{85}",
            &"x".repeat(65),
        ] {
            assert!(name(bad, &()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn people_and_their_addresses_have_rules_too() {
        assert!(display_name(&"e\u{301}".repeat(64), &()).is_ok());
        assert!(display_name(&"e\u{301}".repeat(65), &()).is_err());
        assert!(email("ann@example.com", &()).is_ok());
        let error = email("ann", &()).unwrap_err();
        assert!(error.to_string().contains("not an e-mail address"));
    }

    #[test]
    fn models_are_named_in_plain_characters_and_lists_may_end_in_a_star() {
        for good in [
            "gpt-4o",
            "meta-llama/Llama-3.1:free",
            "@cf/a_b",
            "a+b",
            &"m".repeat(128),
        ] {
            assert!(model_name(good, &()).is_ok(), "{good}");
            assert!(model_pattern(good, &()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a*",
            "é",
            "a\n",
            "a?b",
            "a#",
            "a%20",
            "a\\b",
            &"m".repeat(129),
        ] {
            assert!(model_name(bad, &()).is_err(), "{bad}");
        }
        for good in ["*", "gpt-*", "a/*"] {
            assert!(model_pattern(good, &()).is_ok(), "{good}");
        }
        for bad in ["", "**", "*a", "a*b", "a**", "a *"] {
            assert!(model_pattern(bad, &()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_budget_may_be_nothing_but_not_less() {
        assert!(budget(&Money::ZERO, &()).is_ok());
        assert!(budget(&Money::from_nano(-1), &()).is_err());
    }

    proptest! {
        #[test]
        fn a_name_that_is_accepted_shows_every_character(text in "\\PC{0,70}|.{0,70}") {
            if name(&text, &()).is_ok() {
                prop_assert!((1..=64).contains(&text.chars().count()));
                prop_assert!(text.chars().all(|c| !c.is_control() && !is_unseen(c)));
                prop_assert_eq!(text.trim(), &text);
            }
        }
    }
}
