//! The messages of a request.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fields::{is_void, read};
use crate::refusal::Refusal;

/// One message, with the roles that a chat template knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) role: &'static str,
    pub(crate) content: String,
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

/// Reads the messages of a request, of which there must be one.
pub(crate) fn messages(raw: Option<&RawValue>) -> Result<Vec<Message>, Refusal> {
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
        if raw.is_some_and(|raw| !is_void(raw)) {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::refusal::tests::error;

    /// Reads a list of this message alone.
    fn said(message: &Value) -> Result<Message, Refusal> {
        let raw = serde_json::value::to_raw_value(&[message]).unwrap();
        messages(Some(&raw)).map(|mut messages| messages.remove(0))
    }

    #[test]
    fn every_role_of_openai_has_one_that_templates_know() {
        for (role, known) in [
            ("system", "system"),
            ("developer", "system"),
            ("user", "user"),
            ("assistant", "assistant"),
            ("tool", "user"),
        ] {
            assert_eq!(
                said(&json!({ "role": role, "content": "Hi" }))
                    .unwrap()
                    .role,
                known
            );
        }
    }

    #[test]
    fn text_parts_are_put_together() {
        let parts = json!([{ "type": "text", "text": "a\n" }, { "type": "text", "text": "b" }]);
        let message = said(&json!({ "role": "user", "content": parts })).unwrap();
        assert_eq!(message.content, "a\nb");
        let silent = said(&json!({ "role": "assistant", "content": null })).unwrap();
        assert_eq!(silent.content, "");
    }

    #[test]
    fn a_message_that_cannot_be_said_is_refused_by_its_place() {
        let image = json!([{ "type": "text", "text": "a" }, { "type": "image_url" }]);
        let calls = json!([{ "id": "call_1" }]);
        for (message, param) in [
            (json!({ "content": "Hi" }), "messages[0].role"),
            (
                json!({ "role": "narrator", "content": "Hi" }),
                "messages[0].role",
            ),
            (json!({ "role": "user" }), "messages[0].content"),
            (
                json!({ "role": "user", "content": null }),
                "messages[0].content",
            ),
            (
                json!({ "role": "user", "content": 3 }),
                "messages[0].content",
            ),
            (
                json!({ "role": "user", "content": image }),
                "messages[0].content[1].type",
            ),
            (
                json!({ "role": "user", "content": [{ "type": "text" }] }),
                "messages[0].content[0].text",
            ),
            (
                json!({ "role": "assistant", "tool_calls": calls }),
                "messages[0].tool_calls",
            ),
            (json!("Hi"), "messages[0]"),
        ] {
            assert_eq!(error(said(&message).unwrap_err())["param"], param);
        }
    }
}
