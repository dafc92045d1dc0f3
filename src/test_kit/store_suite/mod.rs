//! What every [`SessionStore`] promises, tried on one.
//!
//! [`bench`] is what a check works with: keys of its own, and verbs whose errors say what was asked.
//! [`records`], [`leases`] and [`index`](mod@index) try the verbs one after the other, [`ends`]
//! times to live, [`races`] many callers at once, [`dropped`] callers that do not wait.

mod bench;
mod dropped;
mod ends;
mod index;
mod leases;
mod races;
mod records;

#[cfg(test)]
mod tests;

use std::{fmt::Write as _, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use self::bench::{Bench, Outcome};
use crate::{BoxFuture, store::SessionStore};

/// Tries every promise of [`SessionStore`] on a store of your own: the way to test one.
///
/// Hand over one or more handles on the *same* store, opened as your application opens them: with
/// two connections, or two clients, the suite also proves that one sees what the other has written.
/// It uses keys that begin with `store-suite:` and something random, and nothing else; so it can run
/// on a store that is in use. What it writes ends within two minutes. It needs room for a thousand
/// records, a few leases and a few hundred index entries, takes some seconds (times to live are
/// waited for in real time, 600 ms and up, with seconds of room on a slow machine), and has to run on
/// a tokio runtime with its timers on and not paused, better one of several threads.
///
/// What a store does when it is full, down or overloaded is its own to test, and so is what
/// [`load`](SessionStore::load) makes of bytes that somebody else has put under a key.
///
/// # Panics
///
/// If the store breaks a promise: the message lists every promise broken, with what was expected and
/// what came instead. Also without any handle.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::{MemoryStore, test_kit::store_suite};
///
/// # #[tokio::main]
/// # async fn main() {
/// // in a function with `#[tokio::test(flavor = "multi_thread")]`:
/// let store = MemoryStore::new(10_000); // or your own
/// store_suite([store.clone(), store]).await;
/// # }
/// ```
pub async fn store_suite<S: SessionStore>(handles: impl IntoIterator<Item = S>) {
    let stores = handles.into_iter().map(|store| Arc::new(store) as Arc<dyn SessionStore>);
    let broken = broken_promises(stores.collect()).await;
    assert!(broken.is_empty(), "{}", report(&broken));
}

/// A promise, and how it is tried.
struct Check {
    promise: &'static str,
    run: fn(Bench) -> BoxFuture<'static, Outcome>,
}

macro_rules! checks {
    ($($promise:literal => $check:path,)*) => {
        &[$(Check { promise: $promise, run: |bench| Box::pin($check(bench)) }),*]
    };
}

const CHECKS: &[Check] = checks! {
    "a record is loaded as it was stored" => records::are_loaded_as_stored,
    "what is not there is absent, which is no error" => records::absence_is_no_error,
    "create overwrites nothing" => records::create_overwrites_nothing,
    "update replaces a record of the version that it names" => records::update_replaces,
    "update changes nothing where the version is another" => records::update_compares,
    "delete removes a record, and its key is free" => records::delete_removes,
    "delete_if removes a record of the version that it names" => records::delete_if_removes,
    "delete_if changes nothing where the version is another" => records::delete_if_compares,
    "keys are told apart, byte by byte" => records::keys_are_told_apart,
    "what is unreadable is loaded, replaced and deleted like a record" => records::unreadable,
    "what is under a key and no record can be loaded and deleted" => records::of_another_kind,
    "reads see every write that was acknowledged" => records::reads_see_writes,
    "a lease has one holder" => leases::have_one_holder,
    "who asks for a held lease learns the note" => leases::show_their_note,
    "who asks for a held lease learns the time left" => leases::show_the_time_left,
    "the holder renews a lease, its note included" => leases::are_renewed,
    "the holder releases a lease, nobody else" => leases::are_released_by_their_holder,
    "an index lists a user's entries, and nobody else's" => index::lists_its_entries,
    "an entry is kept as it was added" => index::keeps_contents,
    "an entry that is added again is replaced" => index::replaces_entries,
    "an entry that is removed is gone, and no other" => index::removes_entries,
    "a record ends with its ttl, not before" => ends::of_records,
    "update replaces the ttl" => ends::after_an_update,
    "a lease ends with its ttl, not before" => ends::of_leases,
    "a renewal replaces the lease's ttl" => ends::after_a_renewal,
    "an index entry ends with its own ttl, not before" => ends::of_entries,
    "an entry that is added again has the new ttl" => ends::after_a_replacement,
    "a write that is refused leaves the ttl" => ends::after_a_refusal,
    "a ttl of zero is over at once" => ends::at_once,
    "a ttl may be a year" => ends::in_a_year,
    "of creates at once one wins" => races::of_creates,
    "of updates at once one wins" => races::of_updates,
    "of deletions of one version at once one wins" => races::of_deletions,
    "of those who ask for a lease at once one gets it" => races::of_leases,
    "of an update and a delete_if at once one wins" => races::of_update_and_delete_if,
    "nothing comes back after a deletion" => races::of_update_and_delete,
    "entries that are added at once are all there" => races::of_entries,
    "nobody reads half a write" => races::of_readers,
    "a call that is dropped disturbs no other" => dropped::disturbs_no_other,
    "a write that is dropped takes effect whole or not at all" => dropped::whole_or_not_at_all,
    "a version that is said at once is the one that load finds" => records::said_at_once,
    "the epoch never falls" => records::epoch_never_falls,
};

/// A store that has not answered for so long does not.
const PATIENCE: Duration = Duration::from_secs(60);

struct Broken {
    promise: &'static str,
    how: String,
}

async fn broken_promises(stores: Vec<Arc<dyn SessionStore>>) -> Vec<Broken> {
    assert!(!stores.is_empty(), "store_suite needs a handle on the store");
    let mut running = JoinSet::new();
    let mut started = Vec::new();
    for check in CHECKS {
        let run = (check.run)(Bench::new(stores.clone()));
        let id = running.spawn(async { timeout(PATIENCE, run).await }).id();
        started.push((id, check.promise, None));
    }
    while let Some(finished) = running.join_next_with_id().await {
        let (id, outcome) = match finished {
            Ok((id, Ok(outcome))) => (id, outcome),
            Ok((id, Err(_))) => (id, Err(format!("no end after {PATIENCE:?}"))),
            Err(error) => (error.id(), Err(error.to_string())),
        };
        if let Some((.., slot)) = started.iter_mut().find(|(known, ..)| *known == id) {
            *slot = outcome.err();
        }
    }
    let broken = |(_, promise, how): (_, _, Option<String>)| Some(Broken { promise, how: how? });
    started.into_iter().filter_map(broken).collect()
}

fn report(broken: &[Broken]) -> String {
    let mut text = String::from("the session store breaks its promises:");
    for Broken { promise, how } in broken {
        let _ = write!(text, "\n- {promise}: {how}");
    }
    text
}
