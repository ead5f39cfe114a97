//! Parts of a prompt that are not text, and what they may count for.

use crate::json::{Fault, Kind, Scanner};

/// The most tokens that an image counts for: what `gpt-4o-mini` bills for one of eight tiles, the
/// most of the published formulas.
/// Source: <https://platform.openai.com/docs/guides/images-vision#calculating-costs>
const IMAGE_TOKENS_MAX: u64 = 2_833 + 8 * 5_667;

/// The most tokens that a recording counts for: the whole context of the models that listen.
/// Source: <https://developers.openai.com/api/docs/models/gpt-audio>
const AUDIO_TOKENS_MAX: u64 = 128_000;

/// Encoded bytes for each token of a recording, at the least: MP3 at its lowest bit rate, 1,000 bytes
/// and so 1,333 encoded ones a second, heard by the model that makes most of it, 32 tokens a second.
/// Source: <https://ai.google.dev/gemini-api/docs/audio>
const AUDIO_BYTES_MIN: u64 = 40;

/// The most tokens that a file or a video is expected to count for: the whole prompt that `gpt-5`
/// takes. Source: <https://developers.openai.com/api/docs/models/gpt-5>
const FILE_TOKENS_MAX: u64 = 272_000;

/// What a part is, by its `type` and by the key that holds its data, which are the same word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Medium {
    Image,
    Audio,
    File,
}

impl Medium {
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"image_url" => Some(Self::Image),
            b"input_audio" | b"audio_url" => Some(Self::Audio),
            b"file" | b"video_url" => Some(Self::File),
            _ => None,
        }
    }

    /// Returns a bound on the tokens of a part with so many bytes of data in the request; none when
    /// the data lies elsewhere.
    fn tokens_bound(self, data_bytes: u64) -> u64 {
        match self {
            Self::Image => IMAGE_TOKENS_MAX,
            Self::Audio if data_bytes > 0 => {
                data_bytes.div_ceil(AUDIO_BYTES_MIN).min(AUDIO_TOKENS_MAX)
            }
            Self::Audio => AUDIO_TOKENS_MAX,
            Self::File => FILE_TOKENS_MAX,
        }
    }

    /// Returns about how many tokens a part counts for: a picture of a thousand pixels square, speech
    /// at 64 kbit/s, pages of 50 kB; a hundred seconds or ten pages when the data lies elsewhere.
    fn tokens_estimate(self, data_bytes: u64) -> u64 {
        match self {
            Self::Image => 1_000,
            Self::Audio if data_bytes > 0 => data_bytes.div_ceil(1_000),
            Self::Audio => 1_000,
            Self::File if data_bytes > 0 => data_bytes.div_ceil(50),
            Self::File => 10_000,
        }
    }
}

/// What the parts of a prompt that are not text count for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) tokens_bound: u64,
    pub(crate) tokens_estimate: u64,
    /// Bytes of encoded data in the body, none of which a model reads as text.
    pub(crate) data_bytes: u64,
}

impl Media {
    /// Reads a part of a message's content, an object, and counts it.
    pub(crate) fn read_part(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let mut medium = None;
        let mut data_bytes = 0;
        scanner.open_object()?;
        while let Some(key) = scanner.next_key()? {
            let key = key.said();
            if &*key == b"type" && scanner.kind()? == Kind::Text {
                medium = medium.max(Medium::named(&scanner.text()?.said()));
            } else if let Some(named) = Medium::named(&key) {
                medium = medium.max(Some(named));
                data_bytes += read_data(scanner)?;
            } else {
                scanner.skip()?;
            }
        }
        if let Some(medium) = medium {
            self.tokens_bound = self
                .tokens_bound
                .saturating_add(medium.tokens_bound(data_bytes));
            self.tokens_estimate += medium.tokens_estimate(data_bytes);
            self.data_bytes += data_bytes;
        }
        Ok(())
    }
}

/// Reads what holds a part's data, `{"url":"data:…"}`, `{"data":…}` or `{"file_data":…}`, and returns
/// the length of that data.
fn read_data(scanner: &mut Scanner<'_>) -> Result<u64, Fault> {
    if scanner.kind()? != Kind::Object {
        return scanner.skip().map(|_| 0);
    }
    let mut data_bytes = 0;
    scanner.open_object()?;
    while let Some(key) = scanner.next_key()? {
        if scanner.kind()? != Kind::Text {
            scanner.skip()?;
            continue;
        }
        let raw = scanner.text()?.raw;
        let is_data = match &*key.said() {
            b"data" | b"file_data" => true,
            b"url" => raw.starts_with(b"data:"),
            _ => false,
        };
        if is_data {
            data_bytes += raw.len() as u64;
        }
    }
    Ok(data_bytes)
}
