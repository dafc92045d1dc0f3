//! Values that nobody guesses.

/// A random text of hexadecimal digits, lowercase.
pub(super) fn hex(digits: usize) -> String {
    text(digits, b"0123456789abcdef")
}

/// A random text like a client secret of LivePerson's: 26 lowercase letters and digits.
pub(super) fn client_secret() -> String {
    text(26, b"abcdefghijklmnopqrstuvwxyz0123456789")
}

/// An alphabet of 36 is drawn from slightly unevenly: good enough for a mock.
fn text(len: usize, alphabet: &[u8]) -> String {
    let mut bytes = vec![0; len];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system provides randomness");
    let letter = |byte: u8| char::from(alphabet[usize::from(byte) % alphabet.len()]);
    bytes.into_iter().map(letter).collect()
}
