//! Whole answers: what they say was used.

use tollgate_domain::Usage;

use crate::error::WireError;
use crate::fields::open_body;
use crate::json::{Fault, Kind, Scanner};
use crate::usage::{Reported, read_usage};

/// What a gateway must know of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerFacts {
    /// What the provider says was used.
    pub usage: Option<Usage>,
    /// Whether the provider gave figures that cannot be, which are left out.
    pub usage_invalid: bool,
    /// The bytes that the model wrote, to estimate from when the provider does not say.
    pub answer_bytes: u64,
    /// Whether it is an error, which some providers send with status 200.
    pub error_seen: bool,
}

/// Reads the answer to a chat completion or to embeddings.
///
/// # Errors
/// When it is not one whole JSON object. Of what such an object holds nothing is refused: the answer
/// is paid for.
pub fn read_answer(body: &[u8]) -> Result<AnswerFacts, WireError> {
    read(body).map_err(|fault| fault.within(body))
}

fn read(body: &[u8]) -> Result<AnswerFacts, Fault> {
    let scanner = &mut Scanner::lenient(body)?;
    let mut facts = AnswerFacts::default();
    open_body(scanner)?;
    while let Some(key) = scanner.next_key()? {
        match &*key.said() {
            b"usage" => match read_usage(scanner)? {
                Reported::Usage(usage) => facts.usage = Some(usage),
                Reported::Invalid => facts.usage_invalid = true,
                Reported::Nothing => {}
            },
            b"choices" if scanner.kind()? == Kind::Array => {
                scanner.open_array()?;
                while scanner.next_element()? {
                    facts.answer_bytes += choice(scanner)?;
                }
            }
            b"error" => {
                facts.error_seen |= scanner.kind()? != Kind::Null;
                scanner.skip()?;
            }
            _ => drop(scanner.skip()?),
        }
    }
    scanner.end()?;
    Ok(facts)
}

fn choice(scanner: &mut Scanner<'_>) -> Result<u64, Fault> {
    if scanner.kind()? != Kind::Object {
        return scanner.skip().map(|_| 0);
    }
    let mut bytes = 0;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        match &*key.said() {
            b"message" | b"text" => bytes += written(scanner)?,
            _ => drop(scanner.skip()?),
        }
    }
    Ok(bytes)
}

/// Passes a `message`, a `delta` or a `text` and returns how many bytes of it the model wrote: the strings in
/// it, as they are written in JSON, without what the provider adds or says twice.
pub(crate) fn written(scanner: &mut Scanner<'_>) -> Result<u64, Fault> {
    if scanner.kind()? != Kind::Object {
        return scanner.skip().map(|bytes| bytes as u64);
    }
    let mut bytes = 0;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        bytes += match (&*key.said(), scanner.kind()?) {
            (b"role" | b"annotations" | b"reasoning_details", _) => scanner.skip().map(|_| 0)?,
            (b"audio", Kind::Object) => transcript(scanner)?,
            _ => scanner.skip()? as u64,
        };
    }
    Ok(bytes)
}

/// Passes an `audio`, of which only the transcript is text.
fn transcript(scanner: &mut Scanner<'_>) -> Result<u64, Fault> {
    let mut bytes = 0;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        let length = scanner.skip()?;
        if &*key.said() == b"transcript" {
            bytes += length as u64;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(body: &str) -> AnswerFacts {
        read_answer(body.as_bytes()).unwrap()
    }

    #[test]
    fn only_usage_at_the_top_counts() {
        let body = r#"{"choices":[{"message":{"content":"\"usage\"","usage":{"prompt_tokens":9}}}],
            "metadata":{"usage":{"prompt_tokens":8}},"usage":{"prompt_tokens":7,"completion_tokens":1}}"#;
        let usage = facts(body).usage.unwrap();
        assert_eq!((usage.input, usage.output), (7, 1));
        assert_eq!(facts(r#"{"a":{"usage":{"prompt_tokens":8}}}"#).usage, None);
    }

    #[test]
    fn what_the_model_wrote_is_counted_over_all_choices() {
        let check = |choices: &str, bytes: u64| {
            let body = format!(r#"{{"object":"chat.completion","choices":{choices}}}"#);
            assert_eq!(facts(&body).answer_bytes, bytes, "{choices}");
        };
        check("[]", 0);
        check(
            r#"[{"index":0,"message":{"role":"assistant","content":"four"},"logprobs":["x"]}]"#,
            4,
        );
        check(
            r#"[{"message":{"content":"ab","reasoning":"c"}},{"message":{"refusal":"d"}}]"#,
            4,
        );
        check(
            r#"[{"message":{"content":null,"tool_calls":[{"function":{"arguments":"{}"}}]}}]"#,
            2,
        );
        check(
            r#"[{"message":{"audio":{"id":"a","data":"AAAA","transcript":"Hi"}}}]"#,
            2,
        );
        check(r#"[{"text":"legacy"}]"#, 6);
        check(r#"[null,5,{"message":null}]"#, 0);
    }

    #[test]
    fn an_answer_must_be_one_whole_object() {
        for body in [
            "",
            "{",
            "[]",
            "null",
            "{}{}",
            "<html>",
            r#"{"usage":{"prompt_tokens":1}"#,
            "{\"a\":\"\u{1}\"}",
        ] {
            assert!(read_answer(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn an_error_and_impossible_figures_are_told() {
        assert!(facts(r#"{"error":{"message":"overloaded","code":502}}"#).error_seen);
        assert!(!facts(r#"{"error":null,"choices":[]}"#).error_seen);
        let invalid = facts(r#"{"usage":{"prompt_tokens":-1}}"#);
        assert_eq!((invalid.usage, invalid.usage_invalid), (None, true));
    }
}
