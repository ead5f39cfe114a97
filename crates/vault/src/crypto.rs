//! The three primitives that are used: random bytes, keys from keys, sealed bytes.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

use crate::error::VaultError;
use crate::master_key::MasterKey;

/// The length of an AES-256 key.
pub(crate) const KEY_BYTES: usize = 32;
/// The length of a nonce of GCM; it is drawn at random for each use of a key.
pub(crate) const NONCE_BYTES: usize = 12;
/// The length of a tag of GCM.
pub(crate) const TAG_BYTES: usize = 16;

/// A nonce and a tag: what there is to keep beside the ciphertext.
pub(crate) struct Seal {
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) tag: [u8; TAG_BYTES],
}

/// Fills a buffer from the system's random source.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), VaultError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| VaultError::Crypto)
}

/// Derives a key for one purpose (HKDF-SHA-256, [RFC 5869](https://www.rfc-editor.org/rfc/rfc5869)).
pub(crate) fn derive(
    master: &MasterKey,
    purpose: &str,
    to: &mut [u8; KEY_BYTES],
) -> Result<(), VaultError> {
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(master.expose());
    extracted
        .expand(&[purpose.as_bytes()], HKDF_SHA256)
        .and_then(|derived| derived.fill(to))
        .map_err(|_| VaultError::Crypto)
}

/// Makes an AES-256-GCM key. The library draws its nonces and wipes it in the end.
pub(crate) fn key(bytes: &[u8; KEY_BYTES]) -> Result<RandomizedNonceKey, VaultError> {
    RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| VaultError::Crypto)
}

/// Encrypts in place.
pub(crate) fn encrypt(
    key: &RandomizedNonceKey,
    context: &[u8],
    bytes: &mut [u8],
) -> Result<Seal, VaultError> {
    let (nonce, tag) = key
        .seal_in_place_separate_tag(Aad::from(context), bytes)
        .map_err(|_| VaultError::Crypto)?;
    let tag = tag.as_ref().try_into().map_err(|_| VaultError::Crypto)?;
    let nonce = *nonce.as_ref();
    Ok(Seal { nonce, tag })
}

/// Decrypts a ciphertext with its tag behind it in place, and returns the plaintext in it.
pub(crate) fn decrypt<'a>(
    key: &RandomizedNonceKey,
    context: &[u8],
    nonce: [u8; NONCE_BYTES],
    bytes: &'a mut [u8],
) -> Result<&'a mut [u8], VaultError> {
    key.open_in_place(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(context),
        bytes,
    )
    .map_err(|_| VaultError::Refused)
}
