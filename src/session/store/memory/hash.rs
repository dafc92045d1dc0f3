//! Spreads keys over shards and tables, in a few multiplications.
//!
//! Keyed, so that nobody can aim at one place. The keys that a layer makes are digests besides, which
//! nobody chooses; the standard library's hash, made for keys that enemies choose, takes longer than
//! all else in a look-up.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
};

/// Makes hashers of one random key.
#[derive(Clone)]
pub(super) struct KeyHash {
    seed: u64,
    factor: u64,
}

impl Default for KeyHash {
    fn default() -> Self {
        let random = || RandomState::new().hash_one(());
        Self { seed: random(), factor: random() | 1 }
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { state: self.seed, factor: self.factor }
    }
}

pub(super) struct KeyHasher {
    state: u64,
    factor: u64,
}

impl KeyHasher {
    #[inline]
    fn mix(&mut self, block: [u8; 16]) {
        let block = u128::from_le_bytes(block);
        self.state = folded(block as u64 ^ self.state, (block >> 64) as u64 ^ self.factor);
    }
}

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks();
        for block in blocks {
            self.mix(*block);
        }
        if !rest.is_empty() {
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(last);
        }
        self.state ^= bytes.len() as u64; // zeros at the end count
    }

    /// What ends a text: all keys have it.
    #[inline]
    fn write_u8(&mut self, _: u8) {}

    #[inline]
    fn finish(&self) -> u64 {
        folded(self.state, self.factor)
    }
}

/// Both halves of the product: every bit of either depends on every bit of the factors.
#[inline]
const fn folded(one: u64, other: u64) -> u64 {
    let product = one as u128 * other as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let hash = KeyHash::default();
        let text = "x".repeat(100);
        let mut seen = HashSet::new();
        for length in 0..=text.len() {
            assert!(seen.insert(hash.hash_one(&text[..length])), "{length} bytes");
        }
        for at in 0..text.len() {
            let mut other = text.clone();
            other.replace_range(at..=at, "y");
            assert!(seen.insert(hash.hash_one(&*other)), "byte {at}");
            assert_eq!(hash.hash_one(&*other), hash.hash_one(&*other.clone()));
        }
        assert_ne!(hash.hash_one("x"), KeyHash::default().hash_one("x"));
    }

    /// Names that differ little are as far apart as any: in the bits that choose a bucket and in
    /// those that mark it.
    #[test]
    fn similar_keys_are_spread_evenly() {
        const KEYS: usize = 64 * 1024;
        let hash = KeyHash::default();
        for shift in [0, 32, 57] {
            let mut buckets = [0_usize; 64];
            for number in 0..KEYS {
                let place = hash.hash_one(format!("tower-lp-auth:session:{number}").as_str());
                buckets[(place >> shift) as usize % 64] += 1;
            }
            for (bucket, found) in buckets.into_iter().enumerate() {
                // 1,024 on average, and 32 is the deviation to expect.
                assert!((700..1400).contains(&found), "{found} in {bucket} of bits from {shift}");
            }
        }
    }
}
