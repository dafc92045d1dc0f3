//! What the layer and its store allocate, counted by the allocator itself.

#[path = "../benches/contenders/mod.rs"]
mod contenders;
#[path = "../benches/counted/mod.rs"]
mod counted;
#[path = "../benches/stored/mod.rs"]
mod stored;

use self::{
    contenders::{all, floor_of},
    counted::allocations,
};

/// The extra allocations of one request over its floor. Ours beside foreign cookies in one field
/// costs one: the field is written anew. So does what tells layers further in that a public request has
/// passed: in axum it makes the table of its extensions grow. A session in a `MemoryStore` is looked up
/// where it is.
const BUDGET: [(&str, u64); 10] = [
    ("cached", 0),
    ("cached, browser", 0),
    ("cached, foreign", 1),
    ("cached, ours first", 1),
    ("cached, fields", 0),
    ("stored", 0),
    ("public", 1),
    ("public, stripped", 1),
    ("grpc, cookie", 0),
    ("grpc, token", 0),
];

/// What one request of each of these allocates.
async fn counts_of<const N: usize>(names: [&str; N]) -> [u64; N] {
    let mut contenders = all().await;
    names.map(|name| {
        let contender = contenders.iter_mut().find(|it| it.name == name);
        allocations(contender.expect("a contender"))
    })
}

/// The hot path: a request of a known session allocates nothing that the inner service does not.
#[tokio::test]
async fn a_session_seen_before_costs_no_allocation_of_ours() {
    let counts: Vec<(&str, u64)> =
        all().await.iter_mut().map(|it| (it.name, allocations(it))).collect();
    let count =
        |name: &str| counts.iter().find(|(known, _)| *known == name).expect("a contender").1;
    for (name, extra) in BUDGET {
        let (own, floor) = (count(name), count(floor_of(name)));
        assert_eq!(own, floor + extra, "{name}: {own} against {floor}; all: {counts:?}");
    }
}

/// A layer that keeps axum's body allocates what *floor+* does, which keeps it too: axum's box around
/// another body is spared.
#[tokio::test]
async fn keeping_the_body_costs_no_allocation_at_all() {
    let [own, floor, boxed] = counts_of(["kept", "floor+", "floor+wrap"]).await;
    assert_eq!(own, floor, "{own} against {floor}");
    assert_eq!(own + 1, boxed, "{own} against {boxed} with a box");
}

/// A session that the cache does not know is opened: it, its tokens as they came, and the value under
/// which it is found again.
#[tokio::test]
async fn opening_a_session_costs_three_allocations() {
    let [own, floor] = counts_of(["anew", floor_of("anew")]).await;
    assert_eq!(own, floor + 3, "{own} against {floor}");
}

/// A unary call, whose session comes as a token, allocates no more than with the cookie.
#[tokio::test]
async fn a_call_with_a_session_token_allocates_no_more_than_with_a_cookie() {
    let [cookie, token] = counts_of(["grpc, cookie", "grpc, token"]).await;
    assert!(token <= cookie, "{token} with a token, {cookie} with a cookie");
}

/// A session in a `MemoryStore`, with its index entry and its share of all tables.
const MOST_BYTES: i64 = 1536;

/// The store's part of a machine's memory: 100,000 sessions, with keys, index and tables.
#[test]
fn a_stored_session_takes_less_than_a_kibibyte_and_a_half() {
    let stored = stored::measure();
    println!("{stored}");
    assert!(stored.bytes_each() < MOST_BYTES, "{stored}");
    // All of it comes back: nothing is counted that is not the store's.
    assert_eq!(stored.bytes_after, 0, "{stored}");
}
