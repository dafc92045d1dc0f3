//! The one place where a session's Set-Cookie and its session token are made.

use std::sync::{Arc, OnceLock};

use http::HeaderValue;

use super::{
    Opened,
    carrier::Carrier,
    cookie::{CookieNames, MAX_LINE},
    record::Session,
    voucher::{KeyNames, Voucher},
};
use crate::{
    account::AccountId,
    clock::Timestamp,
    refresh::{Lifetimes, Schedule},
    seal::{BoundSealer, MAX_SEALED, Opened as Unsealed, Scratch, Sealer, Unopenable},
    secret::SessionToken,
};

/// Makes session cookies and session tokens.
pub(crate) struct Mint {
    cookie: BoundSealer,
    token: BoundSealer,
    names: CookieNames,
    client_id: Box<str>,
    account: AccountId,
    lifetimes: Lifetimes,
}

/// What seals each of the ways a session travels.
pub(crate) struct Sealers {
    pub(crate) cookie: Sealer,
    pub(crate) token: Sealer,
}

/// A session and the finished bytes of its Set-Cookie: the same for all responses of its pair.
#[derive(Clone, Debug)]
pub(crate) struct Minted {
    pub(crate) opened: Arc<Opened>,
    /// `None` if the session is too large for a cookie; it then lives in this process alone.
    pub(crate) set_cookie: Option<HeaderValue>,
    /// Its session token as a header's value, made when first asked for.
    pub(crate) token: OnceLock<Option<HeaderValue>>,
    /// A number that grows with every result, to tell older ones from newer.
    pub(crate) order: u64,
}

impl Minted {
    /// The session token as a response header's value, the same for all responses; `None` if it is too
    /// large.
    pub(crate) fn token_header(&self, mint: &Mint) -> Option<HeaderValue> {
        let make = || {
            let token = mint.token(&self.opened.session)?;
            let mut value = HeaderValue::try_from(token.expose_secret()).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        self.token.get_or_init(make).clone()
    }
}

/// A session does not fit into one cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the session needs a cookie of {bytes} bytes, and browsers drop one of more than {MAX_LINE}"
)]
pub(crate) struct TooLarge {
    bytes: usize,
}

impl Mint {
    pub(crate) fn new(
        sealers: Sealers,
        names: CookieNames,
        redirect_uri: &str,
        client_id: &str,
        account: AccountId,
        lifetimes: Lifetimes,
    ) -> Self {
        let cookie = sealers.cookie.bound_to(names.session());
        // In place of a cookie's name: with the redirect URI, as a cookie's name has it, so that no token
        // moves to another application of the same origin.
        let token = sealers.token.bound_to(&format!("session token of {redirect_uri}"));
        Self { cookie, token, names, client_id: client_id.into(), account, lifetimes }
    }

    /// The account whose users sign in here.
    pub(crate) fn account(&self) -> &AccountId {
        &self.account
    }

    pub(crate) fn names(&self) -> &CookieNames {
        &self.names
    }

    /// What follows from a session's times under the configured lifetimes.
    pub(crate) fn opened(&self, session: Session) -> Arc<Opened> {
        let schedule = Schedule::new(&session, &self.lifetimes);
        Arc::new(Opened { session, schedule, current_key: true, stored: None })
    }

    /// Opens the value of a session cookie or a session token: one of this client and this account.
    pub(crate) fn open(&self, carrier: Carrier, value: &[u8]) -> Result<Arc<Opened>, Unopenable> {
        let mut scratch = Scratch::new();
        let opened = self.unseal(carrier, value, &mut scratch)?;
        let account = Some(&self.account);
        let Some(session) = Session::from_payload(opened.payload, &self.client_id, account) else {
            return Err(Unopenable::Broken);
        };
        let schedule = Schedule::new(&session, &self.lifetimes);
        let current_key = opened.current_key;
        Ok(Arc::new(Opened { session, schedule, current_key, stored: None }))
    }

    /// The Set-Cookie of a session; its Max-Age counts to the absolute end.
    pub(crate) fn set_cookie(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<HeaderValue, TooLarge> {
        let payload = zeroize::Zeroizing::new(session.to_payload(&self.client_id));
        let value = self.cookie.seal(&payload);
        let max_age = session.times.absolute_end.since(now);
        let line = self.names.set(self.names.session(), &value, max_age);
        if line.len() > MAX_LINE {
            return Err(TooLarge { bytes: line.len() });
        }
        Ok(line)
    }

    /// The session token of a session; `None` if it is larger than any that is opened again.
    pub(crate) fn token(&self, session: &Session) -> Option<SessionToken> {
        let payload = zeroize::Zeroizing::new(session.to_payload(&self.client_id));
        let token = self.token.seal(&payload);
        (token.len() <= MAX_SEALED).then(|| SessionToken::new(token))
    }

    /// The session token of a stored session: it never changes in what it opens.
    pub(crate) fn voucher_token(&self, voucher: &Voucher) -> SessionToken {
        let payload = voucher.to_payload(&self.client_id, &self.account);
        SessionToken::new(self.token.seal(&payload))
    }

    /// Whether a text begins as the tokens do that are made under a key known here. A stranger's does not,
    /// but for one in 2^40.
    pub(crate) fn looks_like_token(&self, text: &[u8]) -> bool {
        self.token.looks_own(text)
    }

    #[inline]
    fn unseal<'a>(
        &self,
        carrier: Carrier,
        value: &[u8],
        scratch: &'a mut Scratch,
    ) -> Result<Unsealed<'a>, Unopenable> {
        let sealer = match carrier {
            Carrier::Cookie => &self.cookie,
            Carrier::Token => &self.token,
        };
        sealer.open(value, scratch)
    }

    /// Opens the value of the cookie or token of a stored session; also says whether today's key
    /// sealed it.
    pub(crate) fn open_voucher(
        &self,
        carrier: Carrier,
        value: &[u8],
        keys: &KeyNames,
    ) -> Result<(Voucher, bool), Unopenable> {
        let mut scratch = Scratch::new();
        let opened = self.unseal(carrier, value, &mut scratch)?;
        let voucher = Voucher::from_payload(opened.payload, keys, &self.client_id, &self.account);
        Ok((voucher.ok_or(Unopenable::Broken)?, opened.current_key))
    }

    /// The Set-Cookie of a stored session.
    pub(crate) fn voucher_cookie(&self, voucher: &Voucher, now: Timestamp) -> HeaderValue {
        let payload = voucher.to_payload(&self.client_id, &self.account);
        let value = self.cookie.seal(&payload);
        self.names.set(self.names.session(), &value, voucher.absolute_end.since(now))
    }

    /// The Set-Cookie that deletes the session.
    pub(crate) fn delete_cookie(&self) -> HeaderValue {
        self.names.delete(self.names.session())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        seal::Purpose,
        secret::SessionKey,
        session::tests::{sample, tokens_with},
    };
    use std::time::Duration;

    fn mint() -> Mint {
        let lifetimes = Lifetimes {
            idle: Duration::from_secs(8 * 3600),
            absolute: Duration::from_secs(24 * 3600),
            refresh_after: Duration::from_secs(1800),
        };
        let key = SessionKey::random();
        let sealer =
            |purpose| Sealer::new(std::slice::from_ref(&key), purpose, "https://a.example");
        let (cookie, token) = (sealer(Purpose::Session), sealer(Purpose::SessionToken));
        let names = CookieNames::new(true, "abc123", None);
        let redirect_uri = "https://a.example/callback";
        Mint::new(
            Sealers { cookie, token },
            names,
            redirect_uri,
            "client",
            sample().account,
            lifetimes,
        )
    }

    fn value(line: &HeaderValue) -> Vec<u8> {
        let text = line.to_str().unwrap();
        let (_, rest) = text.split_once('=').unwrap();
        rest.split_once(';').unwrap().0.as_bytes().to_vec()
    }

    #[test]
    fn what_the_mint_makes_it_opens() {
        let (mint, session) = (mint(), sample());
        let line = mint.set_cookie(&session, session.times.authenticated_at).unwrap();
        assert!(line.to_str().unwrap().ends_with("Max-Age=86400"));
        let opened = mint.open(Carrier::Cookie, &value(&line)).unwrap();
        assert_eq!(opened.session.id, session.id);
        assert!(opened.current_key);
    }

    /// H03, store rule 13: a token never opens as a cookie, nor a cookie as a token.
    #[test]
    fn cookie_and_token_are_no_substitutes() {
        let (mint, session) = (mint(), sample());
        let token = mint.token(&session).unwrap();
        let token = token.expose_secret().as_bytes();
        assert_eq!(mint.open(Carrier::Token, token).unwrap().session.id, session.id);
        assert!(mint.open(Carrier::Cookie, token).is_err());
        let cookie = value(&mint.set_cookie(&session, session.times.authenticated_at).unwrap());
        assert!(mint.open(Carrier::Token, &cookie).is_err());
    }

    /// C07, C11, C12: reader and writer have one limit, and it counts the whole line.
    #[test]
    fn a_session_fits_to_the_last_byte_or_fails_loudly() {
        let (mint, mut session) = (mint(), sample());
        let mut largest = 0;
        for length in 2700..3100 {
            session.tokens = tokens_with(Some(&"~".repeat(length)));
            match mint.set_cookie(&session, session.times.authenticated_at) {
                Ok(line) => {
                    assert!(line.len() <= MAX_LINE);
                    assert!(mint.open(Carrier::Cookie, &value(&line)).is_ok());
                    largest = length;
                }
                Err(TooLarge { bytes }) => assert!(bytes > MAX_LINE, "{bytes} at {length}"),
            }
        }
        assert!((2700..3099).contains(&largest), "the limit was not met: {largest}");
    }
}
