//! Ending a session.

mod support;

use support::{App, Browser};

#[tokio::test]
async fn a_logout_ends_the_session_and_deletes_its_cookie() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let old = browser.clone();
    let page = browser.post("/logout").await;
    assert_eq!(page.status, 303, "{page:?}");
    assert_eq!(page.location().as_deref(), Some("/"));
    assert_eq!(browser.jar.session(), None);
    browser.fetch("/me").await.assert_unauthorized();
    old.clone().fetch("/me").await.assert_unauthorized();
}
