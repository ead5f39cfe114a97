use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;

fn parse(body: &str) -> Result<ChatEnvelope, WireError> {
    ChatEnvelope::parse(body.as_bytes(), &JsonLimits::default())
}

/// A request with these members before its messages.
fn request(members: &str) -> String {
    format!("{{{members},{MESSAGES}}}")
}

fn check_refused(body: &str, code: &str, param: &str) {
    let error = parse(body).unwrap_err();
    assert_eq!((error.code(), error.param()), (code, Some(param)), "{body}");
}

#[test]
fn what_is_not_said_has_the_defaults_of_the_api() {
    let chat = parse(&request(r#""model":"m""#)).unwrap();
    assert_eq!(chat.model(), "m");
    assert_eq!((chat.is_stream(), chat.wants_usage()), (false, false));
    assert_eq!((chat.choices(), chat.output_tokens_max()), (1, None));
}

#[test]
fn null_is_as_good_as_absent() {
    let nulls = r#""model":"m","stream":null,"stream_options":null,"n":null,"max_tokens":null,"max_completion_tokens":null"#;
    let chat = parse(&request(nulls)).unwrap();
    assert_eq!((chat.is_stream(), chat.wants_usage()), (false, false));
    assert_eq!((chat.choices(), chat.output_tokens_max()), (1, None));
}

#[test]
fn what_is_said_is_read_wherever_it_stands_and_however_it_is_written() {
    let body = r#"{"\u006dax_tokens":5,"n":3,"stream_options":{"x":[1],"include_usage":true},
        "messages":[{"content":null,"role":"user"}],"mod\u0065l":"gpt\u002d4o","max_completion_tokens":7,
        "stream":true,"unknown":{"model":"other","stream":false}}"#;
    let chat = parse(body).unwrap();
    assert_eq!(chat.model(), "gpt-4o");
    assert_eq!((chat.is_stream(), chat.wants_usage()), (true, true));
    assert_eq!((chat.choices(), chat.output_tokens_max()), (3, Some(7)));
}

#[test]
fn an_escaped_key_does_not_hide_a_second_model() {
    let error = parse(&request(r#""model":"cheap","mod\u0065l":"dear""#)).unwrap_err();
    assert_eq!(error.code(), "duplicate_key");
}

#[test]
fn fields_of_another_type_or_out_of_range_are_named() {
    for (members, code, param) in [
        (r#""model":5"#, "invalid_type", "model"),
        (r#""model":null"#, "invalid_type", "model"),
        (r#""model":"""#, "invalid_value", "model"),
        (r#""model":"a\nb""#, "invalid_value", "model"),
        (r#""stream":true"#, "missing_required_parameter", "model"),
        (r#""model":"m","stream":"true""#, "invalid_type", "stream"),
        (r#""model":"m","stream":1"#, "invalid_type", "stream"),
        (
            r#""model":"m","stream_options":[]"#,
            "invalid_type",
            "stream_options",
        ),
        (
            r#""model":"m","stream_options":{"include_usage":1}"#,
            "invalid_type",
            "stream_options.include_usage",
        ),
        (r#""model":"m","n":0"#, "invalid_value", "n"),
        (r#""model":"m","n":129"#, "invalid_value", "n"),
        (r#""model":"m","n":-1"#, "invalid_value", "n"),
        (r#""model":"m","n":1.5"#, "invalid_value", "n"),
        (r#""model":"m","n":1e2"#, "invalid_value", "n"),
        (r#""model":"m","n":"1""#, "invalid_type", "n"),
        (
            r#""model":"m","max_tokens":0"#,
            "invalid_value",
            "max_tokens",
        ),
        (
            r#""model":"m","max_tokens":-5"#,
            "invalid_value",
            "max_tokens",
        ),
        (
            r#""model":"m","max_tokens":100000001"#,
            "invalid_value",
            "max_tokens",
        ),
        (
            r#""model":"m","max_tokens":18446744073709551617"#,
            "invalid_value",
            "max_tokens",
        ),
        (
            r#""model":"m","max_tokens":[1]"#,
            "invalid_type",
            "max_tokens",
        ),
        (
            r#""model":"m","max_completion_tokens":0"#,
            "invalid_value",
            "max_completion_tokens",
        ),
    ] {
        check_refused(&request(members), code, param);
    }
    check_refused(
        &request(&format!(r#""model":"{}""#, "m".repeat(257))),
        "invalid_value",
        "model",
    );
}

#[test]
fn messages_must_be_messages() {
    let missing = "missing_required_parameter";
    for (messages, code, param) in [
        (r#""n":1"#, missing, "messages"),
        (r#""messages":null"#, "invalid_type", "messages"),
        (r#""messages":"Hi""#, "invalid_type", "messages"),
        (r#""messages":[]"#, "invalid_value", "messages"),
        (r#""messages":["Hi"]"#, "invalid_type", "messages[0]"),
        (
            r#""messages":[{"content":"Hi"}]"#,
            missing,
            "messages[0].role",
        ),
        (
            r#""messages":[{"role":"user"},{"role":7}]"#,
            "invalid_type",
            "messages[1].role",
        ),
        (
            r#""messages":[{"role":"user","content":5}]"#,
            "invalid_type",
            "messages[0].content",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"text"},"x"]}]"#,
            "invalid_type",
            "messages[0].content[1]",
        ),
    ] {
        check_refused(&format!(r#"{{"model":"m",{messages}}}"#), code, param);
    }
}

#[test]
fn a_body_that_is_no_object_is_not_a_request() {
    for body in ["[]", "null", "\"text\"", " 5 "] {
        assert_eq!(parse(body), Err(WireError::NotObject), "{body}");
    }
    for body in ["", "[", "{} x"] {
        assert!(
            matches!(parse(body), Err(WireError::Syntax { .. })),
            "{body}"
        );
    }
}

fn edited(body: &str, edits: &ChatEdits<'_>) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let chat = ChatEnvelope::parse(&body, &JsonLimits::default()).unwrap();
    String::from_utf8(chat.upstream_body(&body, edits).into()).unwrap()
}

const UNCHANGED: ChatEdits<'_> = ChatEdits {
    model: "m",
    ask_usage: false,
    output_tokens_max: None,
};

#[test]
fn without_edits_the_body_is_the_same_and_not_copied() {
    let body = Bytes::from(request(r#""model":"m","stream":true"#));
    let chat = ChatEnvelope::parse(&body, &JsonLimits::default()).unwrap();
    assert_eq!(
        chat.upstream_body(&body, &UNCHANGED).as_ptr(),
        body.as_ptr()
    );
}

#[test]
fn only_the_models_name_changes() {
    let edits = ChatEdits {
        model: "a\"b",
        ..UNCHANGED
    };
    let body = r#" { "x":1.50, "model" : "\u006d" , "messages":[{"role":"user"}] } "#;
    let expected = r#" { "x":1.50, "model" : "a\"b" , "messages":[{"role":"user"}] } "#;
    assert_eq!(edited(body, &edits), expected);
}

#[test]
fn usage_is_asked_for_whatever_the_stream_options_were() {
    let edits = ChatEdits {
        ask_usage: true,
        ..UNCHANGED
    };
    let check = |options: &str, expected: &str| {
        let body = request(&format!(r#""model":"m","stream":true{options}"#));
        let expected = request(&format!(r#""model":"m","stream":true{expected}"#));
        assert_eq!(edited(&body, &edits), expected);
    };
    let asked = r#","stream_options":{"include_usage":true}"#;
    check(asked, asked);
    check(r#","stream_options":null"#, asked);
    check(r#","stream_options":{ }"#, asked);
    check(r#","stream_options":{"include_usage":false}"#, asked);
    check(r#","stream_options":{"include_usage":null}"#, asked);
    check(
        r#","stream_options":{"include_obfuscation":false}"#,
        r#","stream_options":{"include_usage":true,"include_obfuscation":false}"#,
    );
    assert_eq!(
        edited(&request(r#""model":"m","stream":true"#), &edits),
        request(r#""stream_options":{"include_usage":true},"model":"m","stream":true"#),
    );
    // Usage is in every answer that is no stream, and asking for it there is an error.
    let whole = request(r#""model":"m""#);
    assert_eq!(edited(&whole, &edits), whole);
}

#[test]
fn an_answer_is_bounded_only_where_the_client_did_not_bound_it() {
    let edits = ChatEdits {
        output_tokens_max: Some(64),
        ..UNCHANGED
    };
    let check = |members: &str, expected: &str| {
        assert_eq!(edited(&request(members), &edits), request(expected));
    };
    check(
        r#""model":"m""#,
        r#""max_completion_tokens":64,"model":"m""#,
    );
    check(
        r#""model":"m","max_tokens":9"#,
        r#""model":"m","max_tokens":9"#,
    );
    check(
        r#""model":"m","max_completion_tokens":9"#,
        r#""model":"m","max_completion_tokens":9"#,
    );
    // A second one beside the null would be a key that is there twice.
    check(
        r#""model":"m","max_completion_tokens": null"#,
        r#""model":"m","max_completion_tokens": 64"#,
    );
}

#[test]
fn encoded_images_and_files_do_not_count_as_text() {
    let data = "A".repeat(400_000);
    let body = |part: &str| {
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"Hi"}},{part}]}}]}}"#
        )
    };
    let check = |part: String, tokens_bound: u64, tokens_estimate: u64, data_bytes: u64| {
        let body = body(&part);
        let chat = parse(&body).unwrap();
        assert_eq!(
            chat.media,
            Media {
                tokens_bound,
                tokens_estimate,
                data_bytes
            },
            "{part}"
        );
        let text = body.len() as u64 - data_bytes;
        assert_eq!(chat.prompt_tokens_bound(), text + 128 + tokens_bound);
        assert_eq!(
            chat.prompt_tokens_estimate(),
            text.div_ceil(4) + tokens_estimate
        );
    };
    let inline =
        format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#);
    check(inline, 48_169, 1_000, 400_022);
    // One of key and type is enough for a provider that reads only one of them.
    for image in [
        r#"{"image_url":{"url":"https://a/b.png"},"type":"image_url"}"#,
        r#"{"type":"image_url"}"#,
        r#"{"image_\u0075rl":{"url":"https://a/b.png"}}"#,
        r#"{"image_url":"https://a/b.png"}"#,
    ] {
        check(image.to_owned(), 48_169, 1_000, 0);
    }
    let inline = format!(r#"{{"type":"input_audio","input_audio":{{"data":"{data}"}}}}"#);
    check(inline, 10_000, 400, 400_000);
    check(
        r#"{"type":"audio_url","audio_url":{"url":"https://a"}}"#.to_owned(),
        128_000,
        1_000,
        0,
    );
    let inline = format!(r#"{{"type":"file","file":{{"file_data":"{data}","filename":"a"}}}}"#);
    check(inline, 272_000, 8_000, 400_000);
    check(
        r#"{"type":"file","file":{"file_id":"file-1"}}"#.to_owned(),
        272_000,
        10_000,
        0,
    );
    // Text does not become data by its name.
    check(format!(r#"{{"type":"text","data":"{data}"}}"#), 0, 0, 0);
}

#[test]
fn a_prompt_of_single_byte_tokens_does_not_exceed_the_bound() {
    let text = "\u{1}".repeat(1_000);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string();
    assert!(parse(&body).unwrap().prompt_tokens_bound() >= 1_000);
}

/// A request of random members in random order, of which the known ones are valid.
fn requests() -> impl Strategy<Value = Value> {
    let options = prop_oneof![
        Just(json!(null)),
        Just(json!({})),
        any::<Option<bool>>().prop_map(|asks| json!({"include_usage": asks, "x": [1, "y"]})),
        Just(json!({"other": {"include_usage": true}})),
    ];
    let member = prop_oneof![
        any::<Option<bool>>().prop_map(|stream| ("stream".to_owned(), json!(stream))),
        options.prop_map(|options| ("stream_options".to_owned(), options)),
        prop::option::of(1..=128).prop_map(|n| ("n".to_owned(), json!(n))),
        prop::option::of(1..9999).prop_map(|max| ("max_tokens".to_owned(), json!(max))),
        prop::option::of(1..9999).prop_map(|max| ("max_completion_tokens".to_owned(), json!(max))),
        (any::<String>(), any::<String>())
            .prop_map(|(key, text)| (key, json!([text, {"a": text}]))),
    ];
    prop::collection::vec(member, 0..8).prop_map(|members| {
        let mut body: serde_json::Map<_, _> = members.into_iter().collect();
        body.insert("model".into(), json!("m"));
        body.insert(
            "messages".into(),
            json!([{"role": "user", "content": "Hi"}]),
        );
        Value::Object(body)
    })
}

proptest! {
    #[test]
    fn edits_change_what_they_say_and_nothing_else(
        before in requests(),
        model in "\\PC{1,8}",
        ask_usage: bool,
        output_tokens_max in prop::option::of(1_u64..100),
    ) {
        let edits = ChatEdits { model: &model, ask_usage, output_tokens_max };
        let after: Value = serde_json::from_str(&edited(&before.to_string(), &edits)).unwrap();

        let mut expected = before.clone();
        expected["model"] = json!(model);
        if ask_usage && before["stream"] == json!(true) {
            if before["stream_options"].is_null() {
                expected["stream_options"] = json!({});
            }
            expected["stream_options"]["include_usage"] = json!(true);
        }
        let is_bounded = ["max_tokens", "max_completion_tokens"].iter().any(|key| before[key].is_u64());
        if let (false, Some(tokens)) = (is_bounded, output_tokens_max) {
            expected["max_completion_tokens"] = json!(tokens);
        }
        prop_assert_eq!(&after, &expected);
        // What was edited parses again, and says what was asked for.
        let chat = parse(&after.to_string()).unwrap();
        prop_assert_eq!(chat.model(), &model);
    }
}
