//! A session's content and its bytes inside the seal.

use std::borrow::Cow;

use hex_simd::AsciiCase;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::{
    id::{Pair, SessionId},
    subject::Subject,
    wire::Reader,
};
use crate::{
    account::AccountId,
    clock::Timestamp,
    secret::{AccessToken, RefreshToken},
};

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

/// What acts for the user at LivePerson.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: AccessToken,
    pub(crate) refresh: Option<RefreshToken>,
    pub(crate) scope: Option<Box<str>>,
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

/// The bytes of version 1, in this order. [`Session::from_payload`] reads them.
#[derive(Serialize)]
struct Wire<'a> {
    client: &'a str,
    account: &'a str,
    id: SessionId,
    pair: Pair,
    subject: &'a str,
    issuer: &'a str,
    is_admin: bool,
    is_lpa: bool,
    access: Token<'a>,
    refresh: Option<Token<'a>>,
    scope: Option<&'a str>,
    authenticated_at: u64,
    refreshed_at: u64,
    access_expires_at: u64,
    last_seen: u64,
    absolute_end: u64,
    login: LoginMark,
}

/// A token: half as long when it is lowercase hex, as Sentinel's are.
#[derive(Serialize)]
enum Token<'a> {
    Hex(#[serde(serialize_with = "as_bytes")] Zeroizing<Vec<u8>>),
    Text(&'a str),
}

fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

impl<'a> Token<'a> {
    fn new(text: &'a str) -> Self {
        let lowercase_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.bytes().all(lowercase_hex)
            && let Ok(bytes) = hex_simd::decode_to_vec(text)
        {
            Self::Hex(Zeroizing::new(bytes))
        } else {
            Self::Text(text)
        }
    }
}

fn read_token(reader: &mut Reader<'_>) -> Option<String> {
    match reader.byte()? {
        0 => Some(hex_simd::encode_to_string(reader.bytes()?, AsciiCase::Lower)),
        1 => Some(reader.text()?.to_owned()),
        _ => None,
    }
}

fn read_issuer(reader: &mut Reader<'_>) -> Option<Issuer> {
    match reader.bytes()? {
        b"Sentinel" => Some(Cow::Borrowed("Sentinel")),
        other => Some(issuer(str::from_utf8(other).ok()?)),
    }
}

#[inline]
fn read_time(reader: &mut Reader<'_>) -> Option<Timestamp> {
    reader.number().map(Timestamp::from_millis)
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
        let wire = Wire {
            client,
            account: self.account.as_str(),
            id: self.id,
            pair: self.pair,
            subject: &self.identity.subject,
            issuer: &self.identity.issuer,
            is_admin: self.identity.is_admin,
            is_lpa: self.identity.is_lpa,
            access: Token::new(self.tokens.access.expose_secret()),
            refresh: self.tokens.refresh.as_ref().map(|token| Token::new(token.expose_secret())),
            scope: self.tokens.scope.as_deref(),
            authenticated_at: self.times.authenticated_at.as_millis(),
            refreshed_at: self.times.refreshed_at.as_millis(),
            access_expires_at: self.times.access_expires_at.as_millis(),
            last_seen: self.times.last_seen.as_millis(),
            absolute_end: self.times.absolute_end.as_millis(),
            login: self.login,
        };
        postcard::to_stdvec(&wire).expect("a flat structure of known length serializes")
    }

    /// Reads a payload back; `None` if it is another client's, not of this version, or
    /// of another account than the one that is expected.
    pub(crate) fn from_payload(
        payload: &[u8],
        client: &str,
        account: Option<&AccountId>,
    ) -> Option<Self> {
        let mut reader = Reader::new(payload);
        if reader.bytes()? != client.as_bytes() {
            return None;
        }
        let account = match (reader.bytes()?, account) {
            (its, Some(account)) if account.as_str().as_bytes() == its => account.clone(),
            (_, Some(_)) => return None,
            (its, None) => str::from_utf8(its).ok()?.parse().ok()?,
        };
        let session = Self {
            id: SessionId::from_bytes(reader.array()?),
            pair: Pair { generation: reader.short()?, sequence: reader.short()? },
            account,
            identity: Identity {
                subject: Subject::from_utf8(reader.bytes()?)?,
                issuer: read_issuer(&mut reader)?,
                is_admin: reader.flag()?,
                is_lpa: reader.flag()?,
            },
            tokens: Tokens {
                access: AccessToken::new(read_token(&mut reader)?),
                refresh: match reader.flag()? {
                    true => Some(RefreshToken::new(read_token(&mut reader)?)),
                    false => None,
                },
                scope: match reader.flag()? {
                    true => Some(reader.text()?.into()),
                    false => None,
                },
            },
            times: Times {
                authenticated_at: read_time(&mut reader)?,
                refreshed_at: read_time(&mut reader)?,
                access_expires_at: read_time(&mut reader)?,
                last_seen: read_time(&mut reader)?,
                absolute_end: read_time(&mut reader)?,
            },
            login: reader.array()?,
        };
        reader.is_at_end().then_some(session)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

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
            tokens: Tokens {
                access: AccessToken::new("0a".repeat(32)),
                refresh: Some(RefreshToken::new("f7".repeat(144))),
                scope: None,
            },
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
            session.tokens.access = AccessToken::new(token);
            session.tokens.scope = Some("a b".into());
            let back =
                Session::from_payload(&session.to_payload(CLIENT), CLIENT, Some(&session.account))
                    .unwrap();
            assert_eq!((back.id, back.pair, back.times), (session.id, session.pair, session.times));
            assert_eq!(back.identity, session.identity);
            assert_eq!(back.tokens.access, session.tokens.access);
            assert_eq!(back.tokens.refresh, session.tokens.refresh);
            assert_eq!(back.tokens.scope, session.tokens.scope);
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
