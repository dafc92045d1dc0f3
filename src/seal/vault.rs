//! Seals what a session store keeps.
//!
//! A record's key comes from the session key and the secret in the session's cookie together, so
//! that neither a store nor a leaked session key alone gives anything away. What the index of a user
//! holds is sealed by a session key alone: it has to be read without a cookie.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey},
    hkdf::Prk,
    hmac,
};
use zeroize::Zeroizing;

use super::{Unopenable, aead, envelope::KEY_ID_LEN, key_ring};
use crate::secret::SessionKey;

/// Seals and opens the records and index entries of one application.
pub(crate) struct VaultSealer {
    /// The first seals, all open.
    masters: Vec<Master>,
}

struct Master {
    id: [u8; KEY_ID_LEN],
    prk: Prk,
    users: hmac::Key,
    entries: LessSafeKey,
}

/// An opened record.
pub(crate) struct OpenedRecord {
    /// Wiped on drop.
    pub(crate) payload: Zeroizing<Vec<u8>>,
    /// Whether the key that seals today sealed it too.
    pub(crate) current_key: bool,
}

/// Where a record belongs: it opens nowhere else.
#[derive(Clone, Copy)]
pub(crate) struct RecordPlace<'a> {
    /// The secret of the cookie.
    pub(crate) secret: &'a [u8; 32],
    /// The record's key in the store.
    pub(crate) key: &'a str,
    /// Which writing it is.
    pub(crate) version: &'a [u8; 16],
}

impl VaultSealer {
    pub(crate) fn new(keys: &[SessionKey]) -> Self {
        Self { masters: keys.iter().map(Master::new).collect() }
    }

    pub(crate) fn seal_record(&self, place: RecordPlace<'_>, payload: &[u8]) -> Vec<u8> {
        let master = &self.masters[0];
        aead::seal(&master.record(place), &master.id, &place.bound(&master.id), payload)
    }

    pub(crate) fn open_record(
        &self,
        place: RecordPlace<'_>,
        sealed: &[u8],
    ) -> Result<OpenedRecord, Unopenable> {
        let (id, nonce) = aead::head(sealed)?;
        let (master, current_key) = self.find(id)?;
        let bytes = Zeroizing::new(sealed.to_vec());
        let payload = aead::open(&master.record(place), nonce, &place.bound(&id), bytes)?;
        Ok(OpenedRecord { payload, current_key })
    }

    /// The names of a user's index under each session key, today's first.
    pub(crate) fn user_names(&self, account: &str, user: &str) -> impl Iterator<Item = [u8; 32]> {
        self.masters.iter().map(move |master| {
            let mut context = hmac::Context::with_key(&master.users);
            context.update(&u32::try_from(account.len()).unwrap_or(u32::MAX).to_be_bytes());
            context.update(account.as_bytes());
            context.update(user.as_bytes());
            let mut name = [0; 32];
            name.copy_from_slice(context.sign().as_ref());
            name
        })
    }

    /// Seals an index entry for the record under `key`.
    pub(crate) fn seal_entry(&self, key: &str, payload: &[u8]) -> Vec<u8> {
        let master = &self.masters[0];
        aead::seal(&master.entries, &master.id, &entry_bound(&master.id, key), payload)
    }

    pub(crate) fn open_entry(
        &self,
        key: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Unopenable> {
        let (id, nonce) = aead::head(sealed)?;
        let (master, _) = self.find(id)?;
        let bytes = Zeroizing::new(sealed.to_vec());
        aead::open(&master.entries, nonce, &entry_bound(&id, key), bytes)
    }

    fn find(&self, id: [u8; KEY_ID_LEN]) -> Result<(&Master, bool), Unopenable> {
        let at = self.masters.iter().position(|master| master.id == id);
        let at = at.ok_or(Unopenable::Foreign)?;
        Ok((&self.masters[at], at == 0))
    }
}

impl Master {
    fn new(key: &SessionKey) -> Self {
        let prk = key_ring::extract(key);
        let users: Zeroizing<[u8; 32]> = Zeroizing::new(key_ring::expand(&prk, &[b"user index"]));
        let entries = Zeroizing::new(key_ring::expand(&prk, &[b"aead", b"index entry"]));
        Self {
            id: key_ring::key_id(&prk),
            users: hmac::Key::new(hmac::HMAC_SHA256, users.as_slice()),
            entries: cipher(&entries),
            prk,
        }
    }

    /// The key of one session's record.
    fn record(&self, place: RecordPlace<'_>) -> LessSafeKey {
        let bytes = key_ring::expand(&self.prk, &[b"aead", b"record", place.secret]);
        cipher(&Zeroizing::new(bytes))
    }
}

fn cipher(bytes: &Zeroizing<[u8; 32]>) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM_SIV, bytes.as_slice());
    LessSafeKey::new(key.expect("32 bytes are a key of AES-256"))
}

impl RecordPlace<'_> {
    fn bound(&self, id: &[u8; KEY_ID_LEN]) -> aead::Associated {
        aead::associated(id, [b"record", self.key.as_bytes(), self.version])
    }
}

fn entry_bound(id: &[u8; KEY_ID_LEN], key: &str) -> aead::Associated {
    aead::associated(id, [b"index entry", key.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn place<'a>(secret: &'a [u8; 32], key: &'a str, version: &'a [u8; 16]) -> RecordPlace<'a> {
        RecordPlace { secret, key, version }
    }

    /// D03, D04: without the cookie's secret, under another key or as another writing nothing opens.
    #[test]
    fn a_record_opens_in_its_own_place_alone() {
        let keys = [SessionKey::random(), SessionKey::random()];
        let sealer = VaultSealer::new(&keys);
        let sealed = sealer.seal_record(place(&SECRET, "a", &[1; 16]), b"payload");
        let opened = sealer.open_record(place(&SECRET, "a", &[1; 16]), &sealed).unwrap();
        assert_eq!(opened.payload.as_slice(), b"payload");
        assert!(opened.current_key);
        for (what, elsewhere) in [
            ("another secret", place(&[8; 32], "a", &[1; 16])),
            ("another key", place(&SECRET, "b", &[1; 16])),
            ("another version", place(&SECRET, "a", &[2; 16])),
        ] {
            let result = sealer.open_record(elsewhere, &sealed).map(|_| ());
            assert_eq!(result, Err(Unopenable::Broken), "{what}");
        }
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            assert!(sealer.open_record(place(&SECRET, "a", &[1; 16]), &forged).is_err(), "{at}");
        }
    }

    /// C22, C23 for records.
    #[test]
    fn a_rotated_session_key_opens_older_records_and_an_unknown_one_is_foreign() {
        let (old, new) = (SessionKey::random(), SessionKey::random());
        let sealed = VaultSealer::new(std::slice::from_ref(&old))
            .seal_record(place(&SECRET, "a", &[1; 16]), b"payload");
        let both = VaultSealer::new(&[new.clone(), old]);
        let opened = both.open_record(place(&SECRET, "a", &[1; 16]), &sealed).unwrap();
        assert!(!opened.current_key);
        let result = VaultSealer::new(&[new]).open_record(place(&SECRET, "a", &[1; 16]), &sealed);
        assert_eq!(result.map(|_| ()), Err(Unopenable::Foreign));
    }

    #[test]
    fn users_have_one_name_per_key_and_no_two_users_share_one() {
        let sealer = VaultSealer::new(&[SessionKey::random(), SessionKey::random()]);
        let names = |account, user| sealer.user_names(account, user).collect::<Vec<_>>();
        assert_eq!(names("a", "bc").len(), 2);
        assert_eq!(names("a", "bc"), names("a", "bc"));
        for (account, user) in [("ab", "c"), ("a", "bd"), ("", "abc")] {
            assert_ne!(names("a", "bc")[0], names(account, user)[0], "{account} {user}");
        }
    }

    #[test]
    fn an_index_entry_opens_for_its_record_alone() {
        let sealer = VaultSealer::new(&[SessionKey::random()]);
        let sealed = sealer.seal_entry("a", b"entry");
        assert_eq!(sealer.open_entry("a", &sealed).unwrap().as_slice(), b"entry");
        assert!(sealer.open_entry("b", &sealed).is_err());
    }
}
