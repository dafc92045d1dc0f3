//! From nobody to a signed-in user.

mod support;

use support::{AGENT, App, Browser};

#[tokio::test]
async fn a_user_signs_in_and_reaches_the_handler_they_asked_for() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    app.sentinel.auto_login(Some(AGENT));
    let page = browser.open("/me?deep=link&x=%2F").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.url.ends_with("/me?deep=link&x=%2F"), "{}", page.url);
    assert_eq!(page.json()["user_id"], AGENT);
    assert!(app.sentinel.is_live_access_token(&page.access_token()));
    assert_eq!(browser.jar.logins(), []);
    let counts = app.sentinel.counts();
    assert_eq!((counts.domain, counts.exchanges, counts.jwks), (1, 1, 1));
}
