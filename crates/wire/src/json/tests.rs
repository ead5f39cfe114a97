use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::*;

fn scan(body: &[u8], limits: JsonLimits) -> Result<(), WireError> {
    let scan = || {
        let mut scanner = Scanner::strict(body, &limits)?;
        scanner.skip()?;
        scanner.end()
    };
    scan().map_err(|fault: Fault| fault.within(body))
}

fn scan_leniently(body: &[u8]) -> Result<(), Fault> {
    let mut scanner = Scanner::lenient(body)?;
    scanner.skip()?;
    scanner.end()
}

fn check_refused(body: impl AsRef<[u8]>, code: &str, offset: usize) {
    let body = body.as_ref();
    let error = scan(body, JsonLimits::default()).unwrap_err();
    let at = match error {
        WireError::Syntax { at, .. }
        | WireError::DuplicateKey { at }
        | WireError::TooDeep { at, .. } => at,
        ref other => panic!("{other:?}"),
    };
    let shown = String::from_utf8_lossy(body);
    assert_eq!(
        (error.code(), at.offset),
        (code, offset),
        "{shown}: {error}"
    );
}

#[test]
fn every_kind_of_value_is_accepted() {
    for body in [
        "null",
        "true",
        " false ",
        "0",
        "-0",
        "-0.0e-0",
        "1E+2",
        "12.5",
        "\"\"",
        "[]",
        "{}",
        "[[],{}]",
        "\t\r\n [ 1 , \"\\u00e9\\ud83d\\ude00é\\/\" ] ",
        "{\"\":{\"\":0},\"a\":[{}]}",
        "123456789012345678901234567890",
        "1e-400",
        "0e400",
        "1.7976931348623157e308",
    ] {
        assert_eq!(
            scan(body.as_bytes(), JsonLimits::default()),
            Ok(()),
            "{body}"
        );
    }
}

#[test]
fn broken_json_is_refused_where_it_breaks() {
    for (body, offset) in [
        ("", 0),
        ("  ", 2),
        ("{", 1),
        ("[1", 2),
        ("{\"a\"", 4),
        ("{\"a\":", 5),
        ("\"ab", 3),
        ("[1,]", 3),
        ("{\"a\":1,}", 7),
        ("{,}", 1),
        ("[,1]", 1),
        ("{a:1}", 1),
        ("{'a':1}", 1),
        ("{\"a\" 1}", 5),
        ("{\"a\":1 \"b\":2}", 7),
        ("[1 2]", 3),
        ("{1:2}", 1),
        ("[1}", 2),
        ("{]", 1),
        ("01", 1),
        ("-", 1),
        ("+1", 0),
        (".5", 0),
        ("1.", 2),
        ("1e", 2),
        ("1e+", 3),
        ("0x1", 1),
        ("NaN", 0),
        ("Infinity", 0),
        ("-Infinity", 1),
        ("nul", 0),
        ("tru", 0),
        ("True", 0),
        ("\"\\x\"", 1),
        ("\"\\u12g4\"", 1),
        ("\"\\u12\"", 1),
        ("\"a\nb\"", 2),
        ("\"\u{0}\"", 1),
        ("\"\\", 1),
        ("{} {}", 3),
        ("null,", 4),
        ("[]]", 2),
        ("// c\n1", 0),
        ("\u{feff}1", 0),
    ] {
        check_refused(body, "invalid_json", offset);
    }
}

#[test]
fn what_readers_read_differently_is_refused() {
    check_refused(b"\"\xff\"", "invalid_json", 1);
    check_refused(b"[\"\xed\xa0\x80\"]", "invalid_json", 2);
    check_refused(r#""\ud83d""#, "invalid_json", 1);
    check_refused(r#""\ude00\ud83d""#, "invalid_json", 1);
    check_refused(r#""\ud83dx""#, "invalid_json", 1);
    check_refused(r#""a\ud83d\u0041""#, "invalid_json", 2);
    check_refused("[1e400]", "invalid_json", 1);
    check_refused("-1e999999999999", "invalid_json", 0);
    check_refused("9".repeat(400), "invalid_json", 0);
}

#[test]
fn a_key_that_is_there_twice_is_refused_however_it_is_written() {
    check_refused(r#"{"a":1,"b":2,"a":3}"#, "duplicate_key", 13);
    check_refused(r#"[{"x":{"a":1,"\u0061":2}}]"#, "duplicate_key", 13);
    check_refused(r#"{"\u0061":1,"\u0061":2}"#, "duplicate_key", 12);
    check_refused(r#"{"":1,"":2}"#, "duplicate_key", 6);
    check_refused(r#"{"a":{"b":1},"a":{"c":2}}"#, "duplicate_key", 13);
    let same_key_in_others = r#"{"a":{"a":[{"a":1},{"a":1}]},"b":{"a":1}}"#;
    assert_eq!(
        scan(same_key_in_others.as_bytes(), JsonLimits::default()),
        Ok(())
    );
}

#[test]
fn a_double_is_found_in_an_object_of_any_size() {
    for count in 1..40 {
        let members: String = (0..count).map(|key| format!("\"k{key}\":0,")).collect();
        for key in [0, count - 1] {
            let body = format!("{{{members}\"k{key}\":0}}");
            check_refused(&body, "duplicate_key", members.len() + 1);
        }
        let body = format!("{{{members}\"k{count}\":0}}");
        assert_eq!(scan(body.as_bytes(), JsonLimits::default()), Ok(()));
    }
}

#[test]
fn many_keys_cost_in_proportion_and_a_double_is_found_among_them() {
    let members: Vec<_> = (0..100_000).map(|key| format!("\"k{key}\":0")).collect();
    let all = format!("{{{}}}", members.join(","));
    assert_eq!(scan(all.as_bytes(), JsonLimits::default()), Ok(()));
    for (first, second) in [("k0", "k99999"), ("\\u006b7", "k54321")] {
        let twice = all.replacen(&format!("\"{second}\""), &format!("\"{first}\""), 1);
        let offset = twice.find(&format!(",\"{first}\"")).unwrap() + 1;
        check_refused(twice, "duplicate_key", offset);
    }
}

#[test]
fn depth_is_bounded_for_arrays_and_objects_alike() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(scan(nested(64).as_bytes(), JsonLimits::default()), Ok(()));
    check_refused(nested(65), "too_deep", 64);
    check_refused("{\"a\":".repeat(65), "too_deep", 5 * 64);
    assert_eq!(
        scan(b"[]", JsonLimits { depth_max: 0 }).unwrap_err().code(),
        "too_deep"
    );
    // More than the scanner can count is held at what it can.
    assert_eq!(
        scan(
            nested(128).as_bytes(),
            JsonLimits {
                depth_max: u16::MAX
            }
        ),
        Ok(())
    );
    let deep = scan(
        "[".repeat(1_000_000).as_bytes(),
        JsonLimits {
            depth_max: u16::MAX,
        },
    );
    assert_eq!(deep.unwrap_err().code(), "too_deep");
}

#[test]
fn an_answer_may_say_what_a_request_may_not() {
    for body in [r#"{"a":1,"a":2}"#, r#"["\ud83d"]"#, "[1e400]"] {
        assert!(scan_leniently(body.as_bytes()).is_ok(), "{body}");
        assert!(
            scan(body.as_bytes(), JsonLimits::default()).is_err(),
            "{body}"
        );
    }
    for body in ["[1,]", "{\"a\":1", "[] []", "\"\\x\""] {
        assert!(scan_leniently(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn the_length_of_strings_is_told_without_keys_and_quotes() {
    let body = br#"{"key":"four","list":["a",{"k":"\n"}],"n":12}"#;
    assert_eq!(Scanner::within(body, 0).skip().unwrap(), 4 + 1 + 2);
}

/// How deep a value is, read by serde, which fails when a key is there twice.
struct Depth(u16);

impl<'de> Deserialize<'de> for Depth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DepthVisitor)
    }
}

struct DepthVisitor;

impl<'de> Visitor<'de> for DepthVisitor {
    type Value = Depth;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_str<E>(self, _: &str) -> Result<Depth, E> {
        Ok(Depth(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Depth, A::Error> {
        let mut inner = 0;
        while let Some(Depth(depth)) = list.next_element()? {
            inner = inner.max(depth);
        }
        Ok(Depth(inner + 1))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Depth, A::Error> {
        let mut keys = HashSet::new();
        let mut inner = 0;
        while let Some((key, Depth(depth))) = map.next_entry::<String, Depth>()? {
            inner = inner.max(depth);
            if !keys.insert(key) {
                return Err(serde::de::Error::custom("twice"));
            }
        }
        Ok(Depth(inner + 1))
    }
}

fn check_against_serde(body: &[u8], depth_max: u16) {
    let shown = String::from_utf8_lossy(body);
    let serde = serde_json::from_slice::<Depth>(body);
    let accepts = serde.as_ref().is_ok_and(|Depth(depth)| *depth <= depth_max);
    let scanned = scan(body, JsonLimits { depth_max });
    assert_eq!(
        scanned.is_ok(),
        accepts,
        "{shown}: {scanned:?}, {:?}",
        serde.err()
    );

    let accepts =
        std::str::from_utf8(body).is_ok() && serde_json::from_slice::<IgnoredAny>(body).is_ok();
    assert_eq!(scan_leniently(body).is_ok(), accepts, "leniently: {shown}");
}

fn scalar() -> impl Strategy<Value = String> {
    let awkward = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1e5",
        "1e400",
        "-2.5E-3",
        "01",
        "1.",
        "\"\"",
        "\"a\"",
        "\"\\u0061\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"é\"",
        "\"a\\\"b\"",
        "\"\\q\"",
    ]);
    prop_oneof![
        awkward.prop_map(ToOwned::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        prop::sample::select(vec!["\"a\"", "\"\\u0061\"", "\"b\"", "\"\""]).prop_map(str::to_owned),
        "[a-z]{1,3}".prop_map(|key| format!("\"{key}\"")),
    ];
    scalar().prop_recursive(5, 40, 6, move |inner| {
        let member =
            (key.clone(), inner.clone()).prop_map(|(key, value)| format!("{key} :{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|list| format!("[{}]", list.join(" ,"))),
            prop::collection::vec(member, 0..20)
                .prop_map(|list| format!("{{ {}}}", list.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn values_are_accepted_exactly_if_a_second_parser_does(body in value(), depth_max in 0_u16..8) {
        check_against_serde(body.as_bytes(), depth_max);
    }

    #[test]
    fn broken_values_are_refused_exactly_if_a_second_parser_does(
        body in value(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![
            any::<u8>(),
            prop::sample::select(b"{}[],:\"\\u0e.- \n".to_vec()),
        ],
        edit in 0..3,
    ) {
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        match edit {
            0 => body[at] = byte,
            1 => body.insert(at, byte),
            _ => drop(body.remove(at)),
        }
        check_against_serde(&body, 64);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
        check_against_serde(&body, 64);
    }
}
