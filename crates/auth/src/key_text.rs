//! The text of an API key: `tg_live_<public id>_<secret><checksum>`.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

const PREFIX: &str = "tg_live_";
const PUBLIC_ID: usize = 8;
/// 43 digits of base 62 hold 256 bits.
const SECRET: usize = 43;
/// 6 digits of base 62 hold 32 bits.
const CHECKSUM: usize = 6;
const WHOLE: usize = PREFIX.len() + PUBLIC_ID + 1 + SECRET + CHECKSUM;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Why a text is not an API key, or why none could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form of a key, or mistyped: its checksum does not fit.
    #[error("not an API key, or mistyped")]
    Malformed,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// A well-formed API key: the checksum fits, which says nothing of whether it is valid.
#[derive(Clone)]
pub struct KeyText(SecretString);

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyText({PREFIX}{}_…)", self.public_id())
    }
}

impl KeyText {
    /// Reads a key and checks its form and checksum.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::split(text).ok_or(KeyError::Malformed)?;
        Ok(Self(SecretString::from(text)))
    }

    /// Returns the public id of a text that is a well-formed key, without keeping the text.
    fn split(text: &str) -> Option<&str> {
        if text.len() != WHOLE || !text.is_ascii() {
            return None;
        }
        let (body, checksum) = text.split_at_checked(WHOLE - CHECKSUM)?;
        let (public_id, secret) = body.strip_prefix(PREFIX)?.split_once('_')?;
        let is_base62 = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric());
        let fits = public_id.len() == PUBLIC_ID && is_base62(public_id) && is_base62(secret);
        (fits && checksum.as_bytes() == checksum_of(body)).then_some(public_id)
    }

    /// Makes a new key from the system's random source.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate() -> Result<Self, KeyError> {
        let mut public_id = String::with_capacity(PUBLIC_ID);
        push_random(&mut public_id, PUBLIC_ID)?;
        Self::with_public_id(&public_id)
    }

    /// Makes a new key with the public id of another, to take its place: it is found where the old
    /// one was.
    ///
    /// # Errors
    /// `NoRandomness`; `Malformed` when this is no public id.
    pub fn rotate(public_id: &str) -> Result<Self, KeyError> {
        let is_one =
            public_id.len() == PUBLIC_ID && public_id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_one {
            return Err(KeyError::Malformed);
        }
        Self::with_public_id(public_id)
    }

    fn with_public_id(public_id: &str) -> Result<Self, KeyError> {
        let mut text = String::with_capacity(WHOLE);
        text.push_str(PREFIX);
        text.push_str(public_id);
        text.push('_');
        push_random(&mut text, SECRET)?;
        let checksum = checksum_of(&text);
        text.extend(checksum.map(char::from));
        Ok(Self(SecretString::from(text)))
    }

    /// Returns the part that may be shown and logged.
    #[must_use]
    pub fn public_id(&self) -> &str {
        self.0
            .expose_secret()
            .get(PREFIX.len()..PREFIX.len() + PUBLIC_ID)
            .unwrap_or_default()
    }

    /// Returns the whole key. It is shown once, to whoever it was made for.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Fills a buffer from the system's random source.
///
/// # Errors
/// `NoRandomness`.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), KeyError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| KeyError::NoRandomness)
}

fn checksum_of(body: &str) -> [u8; CHECKSUM] {
    let mut rest = crc32c::crc32c(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS.get((rest % 62) as usize).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits
}

/// Appends random digits of base 62, each equally likely.
fn push_random(text: &mut String, count: usize) -> Result<(), KeyError> {
    let mut missing = count;
    while missing > 0 {
        let mut bytes = [0; 64];
        fill_random(&mut bytes)?;
        // 248 is the largest multiple of 62 in a byte: larger ones would favour the first digits.
        let digits = bytes.iter().filter(|byte| **byte < 248);
        for digit in digits
            .filter_map(|byte| DIGITS.get(usize::from(byte % 62)))
            .take(missing)
        {
            text.push(char::from(*digit));
            missing -= 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_new_key_reads_back_and_shows_only_its_public_id() {
        let key = KeyText::generate().unwrap();
        assert_eq!(key.expose().len(), WHOLE);
        let read = KeyText::parse(key.expose()).unwrap();
        assert_eq!(read.public_id(), key.public_id());
        assert_eq!(
            format!("{key:?}"),
            format!("KeyText(tg_live_{}_…)", key.public_id())
        );
    }

    #[test]
    fn one_wrong_character_anywhere_is_found() {
        let key = KeyText::generate().unwrap();
        for at in 0..WHOLE {
            let mut text = key.expose().as_bytes().to_vec();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            let text = String::from_utf8(text).unwrap();
            assert!(KeyText::parse(&text).is_err(), "at {at}");
        }
    }

    #[test]
    fn a_rotated_key_keeps_its_public_id_and_nothing_else() {
        let key = KeyText::generate().unwrap();
        let next = KeyText::rotate(key.public_id()).unwrap();
        assert_eq!(next.public_id(), key.public_id());
        assert_ne!(next.expose(), key.expose());
        assert!(KeyText::parse(next.expose()).is_ok());
        for none in ["", "short", "toolong99", "with_usc"] {
            assert!(KeyText::rotate(none).is_err(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            prop_assert!(KeyText::parse(&text).is_err());
        }
    }
}
