//! Leases, one verb after the other.

use std::time::Duration;

use tokio::time::sleep;

use super::bench::{Bench, LONG, Outcome, lease, now, same};
use crate::store::Lease;

pub(super) async fn have_one_holder(bench: Bench) -> Outcome {
    let (store, key, holder) = (bench.first(), bench.key("held"), lease(1));
    store.hold(&key, holder, LONG).await?;
    let mut neighbours = [holder; 2];
    neighbours[0].owner[0] ^= 1;
    neighbours[1].owner[15] ^= 1;
    for other in neighbours {
        bench.last().refused(&key, other).await?;
        store.hold(&key, holder, LONG).await?;
    }
    store.hold(&bench.key("another"), neighbours[0], LONG).await
}

/// What an owner or a note could be mistaken for.
const OWNERS: [[u8; 16]; 4] =
    [[0; 16], [0xff; 16], *b"\r\n\r\n:::: 12345\0\n", *b"                "];

pub(super) async fn show_their_note(bench: Bench) -> Outcome {
    for (turn, owner) in OWNERS.into_iter().enumerate() {
        for note in [0, 1, b'\n', b':', 0x7f, 0xff] {
            let key = bench.key(&format!("note-{turn}-{note}"));
            bench.first().hold(&key, Lease { owner, note }, LONG).await?;
            for asked in [lease(2), lease(3)] {
                let (shown, _) = bench.last().refused(&key, asked).await?;
                same("note of the holder", &shown, &note)?;
            }
            bench.first().release(&key, owner).await?;
        }
    }
    Ok(())
}

/// Whole milliseconds, and clocks that differ a little.
const BLUR: Duration = Duration::from_millis(50);

pub(super) async fn show_the_time_left(bench: Bench) -> Outcome {
    let (store, key, holder) = (bench.first(), bench.key("left"), lease(1));
    for ttl in [LONG, LONG / 2] {
        let before = now();
        store.hold(&key, holder, ttl).await?;
        let after = now();
        for pause in [Duration::ZERO, Duration::from_millis(400)] {
            sleep(pause).await;
            let most = ttl.saturating_sub(now() - after) + BLUR;
            let (_, left) = bench.last().refused(&key, lease(2)).await?;
            let least = ttl.saturating_sub(now() - before + BLUR);
            if !(least..=most).contains(&left) {
                return Err(format!("left: {left:?}, not between {least:?} and {most:?}"));
            }
        }
    }
    Ok(())
}

pub(super) async fn are_renewed(bench: Bench) -> Outcome {
    let (store, key, holder) = (bench.first(), bench.key("renewed"), lease(1));
    for note in [1, 1, 7, 0] {
        bench.last().hold(&key, Lease { note, ..holder }, LONG).await?;
        let (shown, _) = store.refused(&key, lease(9)).await?;
        same("note after a renewal", &shown, &note)?;
    }
    Ok(())
}

pub(super) async fn are_released_by_their_holder(bench: Bench) -> Outcome {
    let (store, key) = (bench.first(), bench.key("released"));
    let (holder, other) = (lease(1), lease(2));
    store.hold(&key, holder, LONG).await?;
    store.release(&key, other.owner).await?;
    let (note, _) = store.refused(&key, other).await?;
    same("note after a release by another owner", &note, &holder.note)?;
    bench.last().release(&key, holder.owner).await?;
    store.hold(&key, other, LONG).await?;
    store.release(&key, holder.owner).await?;
    store.refused(&key, holder).await.map(drop)
}
