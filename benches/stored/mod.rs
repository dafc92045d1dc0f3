//! What a session takes in a `MemoryStore`, by the allocator's own count.

#![allow(dead_code, unreachable_pub, reason = "each target uses a part of it")]

use std::{fmt, time::Duration};

use futures_util::FutureExt;
use tower_lp_auth::{
    MemoryStore,
    store::{IndexEntry, SessionStore, StoredRecord, Version},
};

const SESSIONS: u32 = 100_000;
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A record's key, and a user's in the index: prefix, kind and a hash in text.
const KEY: usize = 80;
/// A session with a refresh token of 146 digits.
const RECORD: usize = 330;
/// Created, last seen, and a browser's user agent.
const ENTRY: usize = 200;

/// What a store takes with [`SESSIONS`] sessions, each of a user of its own and read once.
pub struct Stored {
    bytes: i64,
    allocations: i64,
    /// What is left when the store is gone.
    pub bytes_after: i64,
}

impl Stored {
    /// Bytes asked of the allocator per session.
    pub fn bytes_each(&self) -> i64 {
        self.bytes / i64::from(SESSIONS)
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allocations = self.allocations as f64 / f64::from(SESSIONS);
        let each = self.bytes_each();
        write!(f, "MemoryStore: {each} bytes in {allocations:.1} allocations per session")
    }
}

/// Fills a store, and empties it.
pub fn measure() -> Stored {
    let mut store = None;
    let filled = allocation_counter::measure(|| store = Some(fill()));
    let emptied = allocation_counter::measure(|| drop(store));
    Stored {
        bytes: filled.bytes_current,
        allocations: filled.count_current,
        bytes_after: filled.bytes_current + emptied.bytes_current,
    }
}

fn fill() -> MemoryStore {
    let store = MemoryStore::default();
    for number in 0..SESSIONS {
        let (key, user) = (key("session", number), key("user", number));
        let record = StoredRecord::new(Version::from_bytes([1; 16]), vec![1; RECORD]);
        done(store.create(&key, record, LIFE));
        let entry = IndexEntry { record: key.clone(), content: vec![1; ENTRY].into() };
        done(store.index_add(&user, entry, LIFE));
        assert!(done(store.load(&key)).is_some(), "{key}");
    }
    store
}

fn key(kind: &str, number: u32) -> String {
    format!("{kind}:{number:0>width$}", width = KEY - kind.len() - 1)
}

fn done<T, E: fmt::Debug>(verb: impl Future<Output = Result<T, E>>) -> T {
    verb.now_or_never().expect("no verb waits").expect("there is room")
}
