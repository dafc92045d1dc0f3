//! Seals for one name: what its values are bound to is put together once.

use super::{Opened, Scratch, Sealer, Unopenable, aead};

/// A [`Sealer`] for values of one name.
pub(crate) struct BoundSealer {
    sealer: Sealer,
    name: Box<str>,
    /// For each key of the ring, in its order.
    associated: Vec<aead::Associated>,
}

impl BoundSealer {
    pub(super) fn new(sealer: Sealer, name: &str) -> Self {
        let keys = sealer.ring.keys().iter();
        let associated = keys.map(|key| sealer.associated_data(&key.id, name)).collect();
        Self { sealer, name: name.into(), associated }
    }

    pub(crate) fn seal(&self, payload: &[u8]) -> String {
        self.sealer.seal(&self.name, payload)
    }

    #[inline]
    pub(crate) fn open<'a>(
        &self,
        text: &[u8],
        scratch: &'a mut Scratch,
    ) -> Result<Opened<'a>, Unopenable> {
        self.sealer.open_bound(|index| &self.associated[index], text, scratch)
    }

    /// Whether a text begins with this version and the id of a key that is known here.
    pub(crate) fn looks_own(&self, text: &[u8]) -> bool {
        self.sealer.looks_own(text)
    }
}
