//! What the caller did wrong, in the shape that `OpenAI` gives it.

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use tollgate_providers::{AnswerBody, AnswerHeaders, UpstreamAnswer};

/// A request that cannot be answered as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

impl Refusal {
    /// A request that is not even JSON of the right shape.
    pub(crate) fn unreadable(message: String) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message,
            param: None,
            code: None,
        }
    }

    /// A field with a value that it cannot have.
    pub(crate) fn invalid(param: &str, message: String) -> Self {
        Self {
            param: Some(param.to_owned()),
            code: Some("invalid_value"),
            ..Self::unreadable(message)
        }
    }

    /// A field that must be there.
    pub(crate) fn missing(param: &str) -> Self {
        Self {
            param: Some(param.to_owned()),
            code: Some("missing_required_parameter"),
            ..Self::unreadable(format!("Missing required parameter: '{param}'."))
        }
    }

    /// A field that this model has no use for, though others may.
    pub(crate) fn unsupported(param: &str) -> Self {
        Self {
            param: Some(param.to_owned()),
            code: Some("unsupported_parameter"),
            ..Self::unreadable(format!(
                "Unsupported parameter: '{param}' is not supported with this model."
            ))
        }
    }

    /// A prompt that alone does not fit.
    pub(crate) fn prompt_too_long(context: usize, prompt: usize) -> Self {
        Self::too_long(format!(
            "This model's maximum context length is {context} tokens. However, your messages \
             resulted in {prompt} tokens. Please reduce the length of the messages."
        ))
    }

    /// A prompt that is so many bytes that it cannot fit, whatever its tokens are.
    pub(crate) fn prompt_far_too_long(context: usize) -> Self {
        Self::too_long(format!(
            "This model's maximum context length is {context} tokens. However, your messages \
             resulted in far more tokens. Please reduce the length of the messages."
        ))
    }

    /// A prompt that does not fit together with the answer that was asked for.
    pub(crate) fn answer_too_long(context: usize, prompt: usize, output: usize) -> Self {
        let sum = prompt.saturating_add(output);
        Self::too_long(format!(
            "This model's maximum context length is {context} tokens. However, you requested \
             {sum} tokens ({prompt} in the messages, {output} in the completion). Please reduce \
             the length of the messages or completion."
        ))
    }

    fn too_long(message: String) -> Self {
        Self {
            param: Some("messages".to_owned()),
            code: Some("context_length_exceeded"),
            ..Self::unreadable(message)
        }
    }

    /// A call for embeddings.
    pub(crate) fn no_embeddings(model: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("The model '{model}' does not support embeddings."),
            param: Some("model".to_owned()),
            code: Some("model_not_supported"),
        }
    }

    pub(crate) fn into_answer(self) -> UpstreamAnswer {
        let body = serde_json::to_vec(&Envelope {
            error: ErrorBody {
                message: &self.message,
                r#type: "invalid_request_error",
                param: self.param.as_deref(),
                code: self.code,
            },
        });
        UpstreamAnswer {
            status: self.status,
            headers: AnswerHeaders::content_type("application/json"),
            // A struct of strings always has a JSON form.
            body: AnswerBody::Whole(Bytes::from(body.unwrap_or_default())),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};
    use tollgate_providers::AnswerHeader;

    use super::*;

    /// Returns the error that a caller sees.
    pub(crate) fn error(refusal: Refusal) -> Value {
        let answer = refusal.into_answer();
        assert_eq!(answer.status, 400);
        let kind = answer.headers.get(AnswerHeader::ContentType);
        assert_eq!(kind.unwrap(), b"application/json");
        let AnswerBody::Whole(body) = answer.body else {
            panic!("an error is not a stream");
        };
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error"]["type"], "invalid_request_error");
        body["error"].take()
    }

    #[test]
    fn an_error_has_all_four_fields() {
        assert_eq!(
            error(Refusal::unreadable("What?".to_owned())),
            json!({
                "message": "What?",
                "type": "invalid_request_error",
                "param": null,
                "code": null,
            })
        );
    }
}
