//! `MemoryStore` from outside.

use tower_lp_auth::{MemoryStore, test_kit::store_suite};

/// Every promise of a store, on both kinds of runtime.
#[tokio::test]
async fn every_promise_is_kept_on_one_thread() {
    let store = MemoryStore::new(1000);
    store_suite([store.clone(), store]).await;
}

/// Store rule 12, and every promise of a store.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_promise_is_kept_on_several_threads() {
    store_suite([MemoryStore::new(1000)]).await;
}
