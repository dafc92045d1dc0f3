//! Reads what postcard has written.
//!
//! Postcard reads it too, at three times the cost: a session is opened for each request that the cache
//! does not know. The format is specified: numbers are varints of seven bits a byte, the lowest first;
//! texts and bytes have their length in front; flags, options and variants of an enum are one byte. All is
//! inlined but the rare, so that what is left to read stays in registers.

/// What is left to read. Whatever does not fit is `None`.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[inline(always)]
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[inline(always)]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    #[inline(always)]
    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// Most numbers are lengths, of one byte or two.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Option<u64> {
        let number;
        (number, self.0) = match self.0 {
            [small @ 0..0x80, rest @ ..] => (u64::from(*small), rest),
            [low, high @ 0..0x80, rest @ ..] => {
                (u64::from(*high) << 7 | u64::from(*low & 0x7f), rest)
            }
            bytes => number_by_bytes(bytes)?,
        };
        Some(number)
    }

    /// A [`number`](Self::number), at best one of six bytes: a time is one, from 1971 to 2109.
    #[inline(always)]
    pub(super) fn millis(&mut self) -> Option<u64> {
        const ENDS: u64 = 0x8080_8080_8080;
        if let Some((word, _)) = self.0.split_first_chunk()
            && let word = u64::from_le_bytes(*word)
            && word & ENDS == ENDS >> 8
        {
            self.0 = &self.0[6..];
            return Some(drawn_together(word & (u64::MAX >> 16)));
        }
        self.number()
    }

    #[inline(always)]
    pub(super) fn short(&mut self) -> Option<u32> {
        let before = self.0.len();
        let number = self.number()?.try_into().ok()?;
        // As many bytes as 32 bits take, and no more.
        (before - self.0.len() <= 5).then_some(number)
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    #[inline(always)]
    pub(super) fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.bytes()?).ok()
    }

    #[inline(always)]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// The number of which each byte holds seven bits.
#[inline(always)]
const fn drawn_together(word: u64) -> u64 {
    let own = word & 0x7f7f_7f7f_7f7f_7f7f;
    let pairs = own & 0x007f_007f_007f_007f | (own & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    fours & 0x0fff_ffff | (fours & 0x0fff_ffff_0000_0000) >> 4
}

/// A number of any length, and what follows.
#[inline(never)]
fn number_by_bytes(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut reader = Reader(bytes);
    let mut number = 0;
    for place in (0..63).step_by(7) {
        let byte = reader.byte()?;
        number |= u64::from(byte & 0x7f) << place;
        if byte < 0x80 {
            return Some((number, reader.0));
        }
    }
    // Of the tenth byte there is room for one bit.
    match reader.byte()? {
        byte @ 0..=1 => Some((number | u64::from(byte) << 63, reader.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Everything<'a> = (u64, u32, bool, &'a str, &'a [u8], [u8; 3]);

    fn read<'a>(bytes: &'a [u8]) -> Option<(Everything<'a>, usize)> {
        let mut reader = Reader::new(bytes);
        let everything = (
            reader.number()?,
            reader.short()?,
            reader.flag()?,
            reader.text()?,
            reader.bytes()?,
            reader.array()?,
        );
        Some((everything, reader.0.len()))
    }

    proptest! {
        /// Postcard is the oracle: of what it wrote, and of what it did not.
        #[test]
        fn what_postcard_writes_is_read_as_postcard_reads_it(
            number: u64, short: u32, flag: bool, text: String, bytes: Vec<u8>, array: [u8; 3],
        ) {
            let written = (number, short, flag, &*text, &*bytes, array);
            let payload = postcard::to_stdvec(&written).unwrap();
            prop_assert_eq!(read(&payload), Some((written, 0)));
        }

        #[test]
        fn no_bytes_are_read_otherwise_than_by_postcard(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), 0..4u8, Just(0x80), Just(0xff)], 0..40),
        ) {
            let oracle = postcard::take_from_bytes::<Everything<'_>>(&bytes).ok();
            prop_assert_eq!(read(&bytes), oracle.map(|(read, rest)| (read, rest.len())));
            let mut reader = Reader::new(&bytes);
            let oracle = postcard::take_from_bytes::<u64>(&bytes).ok();
            let time = reader.millis().map(|time| (time, reader.rest()));
            prop_assert_eq!(time, oracle);
        }
    }

    /// Those of six bytes, on which the reading of times is set, and those beside them.
    #[test]
    fn times_of_any_length_are_read() {
        for time in [0, 1 << 34, (1 << 35) - 1, 1 << 35, (1 << 42) - 1, 1 << 42, u64::MAX] {
            for after in [&[][..], &[0x80; 1], &[0; 2], &[0xff; 8]] {
                let payload = [&postcard::to_stdvec(&time).unwrap(), after].concat();
                let mut reader = Reader::new(&payload);
                assert_eq!(reader.millis(), Some(time));
                assert_eq!(reader.rest(), after, "{time}");
            }
        }
    }

    #[test]
    fn a_number_is_refused_that_needs_more_bits() {
        let number = |bytes: &[u8]| Reader::new(bytes).number();
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(number(&most), Some(u64::MAX));
        let mut more = most;
        more[9] = 0x02;
        assert_eq!(number(&more), None);
        assert_eq!(number(&[0x80; 11]), None);
        assert_eq!(number(&[0x80]), None);
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).short(), None);
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).short(), None);
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x00]).short(), Some(0));
    }
}
