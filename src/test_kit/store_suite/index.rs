//! Users' indexes, one verb after the other.

use super::bench::{Bench, LONG, Outcome, entry, same};

/// Sessions of one user: more than an answer holds that comes in pieces.
const MANY: usize = 200;

pub(super) async fn lists_its_entries(bench: Bench) -> Outcome {
    let (store, user, other) = (bench.first(), bench.key("user"), bench.key("user*"));
    let entries: Vec<_> =
        (0..MANY).map(|n| entry(bench.key(&format!("{n:03}")), n.to_string())).collect();
    for entry in &entries {
        store.index_add(&user, entry, LONG).await?;
    }
    // One record may be in two indexes.
    store.index_add(&other, &entries[0], LONG).await?;
    let listed = bench.last().index(&user).await?;
    same("number of entries", &listed.len(), &MANY)?;
    same("index", &listed, &entries)?;
    same("index of another user", &store.index(&other).await?, &vec![entries[0].clone()])
}

pub(super) async fn keeps_contents(bench: Bench) -> Outcome {
    let (store, user) = (bench.first(), bench.key("user"));
    let every = (0..=255).cycle().take(1024).collect::<Vec<u8>>();
    let mut all = Vec::new();
    for (n, content) in [&every[..0], b"\0", b"\r\n:", &every[..]].into_iter().enumerate() {
        all.push(entry(bench.key(&format!("*:{n}")), content.to_vec()));
        store.index_add(&user, &all[n], LONG).await?;
        let listed = store.index(&user).await?;
        if listed != all {
            return Err(format!("index: not the {} entries that were added", all.len()));
        }
    }
    Ok(())
}

pub(super) async fn replaces_entries(bench: Bench) -> Outcome {
    let (store, user) = (bench.first(), bench.key("user"));
    let kept = entry("a", "kept");
    store.index_add(&user, &kept, LONG).await?;
    for content in ["first", "the second, and longer", ""] {
        let added = entry("b", content);
        bench.last().index_add(&user, &added, LONG).await?;
        let listed = store.index(&user).await?;
        same("number of entries", &listed.len(), &2)?;
        if listed != [kept.clone(), added] {
            return Err("index: the content of before".to_owned());
        }
    }
    Ok(())
}

pub(super) async fn removes_entries(bench: Bench) -> Outcome {
    let (store, user) = (bench.first(), bench.key("user"));
    let entries = ["a", "ab", "a*", "*"].map(|record| entry(record, "content"));
    for entry in &entries {
        store.index_add(&user, entry, LONG).await?;
    }
    store.index_remove(&user, "b").await?;
    let mut left = entries.to_vec();
    left.sort_by(|a, b| a.record.cmp(&b.record));
    while let Some(last) = left.first().cloned() {
        same("index", &store.index(&user).await?, &left)?;
        bench.last().index_remove(&user, &last.record).await?;
        left.remove(0);
    }
    same("index without entries", &store.index(&user).await?, &left)?;
    store.index_add(&user, &entries[0], LONG).await?;
    same("index after a new beginning", &store.index(&user).await?.len(), &1)
}
