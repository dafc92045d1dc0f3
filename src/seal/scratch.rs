//! Where a value is opened: on the stack.

use std::mem::MaybeUninit;

use zeroize::Zeroize;

use super::MAX_SEALED;

/// Room for one value while it is opened and read; what was written is wiped on drop.
pub(crate) struct Scratch {
    room: [MaybeUninit<u8>; ROOM],
    written: usize,
}

/// Four characters of base64 are three bytes.
const ROOM: usize = MAX_SEALED / 4 * 3;

impl Scratch {
    #[inline]
    pub(crate) fn new() -> Self {
        // Without this `const`, and in a `const fn`, all of it is written with zeroes first.
        Self { room: [const { MaybeUninit::uninit() }; ROOM], written: 0 }
    }

    /// Decodes base64url without padding; `None` if it is none, or longer than any value.
    pub(super) fn decode(&mut self, text: &[u8]) -> Option<&mut [u8]> {
        if text.len() > MAX_SEALED {
            return None;
        }
        self.written = self.written.max((text.len() * 3).div_ceil(4));
        let out = base64_simd::Out::from_uninit_slice(&mut self.room);
        base64_simd::URL_SAFE_NO_PAD.decode(text, out).ok()
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        self.room[..self.written].zeroize();
    }
}
