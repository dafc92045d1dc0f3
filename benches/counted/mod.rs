//! Allocations, counted by the allocator itself.
//!
//! In a room of its own, because the allocator that counts costs instructions: a program that counts those
//! leaves it out.

#![allow(unreachable_pub, reason = "a part of programs")]

use crate::contenders::Contender;

/// How often one request allocates.
pub fn allocations(contender: &mut Contender) -> u64 {
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
