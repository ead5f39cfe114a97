//! What a scripted upstream does with a call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::answers::{
    FOR_EVER, LAST_CHUNK, answer_200, chunk, completion, embeddings, head, stream_head,
    stream_steps, whole,
};

/// What one call asked for, as far as the scripts need it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The call's place among all calls, from 1; answers carry it in their id.
    pub number: u64,
    /// The path, without the query.
    pub path: String,
    /// The model that was asked for; empty when the body names none.
    pub model: String,
    /// Whether a stream was asked for.
    pub is_stream: bool,
    /// Whether the stream's usage was asked for.
    pub wants_usage: bool,
    /// The first number of the [`prompt`] that was sent, or 7.
    pub prompt_tokens: u64,
    /// The second number of the [`prompt`] that was sent, or 5.
    pub completion_tokens: u64,
    /// The body, when it is JSON.
    pub body: Value,
}

/// Returns a prompt that makes the upstream report these token counts.
#[must_use]
pub fn prompt(prompt_tokens: u64, completion_tokens: u64) -> String {
    format!("tokens({prompt_tokens},{completion_tokens})")
}

/// Reads what a call asks for from its head and body.
pub(crate) fn read_asked(number: u64, path: &str, body: &[u8]) -> Asked {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let (prompt_tokens, completion_tokens) = read_prompt(body).unwrap_or((7, 5));
    Asked {
        number,
        path: path.split('?').next().unwrap_or_default().to_owned(),
        model: json["model"].as_str().unwrap_or_default().to_owned(),
        is_stream: json["stream"] == true,
        wants_usage: json["stream_options"]["include_usage"] == true,
        prompt_tokens,
        completion_tokens,
        body: json,
    }
}

fn read_prompt(body: &[u8]) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("tokens(")?;
    let (first, second) = rest.split_once(')')?.0.split_once(',')?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

/// One thing that the upstream does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Writes these bytes.
    Send(Vec<u8>),
    /// Notes that one more token of the answer is written next.
    Token,
    /// Notes that the usage is written next: prompt tokens, answer tokens.
    Reported(u64, u64),
    /// Does nothing for so long.
    Wait(Duration),
    /// Repeats these until the client leaves.
    Forever(Vec<Step>),
    /// Closes the connection in an orderly way.
    Close,
    /// Resets the connection.
    Reset,
}

/// When a stream reports its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamUsage {
    /// In a chunk of its own at the end, if it was asked for.
    IfAsked,
    /// Never.
    Missing,
    /// In two chunks: half of it, then all of it.
    Twice,
    /// Beside the last content.
    WithLastContent,
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// With a finish reason, the usage and `[DONE]`.
    Done,
    /// With a finish reason and the usage, but the body just ends.
    WithoutDone,
    /// After the last content the connection is closed inside the body.
    Cut,
    /// After the last content the connection is reset.
    Reset,
    /// After the last content nothing comes any more.
    Hang,
    /// After the last content comes an error event.
    Error,
    /// The content never ends.
    Never,
}

/// A stream of chat chunks.
#[derive(Debug, Clone, Copy)]
pub struct StreamScript {
    /// Content chunks, one token each; `None` for as many as the prompt asks.
    pub chunks: Option<u64>,
    /// Before each chunk.
    pub pause: Duration,
    /// When the usage is reported.
    pub usage: StreamUsage,
    /// How it ends.
    pub end: StreamEnd,
}

impl Default for StreamScript {
    fn default() -> Self {
        Self {
            chunks: None,
            pause: Duration::ZERO,
            usage: StreamUsage::IfAsked,
            end: StreamEnd::Done,
        }
    }
}

/// What the upstream does with one call.
#[derive(Clone)]
pub struct Script(Arc<Plan>);

type Plan = dyn Fn(&Asked) -> Vec<Step> + Send + Sync;

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Default for Script {
    /// A well-behaved provider: JSON, a stream or embeddings, whatever was asked.
    fn default() -> Self {
        Self::new(|asked| match asked.path.rsplit('/').next() {
            Some("embeddings") => embeddings(asked),
            Some("completions") if asked.is_stream => stream_steps(asked, StreamScript::default()),
            Some("completions") => {
                answer_200(asked, completion(asked, true).to_string().as_bytes(), true)
            }
            _ => whole(200, "application/json", &[], b"{}"),
        })
    }
}

impl Script {
    /// Makes a script of steps that depend on what was asked.
    pub fn new(steps: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self(Arc::new(steps))
    }

    /// Returns the steps of [`Script::default`], to add others.
    #[must_use]
    pub fn default_steps(asked: &Asked) -> Vec<Step> {
        Self::default().steps(asked)
    }

    pub(crate) fn steps(&self, asked: &Asked) -> Vec<Step> {
        (self.0)(asked)
    }

    /// A complete JSON answer without usage.
    #[must_use]
    pub fn json_without_usage() -> Self {
        Self::new(|asked| {
            answer_200(
                asked,
                completion(asked, false).to_string().as_bytes(),
                false,
            )
        })
    }

    /// A complete JSON answer after a while, as [`Script::default`] otherwise.
    #[must_use]
    pub fn slow(wait: Duration) -> Self {
        Self::new(move |asked| {
            let mut steps = vec![Step::Wait(wait)];
            steps.extend(Self::default_steps(asked));
            steps
        })
    }

    /// A stream of chat chunks.
    #[must_use]
    pub fn stream(stream: StreamScript) -> Self {
        Self::new(move |asked| stream_steps(asked, stream))
    }

    /// A stream of these events; `[DONE]` is not added. Each may hold several lines.
    #[must_use]
    pub fn events(events: Vec<String>) -> Self {
        Self::new(move |_| {
            let mut steps = vec![Step::Send(stream_head())];
            steps.extend(
                events
                    .iter()
                    .map(|event| Step::Send(chunk(format!("{event}\n\n").as_bytes()))),
            );
            steps.push(Step::Send(LAST_CHUNK.to_vec()));
            steps
        })
    }

    /// A complete answer with this status, these further headers and this body.
    #[must_use]
    pub fn status(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let content_type = if body.starts_with('<') {
            "text/html"
        } else {
            "application/json"
        };
        let answer = whole(status, content_type, headers, body.as_bytes());
        Self::new(move |_| answer.clone())
    }

    /// OpenAI's error shape with this status.
    #[must_use]
    pub fn error(status: u16, headers: &[(&str, &str)]) -> Self {
        let body = json!({"error": {
            "message": format!("scripted {status}"),
            "type": "scripted_error",
            "param": null,
            "code": format!("scripted_{status}"),
        }});
        Self::status(status, headers, &body.to_string())
    }

    /// Half of a JSON answer, as if it were all of it.
    #[must_use]
    pub fn invalid_json() -> Self {
        Self::new(|asked| {
            let body = completion(asked, true).to_string();
            whole(
                200,
                "application/json",
                &[],
                &body.as_bytes()[..body.len() / 2],
            )
        })
    }

    /// A JSON answer that breaks off before its announced length.
    #[must_use]
    pub fn truncated_json() -> Self {
        Self::new(|asked| {
            let body = completion(asked, true).to_string();
            let mut bytes = head(200, "application/json", &[], Some(body.len()));
            bytes.extend_from_slice(&body.as_bytes()[..body.len() / 2]);
            vec![Step::Send(bytes), Step::Close]
        })
    }

    /// The beginning of a JSON answer that announces this many bytes.
    #[must_use]
    pub fn announced(bytes: usize) -> Self {
        Self::new(move |_| {
            let mut start = head(200, "application/json", &[], Some(bytes));
            start.push(b'{');
            vec![Step::Send(start), Step::Wait(FOR_EVER)]
        })
    }

    /// Nothing at all, for ever.
    #[must_use]
    pub fn hang() -> Self {
        Self::new(|_| vec![Step::Wait(FOR_EVER)])
    }

    /// A reset connection instead of an answer.
    #[must_use]
    pub fn reset() -> Self {
        Self::new(|_| vec![Step::Reset])
    }

    /// As [`Script::default`], byte by byte.
    #[must_use]
    pub fn drip(every: Duration) -> Self {
        Self::new(move |asked| {
            let mut steps = Vec::new();
            for step in Self::default_steps(asked) {
                let Step::Send(bytes) = step else {
                    steps.push(step);
                    continue;
                };
                for byte in bytes {
                    steps.extend([Step::Send(vec![byte]), Step::Wait(every)]);
                }
            }
            steps
        })
    }

    /// A stream whose one line has this many bytes and no end.
    #[must_use]
    pub fn long_line(bytes: usize) -> Self {
        Self::new(move |_| {
            let mut line = b"data: ".to_vec();
            line.resize(bytes, b'x');
            vec![
                Step::Send(stream_head()),
                Step::Send(chunk(&line)),
                Step::Wait(FOR_EVER),
            ]
        })
    }

    /// A complete JSON answer whose content has this many bytes.
    #[must_use]
    pub fn big(bytes: usize) -> Self {
        Self::new(move |asked| {
            let mut body = completion(asked, true);
            body["choices"][0]["message"]["content"] = json!("yy");
            let text = body.to_string();
            let (before, after) = text.split_once("yy").unwrap_or_default();
            let mut long = before.as_bytes().to_vec();
            long.resize(before.len() + bytes, b'y');
            long.extend_from_slice(after.as_bytes());
            answer_200(asked, &long, true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &Value) -> Asked {
        read_asked(1, "/v1/chat/completions?x=1", body.to_string().as_bytes())
    }

    #[test]
    fn the_prompt_says_what_usage_is_reported() {
        let asked = asked(&json!({
            "model": "m",
            "stream": true,
            "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": format!("hello {}", prompt(12, 3))}],
        }));
        assert_eq!((asked.prompt_tokens, asked.completion_tokens), (12, 3));
        assert_eq!(
            (asked.model.as_str(), asked.path.as_str()),
            ("m", "/v1/chat/completions")
        );
        assert!(asked.is_stream && asked.wants_usage);
    }

    #[test]
    fn a_stream_reports_usage_only_where_it_should() {
        let reported = |wants: bool, usage| {
            let asked = asked(&json!({"stream": true, "stream_options": {"include_usage": wants}}));
            let script = StreamScript {
                usage,
                ..StreamScript::default()
            };
            let steps = Script::stream(script).steps(&asked);
            steps
                .iter()
                .filter_map(|step| match step {
                    Step::Reported(_, answer) => Some(*answer),
                    _ => None,
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(reported(true, StreamUsage::IfAsked), [5]);
        assert_eq!(reported(false, StreamUsage::IfAsked), [0; 0]);
        assert_eq!(reported(true, StreamUsage::Missing), [0; 0]);
        assert_eq!(reported(false, StreamUsage::Twice), [2, 5]);
        assert_eq!(reported(false, StreamUsage::WithLastContent), [5]);
    }
}
