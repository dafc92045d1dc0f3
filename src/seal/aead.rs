//! One sealed value: what is put in front of it, and what it is bound to.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use smallvec::SmallVec;
use zeroize::Zeroizing;

use super::{
    Unopenable,
    envelope::{self, Envelope, KEY_ID_LEN},
};
use crate::secret::random_bytes;

/// Seals `payload` under `key`, whose id stands in clear in front.
pub(super) fn seal(
    key: &LessSafeKey,
    key_id: &[u8; KEY_ID_LEN],
    associated: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let nonce: [u8; envelope::NONCE_LEN] = random_bytes();
    let mut bytes = Vec::with_capacity(envelope::OVERHEAD + payload.len());
    envelope::write_head(&mut bytes, key_id, &nonce);
    let mut body = Zeroizing::new(Vec::with_capacity(payload.len() + envelope::TAG_LEN));
    body.extend_from_slice(payload);
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(associated),
        &mut *body,
    )
    .expect("a payload of some kilobytes is below the cipher's limit");
    bytes.extend_from_slice(&body);
    bytes
}

/// Opens the part of what [`seal`] made that is no longer clear: ciphertext and tag.
pub(super) fn open_in_place<'a>(
    key: &LessSafeKey,
    nonce: [u8; envelope::NONCE_LEN],
    associated: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a [u8], Unopenable> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    match key.open_in_place(nonce, Aad::from(associated), sealed) {
        Ok(payload) => Ok(payload),
        Err(_) => Err(Unopenable::Broken),
    }
}

/// Opens what [`seal`] made; `bytes` are those of `envelope`.
pub(super) fn open(
    key: &LessSafeKey,
    nonce: [u8; envelope::NONCE_LEN],
    associated: &[u8],
    mut bytes: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, Unopenable> {
    let length = open_in_place(key, nonce, associated, &mut bytes[envelope::HEAD_LEN..])?.len();
    bytes.truncate(envelope::HEAD_LEN + length);
    bytes.drain(..envelope::HEAD_LEN);
    Ok(bytes)
}

/// The key id and nonce of a sealed value.
pub(super) fn head(
    bytes: &[u8],
) -> Result<([u8; KEY_ID_LEN], [u8; envelope::NONCE_LEN]), Unopenable> {
    let Envelope { key_id, nonce } = Envelope::parse(bytes)?;
    Ok((*key_id, *nonce))
}

/// What a sealed value is bound to; on the stack, unless names and origin are very long.
pub(super) type Associated = SmallVec<[u8; 192]>;

/// Version, key id and `parts`, each with its length in front.
pub(super) fn associated<const N: usize>(
    key_id: &[u8; KEY_ID_LEN],
    parts: [&[u8]; N],
) -> Associated {
    let mut data = Associated::new();
    for part in [&[envelope::VERSION][..], key_id].into_iter().chain(parts) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(part);
    }
    data
}
