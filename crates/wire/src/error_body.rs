//! Errors in OpenAI's shape, for clients.

use bytes::Bytes;
use serde::Serialize;

/// An error as clients of OpenAI's API know it.
/// Source: <https://platform.openai.com/docs/guides/error-codes>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ErrorBody<'a> {
    /// What happened, for people.
    pub message: &'a str,
    /// The class of the error, such as `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The field of the request that is at fault.
    pub param: Option<&'a str>,
    /// What happened, for programs.
    pub code: Option<&'a str>,
}

#[derive(Serialize)]
struct Enveloped<'a> {
    error: &'a ErrorBody<'a>,
}

/// Returns the body of an answer that is an error.
#[must_use]
pub fn error_body(error: &ErrorBody<'_>) -> Bytes {
    // Strings alone cannot fail to be written.
    serde_json::to_vec(&Enveloped { error })
        .unwrap_or_default()
        .into()
}

/// Returns the event that ends a stream with an error.
#[must_use]
pub fn error_event(error: &ErrorBody<'_>) -> Bytes {
    [b"data: ", &*error_body(error), b"\n\n"].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ErrorBody<'_> = ErrorBody {
        message: "a \"quote\"\nand a line",
        kind: "invalid_request_error",
        param: None,
        code: Some("invalid_json"),
    };

    #[test]
    fn an_error_has_all_four_fields_and_an_event_one_line() {
        let body = r#"{"error":{"message":"a \"quote\"\nand a line","type":"invalid_request_error","param":null,"code":"invalid_json"}}"#;
        assert_eq!(error_body(&ERROR), body);
        assert_eq!(error_event(&ERROR), format!("data: {body}\n\n"));
        let typed: async_openai::error::WrappedError = serde_json::from_str(body).unwrap();
        assert_eq!(typed.error.message, ERROR.message);
    }
}
