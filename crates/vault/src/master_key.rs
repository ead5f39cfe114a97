//! The installation's own secret.

use std::path::Path;
use std::time::Duration;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXLOWER_PERMISSIVE};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretBox};

use crate::error::MasterKeyError;
use crate::weak::weakness;
use crate::{command, crypto, file};

/// The length of a master key.
pub const MASTER_KEY_BYTES: usize = 32;

const HEX_CHARS: usize = 2 * MASTER_KEY_BYTES;
/// Without padding.
const BASE64_CHARS: usize = 43;

/// The installation's own secret, from which others are derived: 32 random bytes, wiped when dropped.
pub struct MasterKey(SecretBox<[u8; MASTER_KEY_BYTES]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// Makes a new one from the system's random source.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate() -> Result<Self, MasterKeyError> {
        let mut bytes = Box::new([0; MASTER_KEY_BYTES]);
        crypto::fill_random(&mut *bytes).map_err(|_| MasterKeyError::NoRandomness)?;
        Ok(Self(SecretBox::new(bytes)))
    }

    /// Wraps 32 bytes that were drawn at random.
    ///
    /// # Errors
    /// `Weak` when it shows that they were not: too few different ones, a text, a pattern, or one of the
    /// keys that stand in examples.
    pub fn from_bytes(bytes: &[u8; MASTER_KEY_BYTES]) -> Result<Self, MasterKeyError> {
        match weakness(bytes) {
            Some(why) => Err(MasterKeyError::Weak(why)),
            None => Ok(Self(SecretBox::new(Box::new(*bytes)))),
        }
    }

    /// Reads 64 hexadecimal digits, or 32 bytes in base64 (either alphabet, padded or not), with space
    /// around them.
    ///
    /// # Errors
    /// `Malformed`, `Weak`.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let bare = text.strip_suffix('=').unwrap_or(text);
        let (encoding, digits): (&Encoding, &str) = match bare.len() {
            HEX_CHARS => (&HEXLOWER_PERMISSIVE, text),
            BASE64_CHARS if bare.contains(['-', '_']) => (&BASE64URL_NOPAD, bare),
            BASE64_CHARS => (&BASE64_NOPAD, bare),
            _ => return Err(MasterKeyError::Malformed),
        };
        let mut bytes = Zeroizing::new([0; MASTER_KEY_BYTES]);
        if encoding.decode_len(digits.len()) != Ok(bytes.len()) {
            return Err(MasterKeyError::Malformed);
        }
        encoding
            .decode_mut(digits.as_bytes(), &mut *bytes)
            .map_err(|_| MasterKeyError::Malformed)?;
        Self::from_bytes(&bytes)
    }

    /// Reads the key in a file that only its owner may read.
    ///
    /// # Errors
    /// `Unreadable`, `Exposed`, `Malformed`, `Weak`.
    pub fn from_file(path: &Path) -> Result<Self, MasterKeyError> {
        file::read(path)
    }

    /// Reads the key in a file, or makes a file with a new one, readable by its owner only. Of several
    /// that start at once all get the same key.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file), and `NotMade`, `NoRandomness`.
    pub fn from_file_or_new(path: &Path) -> Result<Self, MasterKeyError> {
        file::read_or_make(path)
    }

    /// Reads the key that a command prints: the client of a key management service, for example. The
    /// command is a program and its arguments; no shell is involved. It gets nothing on its standard
    /// input, and it is ended together with what it started when it is late or prints more than
    /// 256 bytes.
    ///
    /// # Errors
    /// `NoCommand`, `CommandNotRun`, `CommandFailed`, `CommandLate`, `CommandTooLong`, `Malformed`, `Weak`.
    pub fn from_command(command: &[String], timeout: Duration) -> Result<Self, MasterKeyError> {
        Self::from_text_bytes(&command::output(command, timeout)?)
    }

    pub(crate) fn from_text_bytes(bytes: &[u8]) -> Result<Self, MasterKeyError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| MasterKeyError::Malformed)?)
    }

    /// Returns the bytes, to derive other keys from and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8; MASTER_KEY_BYTES] {
        self.0.expose_secret()
    }

    /// The text that a file keeps.
    pub(crate) fn to_hex(&self) -> Zeroizing<[u8; HEX_CHARS]> {
        let mut text = Zeroizing::new([0; HEX_CHARS]);
        HEXLOWER.encode_mut(self.expose(), &mut *text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64, BASE64URL};

    #[test]
    fn a_key_is_read_as_hexadecimal_and_as_base64() {
        let key = MasterKey::generate().unwrap();
        let bytes = key.expose();
        for text in [
            HEXLOWER.encode(bytes),
            HEXLOWER.encode(bytes).to_uppercase(),
            format!(" {}\n", HEXLOWER.encode(bytes)),
            BASE64.encode(bytes),
            BASE64_NOPAD.encode(bytes),
            BASE64URL.encode(bytes),
            BASE64URL_NOPAD.encode(bytes),
        ] {
            assert_eq!(MasterKey::parse(&text).unwrap().expose(), bytes, "{text}");
        }
    }

    #[test]
    fn other_texts_are_malformed_and_not_shown() {
        let hex = HEXLOWER.encode(MasterKey::generate().unwrap().expose());
        for text in [
            "",
            "secret",
            &hex[1..],
            &format!("{hex}0"),
            &format!("{hex}="),
            &format!("g{}", &hex[1..]),
            &"é".repeat(32),
            &format!("{}!", &hex[..42]),
            &format!("{}==", &hex[..43]),
        ] {
            let error = MasterKey::parse(text).unwrap_err();
            assert!(matches!(error, MasterKeyError::Malformed), "{text}");
        }
        let key = MasterKey::parse(&hex).unwrap();
        assert_eq!(format!("{key:?}"), "MasterKey(…)");
    }
}
