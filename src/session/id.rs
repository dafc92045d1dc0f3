//! What names a session, and what orders everything that is known of it.

use std::{
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
};

use serde::{Deserialize, Serialize};

use crate::secret::random_bytes;

/// The random id of a session: made at login, kept through every re-seal.
///
/// It never leaves the seal; `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionId([u8; 16]);

impl SessionId {
    pub(crate) fn random() -> Self {
        Self(random_bytes())
    }

    /// The id of a stored session, from the hash that names its record.
    pub(crate) fn of_hash(hash: &[u8]) -> Self {
        let (head, _) = hash.split_first_chunk::<16>().expect("a hash has at least 16 bytes");
        Self(*head)
    }

    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A number that is spread evenly over the ids, for shards and jitter.
    pub(crate) fn spread(self) -> u64 {
        let (head, _) = self.0.split_first_chunk::<8>().expect("an id has 16 bytes");
        u64::from_le_bytes(*head)
    }
}

impl Hash for SessionId {
    /// By the half that [`SessionId::spread`] leaves: the ids of one shard have that in common.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (_, tail) = self.0.split_last_chunk::<8>().expect("an id has 16 bytes");
        state.write_u64(u64::from_le_bytes(*tail));
    }
}

/// Hashes the ids of sessions: they are drawn at random, or are hashes, and nobody else chooses one.
#[derive(Default)]
pub(super) struct IdHasher(u64);

/// What makes an [`IdHasher`].
pub(super) type BuildIdHasher = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// Generation (refreshes since the login) and sequence (re-seals of one generation).
///
/// Sealed inside; the higher pair is the later one, whatever order cookies arrive in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub(crate) struct Pair {
    pub(crate) generation: u32,
    pub(crate) sequence: u32,
}

impl Pair {
    /// The pair after a refresh.
    pub(crate) const fn refreshed(self) -> Self {
        Self { generation: self.generation.saturating_add(1), sequence: 0 }
    }

    /// The pair after a re-seal.
    pub(crate) const fn resealed(self) -> Self {
        Self { generation: self.generation, sequence: self.sequence.saturating_add(1) }
    }

    /// One number in the order of the pairs, for an atomic cell.
    pub(crate) const fn as_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.sequence as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_their_numbers_have_one_order() {
        let pairs = [(0, 0), (0, 1), (0, u32::MAX), (1, 0), (2, 7)]
            .map(|(generation, sequence)| Pair { generation, sequence });
        assert!(pairs.is_sorted());
        assert!(pairs.map(Pair::as_u64).is_sorted());
        assert!(pairs[3].refreshed() > pairs[3].resealed());
    }
}
