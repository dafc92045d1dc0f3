//! Tokens age and are renewed.

mod support;

use support::{App, Browser};

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
