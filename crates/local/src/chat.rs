//! A chat request in `OpenAI`'s dialect: what of it this model honours, and what it refuses.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::LocalConfig;
use crate::refusal::Refusal;

const STOPS_MAX: usize = 4;
const STOP_BYTES_MAX: usize = 256;

/// One message, with the roles that a chat template knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) role: &'static str,
    pub(crate) content: String,
}

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

#[derive(Deserialize)]
struct RawMessage<'a> {
    role: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
    function_call: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawPart {
    r#type: String,
    text: Option<String>,
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

fn read<'a, T: Deserialize<'a>>(
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

fn within(
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
fn whole(raw: Option<&RawValue>, param: &str) -> Result<Option<usize>, Refusal> {
    let expected = "a whole number of at least 1";
    match read::<usize>(raw, param, expected)? {
        Some(0) => Err(Refusal::invalid(
            param,
            format!("Invalid value for '{param}': expected {expected}, but got 0."),
        )),
        value => Ok(value),
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
    let says_nothing = ["[]", "{}", "false", "0"];
    for (param, raw) in [
        ("tools", body.tools),
        ("functions", body.functions),
        ("logit_bias", body.logit_bias),
        ("logprobs", body.logprobs),
        ("top_logprobs", body.top_logprobs),
        ("audio", body.audio),
    ] {
        if raw.is_some_and(|raw| !says_nothing.contains(&squeezed(raw).as_str())) {
            return Err(Refusal::unsupported(param));
        }
    }
    Ok(())
}

fn squeezed(raw: &RawValue) -> String {
    // Longer values are not one of the few that are looked for.
    raw.get()
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .take(8)
        .collect()
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

fn messages(raw: Option<&RawValue>) -> Result<Vec<Message>, Refusal> {
    let list: Vec<&RawValue> =
        read(raw, "messages", "a list of messages")?.ok_or_else(|| Refusal::missing("messages"))?;
    if list.is_empty() {
        return Err(Refusal::invalid(
            "messages",
            "Invalid value for 'messages': there must be at least one message.".to_owned(),
        ));
    }
    list.into_iter()
        .enumerate()
        .map(|(index, raw)| message(raw, &format!("messages[{index}]")))
        .collect()
}

fn message(raw: &RawValue, param: &str) -> Result<Message, Refusal> {
    let message: RawMessage<'_> =
        read(Some(raw), param, "a message")?.ok_or_else(|| Refusal::missing(param))?;
    let role_param = format!("{param}.role");
    let role = match message.role.as_deref() {
        None => return Err(Refusal::missing(&role_param)),
        Some("system" | "developer") => "system",
        // Chat templates of small models know no tools; what a tool said is said to the model.
        Some("user" | "tool" | "function") => "user",
        Some("assistant") => "assistant",
        Some(_) => {
            return Err(Refusal::invalid(
                &role_param,
                format!(
                    "Invalid value for '{role_param}': expected one of system, developer, user, \
                     assistant, tool."
                ),
            ));
        }
    };
    for (name, raw) in [
        ("tool_calls", message.tool_calls),
        ("function_call", message.function_call),
    ] {
        if raw.is_some_and(|raw| squeezed(raw) != "[]") {
            return Err(Refusal::unsupported(&format!("{param}.{name}")));
        }
    }
    let content_param = format!("{param}.content");
    let content = match message.content {
        Some(raw) => content(raw, &content_param)?,
        None if role == "assistant" => String::new(),
        None => return Err(Refusal::missing(&content_param)),
    };
    Ok(Message { role, content })
}

/// Reads a string, or the parts of one.
fn content(raw: &RawValue, param: &str) -> Result<String, Refusal> {
    let expected = "a string or a list of content parts";
    if !raw.get().starts_with('[') {
        return Ok(read(Some(raw), param, expected)?.unwrap_or_default());
    }
    let parts: Vec<RawPart> = read(Some(raw), param, expected)?.unwrap_or_default();
    let mut content = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        match part {
            RawPart {
                r#type,
                text: Some(text),
            } if r#type == "text" => content.push_str(&text),
            RawPart { r#type, .. } if r#type == "text" => {
                return Err(Refusal::missing(&format!("{param}[{index}].text")));
            }
            RawPart { r#type, .. } => {
                let param = format!("{param}[{index}].type");
                return Err(Refusal::invalid(
                    &param,
                    format!(
                        "Invalid value for '{param}': this model takes text only, not '{type}'."
                    ),
                ));
            }
        }
    }
    Ok(content)
}
