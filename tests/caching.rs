//! What may be kept, by whom. Each response that a test's browser gets is checked besides: see
//! `Page::assert_caching_is_safe`.

mod support;

use std::collections::HashMap;

use axum::{Router, response::AppendHeaders, routing::get};
use http::{HeaderMap, Method, StatusCode};
use support::{AGENT, App, Browser, Direct, FETCH, NAVIGATE, Page};
use tower_lp_auth::LpUser;

/// L01: the answers of a whole login, and of all that can go wrong around it.
#[tokio::test]
async fn nothing_of_ours_is_ever_stored() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let start = browser.navigate("/me").await;
    let mut pages = vec![start.clone()];
    app.sentinel.auto_login(Some(AGENT));
    let back = browser.navigate(&start.location().expect("Sentinel")).await;
    let callback = back.location().expect("the callback");
    pages.push(browser.navigate(&callback).await);
    pages.push(browser.navigate(&callback).await);
    for (method, path, headers) in [
        (Method::GET, "/logout", &NAVIGATE),
        (Method::HEAD, "/logout", &NAVIGATE),
        (Method::GET, "/admin", &NAVIGATE),
        (Method::GET, "/admin", &FETCH),
        (Method::GET, "/callback", &NAVIGATE),
        (Method::POST, "/callback", &NAVIGATE),
        (Method::POST, "/logout", &FETCH),
        (Method::GET, "/logout?signed-out", &NAVIGATE),
        (Method::GET, "/me", &FETCH),
        (Method::HEAD, "/me", &NAVIGATE),
        (Method::GET, "/login", &NAVIGATE),
        (Method::GET, "/login", &FETCH),
        (Method::PUT, "/login", &FETCH),
    ] {
        pages.push(browser.send(method, path, headers, None).await);
    }
    for page in pages {
        assert!(!page.headers.contains_key("x-from-app"), "{page:?}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
    }
}

/// L02: a response with our cookie loses what the application has said about caching.
#[tokio::test]
async fn a_response_with_our_cookie_is_stored_by_nobody() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let quiet = browser.fetch("/cached").await;
    assert_eq!(quiet.header("cache-control"), Some("public, s-maxage=600, max-age=60"));
    app.advance(2000);
    let renewed = browser.fetch("/cached").await;
    assert_eq!(renewed.session_cookies().len(), 1, "{renewed:?}");
    let all: Vec<_> = renewed.headers.get_all("cache-control").iter().collect();
    assert_eq!(all, ["no-store"], "{renewed:?}");
    let ended = browser.fetch("/end").await;
    assert_eq!((ended.body.as_str(), ended.session_cookies().len()), ("ended", 1), "{ended:?}");
    assert_eq!(ended.header("cache-control"), Some("no-store"));
    assert_eq!(browser.jar.session(), None);
}

/// L02: caches that have a field of their own obey it before `Cache-Control` (RFC 9213).
#[tokio::test]
async fn a_response_with_our_cookie_tells_no_cache_of_its_own_to_keep_it() {
    let targeted = [
        ("cdn-cache-control", "public, max-age=600"),
        ("example-cdn-cache-control", "max-age=600"),
        ("surrogate-control", "max-age=600"),
    ];
    let router = Router::new().fallback(move || async move { (AppendHeaders(targeted), "kept") });
    let mut app = Direct::start().await.routes(router);
    app.sign_in().await;
    let quiet = app.fetch("/me").await;
    let renewed = {
        app.advance(400);
        app.fetch("/me").await
    };
    assert_eq!(renewed.session_cookies().len(), 1, "{renewed:?}");
    for (name, value) in targeted {
        assert_eq!(quiet.header(name), Some(value), "{name}: the application's own choice");
        assert_eq!(renewed.header(name), None, "{name}");
    }
}

/// L03.
#[tokio::test]
async fn a_public_route_keeps_its_caching_and_gets_no_cookie() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.advance(2000); // a refresh is due, and not started here
    let page = browser.fetch("/public").await;
    assert_eq!(page.header("cache-control"), Some("public, max-age=60"));
    assert_eq!((page.header("vary"), page.set_cookies().len()), (None, 0), "{page:?}");
    assert_eq!(app.sentinel.counts().refreshes, 0);
}

/// L04.
#[tokio::test]
async fn a_users_response_is_private_unless_the_application_says_otherwise() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    for (path, caching, vary) in [
        ("/me", Some("private"), None),
        ("/nowhere", Some("private"), None),
        ("/cached", Some("public, s-maxage=600, max-age=60"), None),
        ("/", Some("private"), Some("Cookie, Authorization")),
    ] {
        let page = browser.fetch(path).await;
        assert_eq!(page.header("cache-control"), caching, "{path}");
        assert_eq!(page.header("vary"), vary, "{path}");
    }
    browser.jar.clear();
    let page = browser.fetch("/").await;
    assert_eq!(
        (page.header("cache-control"), page.header("vary")),
        (None, Some("Cookie, Authorization"))
    );
}

/// L05: a cache in front that knows paths and obeys headers never mixes users up.
#[tokio::test]
async fn a_shared_cache_gives_nobody_anothers_page() {
    async fn who(user: Option<LpUser>) -> String {
        user.map_or_else(|| "nobody".to_owned(), |user| user.id().to_owned())
    }
    let router = Router::new().route("/", get(who)).route("/me", get(who)).fallback(get(who));
    let mut app = Direct::start().await.routes(router);
    let mut users = Vec::new();
    for id in [AGENT, "4711", "4712"] {
        app.jar.clear();
        let start = app.navigate("/me").await;
        app.arrive_as(&start, id).await;
        users.push((id, app.jar.clone()));
    }
    let mut cache: HashMap<String, Page> = HashMap::new();
    for round in 0..3 {
        for path in ["/me", "/", "/x", "/login", "/logout"] {
            for (id, jar) in &users {
                if let Some(kept) = cache.get(path) {
                    panic!("round {round}: {path} was kept for everybody: {kept:?}");
                }
                app.jar = jar.clone();
                let page = app.navigate(path).await;
                if page.status == StatusCode::OK && page.header("x-from-app").is_some() {
                    assert_eq!(page.body, *id, "{path}");
                }
                if is_shared(&page.headers) {
                    cache.insert(path.to_owned(), page);
                }
            }
        }
        app.advance(400); // the next round renews cookies
    }
}

/// Whether a cache for everybody may keep a response, and for whoever asks (RFC 9111 section 3).
fn is_shared(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| {
        headers
            .get_all(name)
            .iter()
            .any(|value| value.to_str().unwrap_or_default().to_ascii_lowercase().contains(word))
    };
    let by_caller = says("vary", "cookie") && says("vary", "authorization");
    !says("cache-control", "no-store")
        && !says("cache-control", "private")
        && !by_caller
        && !says("vary", "*")
}
