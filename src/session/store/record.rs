//! A record as a store keeps it: its version in clear, all else sealed.

use std::fmt;

use bytes::{Buf, Bytes};

use crate::secret::random_bytes;

/// What a store keeps of a session.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    version: Version,
    content: Bytes,
}

/// Which writing of a record this is: 128 random bits, new at every write.
///
/// Not a counter: that would repeat after a fail-over which has lost a write.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version([u8; Version::LEN]);

impl Version {
    /// The length of a version in bytes.
    pub const LEN: usize = 16;

    pub(crate) fn random() -> Self {
        Self(random_bytes())
    }

    /// A version from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the version.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Version(..)")
    }
}

impl StoredRecord {
    /// A record of this version.
    #[must_use]
    pub fn new(version: Version, content: impl Into<Bytes>) -> Self {
        Self { version, content: content.into() }
    }

    /// What stands where a record should, but is none.
    #[must_use]
    pub fn unreadable() -> Self {
        Self { version: Version([0; Version::LEN]), content: Bytes::new() }
    }

    /// Reads the bytes that [`StoredRecord::to_bytes`] made; fewer than a version's are
    /// [`StoredRecord::unreadable`].
    #[must_use]
    pub fn from_bytes(mut bytes: Bytes) -> Self {
        let Some((&version, _)) = bytes.split_first_chunk() else { return Self::unreadable() };
        bytes.advance(Version::LEN); // unlike splitting, it makes no second handle
        Self { version: Version(version), content: bytes }
    }

    /// The record in one piece, for stores that keep one value under a key: the version's 16 bytes,
    /// then the content.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.version.as_bytes(), &self.content[..]].concat()
    }

    /// Which writing of the record this is.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The sealed rest.
    #[must_use]
    pub const fn content(&self) -> &Bytes {
        &self.content
    }

    pub(crate) fn into_content(self) -> Bytes {
        self.content
    }
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("version", &self.version)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_its_bytes() {
        let record = StoredRecord::new(Version::random(), &b"sealed"[..]);
        assert_eq!(StoredRecord::from_bytes(record.to_bytes().into()), record);
        for cut in 0..Version::LEN {
            let bytes = record.to_bytes()[..cut].to_vec();
            assert_eq!(StoredRecord::from_bytes(bytes.into()), StoredRecord::unreadable(), "{cut}");
        }
    }
}
