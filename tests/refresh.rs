//! Tokens age and are renewed.

mod support;

use std::time::Duration;

use support::{App, Browser};
use tower_lp_auth::test_kit::{Endpoint, ExpiresIn, Fault};

#[tokio::test]
async fn a_due_session_is_served_at_once_and_gets_its_new_cookie() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let before = browser.fetch("/token").await.body;
    app.advance(2000);
    let due = browser.fetch("/token").await;
    assert_eq!(due.body, before);
    assert_eq!(due.session_cookies().len(), 1, "{due:?}");
    let after = browser.fetch("/token").await.body;
    assert_ne!(after, before);
    assert!(app.sentinel.is_live_access_token(&after));
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// F20: a waiter asks for new tokens once, however short they live.
#[tokio::test]
async fn tokens_that_are_nearly_over_when_they_come_still_serve() {
    let app = App::start().await;
    let browser = Browser::signed_in(&app).await;
    app.advance(8 * 3600 - 30);
    app.sentinel.set_expires_in(ExpiresIn::Literal(1.into()));
    app.sentinel.inject(Endpoint::Refresh, Fault::Delay(Duration::from_millis(200)));
    let mut waiting = browser.clone();
    let waiting = tokio::spawn(async move { waiting.fetch("/token").await });
    while app.sentinel.counts().refreshes == 0 {
        tokio::task::yield_now().await;
    }
    app.clock.advance(Duration::from_millis(700));
    let page = waiting.await.unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    assert!(app.sentinel.is_live_access_token(&page.body));
    assert_eq!(app.sentinel.counts().refreshes, 1);
}
