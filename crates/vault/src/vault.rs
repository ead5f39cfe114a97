//! Values sealed under data keys of their own, and data keys wrapped under the master key.

use aws_lc_rs::aead::RandomizedNonceKey;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::crypto::{KEY_BYTES, NONCE_BYTES, decrypt, derive, encrypt, fill_random, key};
use crate::error::VaultError;
use crate::master_key::MasterKey;
use crate::place::Place;
use crate::sealed::{KEY_ID_BYTES, KeyId, Sealed, VERSION, WRAPPED_BYTES};

/// The longest value that can be sealed, in bytes: credentials and keys, not documents.
pub const PLAINTEXT_BYTES_MAX: usize = 64 << 10;

const KEK_PURPOSE: &str = "tollgate vault key-encryption key v1";
const ID_PURPOSE: &str = "tollgate vault key id v1";
const WRAPPED_LABEL: &str = "tollgate vault data key v1";
const CONTENT_LABEL: &str = "tollgate vault content v1";

/// What the canary says, and where it lives.
const CANARY: &[u8] = b"tollgate vault canary v1";
const CANARY_PLACE: Place<'_> = Place {
    table: "installation",
    row: b"canary",
    column: "sealed",
    org_id: None,
};

/// Seals and opens values under the installation's master keys: one that seals, and any number of old
/// ones that only open.
///
/// Each value has a random data key of its own (AES-256-GCM), which is wrapped under a key that is
/// derived from the master key (HKDF-SHA-256). Nonces are random, 96 bits. A data key encrypts once; one
/// master key may wrap 2^32 data keys ([NIST SP 800-38D](https://doi.org/10.6028/NIST.SP.800-38D), 8.3).
pub struct Vault {
    current: Kek,
    old: Vec<Kek>,
}

/// A key-encryption key.
struct Kek {
    id: KeyId,
    key: RandomizedNonceKey,
}

impl Kek {
    fn derive(master: &MasterKey) -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        derive(master, KEK_PURPOSE, &mut bytes)?;
        let key = key(&bytes)?;
        derive(master, ID_PURPOSE, &mut bytes)?;
        let id: &[u8; KEY_ID_BYTES] = bytes.first_chunk().ok_or(VaultError::Crypto)?;
        Ok(Self {
            id: KeyId(*id),
            key,
        })
    }

    /// A wrapped key is bound to its place, its version and its master key.
    fn context(&self, place: &Place<'_>) -> Vec<u8> {
        let mut context = place.context(WRAPPED_LABEL);
        context.push(VERSION);
        context.extend(self.id.0);
        context
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({} and {} old)", self.current.id, self.old.len())
    }
}

impl Vault {
    /// Makes a vault that seals under one master key, and opens what is sealed under that or an old one.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn new<'a>(
        current: &MasterKey,
        old: impl IntoIterator<Item = &'a MasterKey>,
    ) -> Result<Self, VaultError> {
        let current = Kek::derive(current)?;
        let old: Result<_, _> = old.into_iter().map(Kek::derive).collect();
        Ok(Self { current, old: old? })
    }

    /// Returns the id of the master key that seals.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.current.id
    }

    /// Seals a value for a place. The same value is sealed differently each time.
    ///
    /// # Errors
    /// `TooLarge`, `Crypto`.
    pub fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        if plaintext.len() > PLAINTEXT_BYTES_MAX {
            return Err(VaultError::TooLarge);
        }
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        fill_random(&mut *data_key)?;
        let mut content = Zeroizing::new(plaintext.to_vec());
        let seal = encrypt(
            &key(&data_key)?,
            &place.context(CONTENT_LABEL),
            &mut content,
        )?;
        self.wrap(
            place,
            &mut data_key,
            seal.nonce,
            [&content[..], &seal.tag].concat(),
        )
    }

    /// Opens a sealed value at its place.
    ///
    /// # Errors
    /// `UnknownKey`; `Refused` when it was changed, or sealed for another place; `Crypto`.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<SecretSlice<u8>, VaultError> {
        let data_key = key(&*self.unwrap_key(place, sealed)?)?;
        let mut content = Zeroizing::new(sealed.content.clone());
        let context = place.context(CONTENT_LABEL);
        let plaintext = decrypt(&data_key, &context, sealed.nonce, &mut content)?;
        Ok(SecretSlice::from(plaintext.to_vec()))
    }

    /// Returns whether what is sealed under the master key of this id can be opened.
    #[must_use]
    pub fn has_key(&self, id: KeyId) -> bool {
        self.current.id == id || self.old.iter().any(|kek| kek.id == id)
    }

    /// Returns whether a value is sealed under an old master key.
    #[must_use]
    pub fn needs_rewrap(&self, sealed: &Sealed) -> bool {
        sealed.key_id != self.current.id
    }

    /// Wraps a value's data key under the current master key. The content stays as it is, byte for
    /// byte, and is not decrypted.
    ///
    /// # Errors
    /// `UnknownKey`; `Refused` when the data key was changed, or wrapped for another place; `Crypto`.
    pub fn rewrap(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Sealed, VaultError> {
        let mut data_key = self.unwrap_key(place, sealed)?;
        self.wrap(place, &mut data_key, sealed.nonce, sealed.content.clone())
    }

    /// Returns a value to keep, by which a later start finds out that it has the right master key. When it
    /// [needs](Self::needs_rewrap) to be wrapped anew, a new one takes its place.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn canary(&self) -> Result<Sealed, VaultError> {
        self.seal(&CANARY_PLACE, CANARY)
    }

    /// Checks the canary of an earlier start, before anything is sealed that could not be opened with
    /// the rest.
    ///
    /// # Errors
    /// `UnknownKey` when it was made under a master key that is not at hand; `Refused` when it is not a
    /// canary, or damaged; `Crypto`.
    pub fn check_canary(&self, canary: &Sealed) -> Result<(), VaultError> {
        let opened = self.open(&CANARY_PLACE, canary)?;
        if opened.expose_secret() == CANARY {
            Ok(())
        } else {
            Err(VaultError::Refused)
        }
    }

    /// Leaves the wrapped key where the data key was.
    fn wrap(
        &self,
        place: &Place<'_>,
        data_key: &mut [u8; KEY_BYTES],
        nonce: [u8; NONCE_BYTES],
        content: Vec<u8>,
    ) -> Result<Sealed, VaultError> {
        let context = self.current.context(place);
        let seal = encrypt(&self.current.key, &context, data_key)?;
        let mut wrapped = [0; WRAPPED_BYTES];
        let (to_key, to_tag) = wrapped.split_at_mut(KEY_BYTES);
        to_key.copy_from_slice(data_key);
        to_tag.copy_from_slice(&seal.tag);
        Ok(Sealed {
            key_id: self.current.id,
            wrapped_nonce: seal.nonce,
            wrapped,
            nonce,
            content,
        })
    }

    fn unwrap_key(
        &self,
        place: &Place<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
        let mut keys = std::iter::once(&self.current).chain(&self.old);
        let kek = keys.find(|kek| kek.id == sealed.key_id);
        let kek = kek.ok_or(VaultError::UnknownKey(sealed.key_id))?;
        let mut wrapped = Zeroizing::new(sealed.wrapped);
        let context = kek.context(place);
        let opened = decrypt(&kek.key, &context, sealed.wrapped_nonce, &mut *wrapped)?;
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        if opened.len() != data_key.len() {
            return Err(VaultError::Refused);
        }
        data_key.copy_from_slice(opened);
        Ok(data_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        table: "providers",
        row: b"row",
        column: "api_key",
        org_id: None,
    };

    /// Random bytes that are the same each time.
    fn master(salt: u8) -> MasterKey {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[salt; 40]);
        MasterKey::from_bytes(digest.as_ref().try_into().unwrap()).unwrap()
    }

    fn vault(salt: u8) -> Vault {
        Vault::new(&master(salt), []).unwrap()
    }

    #[test]
    fn the_same_value_is_never_sealed_the_same() {
        let vault = vault(1);
        let mut nonces = std::collections::HashSet::new();
        for _ in 0..100_000 {
            let sealed = vault.seal(&PLACE, b"x").unwrap();
            assert!(nonces.insert(sealed.nonce), "a nonce came twice");
            assert!(nonces.insert(sealed.wrapped_nonce), "a nonce came twice");
        }
        assert_eq!(nonces.len(), 200_000);
    }

    #[test]
    fn a_new_master_key_takes_over_without_touching_the_content() {
        let sealed = vault(1).seal(&PLACE, b"secret").unwrap();
        let (old, before) = (master(1), master(3));
        let ring = Vault::new(&master(2), [&before, &old]).unwrap();
        assert!(ring.needs_rewrap(&sealed));
        assert!(ring.has_key(sealed.key_id()) && ring.has_key(ring.key_id()));
        assert!(!ring.has_key(vault(4).key_id()));
        assert_eq!(
            ring.open(&PLACE, &sealed).unwrap().expose_secret(),
            b"secret"
        );

        let again = ring.rewrap(&PLACE, &sealed).unwrap();
        assert!(!ring.needs_rewrap(&again));
        assert_eq!(
            (again.nonce, &again.content),
            (sealed.nonce, &sealed.content)
        );
        assert_ne!(again.wrapped, sealed.wrapped);
        // The old key is not needed any more, and does not help any more.
        assert_eq!(
            vault(2).open(&PLACE, &again).unwrap().expose_secret(),
            b"secret"
        );
        assert_eq!(
            vault(1).open(&PLACE, &again).unwrap_err(),
            VaultError::UnknownKey(ring.key_id())
        );
        let elsewhere = Place {
            row: b"other",
            ..PLACE
        };
        assert_eq!(ring.rewrap(&elsewhere, &sealed), Err(VaultError::Refused));
        assert_eq!(
            vault(4).rewrap(&PLACE, &sealed),
            Err(VaultError::UnknownKey(sealed.key_id()))
        );
    }

    #[test]
    fn a_wrong_master_key_is_found_at_the_start() {
        let canary = vault(1).canary().unwrap();
        assert_eq!(vault(1).check_canary(&canary), Ok(()));
        assert_eq!(
            vault(2).check_canary(&canary),
            Err(VaultError::UnknownKey(vault(1).key_id()))
        );
        let ring = Vault::new(&master(2), [&master(1)]).unwrap();
        assert_eq!(ring.check_canary(&canary), Ok(()));
        // Neither another value nor one that claims to be of this key is a canary.
        let other = vault(1).seal(&CANARY_PLACE, b"other").unwrap();
        assert_eq!(vault(1).check_canary(&other), Err(VaultError::Refused));
        let forged = Sealed {
            key_id: vault(2).key_id(),
            ..canary
        };
        assert_eq!(vault(2).check_canary(&forged), Err(VaultError::Refused));
    }

    #[test]
    fn parts_of_two_sealed_values_do_not_open_together() {
        let vault = vault(1);
        let one = vault.seal(&PLACE, b"one").unwrap();
        let two = vault.seal(&PLACE, b"two").unwrap();
        let mixed = Sealed {
            nonce: two.nonce,
            content: two.content,
            ..one
        };
        assert_eq!(vault.open(&PLACE, &mixed).unwrap_err(), VaultError::Refused);
    }
}
