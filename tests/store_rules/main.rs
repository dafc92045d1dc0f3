//! The rules of store mode, each by its number: what several instances with one store do, and never
//! do, with a session.

#[path = "../support/mod.rs"]
mod support;

mod failover;
mod failures;
mod lease;
mod login;
mod logout;
mod results;
mod takeover;

use std::time::Duration;

use support::{App, Browser, Page, retry_after};
use tokio::task::JoinHandle;

const HOUR: u64 = 3600;

/// What the store keeps under keys of this kind.
const RECORD: &str = ":session:";

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A fetch of the access token in a task of its own.
fn fetching(browser: &Browser) -> JoinHandle<Page> {
    let mut browser = browser.clone();
    tokio::spawn(async move { browser.fetch("/token").await })
}

/// Whether what this process knows of a session is settled: nothing runs any more.
async fn settled(app: &App) {
    assert!(app.auth.shutdown(Duration::from_secs(10)).await, "something runs on and on");
}

/// A page with an access token that Sentinel takes.
#[track_caller]
fn assert_served(page: &Page, app: &App) {
    assert_eq!(page.status, 200, "{page:?}");
    assert!(app.sentinel.is_live_access_token(&page.body), "{page:?}");
}
