//! A login under way: sealed into a cookie of its own, so that the server stores nothing.

use std::time::Duration;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::return_path::ReturnPath;
use crate::{
    account::AccountId,
    clock::Timestamp,
    seal::{Scratch, Sealer},
    secret::{CodeVerifier, random_bytes},
    session::{CookieNames, LoginMark, MAX_LINE},
};

/// At most this many logins wait in one browser, and at most this many bytes of their cookies.
pub(crate) const MAX_PENDING: usize = 8;
pub(crate) const MAX_BYTES: usize = 3 * 1024;

/// All our cookies together leave room for others below the 8 KiB that servers accept of a header.
const _: () = assert!(MAX_BYTES + MAX_LINE <= 7 * 1024);

/// More cookies than this of our login names are not opened, and more than twice as many not looked
/// at: nobody made them honestly.
const MAX_OPENED: usize = 2 * MAX_PENDING;
const MAX_SEEN: usize = 2 * MAX_OPENED;

/// A login cookie born later than this from now has a broken clock behind it.
const SKEW: Duration = Duration::from_secs(60);

/// The random value that binds a callback to the browser that started the login (RFC 6749 §10.12).
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct State([u8; 32]);

/// What a login cookie holds.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) state: State,
    pub(crate) return_path: Option<ReturnPath>,
    pub(crate) account: AccountId,
    pub(crate) verifier: Option<CodeVerifier>,
    pub(crate) born: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    state: [u8; 32],
    return_path: Option<&'a str>,
    account: &'a str,
    verifier: Option<&'a str>,
    born: u64,
}

impl State {
    pub(crate) fn random() -> Self {
        Self(random_bytes())
    }

    /// Reads a callback's `state`: exactly what [`State::to_text`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    pub(crate) fn to_text(&self) -> String {
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(self.0)
    }

    /// What may be shown of a state: its hash names the cookie, and eight bytes of it stay in the
    /// session.
    pub(crate) fn hash(&self) -> StateHash {
        let hash = digest(&SHA256, &self.0);
        let (head, _) = hash.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
        StateHash(*head)
    }
}

/// The beginning of a state's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StateHash(LoginMark);

impl StateHash {
    pub(crate) fn mark(self) -> LoginMark {
        self.0
    }

    /// Sixteen hex digits.
    pub(crate) fn to_text(self) -> String {
        format!("{:016x}", u64::from_be_bytes(self.0))
    }
}

impl Pending {
    pub(crate) fn seal(&self, sealer: &Sealer, name: &str) -> String {
        let wire = Wire {
            state: self.state.0,
            return_path: self.return_path.as_ref().map(ReturnPath::as_str),
            account: self.account.as_str(),
            verifier: self.verifier.as_ref().map(CodeVerifier::expose_secret),
            born: self.born.as_millis(),
        };
        let payload = postcard::to_stdvec(&wire).expect("a flat structure serializes");
        sealer.seal(name, &zeroize::Zeroizing::new(payload))
    }

    /// Opens a login cookie; the return path is judged again, by today's configuration.
    pub(crate) fn open(
        sealer: &Sealer,
        guard: &super::ReturnGuard,
        name: &str,
        value: &[u8],
    ) -> Option<Self> {
        let mut scratch = Scratch::new();
        let opened = sealer.open(name, value, &mut scratch).ok()?;
        let wire: Wire<'_> = postcard::from_bytes(opened.payload).ok()?;
        Some(Self {
            state: State(wire.state),
            return_path: wire.return_path.and_then(|path| guard.check(path)),
            account: wire.account.parse().ok()?,
            verifier: wire.verifier.map(CodeVerifier::new),
            born: Timestamp::from_millis(wire.born),
        })
    }

    pub(crate) fn has_state(&self, state: &State) -> bool {
        verify_slices_are_equal(&self.state.0, &state.0).is_ok()
    }

    /// Judged by the time inside the seal, not by the cookie's Max-Age.
    pub(crate) fn is_over(&self, now: Timestamp, patience: Duration) -> bool {
        now.since(self.born) > patience || self.born.since(now) > SKEW
    }
}

/// A login cookie of a request, as far as making room needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) name: String,
    /// Name and value with what joins them.
    pub(crate) bytes: usize,
    /// `None` if it does not open, or is over.
    pub(crate) born: Option<Timestamp>,
}

/// The login cookies of a request.
pub(crate) fn waiting(
    headers: &HeaderMap,
    names: &CookieNames,
    open: impl Fn(&str, &[u8]) -> Option<Timestamp>,
) -> Vec<Waiting> {
    let mut all: Vec<Waiting> = Vec::new();
    for (index, (name, value)) in names.login_cookies(headers).take(MAX_SEEN).enumerate() {
        let born = if index < MAX_OPENED { open(name, value) } else { None };
        let bytes = cookie_bytes(name, value.len());
        match all.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                known.bytes += bytes;
                known.born = known.born.max(born);
            }
            None => all.push(Waiting { name: name.to_owned(), bytes, born }),
        }
    }
    all
}

/// What a cookie adds to a request: `name=value; `.
pub(crate) fn cookie_bytes(name: &str, value: usize) -> usize {
    name.len() + value + 3
}

/// Which of the waiting logins have to go so that one of `new_bytes` finds room: all that are
/// worthless, then the oldest.
pub(crate) fn make_room(mut waiting: Vec<Waiting>, new_bytes: usize) -> Vec<String> {
    waiting.sort_by_key(|login| login.born);
    let mut count = waiting.len();
    let mut bytes: usize = waiting.iter().map(|login| login.bytes).sum();
    let mut gone = Vec::new();
    for login in waiting {
        let full = count + 1 > MAX_PENDING || bytes + new_bytes > MAX_BYTES;
        if login.born.is_some() && !full {
            break;
        }
        count -= 1;
        bytes -= login.bytes;
        gone.push(login.name);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{login::ReturnGuard, seal::Purpose, secret::SessionKey, site::tests::site};

    fn login(name: &str, bytes: usize, born: Option<u64>) -> Waiting {
        Waiting { name: name.into(), bytes, born: born.map(Timestamp::from_secs) }
    }

    /// B15, B16.
    #[test]
    fn the_oldest_login_gives_way_and_worthless_ones_first() {
        let few = vec![login("b", 300, Some(2)), login("a", 300, Some(1))];
        assert!(make_room(few, 300).is_empty());
        let eight: Vec<_> = (0..8u8).map(|n| login(&n.to_string(), 300, Some(n.into()))).collect();
        assert_eq!(make_room(eight, 300), ["0"]);
        let mut broken = vec![login("a", 300, Some(1)), login("x", 300, None)];
        broken.push(login("y", 300, None));
        assert_eq!(make_room(broken, 300), ["x", "y"]);
        let large = vec![login("a", 1500, Some(1)), login("b", 1500, Some(2))];
        assert_eq!(make_room(large, 1500), ["a"]);
        let too_many: Vec<_> =
            (0..40u8).map(|n| login(&n.to_string(), 70, Some(n.into()))).collect();
        assert_eq!(make_room(too_many, 300).len(), 33);
    }

    #[test]
    fn a_pending_login_comes_back_from_its_cookie() {
        let sealer = Sealer::new(&[SessionKey::random()], Purpose::Login, "https://rp.example");
        let guard = ReturnGuard::new(site("https://rp.example/callback", ""));
        let pending = Pending {
            state: State::random(),
            return_path: guard.check("/deep?q=1"),
            account: "12345678".parse().unwrap(),
            verifier: Some(super::super::pkce::code_verifier()),
            born: Timestamp::from_secs(1000),
        };
        let value = pending.seal(&sealer, "name");
        let back = Pending::open(&sealer, &guard, "name", value.as_bytes()).unwrap();
        assert!(back.has_state(&pending.state) && !back.has_state(&State::random()));
        assert_eq!((back.return_path, back.verifier), (pending.return_path, pending.verifier));
        assert!(Pending::open(&sealer, &guard, "another", value.as_bytes()).is_none());
    }

    /// B13, B29.
    #[test]
    fn a_login_lasts_ten_minutes_by_the_time_inside() {
        let pending = Pending {
            state: State::random(),
            return_path: None,
            account: "1".parse().unwrap(),
            verifier: None,
            born: Timestamp::from_secs(10_000),
        };
        let patience = Duration::from_secs(600);
        for (now, over) in
            [(10_000, false), (10_600, false), (10_601, true), (9_940, false), (9_939, true)]
        {
            assert_eq!(pending.is_over(Timestamp::from_secs(now), patience), over, "at {now}");
        }
    }

    /// B16: a flood of cookies under our names costs and answers a bounded number.
    #[test]
    fn only_so_many_login_cookies_are_looked_at() {
        let names = CookieNames::new(true, "abc123", None);
        let field: String = (0..5000).map(|n| format!("__Host-lp_login_abc123_{n}=x; ")).collect();
        let headers = [(http::header::COOKIE, field.parse().unwrap())].into_iter().collect();
        let opened = std::cell::Cell::new(0);
        let waiting = waiting(&headers, &names, |_, _| {
            opened.set(opened.get() + 1);
            None
        });
        assert_eq!((opened.get(), waiting.len()), (MAX_OPENED, MAX_SEEN));
        assert_eq!(make_room(waiting, 300).len(), MAX_SEEN);
    }

    #[test]
    fn only_what_we_write_is_a_state() {
        let state = State::random();
        assert_eq!(state.to_text().len(), 43);
        assert!(State::parse(&state.to_text()) == Some(state.clone()));
        for text in ["", "a", &"a".repeat(44), &format!("{}=", state.to_text())] {
            assert!(State::parse(text).is_none(), "accepted {text:?}");
        }
        assert_eq!(state.hash().to_text().len(), 16);
    }
}
