//! Prices per token and what usage costs at them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::money::{DecimalVisitor, Money, MoneyError, parse_scaled, scaled};
use crate::usage::Usage;

/// A price in pico-dollars (1e-12 USD) per token.
///
/// Its text form, also in settings and JSON, is what providers publish: US dollars per million
/// tokens, `"0.15"`, with at most six digits after the point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(i64);

impl Price {
    /// Costs nothing.
    pub const FREE: Self = Self(0);

    /// A dollar per million tokens is 1e6 pico-dollars per token.
    const DIGITS: u32 = 6;

    /// Parses US dollars per million tokens.
    ///
    /// # Errors
    /// When the text is not a plain decimal, too fine, out of range or negative.
    pub fn from_usd_per_million(text: &str) -> Result<Self, MoneyError> {
        Self::not_negative(parse_scaled(text, Self::DIGITS)?)
    }

    /// Wraps pico-dollars per token.
    ///
    /// # Errors
    /// When the price is negative.
    pub fn from_pico_per_token(pico: i64) -> Result<Self, MoneyError> {
        Self::not_negative(pico)
    }

    /// Returns pico-dollars per token.
    #[must_use]
    pub const fn pico_per_token(self) -> i64 {
        self.0
    }

    fn not_negative(pico: i64) -> Result<Self, MoneyError> {
        if pico < 0 {
            Err(MoneyError::Range)
        } else {
            Ok(Self(pico))
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&scaled(self.0, Self::DIGITS))
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pico = deserializer.deserialize_any(DecimalVisitor {
            digits: Self::DIGITS,
        })?;
        Self::not_negative(pico).map_err(serde::de::Error::custom)
    }
}

/// What each bucket of [`Usage`] costs per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ModelPrice {
    /// Plain prompt tokens.
    pub input: Price,
    /// Prompt tokens read from the provider's cache.
    pub cached_input: Price,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: Price,
    /// Audio in the prompt.
    pub audio_input: Price,
    /// Plain answer tokens.
    pub output: Price,
    /// Reasoning tokens.
    pub reasoning: Price,
    /// Audio in the answer.
    pub audio_output: Price,
}

impl ModelPrice {
    /// A known price of nothing.
    pub const FREE: Self = Self::flat(Price::FREE, Price::FREE);

    /// Returns a price with one rate for all of the prompt and one for all of the answer.
    #[must_use]
    pub const fn flat(input: Price, output: Price) -> Self {
        Self {
            input,
            cached_input: input,
            cache_write: input,
            audio_input: input,
            output,
            reasoning: output,
            audio_output: output,
        }
    }

    /// Returns what this usage costs, rounded once, half up, to the nano-dollar.
    ///
    /// # Errors
    /// When the cost is out of the range of [`Money`].
    pub fn cost(&self, usage: &Usage) -> Result<Money, MoneyError> {
        let buckets = [
            (usage.input, self.input),
            (usage.cached_input, self.cached_input),
            (usage.cache_write, self.cache_write),
            (usage.audio_input, self.audio_input),
            (usage.output, self.output),
            (usage.reasoning, self.reasoning),
            (usage.audio_output, self.audio_output),
        ];
        // A product of 64-bit factors fits 128 bits, and so does the sum of seven of them.
        let pico: i128 = buckets
            .iter()
            .map(|(n, price)| i128::from(*n) * i128::from(price.0))
            .sum();
        i64::try_from((pico + 500) / 1000)
            .map(Money::from_nano)
            .map_err(|_| MoneyError::Range)
    }

    /// Returns the most that this many prompt and answer tokens can cost, whichever buckets they fall in.
    ///
    /// # Errors
    /// When the cost is out of the range of [`Money`].
    pub fn worst_cost(&self, prompt_tokens: u64, answer_tokens: u64) -> Result<Money, MoneyError> {
        let dearest = |prices: &[Price]| prices.iter().copied().max().unwrap_or_default();
        let prompt = [
            self.input,
            self.cached_input,
            self.cache_write,
            self.audio_input,
        ];
        let answer = [self.output, self.reasoning, self.audio_output];
        Self::flat(dearest(&prompt), dearest(&answer)).cost(&Usage {
            input: prompt_tokens,
            output: answer_tokens,
            ..Usage::default()
        })
    }
}

impl<'de> Deserialize<'de> for ModelPrice {
    /// Buckets that are not named cost what `input` or `output` costs.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            input: Price,
            #[serde(default)]
            output: Price,
            cached_input: Option<Price>,
            cache_write: Option<Price>,
            audio_input: Option<Price>,
            reasoning: Option<Price>,
            audio_output: Option<Price>,
        }
        let named = Named::deserialize(deserializer)?;
        Ok(Self {
            input: named.input,
            cached_input: named.cached_input.unwrap_or(named.input),
            cache_write: named.cache_write.unwrap_or(named.input),
            audio_input: named.audio_input.unwrap_or(named.input),
            output: named.output,
            reasoning: named.reasoning.unwrap_or(named.output),
            audio_output: named.audio_output.unwrap_or(named.output),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(input: &str, output: &str) -> ModelPrice {
        ModelPrice::flat(
            Price::from_usd_per_million(input).unwrap(),
            Price::from_usd_per_million(output).unwrap(),
        )
    }

    #[test]
    fn the_published_unit_is_kept_exactly() {
        assert_eq!(
            Price::from_usd_per_million("0.0375")
                .unwrap()
                .pico_per_token(),
            37_500
        );
        assert_eq!(
            Price::from_usd_per_million("0.0375").unwrap().to_string(),
            "0.0375"
        );
        assert!(Price::from_usd_per_million("-1").is_err());
        assert!(Price::from_usd_per_million("0.0000001").is_err());
    }

    #[test]
    fn cost_is_rounded_once_half_up() {
        let usage = |input| Usage {
            input,
            ..Usage::default()
        };
        // 0.0005 USD per million is 500 pico-dollars per token: half a nano-dollar.
        assert_eq!(
            price("0.0005", "0").cost(&usage(1)).unwrap(),
            Money::from_nano(1)
        );
        assert_eq!(
            price("0.0005", "0").cost(&usage(3)).unwrap(),
            Money::from_nano(2)
        );
        assert_eq!(price("0.000499", "0").cost(&usage(1)).unwrap(), Money::ZERO);
    }

    #[test]
    fn buckets_without_a_price_cost_what_their_side_costs() {
        let price: ModelPrice =
            serde_json::from_str(r#"{"input":"2","output":"8","cached_input":"0.5"}"#).unwrap();
        assert_eq!(price.reasoning, price.output);
        assert_eq!(price.cache_write, price.input);
        assert_eq!(price.cached_input.to_string(), "0.5");
    }

    proptest! {
        #[test]
        fn the_worst_cost_bounds_every_split(
            input in 0..1_000_000_u64, cached in 0..1_000_000_u64, output in 0..1_000_000_u64,
            reasoning in 0..1_000_000_u64, prices in prop::array::uniform4(0..1_000_000_000_i64),
        ) {
            let [a, b, c, d] = prices.map(|pico| Price::from_pico_per_token(pico).unwrap());
            let price = ModelPrice { cached_input: b, reasoning: d, ..ModelPrice::flat(a, c) };
            let usage = Usage { input, cached_input: cached, output, reasoning, ..Usage::default() };
            let worst = price.worst_cost(usage.prompt_tokens(), usage.answer_tokens()).unwrap();
            prop_assert!(price.cost(&usage).unwrap() <= worst);
        }
    }
}
