//! A session's content and its bytes inside the seal.

use std::borrow::Cow;

use serde::Serialize;

use super::{
    id::{Pair, SessionId},
    packed::Packed,
    subject::Subject,
    tokens::Tokens,
    wire::Reader,
};
use crate::{account::AccountId, clock::Timestamp};

/// Everything that is known of a signed-in user, as one login and its refreshes made it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) pair: Pair,
    pub(crate) account: AccountId,
    pub(crate) identity: Identity,
    pub(crate) tokens: Tokens,
    pub(crate) times: Times,
    /// The beginning of the hash of the login's `state`: a callback that comes again is known.
    pub(crate) login: LoginMark,
}

/// Who the id_token said it is, at login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) subject: Subject,
    pub(crate) issuer: Issuer,
    pub(crate) is_admin: bool,
    pub(crate) is_lpa: bool,
}

/// An id_token's `iss`. The two that there are need no room in each session.
pub(crate) type Issuer = Cow<'static, str>;

/// `text` as an [`Issuer`].
pub(crate) fn issuer(text: &str) -> Issuer {
    match text {
        "Sentinel" => Cow::Borrowed("Sentinel"),
        "sentinel" => Cow::Borrowed("sentinel"),
        other => Cow::Owned(other.to_owned()),
    }
}

/// The times a session carries; what follows from them is [`super::Schedule`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// The login.
    pub(crate) authenticated_at: Timestamp,
    /// When the tokens came: the login or the last refresh.
    pub(crate) refreshed_at: Timestamp,
    /// When the access token ends.
    pub(crate) access_expires_at: Timestamp,
    /// The last request, exact to the interval of activity re-seals.
    pub(crate) last_seen: Timestamp,
    /// When the session ends, whatever happens.
    pub(crate) absolute_end: Timestamp,
}

/// Eight bytes that tell logins apart.
pub(crate) type LoginMark = [u8; 8];

/// What most payloads have beside the tokens. With room for all there is no secret left behind where a
/// vector grew.
const BESIDE_TOKENS: usize = 192;

/// The first bytes of version 1, in this order. [`Session::from_payload`] reads them.
#[derive(Serialize)]
struct Head<'a> {
    client: &'a str,
    account: &'a str,
    id: SessionId,
    pair: Pair,
    subject: &'a str,
    issuer: &'a str,
    is_admin: bool,
    is_lpa: bool,
}

/// The bytes that follow, after those of the tokens.
#[derive(Serialize)]
struct Tail {
    authenticated_at: u64,
    refreshed_at: u64,
    access_expires_at: u64,
    last_seen: u64,
    absolute_end: u64,
    login: LoginMark,
}

#[inline(always)]
fn read_issuer(text: &[u8]) -> Option<Issuer> {
    match text {
        b"Sentinel" => Some(Cow::Borrowed("Sentinel")),
        other => Some(issuer(str::from_utf8(other).ok()?)),
    }
}

#[inline(always)]
fn read_time(reader: &mut Reader<'_>) -> Option<Timestamp> {
    reader.millis().map(Timestamp::from_millis)
}

impl Session {
    /// The same session, used at `now`: the next sequence of its generation.
    pub(crate) fn used(&self, now: Timestamp) -> Self {
        let last_seen = now.max(self.times.last_seen);
        let times = Times { last_seen, ..self.times };
        Self { pair: self.pair.resealed(), times, ..self.clone() }
    }

    /// The payload of the session's cookie for the application `client`.
    pub(crate) fn to_payload(&self, client: &str) -> Vec<u8> {
        let head = Head {
            client,
            account: self.account.as_str(),
            id: self.id,
            pair: self.pair,
            subject: &self.identity.subject,
            issuer: &self.identity.issuer,
            is_admin: self.identity.is_admin,
            is_lpa: self.identity.is_lpa,
        };
        let tail = Tail {
            authenticated_at: self.times.authenticated_at.as_millis(),
            refreshed_at: self.times.refreshed_at.as_millis(),
            access_expires_at: self.times.access_expires_at.as_millis(),
            last_seen: self.times.last_seen.as_millis(),
            absolute_end: self.times.absolute_end.as_millis(),
            login: self.login,
        };
        let payload = Vec::with_capacity(BESIDE_TOKENS + self.tokens.as_bytes().len());
        let written = postcard::to_extend(&head, payload).and_then(|mut payload| {
            payload.extend_from_slice(self.tokens.as_bytes());
            postcard::to_extend(&tail, payload)
        });
        written.expect("a flat structure of known length serializes")
    }

    /// Reads a payload back; `None` if it is another client's, not of this version, or
    /// of another account than the one that is expected.
    #[inline(always)] // else the session is copied on its way into its `Arc`
    pub(crate) fn from_payload(
        payload: &[u8],
        client: &str,
        account: Option<&AccountId>,
    ) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let (its_client, its_account) = (reader.bytes()?, reader.bytes()?);
        if its_client != client.as_bytes() {
            return None;
        }
        let id = SessionId::from_bytes(reader.array()?);
        let pair = Pair { generation: reader.short()?, sequence: reader.short()? };
        let (subject, issuer) = (reader.bytes()?, reader.bytes()?);
        let (is_admin, is_lpa) = (reader.flag()?, reader.flag()?);
        let tokens = Packed::read(&mut reader)?;
        let times = Times {
            authenticated_at: read_time(&mut reader)?,
            refreshed_at: read_time(&mut reader)?,
            access_expires_at: read_time(&mut reader)?,
            last_seen: read_time(&mut reader)?,
            absolute_end: read_time(&mut reader)?,
        };
        let login = reader.array()?;
        if !reader.is_at_end() {
            return None;
        }
        // All is read before anything is made that would have to be dropped.
        let account = match account {
            Some(account) if account.as_str().as_bytes() == its_account => account.clone(),
            Some(_) => return None,
            None => str::from_utf8(its_account).ok()?.parse().ok()?,
        };
        let subject = Subject::from_utf8(subject)?;
        let identity = Identity { subject, issuer: read_issuer(issuer)?, is_admin, is_lpa };
        Some(Self { id, pair, account, identity, tokens: tokens.into(), times, login })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::secret::{AccessToken, RefreshToken};

    /// The tokens of [`sample`], but with this refresh token.
    pub(crate) fn tokens_with(refresh: Option<&str>) -> Tokens {
        Tokens::new(
            AccessToken::new("0a".repeat(32)),
            refresh.map(RefreshToken::new).as_ref(),
            None,
        )
    }

    /// A session of documented shape: 64 and 288 hex digits.
    pub(crate) fn sample() -> Session {
        let at = Timestamp::from_secs(1_800_000_000);
        Session {
            id: SessionId::random(),
            pair: Pair::default(),
            account: "12345678".parse().unwrap(),
            identity: Identity {
                subject: "3552833710".into(),
                issuer: "Sentinel".into(),
                is_admin: true,
                is_lpa: false,
            },
            tokens: tokens_with(Some(&"f7".repeat(144))),
            times: Times {
                authenticated_at: at,
                refreshed_at: at,
                access_expires_at: at.plus(std::time::Duration::from_secs(8 * 3600)),
                last_seen: at,
                absolute_end: at.plus(std::time::Duration::from_secs(24 * 3600)),
            },
            login: [1; 8],
        }
    }

    const CLIENT: &str = "e9d8b7a6-0000-4000-8000-123456789abc";

    #[test]
    fn a_session_comes_back_from_its_payload() {
        for token in ["0a".repeat(32), "ABCD".into(), "abc".into(), "tok-en.~".into(), "00".into()]
        {
            let mut session = sample();
            session.pair = Pair { generation: 3, sequence: 9 };
            session.tokens = Tokens::new(
                AccessToken::new(token),
                session.tokens.refresh().as_ref(),
                Some("a b"),
            );
            let back =
                Session::from_payload(&session.to_payload(CLIENT), CLIENT, Some(&session.account))
                    .unwrap();
            assert_eq!((back.id, back.pair, back.times), (session.id, session.pair, session.times));
            assert_eq!(back.identity, session.identity);
            assert_eq!(back.tokens, session.tokens);
        }
    }

    #[test]
    fn another_clients_or_a_cut_payload_is_nobody() {
        let payload = sample().to_payload(CLIENT);
        let account = sample().account;
        assert!(Session::from_payload(&payload, "another", Some(&account)).is_none());
        let other = "87654321".parse().unwrap();
        assert!(Session::from_payload(&payload, CLIENT, Some(&other)).is_none());
        for length in 0..payload.len() {
            let cut = Session::from_payload(&payload[..length], CLIENT, Some(&account));
            assert!(cut.is_none(), "cut at {length}");
        }
        let longer = [payload, vec![0]].concat();
        assert!(Session::from_payload(&longer, CLIENT, Some(&account)).is_none());
    }

    /// C26: times after 2038 and 2106 survive.
    #[test]
    fn a_far_end_is_kept() {
        let mut session = sample();
        session.times.absolute_end = Timestamp::from_secs(5_000_000_000);
        let back =
            Session::from_payload(&session.to_payload(CLIENT), CLIENT, Some(&session.account))
                .unwrap();
        assert_eq!(back.times.absolute_end, Timestamp::from_secs(5_000_000_000));
    }

    #[test]
    fn documented_tokens_make_a_small_payload() {
        assert!(sample().to_payload(CLIENT).len() < 330);
    }
}
