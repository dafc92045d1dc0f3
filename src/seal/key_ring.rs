//! The keys of one purpose: the first seals, all open.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
};
use zeroize::Zeroizing;

use super::envelope::KEY_ID_LEN;
use crate::secret::SessionKey;

/// Separates our keys from whatever else is derived from the same secret.
const SALT: &[u8] = b"tower-lp-auth/v1";

pub(super) struct KeyRing {
    /// The first seals.
    keys: Vec<DerivedKey>,
}

pub(super) struct DerivedKey {
    /// Names the session key in clear; derived from it, so that it cannot be chosen wrongly.
    pub(super) id: [u8; KEY_ID_LEN],
    pub(super) key: LessSafeKey,
}

impl KeyRing {
    /// Derives the keys of `purpose` (HKDF with SHA-256, RFC 5869) from the session keys.
    ///
    /// # Panics
    ///
    /// If `keys` is empty: `build()` has refused that.
    pub(super) fn new(keys: &[SessionKey], purpose: &[u8]) -> Self {
        assert!(!keys.is_empty(), "the configuration holds at least one session key");
        Self { keys: keys.iter().map(|key| DerivedKey::new(key, purpose)).collect() }
    }

    /// All keys: the first seals.
    #[inline]
    pub(super) fn keys(&self) -> &[DerivedKey] {
        &self.keys
    }

    /// Which of the keys is called `id`.
    #[inline]
    pub(super) fn find(&self, id: &[u8; KEY_ID_LEN]) -> Option<usize> {
        self.keys.iter().position(|key| key.id == *id)
    }
}

impl DerivedKey {
    fn new(master: &SessionKey, purpose: &[u8]) -> Self {
        let prk = extract(master);
        let key: Zeroizing<[u8; 32]> = Zeroizing::new(expand(&prk, &[b"aead", purpose]));
        let key = UnboundKey::new(&AES_256_GCM_SIV, key.as_slice())
            .expect("32 bytes are a key of AES-256");
        Self { id: key_id(&prk), key: LessSafeKey::new(key) }
    }
}

/// What all keys derived from a session key come from (RFC 5869 §2.2).
pub(super) fn extract(master: &SessionKey) -> Prk {
    Salt::new(HKDF_SHA256, SALT).extract(master.expose_secret())
}

pub(super) fn key_id(prk: &Prk) -> [u8; KEY_ID_LEN] {
    expand(prk, &[b"key id"])
}

/// The output length of [`expand`].
struct Length<const N: usize>;

impl<const N: usize> KeyType for Length<N> {
    fn len(&self) -> usize {
        N
    }
}

/// Derives `N` bytes for what `info` names (RFC 5869 §2.3).
pub(super) fn expand<const N: usize>(prk: &Prk, info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    prk.expand(info, Length::<N>)
        .and_then(|okm| okm.fill(&mut out))
        .expect("a few dozen bytes are below HKDF's limit");
    out
}
