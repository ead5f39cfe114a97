//! Masks what looks like a secret, as the last thing before a line is written.

use std::borrow::Cow;

const MASK: &str = "[redacted]";

/// Returns the line with everything masked that looks like an API key, a token or a bearer
/// credential. Lines without such things, nearly all, are not copied.
pub(crate) fn redact(line: &str) -> Cow<'_, str> {
    let mut masked: Option<String> = None;
    let mut kept = 0;
    let mut after_bearer = false;
    for (start, word) in words(line) {
        if is_secret(word) || (after_bearer && word.len() >= 8) {
            let out = masked.get_or_insert_with(|| String::with_capacity(line.len()));
            out.push_str(line.get(kept..start).unwrap_or_default());
            out.push_str(MASK);
            kept = start + word.len();
        }
        after_bearer = word.eq_ignore_ascii_case("bearer");
    }
    match masked {
        None => Cow::Borrowed(line),
        Some(mut out) => {
            out.push_str(line.get(kept..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// Runs of the characters that tokens are made of, with their places.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '~');
    let mut rest = line;
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = rest.find(is_inside)?;
        let tail = rest.get(start..)?;
        let length = tail.find(|c| !is_inside(c)).unwrap_or(tail.len());
        let word = (at + start, tail.get(..length)?);
        rest = tail.get(length..)?;
        at += start + length;
        Some(word)
    })
}

fn is_secret(word: &str) -> bool {
    let has =
        |prefix: &str, length_min: usize| word.starts_with(prefix) && word.len() >= length_min;
    has("tg_live_", 24)
        || has("sk-", 20)
        || has("sk_", 20)
        || has("AKIA", 20)
        || has("ghp_", 20)
        || has("xoxb-", 20)
        || has("AIza", 30)
        || (has("eyJ", 30) && word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        for (line, expected) in [
            ("key=sk-abcdefghijklmnopqrstu!", "key=[redacted]!"),
            (
                "Authorization: Bearer abcdefgh12345678 x",
                "Authorization: Bearer [redacted] x",
            ),
            ("\"tg_live_abcdefgh_0123456789abcdef\"", "\"[redacted]\""),
            (
                "jwt eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.sig é",
                "jwt [redacted] é",
            ),
            ("AKIAABCDEFGHIJKLMNOP", "[redacted]"),
        ] {
            assert_eq!(redact(line), expected);
        }
    }

    #[test]
    fn ordinary_lines_are_not_copied() {
        for line in [
            "",
            "sk-short",
            "the bearer of news",
            "tg_live_",
            "é sk- AKIA ünï",
        ] {
            assert!(matches!(redact(line), Cow::Borrowed(_)), "{line}");
        }
    }
}
