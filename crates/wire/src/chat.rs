//! The request for a chat completion, as far as a gateway must know it.

use std::borrow::Cow;

use bytes::Bytes;
use tollgate_domain::Usage;

use crate::error::WireError;
use crate::fields::{count, flag, model, open_body};
use crate::json::{Fault, JsonLimits, Kind, Scanner, Span};
use crate::media::Media;
use crate::splice::{Edit, quoted, splice};

/// The most answers that one request may ask for.
/// Source: <https://platform.openai.com/docs/api-reference/chat/create#chat-create-n>
const CHOICES_MAX: u64 = 128;

/// The most tokens that a model's chat template adds of its own, such as a default system prompt.
const TEMPLATE_TOKENS_MAX: u64 = 128;

const OUTPUT_TOKENS: (u64, &str) = (Usage::BUCKET_MAX, "a whole number from 1 to 100000000");

/// What a gateway must know of a request, read in one pass; everything else stays bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatEnvelope {
    model: Box<str>,
    model_at: Span,
    /// Just after the brace that opens the body: where members are added.
    members_at: u32,
    is_stream: bool,
    stream_options: StreamOptions,
    choices: u32,
    output_tokens_max: Option<u64>,
    /// A `max_completion_tokens` that is null.
    no_output_tokens_at: Option<Span>,
    body_bytes: u64,
    media: Media,
}

/// What a request says of `stream_options`, and where `include_usage` can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamOptions {
    Absent,
    /// Null, or without any member.
    Empty(Span),
    /// Without `include_usage`; the place is just after the opening brace.
    Others(u32),
    IncludeUsage(bool, Span),
}

/// What is changed of a request before it goes to a provider.
#[derive(Debug, Clone, Copy)]
pub struct ChatEdits<'a> {
    /// The provider's own name of the model.
    pub model: &'a str,
    /// Ask for usage at the end of a stream; `stream_options` keeps its other members.
    pub ask_usage: bool,
    /// Bound the answer to so many tokens where the client has set no bound.
    pub output_tokens_max: Option<u64>,
}

impl ChatEnvelope {
    /// Reads a request.
    ///
    /// # Errors
    /// When the body is not strict JSON within the limits, or one of the fields that are read is
    /// missing, of another type or out of range. Fields that are not known are left alone.
    pub fn parse(body: &[u8], limits: &JsonLimits) -> Result<Self, WireError> {
        read(body, limits).map_err(|fault| fault.within(body))
    }

    /// Returns the model that is asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns whether the answer is to come as a stream of events.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Returns whether the client wants usage at the end of a stream.
    #[must_use]
    pub const fn wants_usage(&self) -> bool {
        matches!(self.stream_options, StreamOptions::IncludeUsage(true, _))
    }

    /// Returns how many answers are asked for, 1 to 128.
    #[must_use]
    pub const fn choices(&self) -> u32 {
        self.choices
    }

    /// Returns how many tokens each answer may have, if the client says: the larger of
    /// `max_completion_tokens` and `max_tokens`.
    #[must_use]
    pub const fn output_tokens_max(&self) -> Option<u64> {
        self.output_tokens_max
    }

    /// Returns a number of tokens that the prompt does not exceed.
    ///
    /// A byte-level tokenizer makes at most one token of each byte, and what JSON adds to each
    /// message is more than what chat templates add to it. To the bytes are added 128 tokens for what
    /// a template brings of its own, and instead of the encoded bytes of a medium a bound of its own:
    /// 48,169 tokens for an image, one for each 40 bytes and up to 128,000 for a recording, 272,000
    /// for a file or a video.
    #[must_use]
    pub const fn prompt_tokens_bound(&self) -> u64 {
        self.text_bytes()
            .saturating_add(TEMPLATE_TOKENS_MAX)
            .saturating_add(self.media.tokens_bound)
    }

    /// Returns about how many tokens the prompt has: a quarter of its bytes, and what its images,
    /// recordings and files usually count for.
    #[must_use]
    pub const fn prompt_tokens_estimate(&self) -> u64 {
        self.text_bytes()
            .div_ceil(4)
            .saturating_add(self.media.tokens_estimate)
    }

    const fn text_bytes(&self) -> u64 {
        self.body_bytes.saturating_sub(self.media.data_bytes)
    }

    /// Makes the body for a provider out of the one that was parsed: the same bytes with only these
    /// edits. Without any it is the body itself, not copied.
    #[must_use]
    pub fn upstream_body(&self, body: &Bytes, edits: &ChatEdits<'_>) -> Bytes {
        let mut list = Vec::new();
        if edits.model != &*self.model {
            list.push(Edit {
                at: self.model_at,
                with: quoted(edits.model).into(),
            });
        }
        if edits.ask_usage && self.is_stream {
            list.extend(self.stream_options.ask_usage(self.members_at));
        }
        if let (None, Some(tokens)) = (self.output_tokens_max, edits.output_tokens_max) {
            list.push(match self.no_output_tokens_at {
                Some(at) => Edit {
                    at,
                    with: tokens.to_string().into(),
                },
                None => Edit {
                    at: Span::empty_at(self.members_at),
                    with: format!("\"max_completion_tokens\":{tokens},").into(),
                },
            });
        }
        splice(body, list)
    }
}

impl StreamOptions {
    fn ask_usage(self, members_at: u32) -> Option<Edit<'static>> {
        let (at, with) = match self {
            Self::IncludeUsage(true, _) => return None,
            Self::IncludeUsage(false, at) => (at, "true"),
            Self::Others(at) => (Span::empty_at(at), "\"include_usage\":true,"),
            Self::Empty(at) => (at, "{\"include_usage\":true}"),
            Self::Absent => (
                Span::empty_at(members_at),
                "\"stream_options\":{\"include_usage\":true},",
            ),
        };
        Some(Edit {
            at,
            with: Cow::Borrowed(with),
        })
    }
}

fn read(body: &[u8], limits: &JsonLimits) -> Result<ChatEnvelope, Fault> {
    let scanner = &mut Scanner::strict(body, limits)?;
    open_body(scanner)?;
    let mut envelope = ChatEnvelope {
        model: Box::default(),
        model_at: Span::default(),
        members_at: scanner.at(),
        is_stream: false,
        stream_options: StreamOptions::Absent,
        choices: 1,
        output_tokens_max: None,
        no_output_tokens_at: None,
        body_bytes: body.len() as u64,
        media: Media::default(),
    };
    let mut has_messages = false;
    while let Some(key) = scanner.next_key()? {
        match &*key.said() {
            b"model" => (envelope.model, envelope.model_at) = model(scanner)?,
            b"messages" => {
                messages(scanner, &mut envelope.media)?;
                has_messages = true;
            }
            b"stream" => envelope.is_stream = flag(scanner, "stream")?,
            b"stream_options" => envelope.stream_options = stream_options(scanner)?,
            b"n" => {
                let choices = count(scanner, "n", (CHOICES_MAX, "a whole number from 1 to 128"))?;
                envelope.choices = choices.and_then(|n| u32::try_from(n).ok()).unwrap_or(1);
            }
            b"max_tokens" => {
                let tokens = count(scanner, "max_tokens", OUTPUT_TOKENS)?;
                envelope.output_tokens_max = envelope.output_tokens_max.max(tokens);
            }
            b"max_completion_tokens" => {
                let start = scanner.position();
                let tokens = count(scanner, "max_completion_tokens", OUTPUT_TOKENS)?;
                let at = Span {
                    start,
                    end: scanner.at(),
                };
                envelope.no_output_tokens_at = tokens.is_none().then_some(at);
                envelope.output_tokens_max = envelope.output_tokens_max.max(tokens);
            }
            _ => drop(scanner.skip()?),
        }
    }
    scanner.end()?;
    // Only `model` makes the name: it is never empty.
    if envelope.model.is_empty() {
        return Err(WireError::missing("model").into());
    }
    if !has_messages {
        return Err(WireError::missing("messages").into());
    }
    Ok(envelope)
}

fn stream_options(scanner: &mut Scanner<'_>) -> Result<StreamOptions, Fault> {
    match scanner.kind()? {
        Kind::Object => {}
        Kind::Null => return scanner.skip_span().map(StreamOptions::Empty),
        _ => return Err(WireError::wrong_type("stream_options", "an object").into()),
    }
    let start = scanner.position();
    scanner.open_object()?;
    let members_at = scanner.at();
    let mut is_empty = true;
    let mut include_usage = None;
    while let Some(key) = scanner.next_key()? {
        is_empty = false;
        if &*key.said() == b"include_usage" {
            let start = scanner.position();
            let includes = flag(scanner, "stream_options.include_usage")?;
            include_usage = Some((
                includes,
                Span {
                    start,
                    end: scanner.at(),
                },
            ));
        } else {
            scanner.skip()?;
        }
    }
    Ok(match include_usage {
        Some((includes, at)) => StreamOptions::IncludeUsage(includes, at),
        None if is_empty => StreamOptions::Empty(Span {
            start,
            end: scanner.at(),
        }),
        None => StreamOptions::Others(members_at),
    })
}

fn messages(scanner: &mut Scanner<'_>, media: &mut Media) -> Result<(), Fault> {
    if scanner.kind()? != Kind::Array {
        return Err(WireError::wrong_type("messages", "an array").into());
    }
    scanner.open_array()?;
    let mut index = 0_usize;
    while scanner.next_element()? {
        message(scanner, index, media)?;
        index += 1;
    }
    if index == 0 {
        return Err(WireError::wrong_value("messages", "an array of at least one message").into());
    }
    Ok(())
}

fn message(scanner: &mut Scanner<'_>, index: usize, media: &mut Media) -> Result<(), Fault> {
    if scanner.kind()? != Kind::Object {
        return Err(WireError::wrong_type(format!("messages[{index}]"), "an object").into());
    }
    let mut has_role = false;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        match &*key.said() {
            b"role" if scanner.kind()? == Kind::Text => {
                scanner.text()?;
                has_role = true;
            }
            b"role" => {
                let param = format!("messages[{index}].role");
                return Err(WireError::wrong_type(param, "a string").into());
            }
            b"content" => content(scanner, index, media)?,
            _ => drop(scanner.skip()?),
        }
    }
    if !has_role {
        return Err(WireError::missing(format!("messages[{index}].role")).into());
    }
    Ok(())
}

fn content(scanner: &mut Scanner<'_>, index: usize, media: &mut Media) -> Result<(), Fault> {
    match scanner.kind()? {
        Kind::Text | Kind::Null => return scanner.skip().map(drop),
        Kind::Array => scanner.open_array()?,
        _ => {
            let param = format!("messages[{index}].content");
            return Err(WireError::wrong_type(param, "a string or an array of parts").into());
        }
    }
    let mut part = 0_usize;
    while scanner.next_element()? {
        if scanner.kind()? != Kind::Object {
            let param = format!("messages[{index}].content[{part}]");
            return Err(WireError::wrong_type(param, "an object").into());
        }
        media.read_part(scanner)?;
        part += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
