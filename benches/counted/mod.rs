//! Counts allocations. Apart from the contenders, because the allocator that counts takes a hundred
//! instructions for each, and is in a program as soon as that names it.

use crate::contenders::Contender;

/// How often one request allocates, counted by the allocator itself.
pub(crate) fn allocations(contender: &mut Contender) -> u64 {
    const WARM_UP: usize = 200;
    const REQUESTS: u64 = 1000;
    for _ in 0..WARM_UP {
        contender.ask();
    }
    let counted = allocation_counter::measure(|| {
        for _ in 0..REQUESTS {
            contender.ask();
        }
    });
    // Some kinds of request meet a table that grows now and then.
    (counted.count_total + REQUESTS / 2) / REQUESTS
}
