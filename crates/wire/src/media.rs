//! Parts of a prompt that are not text, and what they may count for.

use crate::json::{Fault, Kind, Scanner};

/// The most tokens that an image counts for: what `gpt-4o-mini` bills for one of eight tiles, the
/// most of the published formulas.
/// Source: <https://platform.openai.com/docs/guides/images-vision#calculating-costs>
const IMAGE_TOKENS_MAX: u64 = 2_833 + 8 * 5_667;

/// The most tokens that a recording is expected to count for: an hour at ten tokens a second.
/// Source: <https://platform.openai.com/docs/guides/audio>
const AUDIO_TOKENS_MAX: u64 = 36_000;

/// The most tokens that a file or a video is expected to count for: the whole prompt that `gpt-5`
/// takes. Source: <https://platform.openai.com/docs/models/gpt-5>
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
}

/// The parts of a prompt that are not text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Media {
    pub(crate) images: u64,
    pub(crate) audios: u64,
    pub(crate) files: u64,
    /// Bytes of encoded data in the body, none of which a model reads as text.
    pub(crate) data_bytes: u64,
}

impl Media {
    /// Returns a bound on the tokens of all parts.
    pub(crate) const fn tokens_bound(&self) -> u64 {
        self.images
            .saturating_mul(IMAGE_TOKENS_MAX)
            .saturating_add(self.audios.saturating_mul(AUDIO_TOKENS_MAX))
            .saturating_add(self.files.saturating_mul(FILE_TOKENS_MAX))
    }

    /// Returns about how many tokens all parts count for: a picture of a thousand pixels square, a
    /// hundred seconds of speech, ten pages.
    pub(crate) const fn tokens_estimate(&self) -> u64 {
        self.images
            .saturating_add(self.audios)
            .saturating_mul(1_000)
            .saturating_add(self.files.saturating_mul(10_000))
    }

    /// Reads a part of a message's content, an object, and counts it.
    pub(crate) fn read_part(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        let mut medium = None;
        scanner.open_object()?;
        while let Some(key) = scanner.next_key()? {
            let key = key.said();
            if &*key == b"type" && scanner.kind()? == Kind::Text {
                medium = medium.max(Medium::named(&scanner.text()?.said()));
            } else if let Some(named) = Medium::named(&key) {
                medium = medium.max(Some(named));
                self.read_data(scanner)?;
            } else {
                scanner.skip()?;
            }
        }
        match medium {
            Some(Medium::Image) => self.images += 1,
            Some(Medium::Audio) => self.audios += 1,
            Some(Medium::File) => self.files += 1,
            None => {}
        }
        Ok(())
    }

    /// Reads what holds a part's data: `{"url":"data:…"}`, `{"data":…}`, `{"file_data":…}`.
    fn read_data(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        if scanner.kind()? != Kind::Object {
            return scanner.skip().map(drop);
        }
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
                self.data_bytes += raw.len() as u64;
            }
        }
        Ok(())
    }
}
