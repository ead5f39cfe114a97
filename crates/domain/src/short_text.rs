//! Short texts on the stack, for what is written once per request.

use std::fmt;
use std::ops::Deref;

const BYTES_MAX: usize = 40;

/// A short text that needs no allocation: an id or an amount as it is shown.
#[derive(Clone, Copy)]
pub struct ShortText {
    bytes: [u8; BYTES_MAX],
    length: usize,
}

impl ShortText {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; BYTES_MAX],
            length: 0,
        }
    }

    /// Appends a text; what has no room is left out, which nothing that is shown needs.
    pub(crate) fn push(&mut self, text: &str) {
        let end = self.length + text.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(text.as_bytes());
            self.length = end;
        }
    }

    /// Appends the digits of a number, with zeros in front of them up to a width.
    pub(crate) fn push_number(&mut self, mut number: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let mut first = digits.len();
        for place in digits.iter_mut().rev() {
            if number == 0 && first < 20 {
                break;
            }
            *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
            first -= 1;
        }
        let first = first.min(digits.len().saturating_sub(width));
        let digits = digits.get(first..).unwrap_or_default();
        self.push(std::str::from_utf8(digits).unwrap_or_default());
    }

    /// Removes this character from the end, as often as it is there.
    pub(crate) fn trim_end(&mut self, character: u8) {
        while let Some(before) = self.length.checked_sub(1)
            && self.bytes.get(before) == Some(&character)
        {
            self.length = before;
        }
    }
}

impl Deref for ShortText {
    type Target = str;

    fn deref(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u64, width: usize) -> String {
        let mut text = ShortText::new();
        text.push_number(number, width);
        text.to_string()
    }

    #[test]
    fn numbers_have_all_their_digits_and_zeros_up_to_a_width() {
        for (value, width, expected) in [
            (0, 0, "0"),
            (0, 3, "000"),
            (7, 3, "007"),
            (1_234, 3, "1234"),
            (10, 0, "10"),
            (u64::MAX, 0, "18446744073709551615"),
        ] {
            assert_eq!(number(value, width), expected);
        }
    }

    #[test]
    fn what_has_no_room_is_left_out_whole() {
        let mut text = ShortText::new();
        text.push(&"a".repeat(BYTES_MAX));
        text.push("b");
        assert_eq!(&*text, "a".repeat(BYTES_MAX));
        text.trim_end(b'a');
        assert_eq!(&*text, "");
    }
}
