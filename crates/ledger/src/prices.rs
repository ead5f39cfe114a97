//! What models cost: the built-in list of public prices, and prices from settings over it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollgate_domain::{ModelPrice, Money, MoneyError, Price};

/// Public list prices, with their sources and date.
const BUILT_IN: &str = include_str!("../prices/models.json");

/// Why a list of prices is not one.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The list is not JSON of the expected shape. The source names the place.
    #[error("the price list cannot be read")]
    Syntax(#[source] serde_json::Error),
    /// A value cannot be.
    #[error("price of {model}: {field} {problem}")]
    Value {
        /// Which model.
        model: String,
        /// Which field of it.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It answers messages.
    Chat,
    /// It turns text into vectors.
    Embedding,
}

/// The rates of a call whose prompt is long; they are those of all its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongContext {
    /// A prompt of more tokens than this is long.
    pub above_prompt_tokens: u64,
    /// What the call's tokens cost then.
    pub price: ModelPrice,
}

/// What a model costs, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedModel {
    /// Who charges this price; empty for a price from settings.
    pub provider: Arc<str>,
    /// What the model is for.
    pub mode: Mode,
    /// What its tokens cost.
    pub price: ModelPrice,
    /// What they cost when the prompt is long, where the provider has such a rate.
    pub long_context: Option<LongContext>,
    /// The most tokens of one answer, where known.
    pub max_output_tokens: Option<u64>,
    /// The most tokens of one prompt, where known.
    pub context_tokens: Option<u64>,
    /// Which list the price is from; goes into every event that is charged with it.
    pub version: Arc<str>,
}

impl PricedModel {
    /// Returns the most that a call with up to this many prompt and answer tokens can cost.
    ///
    /// # Errors
    /// When that is more than can be expressed.
    pub fn worst_cost(&self, prompt_tokens: u64, answer_tokens: u64) -> Result<Money, MoneyError> {
        let base = self.price.worst_cost(prompt_tokens, answer_tokens)?;
        match &self.long_context {
            Some(long) if prompt_tokens > long.above_prompt_tokens => {
                let long = long.price.worst_cost(prompt_tokens, answer_tokens)?;
                Ok(base.max(long))
            }
            _ => Ok(base),
        }
    }
}

/// Prices by the provider's name of the model. Immutable: a change is a new table.
#[derive(Debug, Clone)]
pub struct PriceTable {
    version: Arc<str>,
    models: HashMap<String, PricedModel>,
}

impl PriceTable {
    /// Returns the public list prices that this version was built with.
    ///
    /// # Errors
    /// None that a build which passed its tests can have.
    pub fn built_in() -> Result<Self, PriceError> {
        Self::from_json(BUILT_IN)
    }

    /// Reads a list of the shape of `prices/models.json`: US dollars per million tokens, as decimal
    /// strings. A rate that is not named is the rate for the plain tokens of its side.
    ///
    /// # Errors
    /// [`PriceError`] names the model and the field.
    pub fn from_json(text: &str) -> Result<Self, PriceError> {
        let list: List = serde_json::from_str(text).map_err(PriceError::Syntax)?;
        let version: Arc<str> = list.version.into();
        let models = list
            .models
            .into_iter()
            .map(|(name, row)| Ok((name.clone(), row.checked(&name, &version)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self { version, models })
    }

    /// Puts a price from settings in the place of the list's, or adds the model. Its bounds stay
    /// as listed; a long-context rate does not: the given price is the whole truth.
    #[must_use]
    pub fn with(mut self, model: &str, price: ModelPrice) -> Self {
        let listed = self.lookup(model);
        let priced = PricedModel {
            provider: listed.map_or_else(Arc::default, |listed| Arc::clone(&listed.provider)),
            mode: listed.map_or(Mode::Chat, |listed| listed.mode),
            price,
            long_context: None,
            max_output_tokens: listed.and_then(|listed| listed.max_output_tokens),
            context_tokens: listed.and_then(|listed| listed.context_tokens),
            version: settings_version(&price),
        };
        self.models.insert(model.to_owned(), priced);
        self
    }

    /// Returns the price of a model, or of the same model without the date at the end of its name:
    /// `gpt-4o-mini-2024-07-18` is `gpt-4o-mini` unless it is listed itself.
    #[must_use]
    pub fn lookup(&self, model: &str) -> Option<&PricedModel> {
        self.models
            .get(model)
            .or_else(|| self.models.get(without_date(model)?))
    }

    /// Returns the version of the list.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// A price from settings has no version of its own: it is named by what it is.
fn settings_version(price: &ModelPrice) -> Arc<str> {
    let text = serde_json::to_string(price).unwrap_or_default();
    format!("settings:{:08x}", crc32c::crc32c(text.as_bytes())).into()
}

/// Strips `-2024-07-18` or `-20240718`.
fn without_date(model: &str) -> Option<&str> {
    let is_date = |text: &str, pattern: &[u8]| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern).all(|(byte, kind)| match kind {
                b'0' => byte.is_ascii_digit(),
                kind => byte == *kind,
            })
    };
    [&b"-0000-00-00"[..], b"-00000000"]
        .into_iter()
        .find_map(|pattern| {
            let at = model.len().checked_sub(pattern.len())?;
            let (name, date) = model.split_at_checked(at)?;
            is_date(date, pattern).then_some(name)
        })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    version: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    date: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    sources: Vec<String>,
    models: HashMap<String, Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    provider: Arc<str>,
    mode: Mode,
    input: String,
    output: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    audio_input: Option<String>,
    audio_output: Option<String>,
    long_context: Option<LongRow>,
    max_output_tokens: Option<u64>,
    context_tokens: Option<u64>,
    #[expect(dead_code, reason = "for the reader of the file")]
    source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LongRow {
    above_prompt_tokens: u64,
    input: String,
    output: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
}

impl Row {
    fn checked(self, model: &str, version: &Arc<str>) -> Result<PricedModel, PriceError> {
        let wrong = |field, problem: String| PriceError::Value {
            model: model.to_owned(),
            field,
            problem,
        };
        let read = |field, text: &str| {
            Price::from_usd_per_million(text)
                .map_err(|error| wrong(field, format!("\"{text}\": {error}")))
        };
        let or = |field, text: &Option<String>, plain: Price| {
            text.as_deref().map_or(Ok(plain), |text| read(field, text))
        };
        let input = read("input", &self.input)?;
        let output = read("output", &self.output)?;
        let price = ModelPrice {
            input,
            cached_input: or("cached_input", &self.cached_input, input)?,
            cache_write: or("cache_write", &self.cache_write, input)?,
            audio_input: or("audio_input", &self.audio_input, input)?,
            output,
            reasoning: output,
            audio_output: or("audio_output", &self.audio_output, output)?,
        };
        let long_context = match &self.long_context {
            None => None,
            Some(long) if long.above_prompt_tokens == 0 => {
                return Err(wrong("long_context.above_prompt_tokens", "is 0".to_owned()));
            }
            Some(long) => {
                let input = read("long_context.input", &long.input)?;
                let output = read("long_context.output", &long.output)?;
                let price = ModelPrice {
                    cached_input: or("long_context.cached_input", &long.cached_input, input)?,
                    cache_write: or("long_context.cache_write", &long.cache_write, input)?,
                    audio_input: price.audio_input.max(input),
                    audio_output: price.audio_output.max(output),
                    ..ModelPrice::flat(input, output)
                };
                Some(LongContext {
                    above_prompt_tokens: long.above_prompt_tokens,
                    price,
                })
            }
        };
        for (field, bound) in [
            ("max_output_tokens", self.max_output_tokens),
            ("context_tokens", self.context_tokens),
        ] {
            if bound == Some(0) {
                return Err(wrong(field, "is 0".to_owned()));
            }
        }
        Ok(PricedModel {
            provider: self.provider,
            mode: self.mode,
            price,
            long_context,
            max_output_tokens: self.max_output_tokens,
            context_tokens: self.context_tokens,
            version: Arc::clone(version),
        })
    }
}

#[cfg(test)]
mod tests {
    use tollgate_domain::Usage;

    use super::*;

    fn list(row: &str) -> Result<PriceTable, PriceError> {
        let text = r#"{"version":"1","date":"d","sources":[],"models":{"m":ROW}}"#;
        PriceTable::from_json(&text.replace("ROW", row))
    }

    #[test]
    fn the_built_in_list_is_sound() {
        let table = PriceTable::built_in().unwrap();
        assert!(table.models.len() > 80);
        for (name, model) in &table.models {
            assert!(model.price.input > Price::FREE, "{name}");
            assert!(model.price.cached_input <= model.price.input, "{name}");
            assert_eq!(
                model.mode == Mode::Embedding,
                model.price.output == Price::FREE,
                "{name}"
            );
            assert!(model.context_tokens.is_some(), "{name}");
            assert!(
                ["openai", "anthropic", "gemini"].contains(&&*model.provider),
                "{name}"
            );
            if let Some(long) = model.long_context {
                assert!(long.price.input > model.price.input, "{name}");
                assert!(long.price.cached_input > model.price.cached_input, "{name}");
            }
        }
    }

    #[test]
    fn published_prices_are_exact() {
        let table = PriceTable::built_in().unwrap();
        for (name, input, cached, output) in [
            ("gpt-4o-mini", "0.15", "0.075", "0.6"),
            ("gpt-5.4", "2.5", "0.25", "15"),
            ("claude-opus-4-5", "5", "0.5", "25"),
            ("claude-3-haiku", "0.25", "0.03", "1.25"),
            ("gemini-2.5-pro", "1.25", "0.125", "10"),
            ("text-embedding-3-small", "0.02", "0.02", "0"),
        ] {
            let price = table.lookup(name).unwrap().price;
            let shown = [price.input, price.cached_input, price.output].map(|p| p.to_string());
            assert_eq!(shown, [input, cached, output], "{name}");
        }
    }

    #[test]
    fn a_date_at_the_end_of_a_name_is_looked_past_and_nothing_else() {
        let table = PriceTable::built_in().unwrap();
        let same = |dated, plain| {
            assert!(table.lookup(plain).is_some(), "{plain}");
            assert_eq!(table.lookup(dated), table.lookup(plain), "{dated}");
        };
        same("gpt-4o-mini-2024-07-18", "gpt-4o-mini");
        same("claude-haiku-4-5-20251001", "claude-haiku-4-5");
        assert_ne!(table.lookup("gpt-4o-2024-05-13"), table.lookup("gpt-4o"));
        for name in [
            "",
            "gpt-4o-mini-",
            "gpt-4o-mini-2024-07",
            "gpt-4o-mini-x",
            "gpt-4o-mini-2024-07-1x",
            "-2024-07-18",
            "gpt-4o-mini-2024-07-18-2024-07-18",
            "é-20240718",
            "GPT-4o-mini",
        ] {
            assert_eq!(table.lookup(name), None, "{name}");
        }
    }

    #[test]
    fn a_price_from_settings_takes_the_place_of_the_list_and_names_itself() {
        let dollar = Price::from_usd_per_million("1").unwrap();
        let table = PriceTable::built_in().unwrap();
        let version = table.version().to_owned();
        let table = table
            .with("gemini-2.5-pro", ModelPrice::flat(dollar, dollar))
            .with("mine", ModelPrice::FREE);
        assert_eq!(table.version(), version);
        let known = table.lookup("gemini-2.5-pro").unwrap();
        assert_eq!((known.price.input, known.long_context), (dollar, None));
        assert_eq!(
            (&*known.provider, known.max_output_tokens),
            ("gemini", Some(65_536))
        );
        let mine = table.lookup("mine").unwrap();
        assert_eq!(mine.price, ModelPrice::FREE);
        assert!(mine.version.starts_with("settings:"));
        assert_ne!(mine.version, known.version);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |row: &str, parts: &[&str]| {
            let error = list(row).unwrap_err();
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let text = format!("{error} {}", source.unwrap_or_default());
            for part in parts {
                assert!(text.contains(part), "{part} in {text}");
            }
        };
        let row = |rest: &str| format!(r#"{{"provider":"p","mode":"chat","source":"s",{rest}}}"#);
        assert!(list(&row(r#""input":"1","output":"2""#)).is_ok());
        check(
            &row(r#""input":"-1","output":"2""#),
            &["m", "input", "\"-1\""],
        );
        check(
            &row(r#""input":"1","output":"1e3""#),
            &["m", "output", "\"1e3\""],
        );
        check(
            &row(r#""input":0.1,"output":"2""#),
            &["price list", "0.1", "column"],
        );
        check(&row(r#""input":"1""#), &["output"]);
        check(&row(r#""input":"1","output":"2","inptu":"3""#), &["inptu"]);
        check(
            &row(r#""input":"1","output":"2","context_tokens":0"#),
            &["m", "context_tokens"],
        );
        let long = r#""input":"1","output":"2","long_context":{"above_prompt_tokens":LONG,"input":"x","output":"2"}"#;
        check(
            &row(&long.replace("LONG", "0")),
            &["long_context.above_prompt_tokens"],
        );
        check(
            &row(&long.replace("LONG", "9")),
            &["long_context.input", "\"x\""],
        );
    }

    #[test]
    fn the_worst_cost_bounds_long_prompts_too() {
        let table = PriceTable::built_in().unwrap();
        let model = table.lookup("gemini-2.5-pro").unwrap();
        let usage = |input| Usage {
            input,
            output: 1_000,
            ..Usage::default()
        };
        let long = model.long_context.unwrap();
        assert_eq!(
            model.worst_cost(200_000, 1_000),
            model.price.cost(&usage(200_000))
        );
        assert_eq!(
            model.worst_cost(200_001, 1_000),
            long.price.cost(&usage(200_001))
        );
    }
}
