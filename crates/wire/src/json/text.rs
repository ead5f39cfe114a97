//! Strings: where they end, and what they say.

use std::borrow::Cow;

/// A string as it is written, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) has_escapes: bool,
}

impl<'a> Text<'a> {
    /// What the string says: `mod\u0065l` says `model`.
    pub(crate) fn said(&self) -> Cow<'a, [u8]> {
        if !self.has_escapes {
            return Cow::Borrowed(self.raw);
        }
        let mut said = Vec::with_capacity(self.raw.len());
        self.say(&mut said);
        Cow::Owned(said)
    }

    /// Appends what the string says. Halves of a surrogate pair become U+FFFD.
    pub(crate) fn say(&self, out: &mut Vec<u8>) {
        let mut rest = self.raw;
        while let Some(backslash) = memchr::memchr(b'\\', rest) {
            let (plain, escape) = rest.split_at(backslash);
            out.extend_from_slice(plain);
            let (character, length) = unescape(escape);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = escape.get(length..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    }
}

/// Returns the character of an escape that the scanner has accepted, and the escape's length.
fn unescape(escape: &[u8]) -> (char, usize) {
    let simple = match escape.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_hex(escape),
        Some(other) => char::from(*other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (simple, 2)
}

fn unescape_hex(escape: &[u8]) -> (char, usize) {
    let first = escape.get(2..).and_then(hex).unwrap_or_default();
    let second = escape
        .get(6..)
        .and_then(|rest| rest.strip_prefix(b"\\u"))
        .and_then(hex);
    match (first, second) {
        (0xD800..=0xDBFF, Some(second @ 0xDC00..=0xDFFF)) => {
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                12,
            )
        }
        _ => (
            char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
            6,
        ),
    }
}

/// Reads four hexadecimal digits.
pub(super) fn hex(digits: &[u8]) -> Option<u32> {
    digits
        .first_chunk::<4>()?
        .iter()
        .try_fold(0, |code, digit| {
            char::from(*digit)
                .to_digit(16)
                .map(|digit| code << 4 | digit)
        })
}

/// Counts the bytes before the first quote, backslash or control character.
pub(super) fn plain_bytes(bytes: &[u8]) -> usize {
    // A whole block is looked at without a branch, which compiles to a few vector instructions.
    let is_end = |byte: &u8| (*byte == b'"') | (*byte == b'\\') | (*byte < 0x20);
    let (blocks, _) = bytes.as_chunks::<16>();
    let plain_blocks = blocks
        .iter()
        .take_while(|block| !block.iter().fold(false, |found, byte| found | is_end(byte)));
    let mut plain = plain_blocks.count() * 16;
    let mut rest = bytes.get(plain..).unwrap_or_default();
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let ends = ends_in(u64::from_le_bytes(*word));
        if ends != 0 {
            return plain + (ends.trailing_zeros() / 8) as usize;
        }
        plain += 8;
        rest = after;
    }
    plain + rest.iter().position(is_end).unwrap_or(rest.len())
}

/// Returns a word whose lowest bit that is set lies in the first byte that ends plain bytes; what is
/// set above that one means nothing.
/// Source: <https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord>
const fn ends_in(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    const fn below(word: u64, bound: u64) -> u64 {
        word.wrapping_sub(ONES * bound) & !word & HIGH
    }
    below(word, 0x20)
        | below(word ^ (ONES * b'"' as u64), 1)
        | below(word ^ (ONES * b'\\' as u64), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_say_what_they_stand_for() {
        let check = |raw: &str, said: &str| {
            let text = Text {
                raw: raw.as_bytes(),
                has_escapes: true,
            };
            assert_eq!(text.said(), said.as_bytes(), "{raw}");
        };
        check(r"mod\u0065l", "model");
        check(r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t");
        check(r"\ud83d\ude00!", "😀!");
        check(r"\ud83d", "\u{fffd}");
        check(r"\ud83d\u0041", "\u{fffd}A");
        check(r"é\u00e9", "éé");
    }

    #[test]
    fn every_byte_is_plain_or_an_end_as_it_is_alone() {
        for before in [b'a', 0x7f, 0x80, 0xff] {
            for byte in 0..=u8::MAX {
                let bytes = [before, before, byte, before, before, b'"', b'a', b'a', b'a'];
                let is_end = byte < 0x20 || byte == b'"' || byte == b'\\';
                let expected = if is_end { 2 } else { 5 };
                assert_eq!(plain_bytes(&bytes), expected, "{before:x} {byte:x}");
            }
        }
    }

    #[test]
    fn the_end_of_plain_bytes_is_found_wherever_it_is() {
        for end in [b'"', b'\\', b'\n', 0] {
            for length in 0..70 {
                let mut bytes = vec![b'a'; length];
                bytes.push(end);
                bytes.extend([b'"'; 40]);
                assert_eq!(plain_bytes(&bytes), length);
            }
        }
        assert_eq!(plain_bytes("é\u{7f}".repeat(9).as_bytes()), 27);
    }
}
