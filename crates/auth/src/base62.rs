//! Digits of base 62 for secrets that people see: random ones, and the checksum that finds a typing
//! error. The checksum is that of API keys.

/// 43 digits hold 256 bits, 6 digits hold 32.
pub(crate) const SECRET_DIGITS: usize = 43;
pub(crate) const CHECKSUM_DIGITS: usize = 6;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns CRC-32C of a text as six digits.
pub(crate) fn checksum(body: &str) -> [u8; CHECKSUM_DIGITS] {
    let mut rest = crc32c::crc32c(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = digit_of(rest % 62);
        rest /= 62;
    }
    digits
}

/// Appends digits, each equally likely when each byte of the source is. `fill` gives the next 64 bytes.
pub(crate) fn push_digits<E>(
    text: &mut String,
    count: usize,
    mut fill: impl FnMut(&mut [u8; 64]) -> Result<(), E>,
) -> Result<(), E> {
    let mut missing = count;
    while missing > 0 {
        let mut bytes = [0; 64];
        fill(&mut bytes)?;
        // 248 is the largest multiple of 62 in a byte: larger ones would favour the first digits.
        let even = bytes.into_iter().filter(|byte| *byte < 248).take(missing);
        for byte in even {
            text.push(char::from(digit_of(u32::from(byte) % 62)));
            missing -= 1;
        }
    }
    Ok(())
}

fn digit_of(value: u32) -> u8 {
    let digit = usize::try_from(value).ok().and_then(|at| DIGITS.get(at));
    digit.copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::KeyText;

    #[test]
    fn the_checksum_is_that_of_api_keys() {
        for _ in 0..50 {
            let key = KeyText::generate().unwrap();
            let (body, digits) = key.expose().split_at(key.expose().len() - CHECKSUM_DIGITS);
            assert_eq!(checksum(body).as_slice(), digits.as_bytes());
        }
    }

    #[test]
    fn every_digit_is_equally_likely() {
        let mut text = String::new();
        let mut next = 0u8;
        push_digits(&mut text, 62 * 4 * 10, |bytes| {
            for byte in bytes {
                (*byte, next) = (next, next.wrapping_add(1));
            }
            Ok::<(), Infallible>(())
        })
        .unwrap();
        for digit in DIGITS {
            assert_eq!(text.bytes().filter(|byte| byte == digit).count(), 40);
        }
    }
}
