//! Credentials looked at before: spares the cryptography for the requests that follow.
//!
//! Only values that opened or verified enter. A key is the whole value, hashed by the last characters,
//! which are those of its AEAD tag or signature (nobody without the key chooses them), and compared in
//! full. The last characters are compared first, in constant time: they cannot be guessed one by one.
//! How much of the rest is the same is only told to whoever has them already, and holds the value.

use std::hash::{BuildHasher, Hash, Hasher};

use constant_time_eq::constant_time_eq;
use quick_cache::{DefaultHashBuilder, Equivalent, UnitWeighter, sync};

/// A bounded map from the values of cookies and bearer tokens to what is in them.
pub(crate) struct Cache<T> {
    entries: sync::Cache<Value, T, UnitWeighter, DefaultHashBuilder>,
}

/// A credential's value as a key.
#[derive(Clone)]
struct Value(Box<[u8]>);

/// The same, borrowed from a request.
struct Borrowed<'a>(&'a [u8]);

/// The last characters are the tag's or the signature's: 16 of them are 96 bits.
const TAG: usize = 16;

/// All but the last characters, and these.
#[inline]
fn split_tag(value: &[u8]) -> (&[u8], &[u8]) {
    value.split_at(value.len().saturating_sub(TAG))
}

#[inline]
fn hash_tag<H: Hasher>(value: &[u8], state: &mut H) {
    state.write(split_tag(value).1);
}

#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((one, tag), (other, others_tag)) = (split_tag(one), split_tag(other));
    constant_time_eq(tag, others_tag) && one == other
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_tag(&self.0, state);
    }
}

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_tag(self.0, state);
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.0, &other.0)
    }
}

impl Eq for Value {}

impl Equivalent<Value> for Borrowed<'_> {
    fn equivalent(&self, key: &Value) -> bool {
        is_same(self.0, &key.0)
    }
}

impl<T: Clone> Cache<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        // The hasher is drawn at random per cache, so nobody can aim at one slot.
        debug_assert_ne!(hasher.hash_one(0), hasher.hash_one(1));
        Self {
            entries: sync::Cache::with(
                capacity,
                capacity as u64,
                UnitWeighter,
                hasher,
                sync::DefaultLifecycle::default(),
            ),
        }
    }

    #[inline]
    pub(crate) fn get(&self, value: &[u8]) -> Option<T> {
        self.entries.get(&Borrowed(value))
    }

    pub(crate) fn insert(&self, value: &[u8], opened: T) {
        self.entries.insert(Value(value.into()), opened);
    }

    pub(crate) fn remove(&self, value: &[u8]) {
        self.entries.remove(&Borrowed(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_byte_counts() {
        for length in [0, 1, 7, 8, 9, 16, 31, 700] {
            let value: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let key = Value(value.clone().into());
            assert!(Borrowed(&value).equivalent(&key), "{length}");
            let longer = [&value[..], b"x"].concat();
            assert!(!Borrowed(&longer).equivalent(&key), "longer than {length}");
            for at in 0..length {
                let mut other = value.clone();
                other[at] ^= 0x80;
                assert!(!Borrowed(&other).equivalent(&key), "{at} of {length}");
            }
        }
    }
}
