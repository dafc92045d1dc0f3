//! What the cookie of a stored session holds: the secret that finds and opens its record.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{id::SessionId, wire::Reader};
use crate::{account::AccountId, clock::Timestamp, secret::random_bytes};

/// A cookie's claim to a record: 256 random bits, made at login, and what follows from them.
pub(crate) struct Voucher {
    secret: Zeroizing<[u8; 32]>,
    /// When the session ends, whatever happens.
    pub(crate) absolute_end: Timestamp,
    /// What this process knows the session by.
    pub(crate) id: SessionId,
    /// Where its record is in the store. Not worth anything without the secret.
    pub(crate) key: Box<str>,
}

/// How the keys of one application in a store begin: two applications, or two installations of one,
/// never meet.
#[derive(Clone, Debug)]
pub(crate) struct KeyNames {
    prefix: Box<str>,
}

/// The bytes inside the seal.
#[derive(Serialize)]
struct Wire<'a> {
    client: &'a str,
    account: &'a str,
    secret: [u8; 32],
    absolute_end: u64,
}

impl KeyNames {
    /// `prefix` stands in front of a hash of redirect URI and client id.
    pub(crate) fn new(prefix: &str, redirect_uri: &str, client_id: &str) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(redirect_uri.as_bytes());
        context.update(b"\0");
        context.update(client_id.as_bytes());
        let hash = context.finish();
        let tag = base64_simd::URL_SAFE_NO_PAD.encode_to_string(&hash.as_ref()[..12]);
        Self { prefix: format!("{prefix}{tag}").into() }
    }

    /// The id of the session whose record has this key.
    pub(crate) fn session_id(&self, key: &str) -> Option<SessionId> {
        let hash = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(key.rsplit(':').next()?).ok()?;
        (hash.len() == 32).then(|| SessionId::of_hash(&hash))
    }

    fn record(&self, hash: &[u8]) -> Box<str> {
        self.name("session", hash)
    }

    /// Where the lease on a session's refresh is.
    pub(crate) fn lease(&self, voucher: &Voucher) -> Box<str> {
        let hash = digest(&SHA256, voucher.secret());
        self.name("lease", hash.as_ref())
    }

    /// Where the login with this hash of its `state` is claimed.
    pub(crate) fn claim(&self, state: &[u8]) -> Box<str> {
        self.name("login", digest(&SHA256, state).as_ref())
    }

    /// A user's index.
    pub(crate) fn user(&self, name: &[u8; 32]) -> Box<str> {
        self.name("user", name)
    }

    fn name(&self, kind: &str, hash: &[u8]) -> Box<str> {
        let base64 = base64_simd::URL_SAFE_NO_PAD;
        let parts = [&*self.prefix, ":", kind, ":"];
        // Exact, so that the box is no second allocation.
        let length = parts.map(str::len).iter().sum::<usize>() + base64.encoded_length(hash.len());
        let mut name = String::with_capacity(length);
        parts.iter().for_each(|part| name.push_str(part));
        base64.encode_append(hash, &mut name);
        name.into()
    }
}

impl Voucher {
    /// The voucher of a new session.
    pub(crate) fn random(names: &KeyNames, absolute_end: Timestamp) -> Self {
        Self::new(names, Zeroizing::new(random_bytes()), absolute_end)
    }

    fn new(names: &KeyNames, secret: Zeroizing<[u8; 32]>, absolute_end: Timestamp) -> Self {
        let hash = digest(&SHA256, secret.as_slice());
        let (id, key) = (SessionId::of_hash(hash.as_ref()), names.record(hash.as_ref()));
        Self { secret, absolute_end, id, key }
    }

    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The payload of the cookie for the application `client` and this account.
    pub(crate) fn to_payload(&self, client: &str, account: &AccountId) -> Zeroizing<Vec<u8>> {
        let wire = Wire {
            client,
            account: account.as_str(),
            secret: *self.secret,
            absolute_end: self.absolute_end.as_millis(),
        };
        Zeroizing::new(
            postcard::to_stdvec(&wire).expect("a flat structure of known length serializes"),
        )
    }

    /// Reads a payload back; `None` if it is another client's or account's.
    pub(crate) fn from_payload(
        payload: &[u8],
        names: &KeyNames,
        client: &str,
        account: &AccountId,
    ) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let (its_client, its_account) = (reader.bytes()?, reader.bytes()?);
        let secret = Zeroizing::new(reader.array()?);
        let absolute_end = Timestamp::from_millis(reader.millis()?);
        let is_own = its_client == client.as_bytes() && its_account == account.as_str().as_bytes();
        (is_own && reader.is_at_end()).then(|| Self::new(names, secret, absolute_end))
    }
}

impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voucher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> KeyNames {
        KeyNames::new("", "https://a.example/callback", "client")
    }

    #[test]
    fn a_voucher_comes_back_from_its_payload_for_its_own_application_alone() {
        let account: AccountId = "12345678".parse().unwrap();
        let voucher = Voucher::random(&names(), Timestamp::from_secs(1_800_000_000));
        let payload = voucher.to_payload("client", &account);
        let read = |client, account| Voucher::from_payload(&payload, &names(), client, account);
        let back = read("client", &account).unwrap();
        assert_eq!((&back.key, back.id), (&voucher.key, voucher.id));
        assert_eq!(names().session_id(&voucher.key), Some(voucher.id));
        assert_eq!(back.absolute_end, voucher.absolute_end);
        assert!(read("another", &account).is_none());
        assert!(read("client", &"other".parse().unwrap()).is_none());
        let read = |payload: &[u8]| Voucher::from_payload(payload, &names(), "client", &account);
        assert!((0..payload.len()).all(|length| read(&payload[..length]).is_none()));
        assert!(read(&[payload.as_slice(), &[0]].concat()).is_none());
    }

    /// Instances of several versions share a store, so that names stay as they are.
    #[test]
    fn names_of_a_session_do_not_change() {
        let names = KeyNames::new("app:", "https://a.example/callback", "client");
        let voucher = Voucher::new(&names, Zeroizing::new([0xfb; 32]), Timestamp::default());
        assert_eq!(
            *voucher.key,
            *"app:2RacQWrzT8lvoG2r:session:RWoEmGwlct4ZsFjvLvILAHcBe82xWBmvBS651dm45QQ"
        );
        assert_eq!(
            *names.lease(&voucher),
            *"app:2RacQWrzT8lvoG2r:lease:RWoEmGwlct4ZsFjvLvILAHcBe82xWBmvBS651dm45QQ"
        );
    }

    /// D16, D03: names of two applications never meet, and none of them is the secret.
    #[test]
    fn keys_begin_with_the_application_and_end_in_a_hash() {
        let voucher = Voucher::random(&names(), Timestamp::default());
        for other in [
            KeyNames::new("", "https://b.example/callback", "client"),
            KeyNames::new("", "https://a.example/callback", "other"),
            KeyNames::new("x:", "https://a.example/callback", "client"),
        ] {
            let secret = Zeroizing::new(*voucher.secret());
            assert_ne!(Voucher::new(&other, secret, Timestamp::default()).key, voucher.key);
        }
        let secret = base64_simd::URL_SAFE_NO_PAD.encode_to_string(voucher.secret());
        assert!(!voucher.key.contains(&secret));
        let lease = names().lease(&voucher);
        assert_eq!(lease.replace(":lease:", ":session:"), *voucher.key);
        assert!(lease != voucher.key && voucher.key.bytes().all(|b| b.is_ascii_graphic()));
    }
}
