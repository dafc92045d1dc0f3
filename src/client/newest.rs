//! The newest token that a client has, shared by all of its requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue};

use crate::{secret::SessionToken, session::TOKEN_HEADER};

/// More is no session token.
const MAX_TOKEN_BYTES: usize = 4096;

/// A token, and the header that carries it.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) token: SessionToken,
    /// Marked as sensitive.
    pub(super) header: HeaderValue,
}

#[derive(Debug)]
pub(super) struct Newest {
    carried: Mutex<Arc<Carried>>,
}

impl Carried {
    fn new(token: SessionToken) -> Arc<Self> {
        let header = token.to_header();
        Arc::new(Self { token, header })
    }
}

impl Newest {
    pub(super) fn new(token: SessionToken) -> Self {
        Self { carried: Mutex::new(Carried::new(token)) }
    }

    pub(super) fn get(&self) -> Arc<Carried> {
        Arc::clone(&self.lock())
    }

    pub(super) fn replace(&self, token: SessionToken) {
        *self.lock() = Carried::new(token);
    }

    /// Takes in what a response to a request with `sent` brings.
    ///
    /// A successor of another token than today's is left: which of the two is newer nobody can tell,
    /// and where it is that one, the next response brings it again. So a late response never brings an
    /// older token back, nor that of a user who has been replaced.
    pub(super) fn take_in(&self, sent: &Arc<Carried>, response: &HeaderMap) {
        let Some(token) = renewed(response) else { return };
        let mut carried = self.lock();
        if Arc::ptr_eq(&carried, sent) {
            *carried = Carried::new(token);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Carried>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one token in a response's header that can be one: base64url (RFC 4648 §5).
fn renewed(headers: &HeaderMap) -> Option<SessionToken> {
    let mut values = headers.get_all(TOKEN_HEADER).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let text = value.to_str().ok()?;
    let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_plausible =
        (1..=MAX_TOKEN_BYTES).contains(&text.len()) && text.bytes().all(is_base64url);
    is_plausible.then(|| SessionToken::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(values: &[&[u8]]) -> HeaderMap {
        let value = |bytes: &&[u8]| (TOKEN_HEADER, HeaderValue::from_bytes(bytes).unwrap());
        values.iter().map(value).collect()
    }

    fn newest() -> Newest {
        Newest::new(SessionToken::new("first"))
    }

    #[test]
    fn what_cannot_be_a_token_changes_nothing() {
        let longest = vec![b'a'; MAX_TOKEN_BYTES];
        let newest = newest();
        newest.take_in(&newest.get(), &response(&[&longest]));
        assert_eq!(newest.get().token.expose_secret().len(), MAX_TOKEN_BYTES);
        let too_long = vec![b'a'; MAX_TOKEN_BYTES + 1];
        let table: [&[&[u8]]; 9] = [
            &[],
            &[b""],
            &[&too_long],
            &[b"two words"],
            &[b"a.b.c"],
            &[b"padded="],
            &["caf\u{e9}".as_bytes()],
            &[b"a\tb"],
            &[b"one", b"two"],
        ];
        for values in table {
            let before = newest.get();
            newest.take_in(&before, &response(values));
            assert!(Arc::ptr_eq(&before, &newest.get()), "taken in: {values:?}");
        }
    }

    #[test]
    fn a_token_gives_way_to_its_own_successor_alone() {
        let newest = newest();
        let (early, late) = (newest.get(), newest.get());
        newest.take_in(&early, &response(&[b"second"]));
        newest.take_in(&late, &response(&[b"late"]));
        assert_eq!(newest.get().token, SessionToken::new("second"));
        let second = newest.get();
        newest.replace(SessionToken::new("somebody-else"));
        newest.take_in(&second, &response(&[b"third"]));
        assert_eq!(newest.get().token, SessionToken::new("somebody-else"));
    }

    #[test]
    fn no_token_prints_itself() {
        assert!(!format!("{:?}", newest()).contains("first"));
    }
}
