//! A store that is down, seen from each kind of path.

mod support;

use http::Method;
use support::{AGENT, Browser, Cluster, FETCH, Mishap, NAVIGATE, Verb, until};
use tower_lp_auth::test_kit::{Endpoint, Fault};

/// What a page of another site sends with a form.
const FOREIGN_FORM: [(&str, &str); 4] = [
    ("accept", "text/html"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "cross-site"),
];

/// Jar rule 1, D01: with the store down a login still starts, by itself and by its link, and deletes no
/// session cookie; with the store back the old session is live.
#[tokio::test]
async fn a_login_starts_while_the_store_is_down_and_deletes_nothing() {
    let cluster = Cluster::of(1).start().await;
    let mut browser = cluster.signed_in().await.remove(0);
    let store = &cluster.stores[0];
    for mishap in [Mishap::Fail, Mishap::Hang, Mishap::Refuse] {
        store.plan_always(Verb::Load, mishap);
        let login = browser.navigate("/login?return_to=/me").await;
        login.assert_login();
        assert!(login.session_cookies().is_empty(), "{mishap:?}: {login:?}");
        let mut nobody = Browser::new(&cluster.instances[0]);
        nobody.navigate("/me").await.assert_login();
        store.mend();
    }
    assert_eq!(browser.fetch("/me").await.json()["user_id"], AGENT);
}

/// Store rule 9, D01: a callback while the store is down is 503 with a link that reloads it, the cookie
/// of the pending login stays, no code is presented; when the store is back the link signs in.
#[tokio::test]
async fn a_callback_waits_for_the_store() {
    let cluster = Cluster::of(1).start().await;
    let app = &cluster.instances[0];
    let mut browser = Browser::new(app);
    let path = browser.reach_callback(app, "/me").await;
    let store = &cluster.stores[0];
    store.set_down(true);
    for _ in 0..2 {
        let page = browser.navigate(&path).await;
        page.assert_unavailable();
        page.assert_closed_page(503);
        assert_eq!(page.way_forward(), path.strip_prefix(&app.url).expect("ours"), "{page:?}");
        assert_eq!(browser.jar.logins().len(), 1);
    }
    assert_eq!(app.sentinel.counts().exchanges, 0);
    store.set_down(false);
    let page = browser.navigate(&path).await;
    assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
    assert_eq!(browser.fetch("/me").await.status, 200);
    assert_eq!(app.sentinel.counts().exchanges, 1);
}

/// D01: a callback of somebody who brings no pending login: whether it is a reload after the login
/// cannot be said without the store.
#[tokio::test]
async fn a_reloaded_callback_is_unavailable_while_the_store_is_down() {
    let cluster = Cluster::of(2).start().await;
    let first = &cluster.instances[0];
    let mut browser = Browser::new(first);
    let path = browser.reach_callback(first, "/me").await;
    assert_eq!(browser.navigate(&path).await.status, 303);
    let mut reload = browser.moved_to(&cluster.instances[1]);
    let path = path.strip_prefix(&first.url).expect("ours").to_owned();
    cluster.stores[1].set_down(true);
    let page = reload.navigate(&path).await;
    page.assert_unavailable();
    cluster.stores[1].set_down(false);
    let page = reload.navigate(&page.way_forward()).await;
    assert_eq!((page.status.as_u16(), page.location().as_deref()), (303, Some("/")), "{page:?}");
    assert_eq!(reload.fetch("/me").await.status, 200);
}

/// S02, D17: public routes never ask the store, neither do the pages without a session's cookie, and
/// nobody's cookie does.
#[tokio::test]
async fn what_needs_no_session_does_not_ask_the_store() {
    let cluster = Cluster::of(1).start().await;
    let app = &cluster.instances[0];
    let mut browser = cluster.signed_in().await.remove(0);
    let mut nobody = Browser::new(app);
    let mut stray = Browser::new(app);
    stray.jar.insert(browser.jar.session().expect("a session").0, "garbage");
    let store = &cluster.stores[0];
    store.set_down(true);
    cluster.forget_calls();
    assert_eq!(browser.fetch("/public").await.status, 200);
    assert_eq!(browser.post("/public").await.status, 200);
    for browser in [&mut nobody, &mut stray] {
        browser.fetch("/me").await.assert_unauthorized();
        assert_eq!(browser.fetch("/").await.body, "hello stranger");
        browser.navigate("/me").await.assert_login();
        assert_eq!(browser.navigate("/logout").await.status, 200);
        assert_eq!(browser.post("/logout").await.status, 303);
    }
    let foreign = browser.send(Method::POST, "/logout", &FOREIGN_FORM, None).await;
    assert_eq!(foreign.status, 403, "{foreign:?}");
    assert_eq!(store.take_calls(), []);
}

/// D01: on an optional route a session that the store cannot find is unavailable, not absent.
#[tokio::test]
async fn an_optional_route_passes_with_the_session_unavailable() {
    let cluster = Cluster::of(1).start().await;
    let app = &cluster.instances[0];
    let mut browser = cluster.signed_in().await.remove(0);
    assert_eq!(browser.fetch("/").await.body, format!("hello {AGENT}"));
    for mishap in [Mishap::Fail, Mishap::Hang, Mishap::Refuse, Mishap::LoseAnswer] {
        cluster.stores[0].plan(Verb::Load, mishap);
        let calls = app.calls();
        let page = browser.fetch("/").await;
        assert_eq!(page.body, "hello, whoever you are for now", "{mishap:?}: {page:?}");
        assert!(page.set_cookies().is_empty(), "{mishap:?}: {page:?}");
        assert_eq!(app.calls(), calls + 1, "{mishap:?}");
    }
    assert_eq!(browser.fetch("/").await.body, format!("hello {AGENT}"));
}

/// D01, L01: each kind of caller gets 503 in its own language, a person with a way to log in, and the
/// handler is not called.
#[tokio::test]
async fn a_protected_route_is_unavailable_to_each_caller_in_its_language() {
    let cluster = Cluster::of(1).start().await;
    let app = &cluster.instances[0];
    let mut browser = cluster.signed_in().await.remove(0);
    let calls = app.calls();
    cluster.stores[0].set_down(true);
    let page = browser.send(Method::GET, "/me", &NAVIGATE, None).await;
    page.assert_unavailable();
    page.assert_closed_page(503);
    assert!(page.body.contains(r#"href="/login"#), "{page:?}");
    let problem = browser.send(Method::GET, "/me", &FETCH, None).await;
    problem.assert_unavailable();
    assert_eq!(problem.header("content-type"), Some("application/problem+json"), "{problem:?}");
    assert_eq!(problem.header("cache-control"), Some("no-store"), "{problem:?}");
    for told in ["down", "store", "told"] {
        assert!(!problem.body.contains(told), "what lies beneath is told: {problem:?}");
    }
    let posted = browser.post("/me").await;
    posted.assert_unavailable();
    assert_eq!(app.calls(), calls, "the handler was called");
    cluster.stores[0].set_down(false);
    assert_eq!(browser.post("/me").await.status, 200);
}

/// H14: an unsafe request of another site is 403 only where there is a session that it could use; with
/// the store down that cannot be said, and it is not let through either.
#[tokio::test]
async fn another_site_is_refused_only_where_there_is_a_session() {
    let cluster = Cluster::of(1).start().await;
    let app = &cluster.instances[0];
    let mut browser = cluster.signed_in().await.remove(0);
    let calls = app.calls();
    let live = browser.send(Method::POST, "/me", &FOREIGN_FORM, None).await;
    assert_eq!(live.status, 403, "{live:?}");
    assert!(live.set_cookies().is_empty(), "{live:?}");
    let optional = browser.send(Method::POST, "/", &FOREIGN_FORM, None).await;
    assert_eq!(optional.status, 403, "{optional:?}");
    for path in ["/me", "/"] {
        cluster.stores[0].plan(Verb::Load, Mishap::Fail);
        browser.send(Method::POST, path, &FOREIGN_FORM, None).await.assert_unavailable();
    }
    let copy = browser.clone();
    assert_eq!(browser.post("/logout").await.status, 303);
    let ended = copy.clone().send(Method::POST, "/me", &FOREIGN_FORM, None).await;
    assert_eq!(ended.status, 401, "{ended:?}");
    assert_eq!(app.calls(), calls, "the handler was called");
}

/// G06, G10, X24: a logout is done in the store whatever Sentinel's revocation does, and does not wait
/// for it.
#[tokio::test]
async fn a_logout_is_done_although_the_revocation_fails() {
    for fault in [Fault::status(503), Fault::Hang, Fault::Reset] {
        let cluster = Cluster::of(2).layer(|layer| layer.revoke_on_logout(true)).start().await;
        let mut browsers = cluster.signed_in().await;
        cluster.sentinel().inject_always(Endpoint::Revoke, fault.clone());
        let started = tokio::time::Instant::now();
        let page = browsers[0].post("/logout").await;
        assert_eq!((page.status.as_u16(), page.session_cookies().len()), (303, 1), "{page:?}");
        assert!(started.elapsed().as_millis() < 4000, "{fault:?}: {:?}", started.elapsed());
        until(|| cluster.sentinel().counts().revocations > 0).await;
        browsers[1].fetch("/me").await.assert_unauthorized();
    }
}
