//! Clients that keep no cookies are signed in by a session token, which alone decides.

mod support;

use std::time::Duration;

use axum::routing::get;
use http::{Method, StatusCode};
use support::{
    AGENT, App, AppBuilder, Browser, FETCH, Fleet, Mishap, NAVIGATE, Page, RiggedStore,
    TokenClient, Verb, until,
};
use tower_lp_auth::{
    MemoryStore, SessionUnavailable,
    test_kit::{self, Endpoint, Fault},
};

const HOUR: u64 = 3600;

fn hourly() -> AppBuilder {
    App::builder().sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(HOUR)))
}

async fn signed_in(app: &App) -> (Browser, TokenClient) {
    let browser = Browser::signed_in(app).await;
    let client = TokenClient::of(app, &browser).await;
    (browser, client)
}

fn assert_invalid_token(page: &Page) {
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{page:?}");
    let challenge = page.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer error=\"invalid_token\""), "{page:?}");
    assert!(page.location().is_none() && page.set_cookies().is_empty(), "{page:?}");
}

/// H03, H06: the token alone, in any spelling of the scheme, with either kind of session.
#[tokio::test]
async fn a_session_token_signs_its_holder_in() {
    let sealed = App::start().await;
    let stored = App::builder().layer(|it| it.store(MemoryStore::default())).start().await;
    for (what, app) in [("sealed", sealed), ("stored", stored)] {
        let (_, mut client) = signed_in(&app).await;
        let page = client.get("/me").await;
        assert_eq!(page.json()["user_id"], AGENT, "{what}: {page:?}");
        assert_eq!(page.header("cache-control"), Some("private"), "{what}");
        for scheme in ["bearer", "BEARER"] {
            let value = format!("{scheme} {}", client.token);
            let headers = [("authorization", &*value)];
            let page = Browser::new(&app).send(Method::GET, "/me", &headers, None).await;
            assert_eq!(page.status, 200, "{what}: {page:?}");
        }
        let page = client.get("/").await;
        assert_eq!(page.body, format!("hello {AGENT}"), "{what}: an optional route");
        let page = client.send(Method::GET, "/me", &NAVIGATE).await;
        assert_eq!(page.status, 200, "{what}: as a navigation");
        let (_, second) = (&app, TokenClient::of(&app, &Browser::signed_in(&app).await).await);
        assert_ne!(second.token, client.token, "{what}: a session of its own");
    }
}

/// K06: neither the token nor a cookie of ours is seen by the inner service; what a gate in front has
/// put there is.
#[tokio::test]
async fn the_inner_service_never_sees_the_token() {
    let app = App::builder().layer(|it| it.ignore_authorization_schemes(["Basic"])).start().await;
    let (browser, mut client) = signed_in(&app).await;
    let cookie = browser.jar.header().expect("a session");
    let page = client.send(Method::GET, "/headers", &[("cookie", &cookie)]).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.json().get("authorization").is_none(), "{page:?}");
    assert!(page.json().get("cookie").is_none(), "{page:?}");
    let gate = [("authorization", "Basic YTpi")];
    let page = client.send(Method::GET, "/headers", &gate).await;
    assert_eq!(page.json()["authorization"][0], "Basic YTpi", "{page:?}");
    assert!(!page.body.contains(&client.token), "{page:?}");
    let page = client.send(Method::GET, "/public", &[]).await;
    assert_eq!(page.json()["user"], serde_json::Value::Null, "public routes look at nothing");
    // Nor where nobody is let in by it; what is not ours stays.
    let app = hourly()
        .layer(|it| it.public("/headers").optional("/maybe"))
        .routes(|router, _| router.route("/maybe", get(seen)))
        .start()
        .await;
    let (_, mut client) = signed_in(&app).await;
    for path in ["/headers", "/maybe"] {
        let page = client.get(path).await;
        assert!(!page.body.contains(&client.token), "{path}: {page:?}");
    }
    let foreign = [("authorization", "Bearer of-somebody-elses")];
    let page = Browser::new(&app).send(Method::GET, "/headers", &foreign, None).await;
    assert_eq!(page.json()["authorization"][0], foreign[0].1);
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(HOUR + 1);
    let page = client.get("/maybe").await;
    assert!(page.body.contains("unavailable") && !page.body.contains(&client.token), "{page:?}");
}

/// What a handler sees of a request's credentials.
async fn seen(request: axum::extract::Request) -> String {
    let unavailable = request.extensions().get::<SessionUnavailable>().map(|_| "unavailable");
    format!("{unavailable:?} {:?}", request.headers().get("authorization").map(|it| it.as_bytes()))
}

/// A token is bound to the redirect URI, as a cookie's name is: it moves to no other application of the
/// same origin, though client, account and keys are the same.
#[tokio::test]
async fn a_token_is_of_one_application_of_an_origin() {
    let app = App::start().await;
    let (_, client) = signed_in(&app).await;
    let other = format!("{}/admin/callback", app.url);
    let same = format!("{}/callback", app.url);
    for (uri, expected) in [(other, 401), (same, 200)] {
        let beside = App::builder().beside(&app).layer(|it| it.redirect_uri(uri)).start().await;
        let page = client.moved_to(&beside).get("/me").await;
        assert_eq!(page.status.as_u16(), expected, "{page:?}");
    }
}

/// A service that passes an answer of another on relays the renewed token: nobody stores it, and there is
/// one.
#[tokio::test]
async fn a_relayed_token_is_not_stored_and_gives_way_to_a_newer_one() {
    let app = hourly()
        .routes(|router, _| {
            let relayed = [("lp-session-token", "relayed"), ("cache-control", "public")];
            router.route("/relay", get(async move || (relayed, "x")))
        })
        .start()
        .await;
    let (_, client) = signed_in(&app).await;
    let page = client.clone().get("/relay").await;
    assert_eq!(page.header("lp-session-token"), Some("relayed"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    app.advance(HOUR - 30);
    let page = client.clone().get("/relay").await;
    let all: Vec<_> = page.headers.get_all("lp-session-token").iter().collect();
    assert!(all.len() == 1 && all[0] != "relayed", "{page:?}");
}

/// Jar rule 1: a client that ends the session by its token has no cookie to be deleted, nor has a request
/// of the browser's that is still under way.
#[tokio::test]
async fn a_session_ended_by_token_deletes_no_cookie() {
    let app = App::start().await;
    let (browser, mut client) = signed_in(&app).await;
    let slow = browser.request(Method::GET, "/sleep", &FETCH, None).send();
    let slow = tokio::spawn(slow);
    until(|| app.calls() >= 3).await;
    assert_eq!(client.get("/end").await.body, "ended");
    let slow = slow.await.expect("no panic").expect("an answer");
    assert_eq!(slow.status(), 200);
    assert!(slow.headers().get("set-cookie").is_none(), "{slow:?}");
}

/// H05: whichever comes with it.
#[tokio::test]
async fn a_cookie_neither_rescues_a_token_nor_spoils_it() {
    let app = App::start().await;
    let (mut browser, client) = signed_in(&app).await;
    let mut damaged = client.token.clone().into_bytes();
    damaged[60] ^= 1;
    let damaged = String::from_utf8(damaged).expect("base64url");
    let garbage = [
        "x",
        " x",
        "x y",
        "\tx",
        "x,y",
        "a=b",
        "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
        &damaged,
        "a.b.c",
        "====",
    ];
    for path in ["/me", "/"] {
        for token in garbage {
            let value = format!("Bearer {token}");
            let headers = [FETCH[0], ("authorization", &*value)];
            assert_invalid_token(&browser.send(Method::GET, path, &headers, None).await);
        }
    }
    assert_eq!(browser.fetch("/me").await.status, 200, "the jar is untouched");
    let name = browser.jar.session().expect("a session").0.to_owned();
    browser.jar.insert(&name, "garbage");
    let value = format!("Bearer {}", client.token);
    let page = browser.send(Method::GET, "/me", &[("authorization", &value)], None).await;
    assert_eq!(page.json()["user_id"], AGENT, "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
}

/// Store rule 13: cookie and token are no substitutes for each other, and another application's or
/// another key's is none at all.
#[tokio::test]
async fn a_token_is_no_cookie_and_a_cookie_no_token() {
    let sealed = App::start().await;
    let stored = App::builder().layer(|it| it.store(MemoryStore::default())).start().await;
    for app in [&sealed, &stored] {
        let (mut browser, mut client) = signed_in(app).await;
        // Both are known to be good before they change places.
        assert_eq!(client.get("/me").await.status, 200);
        assert_eq!(browser.fetch("/me").await.status, 200);
        let (name, value) = browser.jar.session().expect("a session");
        let (name, cookie) = (name.to_owned(), value.to_owned());
        browser.jar.insert(&name, &client.token);
        browser.fetch("/me").await.assert_unauthorized();
        client.token = cookie;
        assert_invalid_token(&client.get("/me").await);
    }
    let (_, client) = signed_in(&sealed).await;
    let page = client.moved_to(&stored).get("/me").await;
    assert_invalid_token(&page);
    let (_, client) = signed_in(&stored).await;
    assert_invalid_token(&client.moved_to(&sealed).get("/me").await);
}

/// H01, H02: in the address or a form it is nothing, and beside the header it makes the request one
/// that says two things.
#[tokio::test]
async fn a_token_anywhere_else_is_not_looked_at() {
    let app = App::start().await;
    let (_, mut client) = signed_in(&app).await;
    let mut stranger = Browser::new(&app);
    let query = format!("/me?access_token={}", client.token);
    stranger.fetch(&query).await.assert_unauthorized();
    let form = Some(format!("access_token={}", client.token));
    let headers = [FETCH[1], FETCH[2], ("content-type", "application/x-www-form-urlencoded")];
    stranger.send(Method::POST, "/me", &headers, form).await.assert_unauthorized();
    let header = [("lp-session-token", &*client.token.clone())];
    stranger.send(Method::GET, "/me", &header, None).await.assert_unauthorized();
    let cookie = format!("access_token={0}; lp-session-token={0}", client.token);
    stranger.send(Method::GET, "/me", &[("cookie", &cookie)], None).await.assert_unauthorized();

    let page = client.get(&query).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{page:?}");
    assert_eq!(page.header("www-authenticate"), Some("Bearer error=\"invalid_request\""));
    let again = format!("Bearer {}", client.token);
    let page = client.send(Method::GET, "/me", &[("authorization", &again)]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{page:?}");
    let page = client.send(Method::GET, "/me", &[("authorization", "Basic YTpi")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{page:?}");
    assert!(!page.body.contains(&client.token));
}

/// H14: no page of somebody else can send a token, so where it comes from does not matter.
#[tokio::test]
async fn a_token_needs_no_check_of_where_it_comes_from() {
    let app = App::start().await;
    let (_, mut client) = signed_in(&app).await;
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://elsewhere.example")];
        let page = client.send(method, "/me", &foreign).await;
        assert_eq!(page.status, 200, "{page:?}");
    }
}

/// F01, and design "Bearer": a refresh hands the renewed token out, once each, and the cookie of the
/// same session is renewed beside it.
#[tokio::test]
async fn a_renewed_token_comes_back_and_the_cookie_lives_beside_it() {
    let app = hourly().start().await;
    let (mut browser, mut client) = signed_in(&app).await;
    let first = client.clone();
    app.advance(HOUR - 30);
    let page = client.get("/me").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_ne!(client.token, first.token);
    let access = page.access_token();
    assert!(app.sentinel.is_live_access_token(&access));
    // Late arrivals with the old token, and a cookie of before, get the same generation.
    let mut late = first.clone();
    let page = late.get("/me").await;
    assert_eq!((page.access_token(), &late.token), (access.clone(), &client.token));
    let page = browser.fetch("/me").await;
    assert_eq!(page.access_token(), access);
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
    assert!(page.header("lp-session-token").is_none(), "a browser gets no token");
    // Nothing more to say to who has the newest.
    let page = client.get("/me").await;
    assert!(page.header("lp-session-token").is_none(), "{page:?}");
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
    // Once more, begun by the browser.
    app.advance(HOUR - 30);
    let access = browser.fetch("/me").await.access_token();
    let mut kept = first.clone();
    assert_eq!(kept.get("/me").await.access_token(), access, "kept over two generations");
    assert_eq!(client.get("/me").await.access_token(), access);
    assert_eq!(kept.token, client.token);
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (2, 0));
}

/// C22: activity is noted in the token as in the cookie: a client that is used does not idle out.
#[tokio::test]
async fn a_client_that_is_used_stays_signed_in_until_the_absolute_end() {
    let app = App::builder().layer(|it| it.idle_lifetime(Duration::from_secs(HOUR))).start().await;
    let (_, mut client) = signed_in(&app).await;
    let idle = client.clone();
    for _ in 0..30 {
        app.advance(40 * 60);
        let page = client.get("/me").await;
        assert_eq!(page.status, 200, "{page:?}");
    }
    // Served by what became of the session since; 24 hours after the login it is over.
    assert_eq!(idle.clone().get("/me").await.status, 200);
    app.advance(5 * HOUR);
    assert_invalid_token(&client.get("/me").await);
}

/// Design "Bearer": with a store the token never changes, whatever becomes of the session, and is good
/// at every instance.
#[tokio::test]
async fn with_a_store_the_token_stays_as_it_is() {
    let store = MemoryStore::default();
    let fleet = Fleet::start(2, store, |it| it).await;
    let (_, mut client) = signed_in(fleet.first()).await;
    let token = client.token.clone();
    fleet.advance(8 * HOUR - 30);
    let access = client.get("/me").await.access_token();
    let page = client.moved_to(&fleet[1]).get("/me").await;
    assert_eq!(page.access_token(), access);
    fleet.advance(400);
    assert_eq!(client.get("/me").await.status, 200);
    assert_eq!(client.token, token, "nothing was renewed");
    assert_eq!(fleet.refreshes(), 1);
}

/// D17: one read for a request by token.
#[tokio::test]
async fn a_request_by_token_reads_once() {
    let store = RiggedStore::new();
    let own = store.clone();
    let app = App::builder().layer(move |it| it.store(own)).start().await;
    let (_, mut client) = signed_in(&app).await;
    store.take_calls();
    for _ in 0..3 {
        assert_eq!(client.get("/me").await.status, 200);
    }
    assert_eq!(store.take_calls(), [Verb::Load; 3]);
}

/// D01: a store or a Sentinel that fails is no reason to refuse a token.
#[tokio::test]
async fn a_fault_refuses_no_token() {
    let store = RiggedStore::new();
    let own = store.clone();
    let app = App::builder().layer(move |it| it.store(own)).start().await;
    let (_, mut client) = signed_in(&app).await;
    store.plan_always(Verb::Load, Mishap::Fail);
    client.get("/me").await.assert_unavailable();
    let page = client.get("/").await;
    assert_eq!(page.body, "hello, whoever you are for now", "{page:?}");
    store.mend();
    assert_eq!(client.get("/me").await.status, 200);

    let app = hourly().start().await;
    let (_, mut client) = signed_in(&app).await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(HOUR + 1);
    client.get("/me").await.assert_unavailable();
}

/// G01, G10, H06: a logout by token ends the session for its cookie too, without a redirect.
#[tokio::test]
async fn a_logout_by_token_ends_the_session() {
    let sealed = App::start().await;
    let stored = App::builder().layer(|it| it.store(MemoryStore::default())).start().await;
    for app in [sealed, stored] {
        let (mut browser, mut client) = signed_in(&app).await;
        for method in [Method::GET, Method::PUT, Method::HEAD] {
            let page = client.send(method, "/logout", &[]).await;
            assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED, "{page:?}");
            assert_eq!(page.header("allow"), Some("POST"));
        }
        for path in ["/login", "/callback?code=a&state=b"] {
            assert_invalid_token(&client.get(path).await);
        }
        assert_eq!(browser.fetch("/me").await.status, 200, "nothing has ended yet");
        let foreign = [("origin", "https://elsewhere.example"), ("sec-fetch-site", "cross-site")];
        let page = client.send(Method::POST, "/logout", &foreign).await;
        assert_eq!((page.status, &*page.body), (StatusCode::NO_CONTENT, ""), "{page:?}");
        assert_invalid_token(&client.get("/me").await);
        browser.fetch("/me").await.assert_unauthorized();
        let page = client.send(Method::POST, "/logout", &[]).await;
        assert!(page.status == 204 || page.status == 401, "{page:?}");
        client.token = "garbage".into();
        assert_invalid_token(&client.send(Method::POST, "/logout", &[]).await);
    }
}

/// D01, G10: a logout by token that the store has not taken is not claimed to be one.
#[tokio::test]
async fn a_logout_by_token_that_cannot_be_stored_says_so() {
    let store = RiggedStore::new();
    let own = store.clone();
    let app = App::builder().layer(move |it| it.store(own)).start().await;
    let (_, mut client) = signed_in(&app).await;
    store.plan_always(Verb::Delete, Mishap::Fail);
    store.plan_always(Verb::DeleteIf, Mishap::Fail);
    let page = client.send(Method::POST, "/logout", &FETCH[1..3]).await;
    page.assert_unavailable();
    assert_invalid_token(&client.get("/me").await);
    store.mend();
}

/// A handler that ends the session of a client by token sets no cookie, then or later.
#[tokio::test]
async fn a_handler_ends_the_session_of_a_token() {
    let app = App::start().await;
    let (mut browser, mut client) = signed_in(&app).await;
    assert_eq!(client.get("/end").await.body, "ended");
    assert_invalid_token(&client.get("/me").await);
    let page = browser.fetch("/me").await;
    page.assert_unauthorized();
    assert!(page.set_cookies().is_empty(), "{page:?}");
}

/// B080: whoever asks for a recent login is not answered with a redirect.
#[tokio::test]
async fn a_token_whose_login_is_too_old_is_told_so() {
    let app = App::builder()
        .routes(|router, auth| {
            let recent = auth.require_user().max_age(Duration::from_secs(60));
            router.route("/recent", get(async || "recent").layer(recent))
        })
        .start()
        .await;
    let (_, mut client) = signed_in(&app).await;
    assert_eq!(client.send(Method::GET, "/recent", &NAVIGATE).await.body, "recent");
    app.advance(61);
    let page = client.send(Method::GET, "/recent", &NAVIGATE).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{page:?}");
}

/// C19: a token of before a key rotation is good, and replaced by one under the new key.
#[tokio::test]
async fn a_token_outlives_the_rotation_of_the_session_key() {
    let app = App::start().await;
    let (_, client) = signed_in(&app).await;
    let redirect = format!("{}/callback", app.url);
    let (old, uri) = (app.key.clone(), redirect.clone());
    let rotated = AppBuilder::on(app.sentinel.clone(), app.clock.clone())
        .layer(move |it| it.session_key(old).redirect_uri(uri))
        .start()
        .await;
    let mut client = client.moved_to(&rotated);
    let before = client.token.clone();
    assert_eq!(client.get("/me").await.status, 200);
    assert_ne!(client.token, before);
    let alone =
        App::builder().beside(&rotated).layer(move |it| it.redirect_uri(redirect)).start().await;
    assert_eq!(client.moved_to(&alone).get("/me").await.status, 200);
    client.token = before;
    assert_invalid_token(&client.moved_to(&alone).get("/me").await);
}

/// The builder's switch: none is handed out and none accepted.
#[tokio::test]
async fn session_tokens_can_be_switched_off() {
    let app = App::start().await;
    let (browser, client) = signed_in(&app).await;
    let redirect = format!("{}/callback", app.url);
    let off = App::builder()
        .beside(&app)
        .layer(move |it| it.redirect_uri(redirect).session_tokens(false))
        .start()
        .await;
    assert_invalid_token(&client.moved_to(&off).get("/me").await);
    assert_invalid_token(&client.moved_to(&off).send(Method::POST, "/logout", &[]).await);
    let page = browser.moved_to(&off).fetch("/session-token").await;
    assert!(page.body.contains("switched off"), "{page:?}");
}

/// H03: what the test kit makes is what a client would hold, with either kind of session.
#[tokio::test]
async fn a_token_of_the_test_kit_signs_its_user_in() {
    let sealed = App::start().await;
    let stored = App::builder().layer(|it| it.store(MemoryStore::default())).start().await;
    for (what, app) in [("sealed", sealed), ("stored", stored)] {
        let user = test_kit::user("3552833799").build();
        let token = test_kit::session_token(&app.auth, &user).await.expect("a store that works");
        let value = format!("Bearer {}", token.expose_secret());
        let headers = [("authorization", &*value)];
        let page = Browser::new(&app).send(Method::GET, "/me", &headers, None).await;
        assert_eq!(page.json()["user_id"], "3552833799", "{what}: {page:?}");
    }
}

/// Design "Bearer": sealed sessions of two processes do not know of each other: the second refresh
/// token is spent there. Only a store removes this.
#[tokio::test]
async fn across_processes_cookie_and_token_of_a_sealed_session_need_a_store() {
    let one = hourly().start().await;
    let redirect = format!("{}/callback", one.url);
    let two = App::builder().beside(&one).layer(move |it| it.redirect_uri(redirect)).start().await;
    let (mut browser, client) = signed_in(&one).await;
    let mut client = client.moved_to(&two);
    one.advance(HOUR - 30);
    assert_eq!(browser.fetch("/me").await.status, 200);
    one.advance(31);
    assert_invalid_token(&client.get("/me").await);
}
