//! How often a request allocates behind the layer, counted by the allocator itself.

#[path = "../benches/contenders/mod.rs"]
mod contenders;

use self::contenders::{Contender, all, floor_of};

const WARM_UP: usize = 200;
const REQUESTS: u64 = 1000;

/// The extra allocations of one request over its floor. Ours beside foreign cookies in one field
/// costs one: the field is written anew.
const BUDGET: [(&str, u64); 4] =
    [("cached", 0), ("cached, browser", 0), ("cached, foreign", 1), ("cached, fields", 0)];

/// Beyond what a request allocates in every case, one in a thousand may meet a table that grows.
fn per_request(contender: &mut Contender) -> u64 {
    for _ in 0..WARM_UP {
        contender.ask();
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..REQUESTS {
            contender.ask();
        }
    });
    assert_eq!(counted.count_total % REQUESTS, 0, "{} is not steady: {counted:?}", contender.name);
    counted.count_total / REQUESTS
}

#[tokio::test]
async fn a_session_seen_before_costs_no_allocation_of_ours() {
    let counts: Vec<(&str, u64)> =
        all().await.iter_mut().map(|it| (it.name, per_request(it))).collect();
    let count =
        |name: &str| counts.iter().find(|(known, _)| *known == name).expect("a contender").1;
    for (name, extra) in BUDGET {
        let (own, floor) = (count(name), count(floor_of(name)));
        assert_eq!(own, floor + extra, "{name}: {own} against {floor}; all: {counts:?}");
    }
}
