//! `require_*` and the extractors: who gets through a route, and what the others are told.

mod support;

use std::time::Duration;

use axum::{Router, body::Body, routing::any};
use http::{Method, Request, Response, StatusCode};
use support::{AGENT, App, AppBuilder, Browser, FETCH, FORM, NAVIGATE};
use tower::{Layer, ServiceExt, service_fn};
use tower_lp_auth::{LpUser, SessionUnavailable, test_kit};

/// MockSentinel's administrator.
fn admin(app: &App) -> String {
    let users = app.sentinel.users();
    users.iter().find(|user| user.is_admin()).expect("an administrator").id().to_owned()
}

/// `{prefix}/user`, `/admin`, `/if` (the agent alone), `/recent` (a login of the last minute),
/// `/extract` and `/maybe`, the same under `/` (protected), `/optional` and `/open`.
fn guarded() -> AppBuilder {
    App::builder().layer(|it| it.optional_under("/optional").public_under("/open")).routes(
        |mut router, auth| {
            for prefix in ["", "/optional", "/open"] {
                let at = |name: &str| format!("{prefix}/{name}");
                let minute = Duration::from_secs(60);
                router = router
                    .route(&at("user"), any(|| async { "in" }).layer(auth.require_user()))
                    .route(&at("manage"), any(|| async { "in" }).layer(auth.require_admin()))
                    .route(
                        &at("if"),
                        any(|| async { "in" }).layer(auth.require_if(|user| user.id() == AGENT)),
                    )
                    .route(
                        &at("recent"),
                        any(|| async { "in" }).layer(auth.require_user().max_age(minute)),
                    )
                    .route(
                        &at("recent-admin"),
                        any(|| async { "in" }).layer(auth.require_admin().max_age(minute)),
                    )
                    .route(&at("extract"), any(|_: LpUser| async { "in" }))
                    .route(
                        &at("maybe"),
                        any(|user: Option<LpUser>| async move {
                            if user.is_some() { "in" } else { "nobody" }
                        }),
                    );
            }
            router
        },
    )
}

const GRPC: [(&str, &str); 1] = [("content-type", "application/grpc")];

/// Every guard, on every kind of route, for nobody, an agent and an administrator.
#[tokio::test]
async fn a_guard_lets_its_users_in_and_tells_others_why_not() {
    let app = guarded().start().await;
    let nobody = Browser::new(&app);
    let agent = Browser::signed_in(&app).await;
    let mut administrator = Browser::new(&app);
    administrator.sign_in(&app, &admin(&app)).await;
    // In this order: nobody, agent, administrator; public routes know nobody.
    let table: &[(&str, [u16; 3])] = &[
        ("user", [401, 200, 200]),
        ("manage", [401, 403, 200]),
        ("if", [401, 200, 403]),
        ("recent", [401, 200, 200]),
        ("recent-admin", [401, 403, 200]),
        ("extract", [401, 200, 200]),
    ];
    for prefix in ["", "/optional", "/open"] {
        for (name, expected) in table {
            let path = format!("{prefix}/{name}");
            for (mut browser, status) in
                [nobody.clone(), agent.clone(), administrator.clone()].into_iter().zip(expected)
            {
                let status = if prefix == "/open" { 401 } else { *status };
                let page = browser.fetch(&path).await;
                assert_eq!(page.status.as_u16(), status, "{path}: {page:?}");
                match status {
                    200 => assert_eq!(page.body, "in", "{path}"),
                    401 => page.assert_unauthorized(),
                    _ => assert_eq!(page.json()["reason"], "forbidden", "{path}"),
                }
                let page = browser.send(Method::POST, &path, &GRPC, None).await;
                match status {
                    200 => assert_eq!(page.body, "in", "{path}"),
                    401 => assert_eq!(page.header("grpc-status"), Some("16"), "{path}: {page:?}"),
                    _ => assert_eq!(page.header("grpc-status"), Some("7"), "{path}: {page:?}"),
                }
                let page = browser.send(Method::POST, &path, &FORM, None).await;
                assert_eq!(page.status.as_u16(), status, "{path}: {page:?}");
                if status != 200 {
                    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
                }
                let page = browser.navigate(&path).await;
                match (status, prefix) {
                    (401, "" | "/optional") => page.assert_login(),
                    _ => assert_eq!(page.status.as_u16(), status, "{path}: {page:?}"),
                }
                let page = browser.send(Method::HEAD, &path, &NAVIGATE, None).await;
                match (status, prefix) {
                    (401, "" | "/optional") => {
                        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {page:?}");
                        assert!(page.location().unwrap_or_default().starts_with("/login?"));
                        assert!(page.set_cookies().is_empty(), "{path}: {page:?}");
                    }
                    _ => assert_eq!(page.status.as_u16(), status, "{path}: {page:?}"),
                }
                let maybe = browser.fetch(&format!("{prefix}/maybe")).await;
                match (prefix, page.status.as_u16()) {
                    ("/open", _) => assert_eq!(maybe.body, "nobody"),
                    ("/optional", _) => assert_eq!(maybe.status, StatusCode::OK),
                    _ => {}
                }
            }
        }
    }
}

/// A login that a guard starts on an optional route comes back to it and gets through.
#[tokio::test]
async fn a_guard_on_an_optional_route_leads_through_the_login_and_back() {
    let app = guarded().start().await;
    app.sentinel.auto_login(Some(AGENT));
    for path in ["/optional/user?a=1", "/optional/extract"] {
        let mut browser = Browser::new(&app);
        let page = browser.open(path).await;
        assert_eq!((page.status, &*page.body), (StatusCode::OK, "in"), "{path}: {page:?}");
        assert!(page.url.ends_with(path), "{}", page.url);
    }
}

/// The pending logins of other tabs, which the guard's answer cannot see, are counted by the login
/// path.
#[tokio::test]
async fn a_guard_with_pending_logins_goes_by_the_login_path() {
    let app = guarded().start().await;
    let mut browser = Browser::new(&app);
    for _ in 0..12 {
        let mut page = browser.navigate("/optional/user").await;
        if page.location().is_some_and(|it| it.starts_with("/login?")) {
            page = browser.navigate(&page.location().unwrap_or_default()).await;
        }
        page.assert_login();
        assert!(browser.jar.logins().len() <= 8, "{:?}", browser.jar.names());
    }
}

/// `max_age`: whoever's login is older logs in afresh, which renews `is_admin`.
#[tokio::test]
async fn an_old_login_has_to_be_repeated() {
    let app = guarded().start().await;
    let mut browser = Browser::new(&app);
    browser.sign_in(&app, &admin(&app)).await;
    app.advance(61);
    for path in ["/recent", "/recent-admin", "/optional/recent"] {
        let page = browser.fetch(path).await;
        page.assert_unauthorized();
        assert_eq!(page.json()["reason"], "login_too_old", "{path}");
        let grpc = browser.send(Method::POST, path, &GRPC, None).await;
        assert_eq!(grpc.header("grpc-status"), Some("16"), "{path}");
        let form = browser.send(Method::POST, path, &FORM, None).await;
        assert_eq!(form.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(browser.fetch("/manage").await.body, "in", "without a bound the old login does");
    let page = browser.open("/recent-admin").await;
    assert_eq!((page.status, &*page.body), (StatusCode::OK, "in"), "{page:?}");
    assert_eq!(browser.fetch("/recent").await.body, "in");
}

/// A refresh brings no id_token, so it does not make a login younger.
#[tokio::test]
async fn a_refresh_does_not_make_a_login_recent() {
    let app = guarded().start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.advance(2000);
    browser.fetch("/me").await;
    let refreshed = browser.fetch("/me").await;
    assert_eq!((refreshed.status, app.sentinel.counts().refreshes), (StatusCode::OK, 1));
    assert_eq!(browser.fetch("/recent").await.json()["reason"], "login_too_old");
}

/// Without the layer above, guards and extractors say 500 and let nobody in.
#[tokio::test]
async fn without_the_layer_above_nobody_gets_in() {
    let app = App::start().await;
    let open = Router::new()
        .route("/user", any(|| async { "in" }).layer(app.auth.require_user()))
        .route("/manage", any(|| async { "in" }).layer(app.auth.require_admin()))
        .route("/extract", any(|_: LpUser| async { "in" }))
        .route("/maybe", any(|_: Option<LpUser>| async { "in" }));
    for path in ["/user", "/manage", "/extract", "/maybe"] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = open.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        assert!(body.is_empty(), "{path}: {body:?}");
    }
}

/// Guards keep the inner body's type, and work without axum; a refused request gives its place back.
#[tokio::test]
async fn a_guard_works_on_any_service() {
    let app = App::start().await;
    let handler = service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(Response::new(String::from("in")))
    });
    let limited = tower::limit::ConcurrencyLimit::new(handler, 1);
    let guarded = app.auth.require_admin().layer(limited);
    for (user, expected) in [
        (None, StatusCode::INTERNAL_SERVER_ERROR),
        (Some(test_kit::user("1").build()), StatusCode::FORBIDDEN),
        (Some(test_kit::user("1").admin().build()), StatusCode::OK),
        (Some(test_kit::user("1").build()), StatusCode::FORBIDDEN),
    ] {
        let mut request = Request::new(());
        request.extensions_mut().extend(user.into_iter().fold(
            http::Extensions::new(),
            |mut all, user| {
                all.insert(user);
                all
            },
        ));
        let call = guarded.clone().oneshot(request);
        let response = tokio::time::timeout(Duration::from_secs(5), call).await.unwrap().unwrap();
        assert_eq!(response.status(), expected);
        let expected = if expected == StatusCode::OK { "in" } else { "" };
        assert_eq!(response.into_body(), expected);
    }
}

/// The handler of an optional route can see that it cannot be said who calls.
#[tokio::test]
async fn what_a_handler_of_an_optional_route_can_know() {
    use test_kit::{Endpoint, Fault};
    let app = App::builder()
        .layer(|it| it.optional("/look"))
        .routes(|router, _| {
            router.route(
                "/look",
                any(|request: Request<Body>| async move {
                    let seen = request.extensions().get::<SessionUnavailable>();
                    seen.map_or_else(|| "-".to_owned(), |it| it.retry_after_secs().to_string())
                }),
            )
        })
        .start()
        .await;
    app.sentinel.set_access_token_lifetime(Duration::from_secs(3600));
    let mut browser = Browser::signed_in(&app).await;
    assert_eq!(browser.fetch("/look").await.body, "-");
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(3601);
    let page = browser.send(Method::GET, "/look", &FETCH, None).await;
    let seconds: u64 = page.body.parse().expect("a number of seconds");
    assert!((1..=20).contains(&seconds), "{seconds}");
    assert_eq!(page.set_cookies(), [""; 0]);
}
