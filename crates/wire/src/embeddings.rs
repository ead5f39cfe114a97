//! The request for embeddings, as far as a gateway must know it.

use bytes::Bytes;

use crate::error::WireError;
use crate::fields::{model, open_body, whole};
use crate::json::{Fault, JsonLimits, Kind, Scanner, Span};
use crate::splice::{Edit, quoted, splice};

const INPUT: &str =
    "a string, an array of strings, an array of tokens or an array of arrays of tokens";
const NOT_EMPTY: &str = "not empty";

/// What a gateway must know of a request, read in one pass; everything else stays bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingsEnvelope {
    model: Box<str>,
    model_at: Span,
    body_bytes: u64,
    input: Input,
}

/// How much there is to embed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Input {
    text_bytes: u64,
    tokens: u64,
}

impl EmbeddingsEnvelope {
    /// Reads a request.
    ///
    /// # Errors
    /// When the body is not strict JSON within the limits, or `model` or `input` is missing, of
    /// another type or empty. Fields that are not known are left alone.
    pub fn parse(body: &[u8], limits: &JsonLimits) -> Result<Self, WireError> {
        read(body, limits).map_err(|fault| fault.within(body))
    }

    /// Returns the model that is asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns a number of tokens that the input does not exceed: the bytes of the body, since a
    /// byte-level tokenizer makes at most one token of each, and JSON's own bytes are more than the
    /// marks that a model sets around each input.
    #[must_use]
    pub const fn prompt_tokens_bound(&self) -> u64 {
        self.body_bytes
    }

    /// Returns about how many tokens the input has: a quarter of its bytes, or the tokens it is.
    #[must_use]
    pub const fn prompt_tokens_estimate(&self) -> u64 {
        self.input
            .text_bytes
            .div_ceil(4)
            .saturating_add(self.input.tokens)
    }

    /// Makes the body for a provider out of the one that was parsed: the same bytes with only the
    /// model's name changed, and the body itself, not copied, where that is the same.
    #[must_use]
    pub fn upstream_body(&self, body: &Bytes, model: &str) -> Bytes {
        if model == &*self.model {
            return body.clone();
        }
        splice(
            body,
            vec![Edit {
                at: self.model_at,
                with: quoted(model).into(),
            }],
        )
    }
}

fn read(body: &[u8], limits: &JsonLimits) -> Result<EmbeddingsEnvelope, Fault> {
    let scanner = &mut Scanner::strict(body, limits)?;
    open_body(scanner)?;
    let mut name = None;
    let mut input = None;
    while let Some(key) = scanner.next_key()? {
        match &*key.said() {
            b"model" => name = Some(model(scanner)?),
            b"input" => input = Some(Input::read(scanner)?),
            _ => drop(scanner.skip()?),
        }
    }
    scanner.end()?;
    let (model, model_at) = name.ok_or_else(|| WireError::missing("model"))?;
    let input = input.ok_or_else(|| WireError::missing("input"))?;
    Ok(EmbeddingsEnvelope {
        model,
        model_at,
        body_bytes: body.len() as u64,
        input,
    })
}

impl Input {
    fn read(scanner: &mut Scanner<'_>) -> Result<Self, Fault> {
        let mut input = Self::default();
        match scanner.kind()? {
            Kind::Text => input.text(scanner, || "input".into())?,
            Kind::Array => input.list(scanner)?,
            _ => return Err(WireError::wrong_type("input", INPUT).into()),
        }
        Ok(input)
    }

    fn list(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        scanner.open_array()?;
        let mut first = None;
        let mut index = 0_usize;
        while scanner.next_element()? {
            let kind = scanner.kind()?;
            let param = || format!("input[{index}]");
            match kind {
                _ if *first.get_or_insert(kind) != kind => {
                    return Err(
                        WireError::wrong_type(param(), "of the same type as the first").into(),
                    );
                }
                Kind::Text => self.text(scanner, param)?,
                Kind::Number => self.token(scanner, param)?,
                Kind::Array => self.tokens(scanner, param)?,
                _ => return Err(WireError::wrong_type("input", INPUT).into()),
            }
            index += 1;
        }
        match first {
            Some(_) => Ok(()),
            None => Err(WireError::wrong_value("input", NOT_EMPTY).into()),
        }
    }

    fn text(&mut self, scanner: &mut Scanner<'_>, param: impl Fn() -> String) -> Result<(), Fault> {
        match scanner.text()?.raw.len() {
            0 => Err(WireError::wrong_value(param(), NOT_EMPTY).into()),
            bytes => {
                self.text_bytes += bytes as u64;
                Ok(())
            }
        }
    }

    fn tokens(
        &mut self,
        scanner: &mut Scanner<'_>,
        param: impl Fn() -> String,
    ) -> Result<(), Fault> {
        let before = self.tokens;
        scanner.open_array()?;
        while scanner.next_element()? {
            if scanner.kind()? != Kind::Number {
                return Err(WireError::wrong_type(param(), "an array of tokens").into());
            }
            self.token(scanner, &param)?;
        }
        if self.tokens == before {
            return Err(WireError::wrong_value(param(), NOT_EMPTY).into());
        }
        Ok(())
    }

    fn token(
        &mut self,
        scanner: &mut Scanner<'_>,
        param: impl Fn() -> String,
    ) -> Result<(), Fault> {
        if whole(scanner.number()?).is_none() {
            return Err(WireError::wrong_value(param(), "a token: a whole number from 0").into());
        }
        self.tokens += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(input: &str) -> Result<EmbeddingsEnvelope, WireError> {
        let body = format!(r#"{{"model":"m"{input}}}"#);
        EmbeddingsEnvelope::parse(body.as_bytes(), &JsonLimits::default())
    }

    #[test]
    fn every_shape_of_input_is_read_and_estimated() {
        for (input, tokens) in [
            (r#""abcdefgh""#, 2),
            (r#"["abcd","ef"]"#, 2),
            ("[1,2,3]", 3),
            ("[[1,2],[3]]", 3),
            ("[0]", 1),
        ] {
            let envelope = parse(&format!(r#","input":{input}"#)).unwrap();
            assert_eq!(envelope.model(), "m");
            assert_eq!(envelope.prompt_tokens_estimate(), tokens, "{input}");
            assert!(envelope.prompt_tokens_bound() > tokens, "{input}");
        }
    }

    #[test]
    fn input_that_is_empty_mixed_or_of_another_type_is_refused() {
        let invalid_type = "invalid_type";
        let invalid_value = "invalid_value";
        for (input, code, param) in [
            ("", "missing_required_parameter", "input"),
            (r#","input":null"#, invalid_type, "input"),
            (r#","input":5"#, invalid_type, "input"),
            (r#","input":{}"#, invalid_type, "input"),
            (r#","input":[true]"#, invalid_type, "input"),
            (r#","input":"""#, invalid_value, "input"),
            (r#","input":[]"#, invalid_value, "input"),
            (r#","input":["a",""]"#, invalid_value, "input[1]"),
            (r#","input":[[1],[]]"#, invalid_value, "input[1]"),
            (r#","input":["a",1]"#, invalid_type, "input[1]"),
            (r#","input":[[1],2]"#, invalid_type, "input[1]"),
            (r#","input":[["a"]]"#, invalid_type, "input[0]"),
            (r#","input":[1,-2]"#, invalid_value, "input[1]"),
            (r#","input":[1.5]"#, invalid_value, "input[0]"),
        ] {
            let error = parse(input).unwrap_err();
            assert_eq!(
                (error.code(), error.param()),
                (code, Some(param)),
                "{input}"
            );
        }
        let no_model = EmbeddingsEnvelope::parse(br#"{"input":"a"}"#, &JsonLimits::default());
        assert_eq!(no_model.unwrap_err().param(), Some("model"));
    }

    #[test]
    fn only_the_models_name_changes() {
        let body = Bytes::from_static(br#"{"input":[1, 2],"model":"m","dimensions":256}"#);
        let envelope = EmbeddingsEnvelope::parse(&body, &JsonLimits::default()).unwrap();
        assert_eq!(
            envelope.upstream_body(&body, "text-embedding-3-small"),
            r#"{"input":[1, 2],"model":"text-embedding-3-small","dimensions":256}"#,
        );
        assert_eq!(envelope.upstream_body(&body, "m").as_ptr(), body.as_ptr());
    }
}
