//! Codes of an authenticator app.
//! Source: <https://www.rfc-editor.org/rfc/rfc6238>

use std::fmt;

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use data_encoding::BASE32_NOPAD;
use secrecy::zeroize::Zeroizing;
use tollgate_domain::Timestamp;

use crate::encoding::percent_encoded;
use crate::key_text::fill_random;
use crate::token_pepper::is_same;

/// The settings that every authenticator app knows: SHA-1 (which is safe within HMAC), 6 digits, 30 s.
const SECRET_BYTES: usize = 20;
const DIGITS: usize = 6;
const MODULUS: u32 = 1_000_000;
const STEP_SECONDS: u64 = 30;

/// How many steps before and after the present one are accepted, for clocks that differ.
const WINDOW_STEPS: u64 = 1;

/// Why a code is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TotpError {
    /// Not six digits.
    #[error("the code must have six digits")]
    Malformed,
    /// Not the code of now, or of just before or after.
    #[error("the code is not valid")]
    Wrong,
    /// The right code, but it or a later one was used before.
    #[error("the code was used before; wait for the next one")]
    Used,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// The secret that an authenticator app and the installation share. Overwritten when dropped.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; SECRET_BYTES]>);

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

impl TotpSecret {
    /// Makes a new secret of 160 bits from the system's random source.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate() -> Result<Self, TotpError> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        fill_random(&mut *bytes).map_err(|_| TotpError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// Wraps the bytes of a secret that was kept.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the bytes. Whoever has them can make every code: keep them sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// Returns the secret as people type it into an app that cannot read the picture of the address.
    #[must_use]
    pub fn to_base32(&self) -> Zeroizing<String> {
        BASE32_NOPAD.encode(&*self.0).into()
    }

    /// Returns the address that an app reads, usually as a picture. It holds the secret.
    /// Source: <https://github.com/google/google-authenticator/wiki/Key-Uri-Format>
    #[must_use]
    pub fn to_uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        let secret = self.to_base32();
        format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}\
             &algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}",
            secret.as_str()
        )
        .into()
    }

    /// Checks a code and returns its step, which becomes the `last_used` of the next check: a code is
    /// accepted once, and none from before it. Keep the step in the same transaction that accepts it.
    ///
    /// # Errors
    /// `Malformed`, `Wrong` or `Used`.
    pub fn check(
        &self,
        code: &str,
        now: Timestamp,
        last_used: Option<u64>,
    ) -> Result<u64, TotpError> {
        if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TotpError::Malformed);
        }
        let present = u64::try_from(now.seconds()).unwrap_or(0) / STEP_SECONDS;
        let first = present.saturating_sub(WINDOW_STEPS);
        let mut found = None;
        // All are compared, so that the time does not tell which one it was.
        for step in first..=present.saturating_add(WINDOW_STEPS) {
            if is_same(self.code(step).as_bytes(), code.as_bytes()) {
                found = Some(step);
            }
        }
        let step = found.ok_or(TotpError::Wrong)?;
        match last_used {
            Some(used) if step <= used => Err(TotpError::Used),
            _ => Ok(step),
        }
    }

    /// Returns the code of a step.
    /// Source: <https://www.rfc-editor.org/rfc/rfc4226#section-5.3>
    fn code(&self, step: u64) -> String {
        let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &*self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = tag.last().map_or(0, |byte| usize::from(byte & 0x0f));
        let cut = tag.get(at..).and_then(|rest| rest.first_chunk::<4>());
        let number = u32::from_be_bytes(cut.copied().unwrap_or_default()) & 0x7fff_ffff;
        format!("{:0DIGITS$}", number % MODULUS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_vectors_of_the_standard_hold() {
        let secret = TotpSecret::from_bytes(*b"12345678901234567890");
        // Appendix B, SHA-1: the last six of its eight digits.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(seconds / 30).unwrap();
            assert_eq!(secret.code(step), code);
            assert_eq!(secret.check(code, at(seconds), None), Ok(step));
        }
    }

    #[test]
    fn one_step_early_or_late_is_accepted_and_two_are_not() {
        let secret = TotpSecret::from_bytes([7; 20]);
        let (now, step) = (at(1_790_000_000), 1_790_000_000 / 30);
        for near in [step - 1, step, step + 1] {
            assert_eq!(secret.check(&secret.code(near), now, None), Ok(near));
        }
        for far in [step - 2, step + 2] {
            assert_eq!(
                secret.check(&secret.code(far), now, None),
                Err(TotpError::Wrong)
            );
        }
        assert!(secret.check(&secret.code(0), at(-5), None).is_ok());
    }

    #[test]
    fn a_code_and_those_before_it_are_accepted_once() {
        let secret = TotpSecret::from_bytes([7; 20]);
        let (now, step) = (at(1_790_000_000), 1_790_000_000 / 30);
        let check = |step, last| secret.check(&secret.code(step), now, last);
        assert_eq!(check(step, Some(step - 1)), Ok(step));
        assert_eq!(check(step, Some(step)), Err(TotpError::Used));
        assert_eq!(check(step - 1, Some(step)), Err(TotpError::Used));
        assert_eq!(check(step + 1, Some(step)), Ok(step + 1));
        assert_eq!(check(step, Some(u64::MAX)), Err(TotpError::Used));
    }

    #[test]
    fn only_six_digits_are_a_code() {
        let secret = TotpSecret::from_bytes([7; 20]);
        for bad in [
            "",
            "12345",
            "1234567",
            "12345a",
            " 12345",
            "+12345",
            "١٢٣٤٥٦",
            "12 345",
        ] {
            assert_eq!(
                secret.check(bad, at(0), None),
                Err(TotpError::Malformed),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_address_for_the_app_has_everything() {
        let secret = TotpSecret::from_bytes(*b"12345678901234567890");
        assert_eq!(
            secret
                .to_uri("Tollgate & Söhne", "ann+x@example.com")
                .as_str(),
            "otpauth://totp/Tollgate%20%26%20S%C3%B6hne:ann%2Bx%40example.com\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tollgate%20%26%20S%C3%B6hne\
             &algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{secret:?}"), "TotpSecret(…)");
        let (one, other) = (
            TotpSecret::generate().unwrap(),
            TotpSecret::generate().unwrap(),
        );
        assert_ne!(one.expose(), other.expose());
    }

    proptest! {
        #[test]
        fn a_step_is_never_accepted_twice(times in prop::collection::vec((0i64..300, 0u64..12), 1..80)) {
            let secret = TotpSecret::from_bytes([9; 20]);
            let (mut last, mut accepted) = (None, Vec::new());
            for (seconds, step) in times {
                if let Ok(step) = secret.check(&secret.code(step), at(seconds), last) {
                    prop_assert!(!accepted.contains(&step));
                    accepted.push(step);
                    last = Some(step);
                }
            }
        }
    }
}
