//! What a provider says was used, brought into buckets that do not overlap.

use tollgate_domain::Usage;

use crate::fields::whole;
use crate::json::{Fault, Kind, Scanner};

/// What a `usage` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reported {
    /// Nothing: null, or no figure that is known.
    Nothing,
    /// Figures that cannot be: negative, broken, or larger than any call.
    Invalid,
    Usage(Usage),
}

/// The figures as providers report them, which overlap. Sources:
/// <https://platform.openai.com/docs/api-reference/chat/object> (and its `*_details`),
/// <https://api-docs.deepseek.com/api/create-chat-completion> (`prompt_cache_hit_tokens`),
/// <https://openrouter.ai/docs/use-cases/usage-accounting> (`cache_write_tokens`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) prompt: Option<u64>,
    pub(crate) completion: Option<u64>,
    pub(crate) total: Option<u64>,
    pub(crate) cached: u64,
    pub(crate) cache_write: u64,
    pub(crate) audio_input: u64,
    pub(crate) reasoning: u64,
    pub(crate) audio_output: u64,
}

/// Reads the value of a `usage`.
pub(crate) fn read_usage(scanner: &mut Scanner<'_>) -> Result<Reported, Fault> {
    match scanner.kind()? {
        Kind::Object => {}
        Kind::Null => return scanner.skip().map(|_| Reported::Nothing),
        _ => return scanner.skip().map(|_| Reported::Invalid),
    }
    let mut figures = Figures::default();
    let mut is_valid = true;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        match &*key.said() {
            b"prompt_tokens" => figures.prompt = figure(scanner, &mut is_valid)?,
            b"completion_tokens" => figures.completion = figure(scanner, &mut is_valid)?,
            b"total_tokens" => figures.total = figure(scanner, &mut is_valid)?,
            b"prompt_cache_hit_tokens" | b"cached_tokens" => {
                raise(&mut figures.cached, figure(scanner, &mut is_valid)?);
            }
            b"prompt_tokens_details" => details(scanner, &mut figures, &mut is_valid, true)?,
            b"completion_tokens_details" => details(scanner, &mut figures, &mut is_valid, false)?,
            _ => drop(scanner.skip()?),
        }
    }
    if !is_valid {
        return Ok(Reported::Invalid);
    }
    Ok(figures
        .disjoint()
        .map_or(Reported::Nothing, Reported::Usage))
}

fn details(
    scanner: &mut Scanner<'_>,
    figures: &mut Figures,
    is_valid: &mut bool,
    is_prompt: bool,
) -> Result<(), Fault> {
    if scanner.kind()? != Kind::Object {
        return scanner.skip().map(drop);
    }
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        let place = match (&*key.said(), is_prompt) {
            (b"cached_tokens", true) => &mut figures.cached,
            (b"cache_write_tokens", true) => &mut figures.cache_write,
            (b"audio_tokens", true) => &mut figures.audio_input,
            (b"reasoning_tokens", false) => &mut figures.reasoning,
            (b"audio_tokens", false) => &mut figures.audio_output,
            _ => {
                scanner.skip()?;
                continue;
            }
        };
        raise(place, figure(scanner, is_valid)?);
    }
    Ok(())
}

fn raise(place: &mut u64, figure: Option<u64>) {
    *place = (*place).max(figure.unwrap_or_default());
}

/// Reads one figure; null is none.
fn figure(scanner: &mut Scanner<'_>, is_valid: &mut bool) -> Result<Option<u64>, Fault> {
    match scanner.kind()? {
        Kind::Number => {
            let figure = whole(scanner.number()?).filter(|count| *count <= Usage::BUCKET_MAX);
            *is_valid &= figure.is_some();
            Ok(figure)
        }
        Kind::Null => scanner.skip().map(|_| None),
        _ => {
            *is_valid = false;
            scanner.skip().map(|_| None)
        }
    }
}

impl Figures {
    /// Splits the figures into buckets. A part never takes more than is left of its whole, so that
    /// the sums are the provider's whatever its details say.
    pub(crate) fn disjoint(self) -> Option<Usage> {
        let known = self
            .prompt
            .unwrap_or_default()
            .saturating_add(self.completion.unwrap_or_default());
        let unaccounted = self.total.unwrap_or_default().saturating_sub(known);
        let (mut prompt, mut answer) = match (self.prompt, self.completion, self.total) {
            (None, None, None) => return None,
            (None, completion, total) => {
                let completion = completion.unwrap_or_default();
                (
                    total.unwrap_or_default().saturating_sub(completion),
                    completion,
                )
            }
            (Some(prompt), completion, _) => (prompt, completion.unwrap_or_default()),
        };
        let mut reasoning = self.reasoning;
        // xAI and Gemini count what the model thought in the total, but not in the completion.
        if self.prompt.is_some() && self.completion.is_some() {
            answer = answer.saturating_add(unaccounted);
            reasoning = reasoning.max(unaccounted);
        }
        let take = |whole: &mut u64, part: u64| {
            let taken = part.min(*whole);
            *whole -= taken;
            taken
        };
        Some(Usage {
            cached_input: take(&mut prompt, self.cached),
            cache_write: take(&mut prompt, self.cache_write),
            audio_input: take(&mut prompt, self.audio_input),
            input: prompt,
            reasoning: take(&mut answer, reasoning),
            audio_output: take(&mut answer, self.audio_output),
            output: answer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(usage: &str) -> Reported {
        let mut scanner = Scanner::lenient(usage.as_bytes()).unwrap();
        let reported = read_usage(&mut scanner).unwrap();
        scanner.end().unwrap();
        reported
    }

    fn check(usage: &str, expected: Usage) {
        assert_eq!(read(usage), Reported::Usage(expected), "{usage}");
    }

    #[test]
    fn overlapping_figures_become_disjoint_buckets() {
        check(
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
                "prompt_tokens_details":{"cached_tokens":60,"audio_tokens":10},
                "completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":5,
                "accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#,
            Usage {
                input: 30,
                cached_input: 60,
                audio_input: 10,
                output: 25,
                reasoning: 20,
                audio_output: 5,
                ..Usage::default()
            },
        );
        check(
            r#"{"prompt_tokens":8,"total_tokens":8}"#,
            Usage {
                input: 8,
                ..Usage::default()
            },
        );
    }

    #[test]
    fn providers_report_the_same_in_their_own_ways() {
        let deepseek = r#"{"prompt_tokens":90,"completion_tokens":5,"total_tokens":95,
            "prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":26}"#;
        let cached = Usage {
            input: 26,
            cached_input: 64,
            output: 5,
            ..Usage::default()
        };
        check(deepseek, cached);
        check(
            r#"{"prompt_tokens":90,"completion_tokens":5,"cached_tokens":64}"#,
            cached,
        );
        check(
            r#"{"prompt_tokens":90,"completion_tokens":5,
                "prompt_tokens_details":{"cached_tokens":0,"cache_write_tokens":80}}"#,
            Usage {
                input: 10,
                cache_write: 80,
                output: 5,
                ..Usage::default()
            },
        );
        // xAI names what was thought and leaves it out of the completion; Gemini does not even name it.
        let thought = Usage {
            input: 10,
            output: 4,
            reasoning: 300,
            ..Usage::default()
        };
        check(
            r#"{"prompt_tokens":10,"completion_tokens":4,"total_tokens":314,
                "completion_tokens_details":{"reasoning_tokens":300}}"#,
            thought,
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":4,"total_tokens":314}"#,
            thought,
        );
        check(
            r#"{"total_tokens":12}"#,
            Usage {
                input: 12,
                ..Usage::default()
            },
        );
        check(
            r#"{"prompt_tokens":3,"completion_tokens":2,"prompt_tokens_details":null,
                "completion_tokens_details":{"reasoning_tokens":null},"cost":0.00012}"#,
            Usage {
                input: 3,
                output: 2,
                ..Usage::default()
            },
        );
    }

    #[test]
    fn details_never_exceed_their_whole() {
        check(
            r#"{"prompt_tokens":10,"completion_tokens":3,
                "prompt_tokens_details":{"cached_tokens":99,"audio_tokens":99},
                "completion_tokens_details":{"reasoning_tokens":99,"audio_tokens":1}}"#,
            Usage {
                cached_input: 10,
                reasoning: 3,
                ..Usage::default()
            },
        );
    }

    #[test]
    fn figures_that_cannot_be_make_all_of_it_invalid() {
        for usage in [
            r#"{"prompt_tokens":-1,"completion_tokens":2}"#,
            r#"{"prompt_tokens":1.5,"completion_tokens":2}"#,
            r#"{"prompt_tokens":1e3,"completion_tokens":2}"#,
            r#"{"prompt_tokens":"7","completion_tokens":2}"#,
            r#"{"prompt_tokens":100000001}"#,
            r#"{"prompt_tokens":99999999999999999999999}"#,
            r#"{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":-5}}"#,
            "[]",
            "5",
        ] {
            assert_eq!(read(usage), Reported::Invalid, "{usage}");
        }
        for usage in ["null", "{}", r#"{"prompt_tokens":null,"queue_time":0.1}"#] {
            assert_eq!(read(usage), Reported::Nothing, "{usage}");
        }
    }

    proptest! {
        #[test]
        fn the_sums_are_the_providers(
            prompt in 0..=Usage::BUCKET_MAX,
            completion in 0..=Usage::BUCKET_MAX,
            total in prop::option::of(0..=Usage::BUCKET_MAX),
            [cached, cache_write, audio_input, reasoning, audio_output] in
                prop::array::uniform5(prop_oneof![0..100_u64, 0..=Usage::BUCKET_MAX]),
        ) {
            let figures = Figures {
                prompt: Some(prompt),
                completion: Some(completion),
                total,
                cached,
                cache_write,
                audio_input,
                reasoning,
                audio_output,
            };
            let usage = figures.disjoint().unwrap();
            let whole = (prompt + completion).max(total.unwrap_or(0));
            prop_assert_eq!(usage.prompt_tokens(), prompt);
            prop_assert_eq!(usage.total_tokens(), whole);
        }
    }
}
