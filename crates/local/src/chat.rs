//! A chat request in `OpenAI`'s dialect: what of it this model honours, and what it refuses.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::LocalConfig;
use crate::fields::{is_void, read, whole, within};
use crate::message::{Message, messages};
use crate::refusal::Refusal;

const STOPS_MAX: usize = 4;
const STOP_BYTES_MAX: usize = 256;

/// How the next token is picked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sampling {
    pub(crate) temperature: f32,
    pub(crate) top_p: f32,
    pub(crate) frequency_penalty: f32,
    pub(crate) presence_penalty: f32,
    pub(crate) seed: Option<i64>,
}

/// A request that is known to be valid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chat {
    pub(crate) messages: Vec<Message>,
    pub(crate) sampling: Sampling,
    pub(crate) stops: Vec<String>,
    /// What was asked for; `None` leaves it to the operator's default.
    pub(crate) output_tokens_max: Option<usize>,
    pub(crate) has_usage_chunk: bool,
}

/// The fields that matter. Each is kept raw, so that what is wrong with it is told by its name.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    temperature: Option<&'a RawValue>,
    top_p: Option<&'a RawValue>,
    frequency_penalty: Option<&'a RawValue>,
    presence_penalty: Option<&'a RawValue>,
    seed: Option<&'a RawValue>,
    stop: Option<&'a RawValue>,
    max_tokens: Option<&'a RawValue>,
    max_completion_tokens: Option<&'a RawValue>,
    n: Option<&'a RawValue>,
    stream_options: Option<&'a RawValue>,
    response_format: Option<&'a RawValue>,
    tools: Option<&'a RawValue>,
    functions: Option<&'a RawValue>,
    logit_bias: Option<&'a RawValue>,
    logprobs: Option<&'a RawValue>,
    top_logprobs: Option<&'a RawValue>,
    modalities: Option<&'a RawValue>,
    audio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Typed {
    r#type: String,
}

impl Chat {
    /// Reads and validates a request body.
    pub(crate) fn parse(
        body: &[u8],
        is_stream: bool,
        config: &LocalConfig,
    ) -> Result<Self, Refusal> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(|error| {
            Refusal::unreadable(format!(
                "We could not parse the JSON body of your request: {error}."
            ))
        })?;
        refuse_what_is_not_offered(&body)?;
        let output_tokens_max = match whole(body.max_completion_tokens, "max_completion_tokens")? {
            Some(tokens) => Some(tokens),
            None => whole(body.max_tokens, "max_tokens")?,
        };
        Ok(Self {
            messages: messages(body.messages)?,
            sampling: Sampling {
                temperature: within(body.temperature, "temperature", 0.0, 2.0)?
                    .unwrap_or(config.temperature_default),
                top_p: within(body.top_p, "top_p", 0.0, 1.0)?.unwrap_or(config.top_p_default),
                frequency_penalty: within(body.frequency_penalty, "frequency_penalty", -2.0, 2.0)?
                    .unwrap_or(0.0),
                presence_penalty: within(body.presence_penalty, "presence_penalty", -2.0, 2.0)?
                    .unwrap_or(0.0),
                seed: read(body.seed, "seed", "a whole number")?,
            },
            stops: stops(body.stop)?,
            output_tokens_max,
            has_usage_chunk: has_usage_chunk(body.stream_options, is_stream)?,
        })
    }
}

fn refuse_what_is_not_offered(body: &Body<'_>) -> Result<(), Refusal> {
    match whole(body.n, "n")? {
        None | Some(1) => {}
        Some(_) => {
            return Err(Refusal::invalid(
                "n",
                "This model gives one choice per request: 'n' must be 1.".to_owned(),
            ));
        }
    }
    if let Some(format) = read::<Typed>(
        body.response_format,
        "response_format",
        "an object with a type",
    )? && format.r#type != "text"
    {
        return Err(Refusal::unsupported("response_format"));
    }
    if let Some(modalities) =
        read::<Vec<String>>(body.modalities, "modalities", "a list of strings")?
        && modalities.iter().any(|modality| modality != "text")
    {
        return Err(Refusal::unsupported("modalities"));
    }
    for (param, raw) in [
        ("tools", body.tools),
        ("functions", body.functions),
        ("logit_bias", body.logit_bias),
        ("logprobs", body.logprobs),
        ("top_logprobs", body.top_logprobs),
        ("audio", body.audio),
    ] {
        if raw.is_some_and(|raw| !is_void(raw)) {
            return Err(Refusal::unsupported(param));
        }
    }
    Ok(())
}

fn stops(raw: Option<&RawValue>) -> Result<Vec<String>, Refusal> {
    let stops = match read(raw, "stop", "a string or a list of strings")? {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Many(stops)) => stops,
    };
    let problem = if stops.len() > STOPS_MAX {
        format!("at most {STOPS_MAX} stop sequences are allowed")
    } else if stops.iter().any(String::is_empty) {
        "a stop sequence must not be empty".to_owned()
    } else if stops.iter().any(|stop| stop.len() > STOP_BYTES_MAX) {
        format!("a stop sequence has at most {STOP_BYTES_MAX} bytes")
    } else {
        return Ok(stops);
    };
    Err(Refusal::invalid(
        "stop",
        format!("Invalid value for 'stop': {problem}."),
    ))
}

fn has_usage_chunk(raw: Option<&RawValue>, is_stream: bool) -> Result<bool, Refusal> {
    match read::<StreamOptions>(raw, "stream_options", "an object")? {
        Some(_) if !is_stream => Err(Refusal::invalid(
            "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.".to_owned(),
        )),
        options => Ok(options.is_some_and(|options| options.include_usage)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::refusal::tests::error;

    fn config() -> LocalConfig {
        LocalConfig::new("model.gguf", "small")
    }

    fn parse(body: &str) -> Result<Chat, Refusal> {
        Chat::parse(body.as_bytes(), false, &config())
    }

    /// Parses a request for one message with this field added.
    fn with(field: &str, value: &Value) -> Result<Chat, Refusal> {
        let mut body = json!({ "model": "any", "messages": [{ "role": "user", "content": "Hi" }] });
        body[field] = value.clone();
        parse(&body.to_string())
    }

    #[test]
    fn what_is_not_said_is_the_operators_default() {
        let chat = parse(r#"{"messages": [{"role": "user", "content": "Hi"}]}"#).unwrap();
        assert_eq!(
            chat,
            Chat {
                messages: vec![Message {
                    role: "user",
                    content: "Hi".to_owned(),
                }],
                sampling: Sampling {
                    temperature: config().temperature_default,
                    top_p: config().top_p_default,
                    frequency_penalty: 0.0,
                    presence_penalty: 0.0,
                    seed: None,
                },
                stops: Vec::new(),
                output_tokens_max: None,
                has_usage_chunk: false,
            }
        );
    }

    #[test]
    fn what_is_said_counts() {
        let chat = with("temperature", &json!(1.5)).unwrap();
        assert!((chat.sampling.temperature - 1.5).abs() < f32::EPSILON);
        assert_eq!(with("seed", &json!(-3)).unwrap().sampling.seed, Some(-3));
        assert_eq!(with("stop", &json!("a")).unwrap().stops, ["a"]);
        assert_eq!(with("stop", &json!(["a", "b"])).unwrap().stops, ["a", "b"]);
        assert_eq!(
            with("max_tokens", &json!(7)).unwrap().output_tokens_max,
            Some(7)
        );
        let both = r#"{"max_tokens": 7, "max_completion_tokens": 5,
                       "messages": [{"role": "user", "content": "Hi"}]}"#;
        assert_eq!(parse(both).unwrap().output_tokens_max, Some(5));
    }

    #[test]
    fn what_says_nothing_is_no_reason_to_refuse() {
        for (field, value) in [
            ("n", json!(1)),
            ("tools", json!([])),
            ("tools", Value::Null),
            ("logit_bias", json!({})),
            ("logprobs", json!(false)),
            ("top_logprobs", json!(0)),
            ("response_format", json!({ "type": "text" })),
            ("modalities", json!(["text"])),
            ("stop", Value::Null),
            ("temperature", Value::Null),
            ("never_heard_of", json!({ "a": 1 })),
        ] {
            assert!(with(field, &value).is_ok(), "{field}: {value}");
        }
    }

    #[test]
    fn a_value_that_a_field_cannot_have_is_refused_by_its_name() {
        for (field, value) in [
            ("temperature", json!(2.1)),
            ("temperature", json!(-0.1)),
            ("temperature", json!("warm")),
            ("top_p", json!(1.1)),
            ("frequency_penalty", json!(3)),
            ("presence_penalty", json!(-3)),
            ("seed", json!(1.5)),
            ("stop", json!("")),
            ("stop", json!(["a", ""])),
            ("stop", json!(["a", "b", "c", "d", "e"])),
            ("stop", json!("a".repeat(257))),
            ("stop", json!(3)),
            ("max_tokens", json!(0)),
            ("max_tokens", json!(-1)),
            ("max_completion_tokens", json!("many")),
            ("n", json!(2)),
            ("n", json!(0)),
            ("stream_options", json!({ "include_usage": true })),
            ("messages", json!([])),
            ("messages", json!("Hi")),
            ("response_format", json!("text")),
        ] {
            let error = error(with(field, &value).unwrap_err());
            assert_eq!(
                (&error["param"], &error["code"]),
                (&json!(field), &json!("invalid_value"))
            );
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_by_its_name() {
        for (field, value) in [
            ("tools", json!([{ "type": "function" }])),
            ("functions", json!([{ "name": "f" }])),
            ("response_format", json!({ "type": "json_schema" })),
            ("logit_bias", json!({ "5": 1 })),
            ("logprobs", json!(true)),
            ("top_logprobs", json!(2)),
            ("modalities", json!(["text", "audio"])),
            ("audio", json!({ "voice": "alloy" })),
        ] {
            let error = error(with(field, &value).unwrap_err());
            assert_eq!(error["param"], field);
            assert_eq!(error["code"], "unsupported_parameter");
        }
    }

    #[test]
    fn what_is_no_request_at_all_is_refused_with_its_position() {
        for body in [
            "",
            "[",
            "[]",
            "7",
            r#"{"messages": ["#,
            r#"{"n": 1, "n": 1}"#,
        ] {
            let error = error(parse(body).unwrap_err());
            let message = error["message"].as_str().unwrap();
            assert!(
                message.contains("could not parse the JSON body"),
                "{message}"
            );
        }
        assert_eq!(error(parse("{}").unwrap_err())["param"], "messages");
    }

    #[test]
    fn usage_at_the_end_of_a_stream_is_given_to_who_asks() {
        let body = |options: &str| {
            format!(r#"{{"messages": [{{"role": "user", "content": "Hi"}}]{options}}}"#)
        };
        for (options, expected) in [
            ("", false),
            (r#", "stream_options": {}"#, false),
            (r#", "stream_options": {"include_usage": true}"#, true),
        ] {
            let chat = Chat::parse(body(options).as_bytes(), true, &config()).unwrap();
            assert_eq!(chat.has_usage_chunk, expected);
        }
    }
}
