//! The bytes of a sealed value.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::crypto::{KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::error::VaultError;
use crate::vault::PLAINTEXT_BYTES_MAX;

/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u8 = 1;
/// The length of a master key's id.
pub(crate) const KEY_ID_BYTES: usize = 8;
/// The length of a wrapped data key.
pub(crate) const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;

/// Names a master key without telling anything of it: it is derived from it, so that the same key has
/// the same id everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(crate) [u8; KEY_ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A sealed value. It tells which master key it needs and how long it is, and nothing else.
///
/// Its bytes, version 1; each of them counts:
///
/// | bytes | what |
/// |---|---|
/// | 1 | the version: 1 |
/// | 8 | the id of the master key |
/// | 12 | the nonce of the wrapped data key |
/// | 48 | the data key, encrypted under the key that is derived from the master key, and its tag |
/// | 12 | the nonce of the content |
/// | n + 16 | the content, encrypted under the data key, and its tag |
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub(crate) key_id: KeyId,
    pub(crate) wrapped_nonce: [u8; NONCE_BYTES],
    pub(crate) wrapped: [u8; WRAPPED_BYTES],
    pub(crate) nonce: [u8; NONCE_BYTES],
    /// With its tag.
    pub(crate) content: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.key_id, self.content.len())
    }
}

impl Sealed {
    /// Reads the bytes of a sealed value. That they are well formed says nothing of whether they open.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VaultError> {
        Self::read(bytes).ok_or(VaultError::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (key_id, rest) = rest.split_first_chunk()?;
        let (wrapped_nonce, rest) = rest.split_first_chunk()?;
        let (wrapped, rest) = rest.split_first_chunk()?;
        let (nonce, content) = rest.split_first_chunk()?;
        let lengths = TAG_BYTES..=PLAINTEXT_BYTES_MAX + TAG_BYTES;
        let fits = *version == VERSION && lengths.contains(&content.len());
        fits.then(|| Self {
            key_id: KeyId(*key_id),
            wrapped_nonce: *wrapped_nonce,
            wrapped: *wrapped,
            nonce: *nonce,
            content: content.to_vec(),
        })
    }

    /// Returns the bytes to keep: 97 more than the value has.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [
            &[VERSION],
            &self.key_id.0[..],
            &self.wrapped_nonce,
            &self.wrapped,
            &self.nonce,
            &self.content,
        ]
        .concat()
    }

    /// Returns the id of the master key that it is sealed under.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(content: usize) -> Sealed {
        Sealed {
            key_id: KeyId([1; KEY_ID_BYTES]),
            wrapped_nonce: [2; NONCE_BYTES],
            wrapped: [3; WRAPPED_BYTES],
            nonce: [4; NONCE_BYTES],
            content: vec![5; content],
        }
    }

    #[test]
    fn the_bytes_are_those_of_version_1() {
        let bytes = sealed(TAG_BYTES + 2).to_bytes();
        let expected = [
            vec![1],
            vec![1; 8],
            vec![2; 12],
            vec![3; 48],
            vec![4; 12],
            vec![5; 18],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(Sealed::from_bytes(&bytes), Ok(sealed(TAG_BYTES + 2)));
        assert_eq!(
            format!("{:?}", sealed(TAG_BYTES)),
            "Sealed(0101010101010101, 16 bytes)"
        );
    }

    #[test]
    fn what_is_cut_too_long_or_of_another_version_is_malformed() {
        let whole = sealed(TAG_BYTES).to_bytes();
        for length in 0..whole.len() {
            assert_eq!(
                Sealed::from_bytes(&whole[..length]),
                Err(VaultError::Malformed)
            );
        }
        let longest = sealed(PLAINTEXT_BYTES_MAX + TAG_BYTES).to_bytes();
        assert!(Sealed::from_bytes(&longest).is_ok());
        let longer = sealed(PLAINTEXT_BYTES_MAX + TAG_BYTES + 1).to_bytes();
        assert_eq!(Sealed::from_bytes(&longer), Err(VaultError::Malformed));
        for version in [0, 2, 255] {
            let other = [&[version], &whole[1..]].concat();
            assert_eq!(Sealed::from_bytes(&other), Err(VaultError::Malformed));
        }
    }
}
