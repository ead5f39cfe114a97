//! Rules for single fields, for `#[garde(custom(…))]`.

use tollgate_domain::Money;

/// The most characters of a name.
pub const NAME_CHARS_MAX: usize = 64;

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
        return refuse("must have 1 to 64 characters");
    }
    if name.chars().any(is_unseen) {
        return refuse("must not have control characters, invisible ones or marks of direction");
    }
    if name.trim() != name {
        return refuse("must not begin or end with a space");
    }
    Ok(())
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
