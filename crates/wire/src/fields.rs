//! The fields that requests have in common.

use crate::error::WireError;
use crate::json::{Fault, Kind, Scanner, Span};

/// The longest name of a model that is read.
const MODEL_BYTES_MAX: usize = 256;

/// Begins the object that a whole body must be.
pub(crate) fn open_body(scanner: &mut Scanner<'_>) -> Result<(), Fault> {
    if scanner.kind()? != Kind::Object {
        // Broken JSON is said to be broken before it is said not to be an object.
        scanner.skip()?;
        scanner.end()?;
        return Err(WireError::NotObject.into());
    }
    scanner.open_object()
}

/// Reads `model`, and where it is.
pub(crate) fn model(scanner: &mut Scanner<'_>) -> Result<(Box<str>, Span), Fault> {
    if scanner.kind()? != Kind::Text {
        return Err(WireError::wrong_type("model", "a string").into());
    }
    let start = scanner.position();
    let said = scanner.text()?.said();
    let is_name =
        !said.is_empty() && said.len() <= MODEL_BYTES_MAX && !said.iter().any(u8::is_ascii_control);
    let name = std::str::from_utf8(&said)
        .ok()
        .filter(|_| is_name)
        .ok_or_else(|| {
            WireError::wrong_value("model", "1 to 256 bytes without control characters")
        })?;
    Ok((
        name.into(),
        Span {
            start,
            end: scanner.at(),
        },
    ))
}

/// Reads a `true`, a `false`, or a null for `false`.
pub(crate) fn flag(scanner: &mut Scanner<'_>, param: &'static str) -> Result<bool, Fault> {
    match scanner.kind()? {
        Kind::Bool => scanner.bool(),
        Kind::Null => scanner.skip().map(|_| false),
        _ => Err(WireError::wrong_type(param, "true or false").into()),
    }
}

/// Reads a whole number from 1 to `max`, or a null for none.
pub(crate) fn count(
    scanner: &mut Scanner<'_>,
    param: &'static str,
    (max, expected): (u64, &'static str),
) -> Result<Option<u64>, Fault> {
    match scanner.kind()? {
        Kind::Number => {
            let count = whole(scanner.number()?).filter(|count| (1..=max).contains(count));
            count
                .map(Some)
                .ok_or_else(|| WireError::wrong_value(param, expected).into())
        }
        Kind::Null => scanner.skip().map(|_| None),
        _ => Err(WireError::wrong_type(param, "a whole number").into()),
    }
}

/// Reads digits; `None` for anything else that a number can be.
pub(crate) fn whole(number: &[u8]) -> Option<u64> {
    number.iter().try_fold(0_u64, |value, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
