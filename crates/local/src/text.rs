//! The text of an answer as it grows: whole characters, up to the first stop sequence.

/// Turns the bytes of tokens into text. What could still become a stop sequence or the rest of a
/// character is held back.
#[derive(Debug)]
pub(crate) struct TextOut {
    held: Vec<u8>,
    stops: Vec<String>,
}

/// What became certain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Emitted {
    pub(crate) text: String,
    /// Whether a stop sequence was met: nothing comes after it.
    pub(crate) is_stopped: bool,
}

impl TextOut {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self {
            held: Vec::new(),
            stops,
        }
    }

    /// Takes the bytes of one more token.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Emitted {
        self.held.extend_from_slice(bytes);
        if let Some(start) = self.first_stop() {
            self.held.truncate(start);
            return Emitted {
                text: self.finish(),
                is_stopped: true,
            };
        }
        let certain = self.held.len() - self.begun_stop();
        let certain = certain - begun_char(&self.held[..certain]);
        let text = String::from_utf8_lossy(&self.held[..certain]).into_owned();
        self.held.drain(..certain);
        Emitted {
            text,
            is_stopped: false,
        }
    }

    /// Returns what is still held back.
    pub(crate) fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        text
    }

    /// Returns where the stop sequence begins that is complete first. It does not depend on how
    /// the text is cut into tokens.
    fn first_stop(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|stop| {
                let stop = stop.as_bytes();
                let start = self.held.windows(stop.len()).position(|w| w == stop)?;
                Some((start + stop.len(), start))
            })
            .min()
            .map(|(_, start)| start)
    }

    /// Returns how many bytes at the end may be the beginning of a stop sequence.
    fn begun_stop(&self) -> usize {
        self.stops
            .iter()
            .map(|stop| {
                let longest = self.held.len().min(stop.len() - 1);
                let ends_with = |n: &usize| self.held.ends_with(&stop.as_bytes()[..*n]);
                (1..=longest).rev().find(ends_with).unwrap_or(0)
            })
            .max()
            .unwrap_or(0)
    }
}

/// Returns how many bytes at the end are the beginning of a character.
fn begun_char(bytes: &[u8]) -> usize {
    let is_begun = |n: &usize| {
        let tail = std::str::from_utf8(&bytes[bytes.len() - n..]);
        tail.is_err_and(|error| error.error_len().is_none() && error.valid_up_to() == 0)
    };
    (1..=bytes.len().min(3)).find(is_begun).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pushes pieces until a stop, and returns the text of each push and of the end.
    fn pushed(stops: &[&str], pieces: &[&[u8]]) -> Vec<String> {
        let mut out = TextOut::new(stops.iter().map(|&stop| stop.to_owned()).collect());
        let mut texts = Vec::new();
        for piece in pieces {
            let emitted = out.push(piece);
            texts.push(emitted.text);
            if emitted.is_stopped {
                return texts;
            }
        }
        texts.push(out.finish());
        texts
    }

    #[test]
    fn a_character_is_held_back_until_it_is_whole() {
        let euro = "€".as_bytes();
        assert_eq!(
            pushed(&[], &[b"a", &euro[..1], &euro[1..2], &euro[2..], b"b"]),
            ["a", "", "", "€", "b", ""]
        );
    }

    #[test]
    fn what_never_becomes_a_character_is_replaced() {
        assert_eq!(pushed(&[], &[b"a\xe2", b"b"]), ["a", "\u{fffd}b", ""]);
        assert_eq!(pushed(&[], &[b"a\xe2\x82"]), ["a", "\u{fffd}"]);
    }

    #[test]
    fn a_stop_sequence_across_tokens_is_never_shown() {
        assert_eq!(pushed(&["STOP"], &[b"a S", b"TO", b"P b"]), ["a ", "", ""]);
    }

    #[test]
    fn what_only_looked_like_a_stop_sequence_is_shown_in_the_end() {
        assert_eq!(pushed(&["STOP"], &[b"a ST", b"ART"]), ["a ", "START", ""]);
        assert_eq!(pushed(&["STOP"], &[b"a STO"]), ["a ", "STO"]);
        assert_eq!(pushed(&["aab"], &[b"aa", b"aa", b"b"]), ["", "aa", ""]);
    }

    #[test]
    fn the_stop_sequence_that_is_complete_first_counts() {
        assert_eq!(pushed(&["abcd", "bc"], &[b"abcd"]), ["a"]);
        assert_eq!(pushed(&["bc", "abc"], &[b"xabc"]), ["x"]);
    }

    proptest! {
        #[test]
        fn the_text_does_not_depend_on_how_it_is_cut_into_tokens(
            text in "[ab€ß]{0,24}",
            stops in proptest::collection::vec("[ab€]{1,4}", 0..3),
            cuts in proptest::collection::vec(0usize..72, 0..8),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();

            let in_pieces = pushed(&stops, &pieces).concat();
            prop_assert_eq!(&in_pieces, &pushed(&stops, &[bytes]).concat());
            prop_assert!(text.starts_with(&in_pieces));
            prop_assert!(stops.iter().all(|stop| !in_pieces.contains(stop)));
        }
    }
}
