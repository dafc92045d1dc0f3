//! Counts what is asked of the allocator, by the thread that asks.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use crate::contenders::Contender;

const WARM_UP: usize = 300;
const REQUESTS: usize = 2000;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, counted: two additions on the thread's own cells, for all alike.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of one request, those that grow another among them.
pub async fn measure(contender: &Contender) -> f64 {
    let mut client = contender.client();
    client.ask_times(WARM_UP).await;
    let before = COUNT.get();
    client.ask_times(REQUESTS).await;
    (COUNT.get() - before) as f64 / REQUESTS as f64
}

/// Bytes that this thread has asked for and not given back.
pub fn live_bytes() -> i64 {
    LIVE.get()
}

fn note(count: u64, bytes: i64) {
    COUNT.set(COUNT.get() + count);
    LIVE.set(LIVE.get() + bytes);
}

fn signed(size: usize) -> i64 {
    size as i64
}

// SAFETY: each call goes to the system's allocator as it came; cells without destructors are all
// that is touched besides.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, signed(layout.size()));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, signed(size) - signed(layout.size()));
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, -signed(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }
}
