//! What a host's name may look like.

/// RFC 1035, section 3.1: bytes of a name and of one label.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Endings that never lead to a host on the public internet: RFC 6761 (localhost), RFC 6762 (local),
/// <https://www.icann.org/en/board-activities-and-meetings/materials/approved-resolutions-special-meeting-of-the-icann-board-29-07-2024-en>
/// (internal), RFC 8375 (home.arpa), RFC 7686 (onion), RFC 9476 (alt).
const LOCAL_ENDINGS: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "onion",
    "alt",
];

/// Returns whether a lower-case name is made of labels that DNS can hold, and nothing else.
pub(crate) fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_plain)
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

/// Returns whether a name is one of the own machine or network: without a dot, or with an ending that
/// the public DNS does not have.
pub(crate) fn is_local_name(name: &str) -> bool {
    !name.contains('.') || LOCAL_ENDINGS.iter().any(|ending| has_ending(name, ending))
}

/// Returns whether a name stands for the own machine (RFC 6761, section 6.3).
pub(crate) fn is_localhost(name: &str) -> bool {
    has_ending(name, "localhost")
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_endings_make_a_name_local() {
        for name in [
            "localhost",
            "a.localhost",
            "printer.local",
            "corp",
            "db.internal",
            "a.home.arpa",
        ] {
            assert!(is_local_name(name), "{name}");
        }
        for name in [
            "notlocalhost.example",
            "local.example",
            "internal.example",
            "a.arpa",
        ] {
            assert!(!is_local_name(name), "{name}");
        }
        assert!(is_localhost("a.localhost") && !is_localhost("alocalhost"));
    }

    #[test]
    fn a_name_has_labels_of_usual_characters_and_length() {
        let long = "a".repeat(63);
        let longest = format!("{long}.{long}.{long}.{}", "a".repeat(61));
        for (name, is_fine) in [
            ("a.example", true),
            ("_dmarc.a-b.example", true),
            (&*longest, true),
            ("", false),
            ("a..b", false),
            ("a.example.", false),
            (".a", false),
            ("a*.b", false),
            (&*format!("{longest}a"), false),
            (&*format!("{long}a.b"), false),
        ] {
            assert_eq!(is_host_name(name), is_fine, "{name}");
        }
    }
}
