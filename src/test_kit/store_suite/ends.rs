//! Times to live, in real time.
//!
//! A machine may be slow, so nothing here goes by how long anything takes, except that the end of a
//! ttl has to be seen within [`LATE`]. That something is gone *too early* is only said where the time
//! from before it was written until after it was found gone is shorter than its ttl.

use std::time::Duration;

use tokio::time::sleep;

use super::bench::{Bench, Created, Handle, LONG, Outcome, entry, lease, now, record, same};
use crate::{
    BoxFuture,
    store::{Leased, Swap},
};

const SHORT: Duration = Duration::from_millis(600);
/// Clocks that count whole milliseconds or differ a little.
const EARLY: Duration = Duration::from_millis(50);
/// Room for a slow machine and a slow network.
const LATE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

type Probe<'a> = BoxFuture<'a, Outcome<bool>>;

/// Waits until something is gone that was written at `since` (or later) for `ttl`.
async fn ends<'a>(since: Duration, ttl: Duration, is_there: impl Fn() -> Probe<'a>) -> Outcome {
    let written = now();
    while is_there().await? {
        let age = now() - written;
        if age > ttl + LATE {
            return Err(format!("still there after {age:?} of a ttl of {ttl:?}"));
        }
        sleep(PAUSE).await;
    }
    not_early(since, ttl)
}

/// Something is gone that was written at `since` (or later) for `ttl`.
fn not_early(since: Duration, ttl: Duration) -> Outcome {
    let age = now() - since;
    if age + EARLY < ttl {
        return Err(format!("gone after {age:?} of a ttl of {ttl:?}"));
    }
    Ok(())
}

/// Tries something that has to be done within a ttl, with longer ones until the machine is fast
/// enough: `attempt` says whether it was.
async fn in_time<'a>(attempt: impl Fn(Duration) -> Probe<'a>) -> Outcome {
    for ttl in [SHORT, 4 * SHORT, 16 * SHORT] {
        if attempt(ttl).await? {
            return Ok(());
        }
    }
    Err(format!("the store takes longer than {:?} for a few calls", 16 * SHORT))
}

/// Waits until a ttl that no longer counts is over for certain.
async fn outlive(ttl: Duration) {
    sleep(ttl + Duration::from_millis(700)).await;
}

fn has_record<'a>(store: &'a Handle, key: &'a str) -> Probe<'a> {
    Box::pin(async move { Ok(store.load(key).await?.is_some()) })
}

fn has_entry<'a>(store: &'a Handle, user: &'a str, record: &'a str) -> Probe<'a> {
    Box::pin(async move { Ok(store.index(user).await?.iter().any(|it| it.record == record)) })
}

/// Somebody else asks; once free, it is theirs.
fn is_held<'a>(store: &'a Handle, key: &'a str) -> Probe<'a> {
    Box::pin(async move { Ok(store.lease(key, lease(9), LONG).await? != Leased::Held) })
}

pub(super) async fn of_records(bench: Bench) -> Outcome {
    let (store, other, key) = (bench.first(), bench.last(), bench.key("record"));
    let first = record("first");
    let since = now();
    store.put(&key, &first, SHORT).await?;
    ends(since, SHORT, || has_record(&other, &key)).await?;
    let swap = store.update(&key, first.version(), &first, LONG).await?;
    same("update of a record that is over", &swap, &Swap::Absent)?;
    let swap = store.delete_if(&key, first.version()).await?;
    same("delete_if of a record that is over", &swap, &Swap::Absent)?;
    let second = record("second");
    store.put(&key, &second, LONG).await?;
    store.holds(&key, &second).await
}

pub(super) async fn after_an_update(bench: Bench) -> Outcome {
    let (store, key) = (bench.first(), bench.key("shortened"));
    let (first, second) = (record("first"), record("second"));
    store.put(&key, &first, LONG).await?;
    let since = now();
    store.update(&key, first.version(), &second, SHORT).await?;
    ends(since, SHORT, || has_record(&store, &key)).await?;
    in_time(|ttl| Box::pin(is_prolonged_by_an_update(&bench, ttl))).await
}

async fn is_prolonged_by_an_update(bench: &Bench, ttl: Duration) -> Outcome<bool> {
    let (store, key) = (bench.first(), bench.key(&format!("prolonged-{ttl:?}")));
    let (first, second) = (record("first"), record("second"));
    let since = now();
    store.put(&key, &first, ttl).await?;
    if store.update(&key, first.version(), &second, LONG).await? != Swap::Done {
        return not_early(since, ttl).map(|()| false);
    }
    outlive(ttl).await;
    store.holds(&key, &second).await.map(|()| true)
}

pub(super) async fn of_leases(bench: Bench) -> Outcome {
    let (store, other, key) = (bench.first(), bench.last(), bench.key("lease"));
    let holder = lease(1);
    let since = now();
    store.hold(&key, holder, SHORT).await?;
    ends(since, SHORT, || is_held(&other, &key)).await?;
    // Somebody else's now.
    store.release(&key, holder.owner).await?;
    store.refused(&key, holder).await.map(drop)
}

pub(super) async fn after_a_renewal(bench: Bench) -> Outcome {
    let (store, key, holder) = (bench.first(), bench.key("shortened"), lease(1));
    store.hold(&key, holder, LONG).await?;
    let since = now();
    store.hold(&key, holder, SHORT).await?;
    ends(since, SHORT, || is_held(&store, &key)).await?;
    let key = bench.key("prolonged");
    store.hold(&key, holder, SHORT).await?;
    store.hold(&key, holder, LONG).await?;
    outlive(SHORT).await;
    store.refused(&key, lease(2)).await.map(drop)
}

pub(super) async fn of_entries(bench: Bench) -> Outcome {
    let (store, other) = (bench.first(), bench.last());
    for order in ["long first", "short first"] {
        let user = bench.key(&order.replace(' ', "-"));
        let (long, short) = (entry("long", "content"), entry("short", "content"));
        if order == "long first" {
            store.index_add(&user, &long, LONG).await?;
        }
        let since = now();
        store.index_add(&user, &short, SHORT).await?;
        if order == "short first" {
            store.index_add(&user, &long, LONG).await?;
        }
        ends(since, SHORT, || has_entry(&other, &user, "short")).await?;
        outlive(SHORT).await;
        same(&format!("index, {order}"), &store.index(&user).await?, &vec![long])?;
    }
    Ok(())
}

pub(super) async fn after_a_replacement(bench: Bench) -> Outcome {
    let (store, user, added) = (bench.first(), bench.key("user"), entry("record", "content"));
    store.index_add(&user, &added, LONG).await?;
    let since = now();
    store.index_add(&user, &added, SHORT).await?;
    ends(since, SHORT, || has_entry(&store, &user, "record")).await?;
    store.index_add(&user, &added, SHORT).await?;
    store.index_add(&user, &added, LONG).await?;
    outlive(SHORT).await;
    same("index", &store.index(&user).await?, &vec![added])
}

pub(super) async fn after_a_refusal(bench: Bench) -> Outcome {
    in_time(|ttl| Box::pin(record_is_not_prolonged(&bench, ttl))).await?;
    let (store, key) = (bench.first(), bench.key("lease"));
    let since = now();
    store.hold(&key, lease(1), SHORT).await?;
    ends(since, SHORT, || is_held(&store, &key)).await
}

async fn record_is_not_prolonged(bench: &Bench, ttl: Duration) -> Outcome<bool> {
    let (store, key) = (bench.first(), bench.key(&format!("refused-{ttl:?}")));
    let current = record("content");
    let since = now();
    store.put(&key, &current, ttl).await?;
    let swap = store.update(&key, record("").version(), &current, LONG).await?;
    let created = store.create(&key, &current, LONG).await?;
    if (swap, created) != (Swap::Changed, Created::Taken) {
        return not_early(since, ttl).map(|()| false);
    }
    ends(since, ttl, || has_record(&store, &key)).await.map(|()| true)
}

pub(super) async fn at_once(bench: Bench) -> Outcome {
    let (store, key, user) = (bench.first(), bench.key("record"), bench.key("user"));
    let (first, zero) = (record("content"), Duration::ZERO);
    store.put(&key, &first, zero).await?;
    store.lacks(&key).await?;
    store.put(&key, &first, LONG).await?;
    same("create", &store.create(&key, &first, zero).await?, &Created::Taken)?;
    store.holds(&key, &first).await?;
    same("update", &store.update(&key, first.version(), &first, zero).await?, &Swap::Done)?;
    store.lacks(&key).await?;

    let (key, holder) = (bench.key("lease"), lease(1));
    store.hold(&key, holder, zero).await?;
    store.hold(&key, lease(2), zero).await?;
    store.hold(&key, holder, LONG).await?;
    store.refused(&key, lease(2)).await?;
    store.hold(&key, holder, zero).await?;
    store.hold(&key, lease(2), LONG).await?;

    let added = entry("record", "content");
    store.index_add(&user, &added, zero).await?;
    same("index", &store.index(&user).await?, &Vec::new())?;
    store.index_add(&user, &added, LONG).await?;
    store.index_add(&user, &added, zero).await?;
    same("index", &store.index(&user).await?, &Vec::new())
}

pub(super) async fn in_a_year(bench: Bench) -> Outcome {
    let year = Duration::from_secs(366 * 24 * 60 * 60);
    let (store, key, user) = (bench.first(), bench.key("record"), bench.key("user"));
    let (current, added) = (record("content"), entry("record", "content"));
    store.put(&key, &current, year).await?;
    store.index_add(&user, &added, year).await?;
    store.holds(&key, &current).await?;
    same("update", &store.update(&key, current.version(), &current, year).await?, &Swap::Done)?;
    store.holds(&key, &current).await?;
    same("index", &store.index(&user).await?, &vec![added])?;
    store.index_remove(&user, "record").await?;
    store.delete(&key).await
}
