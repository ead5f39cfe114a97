//! Reads the fields of a request, so that what is wrong is told by the name of the field.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::refusal::Refusal;

/// Reads a field; `expected` says what it should have been.
pub(crate) fn read<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    param: &str,
    expected: &str,
) -> Result<Option<T>, Refusal> {
    raw.map(|raw| {
        serde_json::from_str(raw.get()).map_err(|_| {
            Refusal::invalid(
                param,
                format!("Invalid value for '{param}': expected {expected}."),
            )
        })
    })
    .transpose()
}

/// Reads a number of at least `least` and at most `most`.
pub(crate) fn within(
    raw: Option<&RawValue>,
    param: &str,
    least: f32,
    most: f32,
) -> Result<Option<f32>, Refusal> {
    let expected = format!("a number from {least} to {most}");
    match read::<f32>(raw, param, &expected)? {
        Some(value) if !(least..=most).contains(&value) => Err(Refusal::invalid(
            param,
            format!("Invalid value for '{param}': expected {expected}, but got {value}."),
        )),
        value => Ok(value),
    }
}

/// Reads a whole number of at least 1.
pub(crate) fn whole(raw: Option<&RawValue>, param: &str) -> Result<Option<usize>, Refusal> {
    let expected = "a whole number of at least 1";
    match read::<usize>(raw, param, expected)? {
        Some(0) => Err(Refusal::invalid(
            param,
            format!("Invalid value for '{param}': expected {expected}, but got 0."),
        )),
        value => Ok(value),
    }
}

/// Says whether a field says nothing: what it asks for is what happens without it.
pub(crate) fn is_void(raw: &RawValue) -> bool {
    let digits: String = raw
        .get()
        .chars()
        .filter(|char| !char.is_ascii_whitespace())
        // Longer values are none of these.
        .take(6)
        .collect();
    ["[]", "{}", "false", "0"].contains(&digits.as_str())
}
