//! What an object was, in 32 bytes.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::Value;
use tollgate_domain::DIGEST_BYTES;

use crate::error::AuditError;

/// Returns the SHA-256 of an object's canonical JSON: no space, the names of each object sorted by their
/// UTF-8 bytes, numbers and texts as `serde_json` writes them. The order of fields in a struct, or of
/// entries in a map, does not count.
///
/// Leave secrets out: what has few possible values can be guessed from its digest.
///
/// # Errors
/// `NotJson`.
pub fn digest_of(value: &impl Serialize) -> Result<[u8; DIGEST_BYTES], AuditError> {
    let value = serde_json::to_value(value).map_err(AuditError::NotJson)?;
    let mut text = String::new();
    write(&mut text, &value);
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().try_into().map_err(|_| AuditError::Crypto)
}

/// Whether maps keep their order depends on how `serde_json` is built elsewhere, so they are sorted here.
fn write(text: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            write_all(text, ['{', '}'], fields, |text, (name, value)| {
                write(text, &Value::from(name.as_str()));
                text.push(':');
                write(text, value);
            });
        }
        Value::Array(items) => write_all(text, ['[', ']'], items, write),
        plain => text.push_str(&plain.to_string()),
    }
}

fn write_all<T>(
    text: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write_one: impl Fn(&mut String, T),
) {
    text.push(open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write_one(text, item);
    }
    text.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use serde_json::json;
    use std::collections::HashMap;

    fn check(value: &impl Serialize, canonical: &str) {
        let mut text = String::new();
        write(&mut text, &serde_json::to_value(value).unwrap());
        assert_eq!(text, canonical);
        let expected = digest(&SHA256, canonical.as_bytes());
        assert_eq!(&digest_of(value).unwrap(), expected.as_ref());
    }

    #[test]
    fn the_canonical_form_is_sorted_at_every_depth() {
        #[derive(Serialize)]
        struct Key {
            name: &'static str,
            budget: Option<i64>,
            scopes: Vec<&'static str>,
        }
        let key = Key {
            name: "a \"b\"\n",
            budget: None,
            scopes: vec!["z", "a"],
        };
        check(
            &key,
            r#"{"budget":null,"name":"a \"b\"\n","scopes":["z","a"]}"#,
        );
        let nested = json!({"é": 1, "z": {"b": [{"y": 1.5, "x": true}], "a": []}, "B": {}});
        check(
            &nested,
            r#"{"B":{},"z":{"a":[],"b":[{"x":true,"y":1.5}]},"é":1}"#,
        );
        check(&"text", "\"text\"");
        check(&i64::MIN, "-9223372036854775808");
        assert_eq!(
            HEXLOWER.encode(&digest_of(&json!({})).unwrap()),
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }

    #[test]
    fn the_order_of_a_map_does_not_count() {
        let forward: HashMap<_, _> = (0..50).map(|at| (at.to_string(), at)).collect();
        let backward: HashMap<_, _> = (0..50).rev().map(|at| (at.to_string(), at)).collect();
        assert_eq!(digest_of(&forward).unwrap(), digest_of(&backward).unwrap());
    }

    #[test]
    fn what_has_no_json_form_is_an_error() {
        let map: HashMap<Vec<u8>, i32> = [(vec![1], 1)].into();
        assert!(matches!(digest_of(&map), Err(AuditError::NotJson(_))));
    }
}
