//! Codes for when the authenticator app is lost.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use tollgate_domain::{MAC_BYTES, UserId};

use crate::key_text::{KeyError, fill_random};
use crate::token_pepper::{TokenPepper, is_same};

/// How many codes a person gets at once.
pub const RECOVERY_CODES: usize = 10;

/// 80 bits are 16 digits of base 32, shown in groups of four.
const CODE_BYTES: usize = 10;
const CODE_DIGITS: usize = 16;
const GROUP_DIGITS: usize = 4;

/// The most bytes of a code as it is typed, with whatever stands between its groups.
const TYPED_BYTES_MAX: usize = 64;

/// A text that is not a recovery code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a recovery code has 16 letters and digits, such as ABCD-EFGH-IJKL-2345")]
pub struct RecoveryCodeError;

/// A code of 80 random bits that replaces the authenticator app once. Overwritten when dropped.
#[derive(Clone)]
pub struct RecoveryCode(SecretString);

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

impl RecoveryCode {
    /// Makes the ten codes of a person. They are shown once, and those from before are void.
    ///
    /// # Errors
    /// When the system gave no random bytes.
    pub fn generate_all() -> Result<Vec<Self>, KeyError> {
        (0..RECOVERY_CODES).map(|_| Self::generate()).collect()
    }

    fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; CODE_BYTES]);
        fill_random(&mut *bytes)?;
        Ok(Self(SecretString::from(BASE32_NOPAD.encode(&*bytes))))
    }

    /// Reads a code as it is typed: in either case, with or without hyphens and spaces.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, RecoveryCodeError> {
        if text.len() > TYPED_BYTES_MAX {
            return Err(RecoveryCodeError);
        }
        let digits: Zeroizing<String> = text
            .chars()
            .filter(|digit| !matches!(digit, '-' | ' '))
            .map(|digit| digit.to_ascii_uppercase())
            .collect::<String>()
            .into();
        let is_digit = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
        if digits.len() != CODE_DIGITS || !digits.bytes().all(is_digit) {
            return Err(RecoveryCodeError);
        }
        Ok(Self(SecretString::from(digits.as_str())))
    }

    /// Returns the code in groups of four, as `ABCD-EFGH-IJKL-2345`.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let digits: Vec<char> = self.0.expose_secret().chars().collect();
        let groups = digits.chunks(GROUP_DIGITS);
        let groups: Vec<String> = groups.map(|group| group.iter().collect()).collect();
        groups.join("-").into()
    }

    /// Returns the digest to store for the code. The person is part of it.
    #[must_use]
    pub fn mac(&self, pepper: &TokenPepper, user_id: UserId) -> [u8; MAC_BYTES] {
        let digits = self.0.expose_secret().as_bytes();
        pepper.mac_of(&[b"recovery code", user_id.as_bytes(), digits])
    }

    /// Returns which of a person's stored digests is the code's, comparing all of them in constant time.
    /// Remove it in the transaction that accepts it: a code is used once.
    #[must_use]
    pub fn find(
        &self,
        pepper: &TokenPepper,
        user_id: UserId,
        stored: &[[u8; MAC_BYTES]],
    ) -> Option<usize> {
        let mac = self.mac(pepper, user_id);
        let mut found = None;
        for (at, other) in stored.iter().enumerate() {
            if is_same(&mac, other) {
                found = Some(at);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANN: UserId = UserId::from_bytes([1; 16]);
    const BOB: UserId = UserId::from_bytes([2; 16]);

    #[test]
    fn each_of_ten_codes_works_once_and_for_one_person() {
        let pepper = TokenPepper::derive(&[3; 32]);
        let codes = RecoveryCode::generate_all().unwrap();
        let mut stored: Vec<_> = codes.iter().map(|code| code.mac(&pepper, ANN)).collect();
        assert_eq!(stored.len(), 10);
        for code in &codes {
            let typed = RecoveryCode::parse(&code.expose()).unwrap();
            assert_eq!(typed.find(&pepper, BOB, &stored), None);
            assert_eq!(
                typed.find(&TokenPepper::derive(&[4; 32]), ANN, &stored),
                None
            );
            stored.remove(typed.find(&pepper, ANN, &stored).unwrap());
            assert_eq!(typed.find(&pepper, ANN, &stored), None);
        }
        assert!(stored.is_empty());
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        for text in [
            "ABCD-EFGH-IJKL-2345",
            "abcdefghijkl2345",
            " abcd efgh IJKL 2345 ",
        ] {
            let code = RecoveryCode::parse(text).unwrap();
            assert_eq!(code.expose().as_str(), "ABCD-EFGH-IJKL-2345");
            assert_eq!(format!("{code:?}"), "RecoveryCode(…)");
        }
        for bad in [
            "",
            "-",
            "ABCD-EFGH-IJKL-234",
            "ABCD-EFGH-IJKL-23456",
            "ABCD-EFGH-IJKL-2341",
            "ABCD-EFGH-IJKL-234é",
            "ABCD_EFGH_IJKL_2345",
            "ABCD\nEFGH\nIJKL\n2345",
            &"-".repeat(1_000_000),
        ] {
            assert!(RecoveryCode::parse(bad).is_err(), "{bad:.80}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_reads_again(text in "\\PC{0,70}|[a-z2-7 -]{14,24}") {
            if let Ok(code) = RecoveryCode::parse(&text) {
                let shown = code.expose();
                prop_assert_eq!(RecoveryCode::parse(&shown).unwrap().expose(), shown);
            }
        }
    }
}
