//! Many callers at once.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::Barrier,
    task::{JoinSet, yield_now},
};

use super::bench::{Bench, Created, Handle, LONG, Outcome, entry, lease, record, same};
use crate::store::{Leased, StoredRecord, Swap, Version};

const CALLERS: usize = 12;
const ROUNDS: usize = 8;

/// Lets tasks begin at once, each with a handle and its number; their results in that order.
async fn at_once<T, F>(
    bench: &Bench,
    callers: usize,
    call: impl Fn(Handle, usize) -> F,
) -> Outcome<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(callers));
    let mut tasks = JoinSet::new();
    for number in 0..callers {
        let (barrier, call) = (Arc::clone(&barrier), call(bench.handle(number), number));
        tasks.spawn(async move {
            barrier.wait().await;
            call.await.map(|result| (number, result))
        });
    }
    let mut results = Vec::new();
    while let Some(finished) = tasks.join_next().await {
        results.push(finished.map_err(|error| error.to_string())??);
    }
    results.sort_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// The number of the one caller that won; all others have to have come to `lost`.
fn winner<T: PartialEq + std::fmt::Debug>(results: &[T], won: &T, lost: &T) -> Outcome<usize> {
    let winners: Vec<usize> =
        results.iter().enumerate().filter(|(_, it)| *it == won).map(|(number, _)| number).collect();
    let losers = results.iter().filter(|it| *it == lost).count();
    match winners[..] {
        [one] if losers + 1 == results.len() => Ok(one),
        _ => Err(format!("of {} callers: {results:?}", results.len())),
    }
}

pub(super) async fn of_creates(bench: Bench) -> Outcome {
    for round in 0..ROUNDS {
        let key = bench.key(&round.to_string());
        let records: Vec<_> = (0..CALLERS).map(|number| record(number.to_string())).collect();
        let results = at_once(&bench, CALLERS, |store, number| {
            let (key, record) = (key.clone(), records[number].clone());
            async move { store.create(&key, &record, LONG).await }
        });
        let winner = winner(&results.await?, &Created::Done, &Created::Taken)?;
        bench.first().holds(&key, &records[winner]).await?;
    }
    Ok(())
}

pub(super) async fn of_updates(bench: Bench) -> Outcome {
    for round in 0..ROUNDS {
        let (key, current) = (bench.key(&round.to_string()), record("current"));
        bench.first().put(&key, &current, LONG).await?;
        let records: Vec<_> = (0..CALLERS).map(|number| record(number.to_string())).collect();
        let results = at_once(&bench, CALLERS, |store, number| {
            let (key, record, version) = (key.clone(), records[number].clone(), current.version());
            async move { store.update(&key, version, &record, LONG).await }
        });
        let winner = winner(&results.await?, &Swap::Done, &Swap::Changed)?;
        bench.first().holds(&key, &records[winner]).await?;
    }
    Ok(())
}

pub(super) async fn of_deletions(bench: Bench) -> Outcome {
    for round in 0..ROUNDS {
        let (key, current) = (bench.key(&round.to_string()), record("current"));
        bench.first().put(&key, &current, LONG).await?;
        let results = at_once(&bench, CALLERS, |store, _| {
            let (key, version) = (key.clone(), current.version());
            async move { store.delete_if(&key, version).await }
        });
        winner(&results.await?, &Swap::Done, &Swap::Absent)?;
        bench.first().lacks(&key).await?;
    }
    Ok(())
}

pub(super) async fn of_leases(bench: Bench) -> Outcome {
    for round in 0..ROUNDS {
        let key = bench.key(&round.to_string());
        let leases = [0; CALLERS].map(lease);
        let results = at_once(&bench, CALLERS, |store, number| {
            let key = key.clone();
            async move { Ok(store.lease(&key, leases[number], LONG).await? == Leased::Held) }
        });
        let winner = winner(&results.await?, &true, &false)?;
        bench.first().hold(&key, leases[winner], LONG).await?;
        bench.last().refused(&key, lease(1)).await?;
    }
    Ok(())
}

pub(super) async fn of_update_and_delete_if(bench: Bench) -> Outcome {
    for round in 0..3 * ROUNDS {
        let (key, current) = (bench.key(&round.to_string()), record("current"));
        bench.first().put(&key, &current, LONG).await?;
        let next = record("next");
        let results = at_once(&bench, 2, |store, number| {
            let (key, version, next) = (key.clone(), current.version(), next.clone());
            async move {
                // Either may be the first to be spawned.
                if number == round % 2 {
                    store.update(&key, version, &next, LONG).await
                } else {
                    store.delete_if(&key, version).await
                }
            }
        });
        let mut results = results.await?;
        results.rotate_left(round % 2);
        match results[..] {
            [Swap::Done, Swap::Changed] => bench.first().holds(&key, &next).await?,
            [Swap::Absent, Swap::Done] => bench.first().lacks(&key).await?,
            _ => return Err(format!("update and delete_if: {results:?}")),
        }
    }
    Ok(())
}

pub(super) async fn of_update_and_delete(bench: Bench) -> Outcome {
    for round in 0..3 * ROUNDS {
        let (key, current) = (bench.key(&round.to_string()), record("current"));
        bench.first().put(&key, &current, LONG).await?;
        at_once(&bench, 4, |store, number| {
            let (key, version) = (key.clone(), current.version());
            async move {
                if number == round % 4 {
                    store.delete(&key).await
                } else {
                    store.update(&key, version, &record("next"), LONG).await.map(drop)
                }
            }
        })
        .await?;
        bench.first().lacks(&key).await.map_err(|how| format!("after all are done: {how}"))?;
    }
    Ok(())
}

pub(super) async fn of_entries(bench: Bench) -> Outcome {
    let user = bench.key("user");
    at_once(&bench, CALLERS, |store, number| {
        let user = user.clone();
        async move {
            for turn in 0..ROUNDS {
                let gone = format!("{number}-gone-{turn}");
                store.index_add(&user, &entry(gone.clone(), "content"), LONG).await?;
                store.index_add(&user, &entry(format!("{number}-{turn}"), "content"), LONG).await?;
                store.index_remove(&user, &gone).await?;
            }
            Ok(())
        }
    })
    .await?;
    let listed = bench.first().index(&user).await?;
    let records: BTreeSet<&str> = listed.iter().map(|entry| entry.record.as_str()).collect();
    if let Some(gone) = records.iter().find(|record| record.contains("gone")) {
        return Err(format!("index: {gone:?} has been removed, and is listed"));
    }
    same("number of entries", &listed.len(), &(CALLERS * ROUNDS))?;
    same("number of records in the index", &records.len(), &listed.len())
}

/// A content that shows whether it is the one of its version, and whole.
fn consistent(version: Version) -> StoredRecord {
    let len = 1024 * (1 + usize::from(version.as_bytes()[0] % 32));
    let content: Vec<u8> = version.as_bytes().iter().copied().cycle().take(len).collect();
    StoredRecord::new(version, content)
}

pub(super) async fn of_readers(bench: Bench) -> Outcome {
    let (key, first) = (bench.key("read"), consistent(Version::random()));
    bench.first().put(&key, &first, LONG).await?;
    let done = Arc::new(AtomicBool::new(false));
    at_once(&bench, 4, |store, number| {
        let (key, done, mut version) = (key.clone(), Arc::clone(&done), first.version());
        async move {
            while number != 0 && !done.load(Ordering::Relaxed) {
                let Some(read) = store.load(&key).await? else {
                    return Err("load during updates: nothing".to_owned());
                };
                if read != consistent(read.version()) {
                    return Err("load during updates: a version with another's content".to_owned());
                }
                yield_now().await;
            }
            if number == 0 {
                let updated = replace_often(&store, &key, &mut version).await;
                done.store(true, Ordering::Relaxed);
                updated?;
            }
            Ok(())
        }
    })
    .await
    .map(drop)
}

async fn replace_often(store: &Handle, key: &str, version: &mut Version) -> Outcome {
    for _ in 0..60 {
        let next = consistent(Version::random());
        same("update", &store.update(key, *version, &next, LONG).await?, &Swap::Done)?;
        *version = next.version();
        yield_now().await;
    }
    Ok(())
}
