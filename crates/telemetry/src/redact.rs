//! Masks what looks like a secret, before a value is written: the last line of defence, for what should
//! never have been logged.

use std::borrow::Cow;
use std::ops::Range;

const MASK: &str = "[redacted]";

/// How secrets begin, and how long one is at least. A shorter text is not worth hiding.
const SECRETS: [(&str, usize); 9] = [
    ("tg_live_", 24),
    ("sk-", 20),
    ("sk_", 20),
    ("AKIA", 20),
    ("ASIA", 20),
    ("ghp_", 20),
    ("xoxb-", 20),
    ("AIza", 30),
    ("eyJ", 30),
];

/// The shortest text after `Bearer` that is taken for a credential.
const BEARER_MIN: usize = 8;

/// Returns the text with everything masked that looks like an API key, a token, a bearer credential or
/// a password in a URL. Texts without such things, nearly all, are not copied.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut kept = 0;
    let mut after_bearer = false;
    for word in words(text) {
        let found = text.get(word.clone()).unwrap_or_default();
        let secret = match secret_in(found) {
            Some(within) => Some(word.start + within.start..word.start + within.end),
            None if after_bearer && found.len() >= BEARER_MIN => Some(word),
            None => None,
        };
        if let Some(secret) = secret {
            out.push_str(text.get(kept..secret.start).unwrap_or_default());
            out.push_str(MASK);
            kept = secret.end;
        }
        after_bearer = found.len() >= 6
            && found
                .get(found.len() - 6..)
                .is_some_and(|end| end.eq_ignore_ascii_case("bearer"));
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// Runs of what is neither white space nor a quotation mark or the like.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_between =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '`' | ',' | ';');
    text.split(is_between)
        .filter(|word| !word.is_empty())
        .map(|word| {
            let start = word.as_ptr().addr() - text.as_ptr().addr();
            start..start + word.len()
        })
}

/// Where in a word there is a secret. What follows a key in its word goes with it.
fn secret_in(word: &str) -> Option<Range<usize>> {
    match (key_in(word), password_in(word)) {
        (Some(key), Some(password)) => Some(key.min(password.start)..word.len()),
        (Some(key), None) => Some(key..word.len()),
        (None, password) => password,
    }
}

/// Where the first key or token of a word begins.
fn key_in(word: &str) -> Option<usize> {
    if word.len() < 20 {
        return None;
    }
    let begins_at = |(prefix, length_min): (&str, usize)| {
        word.match_indices(prefix).map(|(at, _)| at).find(|at| {
            let before = word.get(..*at).and_then(|text| text.chars().next_back());
            let rest = word.get(*at..).unwrap_or_default();
            before.is_none_or(|c| !c.is_ascii_alphanumeric())
                && rest.len() >= length_min
                && (prefix != "eyJ" || rest.contains('.'))
        })
    };
    SECRETS.into_iter().filter_map(begins_at).min()
}

/// The password of a URL: `scheme://user:password@host`, also one that is not escaped as it should be.
fn password_in(word: &str) -> Option<Range<usize>> {
    let authority = word.find("://")? + 3;
    let end = authority + word.get(authority..)?.rfind('@')?;
    let start = authority + word.get(authority..end)?.find(':')? + 1;
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(redact(text), expected);
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        check("key=sk-abcdefghijklmnopqrstu&b=1 ok", "key=[redacted] ok");
        check(
            "Authorization: Bearer abcd/efgh+1234== x",
            "Authorization: Bearer [redacted] x",
        );
        check(
            "authorization:bearer abcdefgh",
            "authorization:bearer [redacted]",
        );
        check("\"tg_live_abcdefgh_0123456789abcdef\"", "\"[redacted]\"");
        check(
            "jwt eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.sig é",
            "jwt [redacted] é",
        );
        check("AKIAABCDEFGHIJKLMNOP", "[redacted]");
        check("line\nsk-abcdefghijklmnopqrstu\n", "line\n[redacted]\n");
        check("(x.sk-proj-abcdefghijklmnopqrstu)", "(x.[redacted]");
        check(
            "sk-aaaaaaaaaaaaaaaaaaaaa,sk-bbbbbbbbbbbbbbbbbbbbb",
            "[redacted],[redacted]",
        );
        check(
            "http://u:sk-aaaaaaaaaaaaaaaaaaaa!b@c",
            "http://u:[redacted]",
        );
        check(
            "postgres://gate:p@ss:w@db:5432/x is down",
            "postgres://gate:[redacted]@db:5432/x is down",
        );
    }

    #[test]
    fn ordinary_texts_are_not_copied() {
        for text in [
            "",
            "sk-short",
            "the bearer of news",
            "tg_live_",
            "é sk- AKIA ünï",
            "a-long-task-that-is-not-a-secret-at-all",
            "https://example.com/a@b:c",
            "http://user@host/",
        ] {
            assert!(matches!(redact(text), Cow::Borrowed(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_key_of_ours_comes_through(
            before in "[^a-zA-Z0-9]{0,8}",
            key in "tg_live_[a-zA-Z0-9_]{16,60}",
            after in any::<String>(),
        ) {
            let after: String = after.chars().skip_while(char::is_ascii_alphanumeric).collect();
            let text = format!("{before}{key}{after}");
            prop_assert!(!redact(&text).contains(&key));
        }
    }
}
