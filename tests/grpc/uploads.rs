//! What clients send streams through: nothing is buffered, and whoever is slow is waited for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::stream;

use super::{
    echo::{Echoes, Scene, words},
    support::{AGENT, App, until},
};

/// A message of an upload.
const PIECE: usize = 64 * 1024;

/// The whole upload: much more than may be held.
const PIECES: u64 = 2048;

/// What the windows and buffers of both sides may hold; the upload is sixteen times as much.
const HELD: u64 = PIECES / 16;

/// What the process may take more; it is both client and server.
const GROWTH: u64 = 48 * 1024 * 1024;

/// The memory that the process has, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes * 1024
}

/// I12: of a client stream of 128 MiB no more is sent than the service reads, and no memory is taken
/// for the rest.
#[tokio::test]
async fn an_upload_waits_for_its_reader_and_is_not_kept() {
    let scene = Scene::of(App::builder(), Echoes::with_pace(1)).await;
    let (_, mut client) = scene.agent().await;
    let before = resident();
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let upload = stream::iter((0..PIECES).map(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        words(&"x".repeat(PIECE))
    }));
    let call = tokio::spawn(async move { client.collect(upload).await });
    until(|| sent.load(Ordering::SeqCst) > 1).await;
    let mut seen = 0;
    while seen != sent.load(Ordering::SeqCst) {
        seen = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(seen < HELD, "{seen} messages are on their way to nobody");

    let mut most = before;
    scene.echoes.go_on(usize::try_from(PIECES).expect("a small number"));
    while !call.is_finished() {
        most = most.max(resident());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let heard = call.await.expect("no panic").expect("an answer").into_inner();
    assert_eq!((heard.messages, &*heard.user_id), (PIECES, AGENT));
    assert_eq!(heard.bytes, PIECES * PIECE as u64);
    assert!(most - before < GROWTH, "{} KiB more", (most - before) / 1024);
}
