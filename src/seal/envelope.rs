//! The bytes of a sealed value.
//!
//! Layout: version (1 byte), key id (4), nonce (12), ciphertext with its tag (the rest).

use super::Unopenable;

/// The only version so far. A reader deletes nothing that carries a higher one.
pub(super) const VERSION: u8 = 1;
pub(super) const KEY_ID_LEN: usize = 4;
pub(super) const NONCE_LEN: usize = 12;
pub(super) const TAG_LEN: usize = 16;
/// What stands in clear in front of the ciphertext.
pub(super) const HEAD_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;
/// What sealing adds to a payload.
pub(super) const OVERHEAD: usize = HEAD_LEN + TAG_LEN;

/// A sealed value, split but not yet believed.
pub(super) struct Envelope<'a> {
    pub(super) key_id: &'a [u8; KEY_ID_LEN],
    pub(super) nonce: &'a [u8; NONCE_LEN],
}

impl<'a> Envelope<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Unopenable> {
        let (&[version], rest) = bytes.split_first_chunk().ok_or(Unopenable::Broken)?;
        if version > VERSION {
            return Err(Unopenable::Foreign);
        }
        let (key_id, rest) = rest.split_first_chunk().ok_or(Unopenable::Broken)?;
        let (nonce, sealed) = rest.split_first_chunk().ok_or(Unopenable::Broken)?;
        if version != VERSION || sealed.len() < TAG_LEN {
            return Err(Unopenable::Broken);
        }
        Ok(Self { key_id, nonce })
    }
}

pub(super) fn write_head(bytes: &mut Vec<u8>, key_id: &[u8; KEY_ID_LEN], nonce: &[u8; NONCE_LEN]) {
    bytes.push(VERSION);
    bytes.extend_from_slice(key_id);
    bytes.extend_from_slice(nonce);
}
