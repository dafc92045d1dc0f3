//! What the browser keeps: text that only this service can have made and only it can read.
//!
//! [`envelope`] splits the bytes, [`key_ring`] holds the keys derived from the session keys, and
//! [`Sealer`] puts them together for one purpose. The cipher is AES-256-GCM-SIV (RFC 8452): random
//! nonces of 12 bytes may repeat at internet scale without giving anything away but equality.

mod envelope;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod key_ring;

use aws_lc_rs::aead::{Aad, Nonce};
use zeroize::Zeroizing;

use self::{envelope::Envelope, key_ring::KeyRing};
use crate::secret::{SessionKey, random_bytes};

/// What a sealed value is for; a value sealed for one purpose never opens for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The session cookie.
    Session,
    /// The cookie of a pending login.
    Login,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::Login => b"login",
        }
    }
}

/// No value that is longer was made here: browsers keep no cookie of more than 4,096 bytes.
const MAX_SEALED: usize = 4096;

/// Seals and opens the values of one purpose.
pub(crate) struct Sealer {
    ring: KeyRing,
    purpose: Purpose,
    /// The origin of the redirect URI: a value does not move to another deployment.
    origin: Box<str>,
}

/// An opened value.
pub(crate) struct Opened {
    /// The payload; wiped on drop.
    pub(crate) payload: Zeroizing<Vec<u8>>,
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

impl Sealer {
    pub(crate) fn new(keys: &[SessionKey], purpose: Purpose, origin: &str) -> Self {
        Self { ring: KeyRing::new(keys, purpose.label()), purpose, origin: origin.into() }
    }

    /// Seals `payload` for the cookie called `name`; the result is base64url without padding.
    pub(crate) fn seal(&self, name: &str, payload: &[u8]) -> String {
        let sealing = self.ring.current();
        let nonce: [u8; envelope::NONCE_LEN] = random_bytes();
        let mut bytes = Vec::with_capacity(envelope::OVERHEAD + payload.len());
        envelope::write_head(&mut bytes, &sealing.id, &nonce);
        let mut body = Zeroizing::new(Vec::with_capacity(payload.len() + envelope::TAG_LEN));
        body.extend_from_slice(payload);
        sealing
            .key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.associated_data(&sealing.id, name)),
                &mut *body,
            )
            .expect("a payload of some kilobytes is below the cipher's limit");
        bytes.extend_from_slice(&body);
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
    }

    /// Opens what [`Sealer::seal`] made for the same name, origin and purpose.
    pub(crate) fn open(&self, name: &str, text: &[u8]) -> Result<Opened, Unopenable> {
        if text.len() > MAX_SEALED {
            return Err(Unopenable::Broken);
        }
        let bytes =
            base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).map_err(|_| Unopenable::Broken)?;
        let mut bytes = Zeroizing::new(bytes);
        let envelope = Envelope::parse(&bytes)?;
        let (opening, current_key) = self.ring.find(envelope.key_id).ok_or(Unopenable::Foreign)?;
        let aad = Aad::from(self.associated_data(&opening.id, name));
        let nonce = Nonce::assume_unique_for_key(*envelope.nonce);
        let length = opening
            .key
            .open_in_place(nonce, aad, &mut bytes[envelope::HEAD_LEN..])
            .map_err(|_| Unopenable::Broken)?
            .len();
        bytes.truncate(envelope::HEAD_LEN + length);
        bytes.drain(..envelope::HEAD_LEN);
        Ok(Opened { payload: bytes, current_key })
    }

    /// Version, key id, purpose, cookie name and origin, each with its length in front.
    fn associated_data(&self, key_id: &[u8], name: &str) -> Vec<u8> {
        let parts = [
            &[envelope::VERSION][..],
            key_id,
            self.purpose.label(),
            name.as_bytes(),
            self.origin.as_bytes(),
        ];
        let mut data = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
        for part in parts {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            data.extend_from_slice(&length.to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// How many characters [`Sealer::seal`] makes of a payload of `length` bytes.
#[cfg(test)]
pub(crate) const fn sealed_len(length: usize) -> usize {
    ((envelope::OVERHEAD + length) * 4).div_ceil(3)
}

#[cfg(test)]
mod tests;
