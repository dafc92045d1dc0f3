//! Records, one verb after the other.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::bench::{Bench, Created, LONG, Outcome, entry, record, same};
use crate::store::{StoredRecord, Swap, Version};

/// Bytes of every value, and what separates, ends or escapes in one format or another.
fn contents() -> impl Iterator<Item = Bytes> {
    let every: Vec<u8> = (0..=255).collect();
    let long = |len: usize| every.iter().copied().cycle().take(len).collect::<Bytes>();
    let awkward = [&b""[..], b"\0", b"\r\n", b"$-1\r\n", b"nil", b"\xff\xfe\x80", b"{\"a\":\"\\\""];
    let short = awkward.into_iter().map(Bytes::from_static);
    short.chain([256, 330, 4096, 64 * 1024 - Version::LEN].map(long))
}

pub(super) async fn are_loaded_as_stored(bench: Bench) -> Outcome {
    let (store, key) = (bench.first(), bench.key("record"));
    for content in contents() {
        let first = record(content.clone());
        store.put(&key, &first, LONG).await?;
        store.holds(&key, &first).await?;
        let second = record(content);
        let swap = store.update(&key, first.version(), &second, LONG).await?;
        same("update", &swap, &Swap::Done)?;
        store.holds(&key, &second).await?;
        store.delete(&key).await?;
    }
    Ok(())
}

pub(super) async fn absence_is_no_error(bench: Bench) -> Outcome {
    let (store, key) = (bench.first(), bench.key("nothing"));
    let version = Version::random();
    store.lacks(&key).await?;
    let swap = store.update(&key, version, &record("new"), LONG).await?;
    same("update of nothing", &swap, &Swap::Absent)?;
    same("delete_if of nothing", &store.delete_if(&key, version).await?, &Swap::Absent)?;
    store.delete(&key).await?;
    store.lacks(&key).await?;
    store.release(&key, [1; 16]).await?;
    store.index_remove(&key, "record").await?;
    same("index of nobody", &store.index(&key).await?, &Vec::new())
}

pub(super) async fn create_overwrites_nothing(bench: Bench) -> Outcome {
    let (store, key, first) = (bench.first(), bench.key("taken"), record("first"));
    store.put(&key, &first, LONG).await?;
    for second in [record("second"), first.clone()] {
        let again = bench.last().create(&key, &second, LONG).await?;
        same("create under a key in use", &again, &Created::Taken)?;
        store.holds(&key, &first).await?;
    }
    Ok(())
}

pub(super) async fn update_replaces(bench: Bench) -> Outcome {
    let (store, key) = (bench.first(), bench.key("updated"));
    let mut current = record("0");
    store.put(&key, &current, LONG).await?;
    for content in ["longer than before", "", "again"] {
        let next = record(content);
        let swap = bench.last().update(&key, current.version(), &next, LONG).await?;
        same("update", &swap, &Swap::Done)?;
        store.holds(&key, &next).await?;
        current = next;
    }
    Ok(())
}

/// Versions that differ from this one in their first, and in their last byte.
fn neighbours(version: Version) -> [Version; 2] {
    [0, Version::LEN - 1].map(|at| {
        let mut bytes = *version.as_bytes();
        bytes[at] ^= 1;
        Version::from_bytes(bytes)
    })
}

pub(super) async fn update_compares(bench: Bench) -> Outcome {
    let (store, key, current) = (bench.first(), bench.key("compared"), record("current"));
    store.put(&key, &current, LONG).await?;
    for other in neighbours(current.version()) {
        let swap = store.update(&key, other, &record("new"), LONG).await?;
        same("update of another version", &swap, &Swap::Changed)?;
        store.holds(&key, &current).await?;
    }
    Ok(())
}

pub(super) async fn delete_removes(bench: Bench) -> Outcome {
    let (store, key) = (bench.first(), bench.key("deleted"));
    for content in ["first", "second"] {
        let current = record(content);
        store.put(&key, &current, LONG).await?;
        bench.last().delete(&key).await?;
        store.lacks(&key).await?;
        let swap = store.update(&key, current.version(), &current, LONG).await?;
        same("update after a deletion", &swap, &Swap::Absent)?;
    }
    store.lacks(&key).await
}

pub(super) async fn delete_if_removes(bench: Bench) -> Outcome {
    let (store, key, current) = (bench.first(), bench.key("deleted-if"), record("current"));
    store.put(&key, &current, LONG).await?;
    same("delete_if", &store.delete_if(&key, current.version()).await?, &Swap::Done)?;
    store.lacks(&key).await?;
    store.put(&key, &current, LONG).await
}

pub(super) async fn delete_if_compares(bench: Bench) -> Outcome {
    let (store, key, current) = (bench.first(), bench.key("kept"), record("current"));
    store.put(&key, &current, LONG).await?;
    for other in neighbours(current.version()) {
        let swap = store.delete_if(&key, other).await?;
        same("delete_if of another version", &swap, &Swap::Changed)?;
        store.holds(&key, &current).await?;
    }
    Ok(())
}

/// A ttl that is soon over.
const BRIEF: Duration = Duration::from_millis(300);

/// The longest key allowed.
const LONGEST: usize = 512;

pub(super) async fn keys_are_told_apart(bench: Bench) -> Outcome {
    let store = bench.first();
    let long = |last: char| {
        let mut key = bench.key("");
        key.extend(std::iter::repeat_n('k', LONGEST - 1 - key.len()));
        key.push(last);
        key
    };
    let names =
        ["a", "A", "a*", "*", "?", "[a]", "[!x]", "a?", "\\*", "{a}", "{}", "}{", "a:b", "%s"];
    let visible = ('!'..='~').map(|it| bench.key(&format!("visible {it}").replace(' ', "-")));
    let keys: Vec<String> = names
        .map(|it| bench.key(it))
        .into_iter()
        .chain(visible)
        .chain(['x', 'y'].map(long))
        .collect();
    for key in &keys {
        store
            .put(key, &record(key.clone()), LONG)
            .await
            .map_err(|how| format!("{key:?}: {how}"))?;
    }
    for (gone, key) in keys.iter().enumerate() {
        store.delete(key).await?;
        store.lacks(key).await.map_err(|how| format!("{key:?}, deleted: {how}"))?;
        let next = keys.get(gone + 1..).unwrap_or_default();
        for other in next.iter().take(names.len()) {
            let content = store.load(other).await?.map(StoredRecord::into_content);
            let expected = Some(Bytes::from(other.clone()));
            same(&format!("{other:?} after deleting {key:?}"), &content, &expected)?;
        }
    }
    Ok(())
}

/// What the layer does with a record that nobody can read: it loads, and removes it.
pub(super) async fn unreadable(bench: Bench) -> Outcome {
    let (store, key) = (bench.first(), bench.key("unreadable"));
    let unreadable = StoredRecord::unreadable();
    let version = unreadable.version();
    store.put(&key, &unreadable, LONG).await?;
    store.holds(&key, &unreadable).await?;
    same("update", &store.update(&key, version, &record("new"), LONG).await?, &Swap::Done)?;
    same("delete_if", &store.delete_if(&key, version).await?, &Swap::Changed)?;
    store.delete(&key).await?;
    store.put(&key, &unreadable, LONG).await?;
    same("delete_if", &store.delete_if(&key, version).await?, &Swap::Done)?;
    store.lacks(&key).await
}

/// Whether a store has one room for all kinds of key or one for each is its own affair.
pub(super) async fn of_another_kind(bench: Bench) -> Outcome {
    let (store, user) = (bench.first(), bench.key("index"));
    store.index_add(&user, &entry("record", "content"), LONG).await?;
    if let Some(loaded) = store.load(&user).await? {
        same("delete_if", &store.delete_if(&user, loaded.version()).await?, &Swap::Done)?;
        store.lacks(&user).await?;
        store.index_add(&user, &entry("record", "content"), LONG).await?;
    }
    store.delete(&user).await?;
    store.lacks(&user).await
}

pub(super) async fn reads_see_writes(bench: Bench) -> Outcome {
    let (key, user) = (bench.key("seen"), bench.key("user"));
    let mut current = record("0");
    bench.first().put(&key, &current, LONG).await?;
    for turn in 0..40 {
        let next = record(turn.to_string());
        let (writer, reader) = (bench.handle(turn), bench.handle(turn + 1));
        let swap = writer.update(&key, current.version(), &next, LONG).await?;
        same("update of what another handle has written", &swap, &Swap::Done)?;
        reader.holds(&key, &next).await?;
        let added = entry("record", turn.to_string());
        writer.index_add(&user, &added, LONG).await?;
        same("index", &reader.index(&user).await?, &vec![added])?;
        current = next;
    }
    bench.first().delete(&key).await?;
    bench.last().lacks(&key).await
}

/// A store that never says anything at once keeps this promise too.
pub(super) async fn said_at_once(bench: Bench) -> Outcome {
    let (key, brief) = (bench.key("at-once"), bench.key("at-once, brief"));
    let mut current = record("0");
    let denied = |when: &str, key: &str, version: Version| -> Outcome {
        bench.first().denies(when, key, version)?;
        bench.last().denies(when, key, version)
    };
    denied("before any record", &key, current.version())?;
    bench.first().put(&key, &current, LONG).await?;
    for turn in 0..40 {
        let (writer, reader) = (bench.handle(turn), bench.handle(turn + 1));
        for other in neighbours(current.version()) {
            denied("of another version", &key, other)?;
        }
        denied("under another key", &bench.key("at-once-too"), current.version())?;
        let next = record(turn.to_string());
        let swap = writer.update(&key, current.version(), &next, LONG).await?;
        same("update", &swap, &Swap::Done)?;
        denied("of a version that was replaced", &key, current.version())?;
        reader.holds(&key, &next).await?;
        current = next;
    }
    bench.last().delete(&key).await?;
    denied("after a deletion", &key, current.version())?;
    bench.first().put(&key, &current, LONG).await?;
    let swap = bench.last().delete_if(&key, current.version()).await?;
    same("delete_if", &swap, &Swap::Done)?;
    denied("after delete_if", &key, current.version())?;
    bench.first().put(&brief, &current, BRIEF).await?;
    sleep(2 * BRIEF).await;
    denied("after the ttl", &brief, current.version())
}

pub(super) async fn epoch_never_falls(bench: Bench) -> Outcome {
    let (store, key) = (bench.first(), bench.key("epoch"));
    let mut last = store.store().epoch();
    for _ in 0..20 {
        store.put(&key, &record("content"), LONG).await?;
        store.delete(&key).await?;
        let epoch = store.store().epoch();
        if epoch < last {
            return Err(format!("epoch: {epoch} after {last}"));
        }
        last = epoch;
    }
    Ok(())
}
