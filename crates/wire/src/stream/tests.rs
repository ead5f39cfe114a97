use proptest::prelude::*;

use super::*;

/// What a stream says and what of it is forwarded.
#[derive(Debug, PartialEq)]
struct Told {
    forwarded: String,
    end: StreamEnd,
    usage: Option<Usage>,
    usage_invalid: bool,
    error_seen: bool,
    answer_bytes: u64,
    has_content: bool,
    finished_choices: u32,
    done_event: Bytes,
}

fn decode(strip_usage: bool, chunks: impl IntoIterator<Item = Bytes>) -> Result<Told, StreamError> {
    let mut decoder = StreamDecoder::new(strip_usage);
    let mut forwarded = Vec::new();
    for chunk in chunks {
        forwarded.extend(decoder.push(chunk)?);
    }
    let end = decoder.end();
    Ok(Told {
        forwarded: String::from_utf8_lossy(&forwarded).into_owned(),
        end,
        usage: decoder.usage(),
        usage_invalid: decoder.usage_invalid(),
        error_seen: decoder.error_seen(),
        answer_bytes: decoder.answer_bytes(),
        has_content: decoder.has_content(),
        finished_choices: decoder.finished_choices(),
        done_event: decoder.done_event(),
    })
}

fn decode_whole(stream: &str) -> Told {
    decode(true, [Bytes::copy_from_slice(stream.as_bytes())]).unwrap()
}

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi \\u00e9\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2,\"total_tokens\":10}}\n\n";
const LAST: &str = "data: [DONE]\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"overloaded\",\"code\":502}}\n\n";

#[test]
fn a_stream_is_forwarded_without_its_end_and_the_usage_nobody_asked_for() {
    let told = decode_whole(&[ROLE, TEXT, STOP, USAGE, LAST].concat());
    assert_eq!(told.forwarded, [ROLE, TEXT, STOP].concat());
    assert_eq!(
        told.usage,
        Some(Usage {
            input: 8,
            output: 2,
            ..Usage::default()
        })
    );
    assert_eq!(
        (told.end, told.done_event),
        (StreamEnd::Complete, LAST.into())
    );
    assert_eq!(
        (told.finished_choices, told.answer_bytes, told.has_content),
        (1, 9, true)
    );

    let asked = decode(false, [Bytes::from([TEXT, USAGE, LAST].concat())]).unwrap();
    assert_eq!(asked.forwarded, [TEXT, USAGE].concat());
}

#[test]
fn nothing_is_copied_when_a_chunk_is_whole_events() {
    let mut decoder = StreamDecoder::new(true);
    let chunk = Bytes::from([ROLE, TEXT].concat());
    let ready = decoder.push(chunk.clone()).unwrap();
    assert_eq!((ready.as_ptr(), ready.len()), (chunk.as_ptr(), chunk.len()));
    let last = Bytes::from([STOP, USAGE, LAST].concat());
    let ready = decoder.push(last.clone()).unwrap();
    assert_eq!((ready.as_ptr(), ready.len()), (last.as_ptr(), STOP.len()));
}

#[test]
fn an_event_between_others_is_taken_out() {
    let told = decode_whole(&[TEXT, USAGE, TEXT, STOP, LAST].concat());
    assert_eq!(told.forwarded, [TEXT, TEXT, STOP].concat());
}

#[test]
fn the_opening_role_is_no_content_and_nothing_else_is_none() {
    let has_content = |events: &str| {
        let mut decoder = StreamDecoder::new(true);
        decoder
            .push(Bytes::copy_from_slice(events.as_bytes()))
            .unwrap();
        decoder.has_content()
    };
    let filters = "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n";
    let comments = ": OPENROUTER PROCESSING\n\nevent: ping\ndata:\n\n";
    for events in [ROLE, filters, comments, STOP, USAGE, LAST, ERROR] {
        assert!(!has_content(events), "{events}");
    }
    let thought = TEXT.replace("content", "reasoning_content");
    let tool = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\"}]}}]}\n\n";
    let legacy = "data: {\"choices\":[{\"index\":0,\"text\":\"Hi\"}]}\n\n";
    for events in [
        TEXT,
        &thought,
        tool,
        legacy,
        "data: {\"type\":\"other\"}\n\n",
    ] {
        assert!(has_content(events), "{events}");
    }
}

#[test]
fn a_stream_is_complete_only_if_it_says_so_or_every_choice_has_ended() {
    use StreamEnd::{Complete, Cut};
    let second = TEXT.replace("\"index\":0", "\"index\":1");
    let second_stop = STOP.replace("\"index\":0", "\"index\":1");
    for (events, expected) in [
        (vec![], Cut),
        (vec![ROLE, TEXT], Cut),
        (vec![ROLE, TEXT, STOP], Complete),
        (vec![TEXT, LAST], Complete),
        (vec![LAST], Complete),
        (vec![TEXT, &second, STOP], Cut),
        (vec![TEXT, &second, STOP, &second_stop], Complete),
        (vec![TEXT, STOP, "data: {\"cho"], Cut),
        (vec![TEXT, STOP, USAGE], Complete),
        (vec![TEXT, STOP, ": comment"], Complete),
        (vec![TEXT, STOP, "\n"], Complete),
        (vec![TEXT, ERROR], Cut),
        (vec![TEXT, STOP, ERROR], Cut),
        (vec![TEXT, ERROR, LAST], Cut),
        (
            vec![TEXT, "event: error\ndata: {\"message\":\"x\"}\n\n", LAST],
            Cut,
        ),
        // The last event of all may lack its blank line.
        (vec![TEXT, "data: [DONE]\n"], Complete),
        (vec![TEXT, "data: [DONE]"], Complete),
        (vec![TEXT, &STOP.replace("\"stop\"", "\"\"")], Cut),
    ] {
        let told = decode_whole(&events.concat());
        assert_eq!(told.end, expected, "{events:?}");
        assert_eq!(told.done_event, LAST);
    }
}

#[test]
fn an_error_is_forwarded_even_with_the_usage_nobody_asked_for() {
    let both = USAGE.replace("{\"choices\"", "{\"error\":{\"message\":\"x\"},\"choices\"");
    let told = decode_whole(&[TEXT, &both].concat());
    assert_eq!(told.forwarded, [TEXT, &both].concat());
    assert!(told.error_seen && told.usage.is_some());
}

#[test]
fn after_an_error_a_stream_is_not_done() {
    let mut decoder = StreamDecoder::new(true);
    let ready = decoder.push(Bytes::from([ERROR, LAST].concat())).unwrap();
    assert_eq!(
        (&ready[..], decoder.is_done(), decoder.error_seen()),
        (ERROR.as_bytes(), false, true)
    );
}

#[test]
fn what_follows_the_end_is_dropped() {
    let told = decode_whole(&[TEXT, LAST, TEXT, USAGE, ERROR].concat());
    assert_eq!(
        (&*told.forwarded, told.end, told.usage),
        (TEXT, StreamEnd::Complete, None)
    );
}

#[test]
fn the_last_figures_win_and_impossible_ones_are_left_out() {
    let later = USAGE.replace("\"prompt_tokens\":8", "\"prompt_tokens\":9");
    let negative = USAGE.replace("\"prompt_tokens\":8", "\"prompt_tokens\":-8");
    let told = decode_whole(&[USAGE, &later, &negative].concat());
    assert_eq!(told.usage.map(|usage| usage.input), Some(9));
    assert!(told.usage_invalid);
    // Stripped all the same: the client did not ask.
    assert_eq!(told.forwarded, "");
    let zero = decode_whole("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":0}}\n\n");
    assert_eq!(
        (zero.usage, zero.usage_invalid),
        (Some(Usage::default()), false)
    );
}

#[test]
fn usage_beside_content_stays_where_it_is() {
    let both = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2}}\n\n";
    let told = decode_whole(&[TEXT, both, LAST].concat());
    assert_eq!(told.forwarded, [TEXT, both].concat());
    assert_eq!(told.usage.map(|usage| usage.total_tokens()), Some(10));
}

#[test]
fn all_line_endings_and_fields_are_read() {
    let lines = [ROLE, TEXT, STOP, USAGE, LAST].concat();
    let plain = decode_whole(&lines);
    for ending in ["\r\n", "\r"] {
        let stream = lines.replace('\n', ending);
        let told = decode_whole(&stream);
        let forwarded = plain.forwarded.replace('\n', ending);
        let done_event = Bytes::from(LAST.replace('\n', ending));
        assert_eq!(
            told,
            Told {
                forwarded,
                done_event,
                ..decode_whole(&lines)
            }
        );
    }
    let dressed = lines
        .replacen("data: ", "\u{feff}id: 1\nevent: message\ndata:", 1)
        .replace("\"choices\":[],", "\"choices\":[],\ndata: ");
    let told = decode_whole(&dressed);
    assert_eq!((told.usage, told.end), (plain.usage, plain.end));
    assert_eq!(
        (told.answer_bytes, told.has_content),
        (plain.answer_bytes, plain.has_content)
    );
}

#[test]
fn an_event_has_a_bound_however_it_comes() {
    let long = format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(EVENT_BYTES_MAX));
    let too_large = Err(StreamError::TooLarge {
        bytes_max: EVENT_BYTES_MAX,
    });
    assert_eq!(decode(true, [Bytes::from(long.clone())]), too_large);
    let pieces = long.as_bytes().chunks(1_000).map(Bytes::copy_from_slice);
    assert_eq!(decode(true, pieces), too_large);
    assert_eq!(
        decode(true, [Bytes::from(vec![b':'; EVENT_BYTES_MAX + 1])]),
        too_large
    );
    let many = TEXT.repeat(3 * EVENT_BYTES_MAX / TEXT.len());
    assert_eq!(decode_whole(&many).forwarded, many);
}

#[test]
fn what_is_not_json_is_an_error_that_stays() {
    for event in [
        "data: Internal Server Error\n\n",
        "data: [1]\n\n",
        "data: {\"a\":1\n\n",
    ] {
        let mut decoder = StreamDecoder::new(true);
        assert_eq!(
            decoder.push(Bytes::from_static(event.as_bytes())),
            Err(StreamError::NotJson)
        );
        assert_eq!(
            decoder.push(Bytes::from_static(LAST.as_bytes())),
            Err(StreamError::NotJson)
        );
        assert_eq!(decoder.end(), StreamEnd::Cut, "{event}");
    }
}

#[test]
fn one_byte_at_a_time_costs_in_proportion() {
    let event = format!(
        "data: {{\"a\":\"{}\"}}\n\n",
        "x".repeat(EVENT_BYTES_MAX - 100)
    );
    let bytes = Bytes::from(event.clone());
    let told = decode(true, (0..bytes.len()).map(|at| bytes.slice(at..=at))).unwrap();
    assert!(told.forwarded == event);
}

/// Chunks of choices as many dialects write them, with every field that matters in some of them.
fn chunks() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec![
        "",
        "Hi",
        "a\\nb",
        "\\\"usage\\\":{\\\"prompt_tokens\\\":1}",
        "\\u00e9",
        "\"",
        "delta",
    ]);
    let delta = (
        text,
        prop::sample::select(vec!["content", "role", "reasoning", "usage", "delta"]),
    )
        .prop_map(|(text, key)| format!("{{\"{key}\":\"{text}\"}}"));
    let choice = (
        prop_oneof![Just(delta.boxed()), Just(Just("null".to_owned()).boxed())]
            .prop_flat_map(|d| d),
        prop::sample::select(vec![
            "{\"index\":1,\"delta\":D}",
            "{\"index\": 0 , \"delta\" : D,\"finish_reason\": null}",
            "{\"delta\":D,\"index\":2,\"finish_reason\":\"stop\"}",
            "{\"index\":3,\"delta\":D,\"logprobs\":{\"content\":[{\"token\":\"usage\"}]}}",
            "{\"finish_reason\":null,\"index\":900,\"delta\":D}",
        ]),
    );
    let choices =
        prop::collection::vec(choice.prop_map(|(d, choice)| choice.replace('D', &d)), 0..3);
    let more = prop::sample::select(vec![
        "",
        ",\"usage\":null",
        ",\"usage\":{\"prompt_tokens\":3}",
        ",\"usage\":{\"prompt_tokens\":-3}",
        ",\"error\":null",
        ",\"error\":{\"message\":\"x\"}",
        ",\"system_fingerprint\":\"fp\"",
    ]);
    (choices, more)
        .prop_map(|(choices, more)| format!("{{\"choices\":[{}]{more}}}", choices.join(",")))
}

/// Streams of chunks, comments, ends and broken pieces, with all kinds of line endings.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let event = prop_oneof![
        8 => chunks().prop_map(|chunk| format!("data: {chunk}E E")),
        1 => chunks().prop_map(|chunk| format!("event: message Eid: 7Edata:{chunk}EE")),
        1 => chunks().prop_map(|chunk| format!("data: {}EE", chunk.replacen(',', ",Edata: ", 1))),
        1 => prop::sample::select(vec![": ping EE", "E", "data:EE", "data", "retry: 5EE", "\u{feff}"])
            .prop_map(str::to_owned),
        1 => Just("data: [DONE]EE".to_owned()),
    ];
    let ending = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let event =
        (event, ending).prop_map(|(event, ending)| event.replace("E E", "EE").replace('E', ending));
    prop::collection::vec(event, 0..8).prop_map(|events| events.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_split_gives_the_same(
        stream in streams(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        strip_usage: bool,
    ) {
        let bytes = Bytes::from(stream);
        let whole = decode(strip_usage, [bytes.clone()]);
        let bytewise = decode(strip_usage, (0..bytes.len()).map(|at| bytes.slice(at..=at)));
        prop_assert_eq!(&bytewise, &whole);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| bytes.slice(cut[0]..cut[1]));
        prop_assert_eq!(&decode(strip_usage, pieces), &whole);
    }

    #[test]
    fn a_glance_says_what_reading_says(chunk in chunks()) {
        let read = ChunkFacts::read(chunk.as_bytes());
        if let Some(glance) = ChunkFacts::glance(chunk.as_bytes()) {
            prop_assert_eq!(glance, read.unwrap(), "{}", chunk);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..6),
    ) {
        drop(decode(true, pieces.into_iter().map(Bytes::from)));
    }
}

#[test]
fn a_glance_is_enough_for_what_most_chunks_are() {
    for (event, index) in [
        (ROLE, 0),
        (TEXT, 0),
        (&*TEXT.replace("\"index\":0", "\"index\": 5 "), 5),
    ] {
        let data = event.trim_start_matches("data: ").trim_end();
        let glance = ChunkFacts::glance(data.as_bytes()).unwrap();
        assert_eq!(glance.seen, 1 << index);
    }
    for event in [STOP, USAGE, ERROR] {
        let data = event.trim_start_matches("data: ").trim_end();
        assert_eq!(ChunkFacts::glance(data.as_bytes()), None);
    }
}
