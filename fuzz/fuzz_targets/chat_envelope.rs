//! Requests: nothing panics, what is accepted is JSON to a second parser too, and an edited body
//! says what the edits say.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tollgate_wire::{ChatEdits, ChatEnvelope, EmbeddingsEnvelope, JsonLimits};

fuzz_target!(|data: &[u8]| {
    let limits = JsonLimits::default();
    let body = Bytes::copy_from_slice(data);
    if let Ok(envelope) = EmbeddingsEnvelope::parse(&body, &limits) {
        let edited = envelope.upstream_body(&body, "upstream");
        let edited = EmbeddingsEnvelope::parse(&edited, &limits).expect("an edited body is valid");
        assert_eq!(edited.model(), "upstream");
    }
    let Ok(chat) = ChatEnvelope::parse(&body, &limits) else {
        return;
    };
    let before: Value = serde_json::from_slice(&body).expect("what is accepted is JSON");
    assert_eq!(before["model"], chat.model());

    let edits = ChatEdits {
        model: "upstream",
        ask_usage: true,
        output_tokens_max: Some(7),
    };
    let edited = chat.upstream_body(&body, &edits);
    let after = ChatEnvelope::parse(&edited, &limits).expect("an edited body is valid");
    assert_eq!(after.model(), "upstream");
    assert_eq!(after.wants_usage(), chat.is_stream() || chat.wants_usage());
    assert_eq!(
        after.output_tokens_max(),
        chat.output_tokens_max().or(Some(7))
    );
});
