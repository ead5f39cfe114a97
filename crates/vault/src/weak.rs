//! Keys that were not drawn at random.

use aws_lc_rs::digest::{SHA256, digest};

use crate::master_key::MASTER_KEY_BYTES;

/// 32 random bytes have about 30 different ones; fewer than these happen once in 10^12 keys.
const DIFFERENT_MIN: usize = 16;

/// Words whose SHA-256 somebody may have taken for a key.
const WORDS: [&str; 16] = [
    "",
    "admin",
    "changeme",
    "change-me",
    "example",
    "hello",
    "key",
    "master",
    "master-key",
    "master.key",
    "masterkey",
    "password",
    "secret",
    "test",
    "tollgate",
    "12345678",
];

/// The AES-256 key of the examples in NIST SP 800-38A, appendix F.
const EXAMPLE: [u8; MASTER_KEY_BYTES] = [
    0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
    0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
];

/// Returns what shows that a key was not drawn at random. That nothing does is no proof.
pub(crate) fn weakness(bytes: &[u8; MASTER_KEY_BYTES]) -> Option<&'static str> {
    let mut different = *bytes;
    different.sort_unstable();
    if different.chunk_by(|one, other| one == other).count() < DIFFERENT_MIN {
        return Some("this one has few different bytes");
    }
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if bytes.iter().all(is_text) {
        return Some("this one is a text");
    }
    let repeats_after = |period| {
        bytes
            .iter()
            .zip(bytes.iter().skip(period))
            .all(|(a, b)| a == b)
    };
    if (1..=MASTER_KEY_BYTES / 2).any(repeats_after) {
        return Some("this one repeats itself");
    }
    let mut steps = bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .map(|(one, next)| next.wrapping_sub(*one));
    let first = steps.next();
    if steps.all(|step| Some(step) == first) {
        return Some("this one is a sequence");
    }
    let is_digest = |word: &&str| digest(&SHA256, word.as_bytes()).as_ref() == bytes;
    if *bytes == EXAMPLE || WORDS.iter().any(is_digest) {
        return Some("this one is known to everybody");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master_key::MasterKey;

    fn check(bytes: &[u8], expected: &str) {
        let found = weakness(bytes.try_into().unwrap());
        assert_eq!(found, Some(format!("this one {expected}").as_str()));
    }

    #[test]
    fn keys_that_somebody_made_up_are_found() {
        check(&[0; 32], "has few different bytes");
        check(
            &[[1, 2, 3, 4, 5, 6, 7, 8]; 4].concat(),
            "has few different bytes",
        );
        check(b"change-me, this is not a key 123", "is a text");
        let sixteen: Vec<u8> = (0..16_u8).map(|at| (at * 13) ^ 0x80).collect();
        check(&[sixteen.clone(), sixteen].concat(), "repeats itself");
        check(&(0..32).collect::<Vec<u8>>(), "is a sequence");
        check(&(200..232).rev().collect::<Vec<u8>>(), "is a sequence");
        check(&EXAMPLE, "is known to everybody");
        check(digest(&SHA256, b"").as_ref(), "is known to everybody");
        check(digest(&SHA256, b"secret").as_ref(), "is known to everybody");
    }

    #[test]
    fn random_keys_are_not_suspected() {
        for _ in 0..10_000 {
            assert_eq!(weakness(MasterKey::generate().unwrap().expose()), None);
        }
    }
}
