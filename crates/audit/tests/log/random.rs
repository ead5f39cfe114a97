//! Random numbers that are the same each time.

use tollgate_domain::DIGEST_BYTES;

/// `SplitMix64` (<https://prng.di.unimi.it/splitmix64.c>): the same numbers each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    pub(crate) fn flip(&mut self, bytes: &mut [u8]) {
        let bit = self.below(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
    }

    pub(crate) fn flip_text(&mut self, text: &mut String) {
        if text.is_empty() {
            return text.push('a');
        }
        // The texts are ASCII, and stay so.
        let mut bytes = std::mem::take(text).into_bytes();
        let at = self.below(bytes.len());
        bytes[at] ^= 1 << self.below(7);
        *text = String::from_utf8(bytes).unwrap();
    }

    pub(crate) fn flip_digest(&mut self, digest: &mut Option<[u8; DIGEST_BYTES]>) {
        match digest {
            Some(_) if self.coin() => *digest = None,
            Some(bytes) => self.flip(bytes),
            None => *digest = Some([0; DIGEST_BYTES]),
        }
    }
}
