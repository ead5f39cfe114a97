//! Money in whole nano-dollars. No float comes near it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::short_text::ShortText;

/// Why an amount is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a plain decimal number such as `12.5`.
    #[error("not a decimal number such as 12.5")]
    Syntax,
    /// More digits after the point than can be kept exactly.
    #[error("more than {digits} digits after the decimal point")]
    TooFine {
        /// How many digits can be kept.
        digits: u32,
    },
    /// Out of the range of a 64-bit amount.
    #[error("the amount is out of range")]
    Range,
}

/// An amount in US dollars, exact to the nano-dollar (1e-9). Range: about ±9.2 billion dollars.
///
/// Its text form, also in JSON, is a decimal number of dollars: `"0.00027"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

impl Money {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The most that can be expressed.
    pub const MAX: Self = Self(i64::MAX);

    /// Digits after the decimal point that can be kept.
    const DIGITS: u32 = 9;

    /// Wraps an amount in nano-dollars.
    #[must_use]
    pub const fn from_nano(nano: i64) -> Self {
        Self(nano)
    }

    /// Returns the amount in nano-dollars.
    #[must_use]
    pub const fn nano(self) -> i64 {
        self.0
    }

    /// Parses a decimal number of dollars.
    ///
    /// # Errors
    /// When the text is not a plain decimal, is finer than a nano-dollar, or is out of range.
    pub fn from_usd(text: &str) -> Result<Self, MoneyError> {
        parse_scaled(text, Self::DIGITS).map(Self)
    }

    /// Returns the amount as it is shown.
    #[must_use]
    pub fn text(self) -> ShortText {
        scaled(self.0, Self::DIGITS)
    }

    /// Returns the sum, or `None` when it is out of range.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Returns the difference, or `None` when it is out of range.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Returns the sum, held at the ends of the range.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns the difference, held at the ends of the range.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        Self::from_usd(text)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer
                .deserialize_any(DecimalVisitor {
                    digits: Self::DIGITS,
                })
                .map(Self)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

/// Reads a decimal from a string or a whole number; floats are refused, because they are not exact.
pub(crate) struct DecimalVisitor {
    pub(crate) digits: u32,
}

impl serde::de::Visitor<'_> for DecimalVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal number as a string, such as \"12.5\", or a whole number")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
        parse_scaled(text, self.digits).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, whole: i64) -> Result<i64, E> {
        whole
            .checked_mul(10_i64.pow(self.digits))
            .ok_or_else(|| E::custom(MoneyError::Range))
    }

    fn visit_u64<E: serde::de::Error>(self, whole: u64) -> Result<i64, E> {
        i64::try_from(whole)
            .map_err(|_| E::custom(MoneyError::Range))
            .and_then(|n| self.visit_i64(n))
    }
}

/// Parses `-?digits(.digits)?` into an integer scaled by `10^digits`, exactly.
pub(crate) fn parse_scaled(text: &str, digits: u32) -> Result<i64, MoneyError> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(MoneyError::Syntax);
    }
    let fraction = fraction.trim_end_matches('0');
    let fine = u32::try_from(fraction.len()).map_err(|_| MoneyError::Syntax)?;
    let missing = digits
        .checked_sub(fine)
        .ok_or(MoneyError::TooFine { digits })?;
    let parse = |part: &str| match part.trim_start_matches('0') {
        "" => Ok(0_i128),
        part if part.len() > 20 => Err(MoneyError::Range),
        part => part.parse::<i128>().map_err(|_| MoneyError::Range),
    };
    let scaled = parse(whole)? * 10_i128.pow(digits) + parse(fraction)? * 10_i128.pow(missing);
    i64::try_from(if negative { -scaled } else { scaled }).map_err(|_| MoneyError::Range)
}

/// Writes an integer scaled by `10^digits` as the shortest exact decimal.
pub(crate) fn scaled(value: i64, digits: u32) -> ShortText {
    let scale = 10_u64.pow(digits);
    let magnitude = value.unsigned_abs();
    let (whole, fraction) = (magnitude / scale, magnitude % scale);
    let mut text = ShortText::new();
    if value < 0 {
        text.push("-");
    }
    text.push_number(whole, 0);
    if fraction > 0 {
        text.push(".");
        text.push_number(fraction, digits as usize);
        text.trim_end(b'0');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, nano: i64) {
        assert_eq!(Money::from_usd(text), Ok(Money::from_nano(nano)), "{text}");
    }

    #[test]
    fn decimals_are_read_exactly() {
        check("0", 0);
        check("-0", 0);
        check("1", 1_000_000_000);
        check("0.1", 100_000_000);
        check("0.000000001", 1);
        check("-2.50", -2_500_000_000);
        check("1.0000000000000", 1_000_000_000);
        check("9223372036.854775807", i64::MAX);
        check("-9223372036.854775808", i64::MIN);
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for text in [
            "", "-", ".5", "5.", "1e3", "+1", "NaN", "1,5", " 1", "0x10", "1.2.3",
        ] {
            assert_eq!(Money::from_usd(text), Err(MoneyError::Syntax), "{text}");
        }
        assert_eq!(
            Money::from_usd("0.0000000001"),
            Err(MoneyError::TooFine { digits: 9 })
        );
        for text in [
            "9223372036.854775808",
            "99999999999999999999999999999999999999999999",
        ] {
            assert_eq!(Money::from_usd(text), Err(MoneyError::Range), "{text}");
        }
    }

    #[test]
    fn json_floats_are_refused_and_strings_and_whole_numbers_read() {
        assert!(serde_json::from_str::<Money>("0.1").is_err());
        assert_eq!(
            serde_json::from_str::<Money>("\"0.1\"").unwrap().nano(),
            100_000_000
        );
        assert_eq!(
            serde_json::from_str::<Money>("3").unwrap().nano(),
            3_000_000_000
        );
    }

    proptest! {
        #[test]
        fn every_amount_survives_its_text(nano in any::<i64>()) {
            let money = Money::from_nano(nano);
            prop_assert_eq!(Money::from_usd(&money.to_string()), Ok(money));
        }
    }
}
