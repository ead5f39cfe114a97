//! Edits to a body, with every other byte left as it is.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::Span;

/// Bytes to put in the place of others, or between them where the span is empty.
#[derive(Debug)]
pub(crate) struct Edit<'a> {
    pub(crate) at: Span,
    pub(crate) with: Cow<'a, str>,
}

/// Makes a body with these edits, which do not overlap; the body itself when there are none.
pub(crate) fn splice(body: &Bytes, mut edits: Vec<Edit<'_>>) -> Bytes {
    if edits.is_empty() {
        return body.clone();
    }
    edits.sort_by_key(|edit| edit.at.start);
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut edited = Vec::with_capacity(body.len() + added);
    let mut from = 0;
    for edit in &edits {
        edited.extend_from_slice(body.get(from..edit.at.start as usize).unwrap_or_default());
        edited.extend_from_slice(edit.with.as_bytes());
        from = edit.at.end as usize;
    }
    edited.extend_from_slice(body.get(from..).unwrap_or_default());
    edited.into()
}

/// Writes a string as JSON, with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
