//! What the browser keeps: text that only this service can have made and only it can read.
//!
//! [`envelope`] splits the bytes, [`key_ring`] holds the keys derived from the session keys, [`aead`]
//! seals one value, and [`Sealer`] puts them together for one purpose, [`BoundSealer`] for one name as
//! well, with [`Scratch`] as the room in which a value is opened; [`vault`] does so for what a session
//! store keeps. The cipher is AES-256-GCM-SIV (RFC 8452): random
//! nonces of 12 bytes may repeat at internet scale without giving anything away but equality.

mod aead;
mod bound;
mod envelope;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod key_ring;
mod scratch;
mod vault;

pub(crate) use self::{
    bound::BoundSealer,
    scratch::Scratch,
    vault::{RecordPlace, VaultSealer},
};

use self::{envelope::Envelope, key_ring::KeyRing};
use crate::secret::SessionKey;

/// What a sealed value is for; a value sealed for one purpose never opens for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The session cookie.
    Session,
    /// The cookie of a session whose record is in a store.
    StoredSession,
    /// The session token of a client that keeps no cookies.
    SessionToken,
    /// The same where the session's record is in a store.
    StoredSessionToken,
    /// The cookie of a pending login.
    Login,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::StoredSession => b"stored session",
            Self::SessionToken => b"session token",
            Self::StoredSessionToken => b"stored session token",
            Self::Login => b"login",
        }
    }
}

/// No value that is longer was made here: browsers keep no cookie of more than 4,096 bytes.
pub(crate) const MAX_SEALED: usize = 4096;

/// Seals and opens the values of one purpose.
pub(crate) struct Sealer {
    ring: KeyRing,
    purpose: Purpose,
    /// The origin of the redirect URI: a value does not move to another deployment.
    origin: Box<str>,
}

/// An opened value.
pub(crate) struct Opened<'a> {
    /// The payload, in the [`Scratch`] that wipes it.
    pub(crate) payload: &'a [u8],
    /// Whether the key that seals today sealed it too.
    pub(crate) current_key: bool,
}

/// Why a value does not open. There is no finer answer: it would help a forger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopenable {
    /// A newer version or a key that is not known here: another instance may know it, so the
    /// cookie is left alone.
    Foreign,
    /// Not made under any key known here, or damaged: worthless for good.
    Broken,
}

impl Unopenable {
    /// Whether no process will ever open it, so that its cookie may be deleted. A newer key or
    /// version may be another process's.
    pub(crate) fn is_final(self) -> bool {
        self == Self::Broken
    }
}

impl Sealer {
    /// The same for values of one name alone.
    pub(crate) fn bound_to(self, name: &str) -> BoundSealer {
        BoundSealer::new(self, name)
    }

    pub(crate) fn new(keys: &[SessionKey], purpose: Purpose, origin: &str) -> Self {
        Self { ring: KeyRing::new(keys, purpose.label()), purpose, origin: origin.into() }
    }

    /// Seals `payload` for the cookie called `name`; the result is base64url without padding.
    pub(crate) fn seal(&self, name: &str, payload: &[u8]) -> String {
        let sealing = &self.ring.keys()[0];
        let bound = self.associated_data(&sealing.id, name);
        let bytes = aead::seal(&sealing.key, &sealing.id, &bound, payload);
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
    }

    /// Opens what [`Sealer::seal`] made for the same name, origin and purpose.
    pub(crate) fn open<'a>(
        &self,
        name: &str,
        text: &[u8],
        scratch: &'a mut Scratch,
    ) -> Result<Opened<'a>, Unopenable> {
        let bound = |index: usize| self.associated_data(&self.ring.keys()[index].id, name);
        self.open_bound(bound, text, scratch)
    }

    /// The same, with what the value is bound to under the key at an index.
    #[inline]
    fn open_bound<'a, B: AsRef<[u8]>>(
        &self,
        bound: impl FnOnce(usize) -> B,
        text: &[u8],
        scratch: &'a mut Scratch,
    ) -> Result<Opened<'a>, Unopenable> {
        let bytes = scratch.decode(text).ok_or(Unopenable::Broken)?;
        let Envelope { key_id, nonce } = Envelope::parse(bytes)?;
        let index = self.ring.find(key_id).ok_or(Unopenable::Foreign)?;
        let (key, nonce) = (&self.ring.keys()[index].key, *nonce);
        let sealed = &mut bytes[envelope::HEAD_LEN..];
        let payload = aead::open_in_place(key, nonce, bound(index).as_ref(), sealed)?;
        Ok(Opened { payload, current_key: index == 0 })
    }

    /// Whether a text begins with this version and the id of a key that is known here.
    pub(crate) fn looks_own(&self, text: &[u8]) -> bool {
        // Eight characters are six bytes.
        let Some(head) = text.first_chunk::<8>() else { return false };
        let mut bytes = [0; 6];
        let out = base64_simd::Out::from_slice(&mut bytes);
        match base64_simd::URL_SAFE_NO_PAD.decode(head, out) {
            Ok([envelope::VERSION, a, b, c, d, _]) => self.ring.find(&[*a, *b, *c, *d]).is_some(),
            _ => false,
        }
    }

    /// Version, key id, purpose, cookie name and origin.
    fn associated_data(&self, key_id: &[u8; 4], name: &str) -> aead::Associated {
        let parts = [self.purpose.label(), name.as_bytes(), self.origin.as_bytes()];
        aead::associated(key_id, parts)
    }
}

/// How many characters [`Sealer::seal`] makes of a payload of `length` bytes.
#[cfg(test)]
pub(crate) const fn sealed_len(length: usize) -> usize {
    ((envelope::OVERHEAD + length) * 4).div_ceil(3)
}

#[cfg(test)]
mod tests;
