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
