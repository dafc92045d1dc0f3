//! Callers that do not wait for the answer.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use super::bench::{Bench, LONG, Outcome, entry, is_record, lease, record, same};
use crate::store::StoredRecord;

/// After how many polls a future is dropped; most answers come at the second.
const POLLS: [usize; 3] = [0, 1, 2];

/// Polls a future so often, each time when it asks for it, and drops it.
async fn begin<F: Future>(future: F, polls: usize) {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Pending if left > 0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

/// No other call gets the answer that nobody waits for any more.
pub(super) async fn disturbs_no_other(bench: Bench) -> Outcome {
    let (store, user) = (bench.first(), bench.key("user"));
    let records = ["a", "b", "c"].map(|name| (bench.key(name), record(name.repeat(400))));
    for (key, record) in &records {
        store.put(key, record, LONG).await?;
    }
    let added = entry("record", "content");
    store.index_add(&user, &added, LONG).await?;
    for round in 0..60 {
        let polls = POLLS[round % POLLS.len()];
        let ((dropped, _), (key, record)) = (&records[round % 3], &records[(round + 1) % 3]);
        begin(store.load(dropped), polls).await;
        store.holds(key, record).await?;
        begin(store.index(&user), polls).await;
        store.holds(dropped, &records[round % 3].1).await?;
        begin(store.load(key), polls).await;
        same("index", &store.index(&user).await?, &vec![added.clone()])?;
        begin(store.lease(&bench.key(&format!("lease-{round}")), lease(1), LONG), polls).await;
        store.lacks(&bench.key("nothing")).await?;
    }
    Ok(())
}

pub(super) async fn whole_or_not_at_all(bench: Bench) -> Outcome {
    let store = bench.first();
    for round in 0..30 {
        let polls = POLLS[round % POLLS.len()];
        let key = bench.key(&format!("created-{round}"));
        let first = record(vec![b'1'; 4096]);
        begin(store.create(&key, &first, LONG), polls).await;
        is_one_of("load after a dropped create", store.load(&key).await?, &[&first], true)?;

        let key = bench.key(&format!("updated-{round}"));
        let second = record(vec![b'2'; 8192]);
        store.put(&key, &first, LONG).await?;
        begin(store.update(&key, first.version(), &second, LONG), polls).await;
        let loaded = store.load(&key).await?;
        is_one_of("load after a dropped update", loaded, &[&first, &second], false)?;
        begin(store.delete_if(&key, first.version()), polls).await;
        let loaded = store.load(&key).await?;
        is_one_of("load after a dropped delete_if", loaded, &[&first, &second], true)?;

        let (key, holder) = (bench.key(&format!("leased-{round}")), lease(1));
        begin(store.lease(&key, holder, LONG), polls).await;
        store.hold(&key, holder, LONG).await?;
        begin(store.release(&key, holder.owner), polls).await;
        store.lease(&key, lease(2), LONG).await?;
    }
    Ok(())
}

fn is_one_of(
    asked: &str,
    came: Option<StoredRecord>,
    expected: &[&StoredRecord],
    or_nothing: bool,
) -> Outcome {
    if came.is_none() && or_nothing {
        return Ok(());
    }
    let of_version =
        |it: &&&StoredRecord| came.as_ref().is_some_and(|came| came.version() == it.version());
    let closest = expected.iter().find(of_version).unwrap_or(&expected[0]);
    is_record(asked, came.as_ref(), closest)
}
