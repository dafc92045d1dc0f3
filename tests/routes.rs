//! Where requests go: public, optional, protected and our own paths, whoever asks and however.

mod support;

use std::time::Duration;

use axum::{Router, routing::any};
use http::{Method, StatusCode};
use support::{App, Browser, Direct, FETCH, FORM, NAVIGATE, raw};
use tower_lp_auth::{
    Access, AccessPolicy, SessionKey,
    test_kit::{Endpoint, Fault, ManualClock},
};

/// J01, J02, J03: on the wire, byte for byte what the inner service would get.
#[tokio::test]
async fn only_the_configured_path_is_public_on_the_wire() {
    let app = App::builder()
        .layer(|it| it.public("/health").public_under("/files"))
        .routes(|router, _| {
            Router::new()
                .fallback(any(|request: axum::extract::Request| async move {
                    request.uri().to_string()
                }))
                .merge(router.reset_fallback())
        })
        .start()
        .await;
    for (target, public) in [
        ("/health", true),
        ("/health?x=/admin", true),
        ("/files", true),
        ("/files/a/b.css", true),
        ("/health/", false),
        ("/HEALTH", false),
        ("/healthz", false),
        ("/health/../admin", false),
        ("/health%2f..%2fadmin", false),
        ("/health;x", false),
        ("/health%00", false),
        ("/health%23", false),
        ("//health", false),
        ("/./health", false),
        ("/admin?x=/health", false),
        ("/admin?/health", false),
        ("/files/..;/admin", false),
        ("/files/%2e%2e/admin", false),
        ("/files/%252e%252e/admin", false),
        ("/files/../admin", false),
        ("/files//admin", false),
        ("/filesX", false),
        ("/FILES/a", false),
    ] {
        let before = app.calls();
        let page =
            raw(&app, &format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
                .await;
        if public {
            assert_eq!((page.status, &*page.body), (StatusCode::OK, target), "{target}");
        } else {
            assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{target}: {page:?}");
            assert_eq!(app.calls(), before, "{target}");
        }
    }
}

/// J03, J11: targets that are no plain paths are protected or refused, never public.
#[tokio::test]
async fn odd_request_targets_and_methods_are_protected() {
    let app = App::start().await;
    for (line, least) in [
        ("GET http://evil.example/me HTTP/1.1", 401),
        ("GET http://evil.example HTTP/1.1", 200), // the optional `/`
        ("OPTIONS * HTTP/1.1", 401),
        ("CONNECT evil.example:443 HTTP/1.1", 401),
        ("TRACE /me HTTP/1.1", 401),
        ("PURGE /me HTTP/1.1", 401),
        ("GET me HTTP/1.1", 401),
        ("GET /me\\..\\public HTTP/1.1", 401),
        ("GET /public\\..\\me HTTP/1.1", 401),
        ("GET /public#/../me HTTP/1.1", 200), // the fragment is cut off before us
    ] {
        let page = raw(&app, &format!("{line}\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        let refused = page.status == StatusCode::BAD_REQUEST;
        assert!(page.status.as_u16() == least || refused, "{line}: {page:?}");
        assert!(page.set_cookies().is_empty(), "{line}: {page:?}");
        assert!(!page.body.contains("access_token"), "{line}: {page:?}");
    }
    let body = "GET /me HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody";
    assert_eq!(raw(&app, body).await.status, StatusCode::UNAUTHORIZED, "a GET with a body");
}

/// A18: the return path of an absolute-form target is our own.
#[tokio::test]
async fn an_absolute_target_comes_back_to_our_origin() {
    let mut app = Direct::start().await;
    let start = app.send(Method::GET, "http://evil.example/me?x=1", &NAVIGATE).await;
    start.assert_login();
    let callback = app.arrive(&start).await;
    assert_eq!(callback.location().as_deref(), Some("/me?x=1"), "{callback:?}");
}

/// J05, K02: nothing that a client chooses but method and path decides.
#[tokio::test]
async fn no_header_opens_a_route() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    for (name, value) in [
        ("x-original-url", "/public"),
        ("x-rewrite-url", "/public"),
        ("x-forwarded-uri", "/public"),
        ("x-forwarded-prefix", "/public"),
        ("x-http-method-override", "OPTIONS"),
        ("x-forwarded-method", "OPTIONS"),
        ("user-agent", "kube-probe/1.30"),
        ("user-agent", "GoogleHC/1.0"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;proto=https"),
        ("host", "localhost"),
        ("connection", "cookie, authorization"),
    ] {
        let page = browser
            .send(Method::GET, "/me", &[FETCH[0], FETCH[1], FETCH[2], (name, value)], None)
            .await;
        page.assert_unauthorized();
    }
    assert_eq!(app.calls(), 0);
}

/// J06, J08, J09, J10, J11, J12: only a top-level GET starts a login; nothing else does, and nothing
/// of ours calls the inner service.
#[tokio::test]
async fn each_kind_of_request_is_answered_in_its_way() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let top = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let html = ("accept", "text/html,*/*;q=0.8");
    let dest = |mode, dest| vec![html, ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
    for headers in [top.to_vec(), vec![html], vec![("accept", "application/xhtml+xml")]] {
        let page = browser.send(Method::GET, "/me", &headers, None).await;
        page.assert_login();
    }
    let refused: Vec<(Method, Vec<(&str, &str)>)> = vec![
        (Method::GET, vec![]),
        (Method::GET, vec![("accept", "*/*")]),
        (Method::GET, vec![("accept", "application/json")]),
        (Method::GET, vec![("accept", "text/html;q=0")]),
        (Method::GET, dest("cors", "empty")),
        (Method::GET, dest("no-cors", "image")),
        (Method::GET, dest("no-cors", "script")),
        (Method::GET, dest("same-origin", "empty")),
        (Method::GET, dest("navigate", "iframe")),
        (Method::GET, dest("navigate", "frame")),
        (Method::GET, dest("navigate", "embed")),
        (Method::GET, vec![html, ("x-requested-with", "XMLHttpRequest")]),
        (Method::GET, vec![top[0], top[1], ("sec-purpose", "prefetch")]),
        (Method::GET, vec![top[0], top[1], ("sec-purpose", "prefetch;prerender")]),
        (Method::GET, vec![html, ("purpose", "prefetch")]),
        (Method::GET, vec![html, ("x-moz", "prefetch")]),
        (Method::POST, vec![html]),
        (Method::POST, FETCH.to_vec()),
        (Method::PUT, FETCH.to_vec()),
        (Method::PATCH, FETCH.to_vec()),
        (Method::DELETE, FETCH.to_vec()),
        (Method::OPTIONS, vec![html]),
        (
            Method::OPTIONS,
            vec![("origin", "https://a.example"), ("access-control-request-method", "PUT")],
        ),
        (Method::TRACE, vec![html]),
    ];
    for (method, headers) in refused {
        let page = browser.send(method.clone(), "/me", &headers, None).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{method} {headers:?}: {page:?}");
        page.assert_unauthorized();
    }
    assert_eq!(app.calls(), 0);
    assert_eq!(app.sentinel.counts().authorize, 0);
}

/// A26.
#[tokio::test]
async fn the_head_of_a_page_points_at_the_login_without_a_cookie() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let page = browser.send(Method::HEAD, "/me?a=1", &NAVIGATE, None).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
    assert_eq!(page.location().as_deref(), Some("/login?return_to=%2Fme%3Fa%3D1"));
    assert!(page.set_cookies().is_empty() && page.body.is_empty(), "{page:?}");
    let login = browser.send(Method::HEAD, "/login", &NAVIGATE, None).await;
    assert_eq!(login.status, StatusCode::SEE_OTHER, "{login:?}");
    assert!(login.location().is_some_and(|it| it.contains("/authorize?")), "{login:?}");
    assert!(login.set_cookies().is_empty(), "{login:?}");
    browser.send(Method::HEAD, "/me", &FETCH, None).await;
    assert_eq!(app.calls(), 0);
}

/// J07.
#[tokio::test]
async fn a_preflight_passes_only_where_that_is_allowed() {
    let app = App::builder().layer(|it| it.allow_preflight(true)).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let preflight = [("origin", "https://a.example"), ("access-control-request-method", "PUT")];
    let page = browser.send(Method::OPTIONS, "/headers", &preflight, None).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(page.json()["cookie"], serde_json::Value::Null, "our cookie is hidden there too");
    let page = browser.send(Method::OPTIONS, "/me", &preflight, None).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "a preflight has no user: {page:?}");
    browser.jar.clear();
    for headers in [&preflight[..1], &preflight[1..], &[]] {
        browser.send(Method::OPTIONS, "/headers", headers, None).await.assert_unauthorized();
    }
    browser.send(Method::GET, "/headers", &preflight, None).await.assert_unauthorized();
}

/// J13: our own paths are exact, and answer only their methods.
#[tokio::test]
async fn our_own_paths_are_exact_and_name_the_methods_they_allow() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    for (method, path, allow) in [
        (Method::POST, "/callback", "GET"),
        (Method::HEAD, "/callback", "GET"),
        (Method::OPTIONS, "/callback", "GET"),
        (Method::POST, "/login", "GET, HEAD"),
        (Method::DELETE, "/login", "GET, HEAD"),
        (Method::PUT, "/logout", "GET, HEAD, POST"),
        (Method::DELETE, "/logout", "GET, HEAD, POST"),
        (Method::OPTIONS, "/logout", "GET, HEAD, POST"),
    ] {
        let page = browser.send(method.clone(), path, &NAVIGATE, None).await;
        assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}: {page:?}");
        assert_eq!(page.header("allow"), Some(allow), "{method} {path}");
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{method} {path}"
        );
    }
    for path in [
        "/callback/",
        "/login/",
        "/logout/",
        "/LOGIN",
        "/Logout",
        "/log%69n",
        "//login",
        "/login/x",
    ] {
        let page =
            raw(&app, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
                .await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{path}: {page:?}");
    }
    assert_eq!(app.calls(), 0);
}

/// J10: what is fetched ahead starts, spends and ends nothing.
#[tokio::test]
async fn our_own_paths_are_not_fetched_ahead() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let before = app.sentinel.counts();
    let ahead = [NAVIGATE[1], NAVIGATE[2], ("sec-purpose", "prefetch")];
    for path in ["/login", "/logout", "/callback?code=a&state=b"] {
        let page = browser.send(Method::GET, path, &ahead, None).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {page:?}");
        assert!(page.set_cookies().is_empty(), "{path}: {page:?}");
    }
    assert_eq!(app.sentinel.counts(), before);
    assert_eq!(browser.fetch("/me").await.status, StatusCode::OK);

    let mut other = Browser::new(&app);
    let start = other.navigate("/me").await;
    let back = other.navigate(&start.location().expect("Sentinel")).await;
    let callback = back.location().expect("the callback");
    let ahead = other.send(Method::GET, &callback, &ahead, None).await;
    assert_eq!(ahead.status, StatusCode::SERVICE_UNAVAILABLE, "{ahead:?}");
    assert_eq!(app.sentinel.counts().exchanges, before.exchanges, "the code is untouched");
    let page = other.navigate(&callback).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "it works when it is really opened: {page:?}");
}

/// J09: the login path starts a login for whoever does not say otherwise.
#[tokio::test]
async fn the_login_path_starts_a_login_only_at_the_top_level() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let none: [(&str, &str); 0] = [];
    for headers in [&NAVIGATE[..], &none, &[("accept", "application/json")]] {
        browser.send(Method::GET, "/login", headers, None).await.assert_login();
        browser.jar.clear();
    }
    for headers in [&FETCH[..], &[("sec-fetch-dest", "iframe"), ("sec-fetch-mode", "navigate")]] {
        let page = browser.send(Method::GET, "/login", headers, None).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{headers:?}: {page:?}");
        assert!(page.set_cookies().is_empty(), "{headers:?}: {page:?}");
    }
}

/// J14.
#[tokio::test]
async fn our_own_paths_shadow_the_applications_and_can_be_moved() {
    let routes = |router: Router, _: &_| {
        router
            .route("/login", any(|| async { "the application's login" }))
            .route("/auth/login", any(|| async { "another login" }))
    };
    let app = App::builder().routes(routes).start().await;
    Browser::new(&app).navigate("/login").await.assert_login();
    assert_eq!(app.calls(), 0);

    let moved = App::builder()
        .routes(routes)
        .layer(|it| it.login_path("/auth/login").logout_path("/auth/logout").public("/login"))
        .start()
        .await;
    let mut browser = Browser::new(&moved);
    browser.navigate("/auth/login").await.assert_login();
    assert_eq!(browser.navigate("/login").await.body, "the application's login");
    let head = browser.send(Method::HEAD, "/me", &NAVIGATE, None).await;
    assert_eq!(head.location().as_deref(), Some("/auth/login?return_to=%2Fme"));
}

/// J04: a proxy (or a nested router) strips a prefix: rules see the stripped path, browsers the
/// whole one.
#[tokio::test]
async fn behind_a_stripped_prefix_every_link_has_it_and_no_rule_sees_it() {
    let mut app = Direct::with(ManualClock::new(), |it| {
        it.session_key(SessionKey::random())
            .redirect_uri("https://app.example/app/callback")
            .external_prefix("/app")
    })
    .await;
    app.prefix = "/app";
    let start = app.navigate("/me?x=1").await;
    start.assert_login();
    let authorize = start.location().expect("a redirect to Sentinel");
    assert!(
        authorize.contains("redirect_uri=https%3A%2F%2Fapp.example%2Fapp%2Fcallback"),
        "{authorize}"
    );
    let login = app.send(Method::HEAD, "/me", &NAVIGATE).await;
    assert_eq!(login.location().as_deref(), Some("/app/login?return_to=%2Fapp%2Fme"));
    let problem = app.fetch("/me").await;
    assert_eq!(problem.json()["login"], "/app/login");
    assert_eq!(app.auth.login_url("/app/me"), "/app/login?return_to=%2Fapp%2Fme");
    assert_eq!(app.auth.logout_url(), "/app/logout");
    assert_eq!(app.fetch("/public").await.status, StatusCode::OK);
    app.fetch("/app/public").await.assert_unauthorized();

    let callback = app.arrive(&start).await;
    assert_eq!(callback.location().as_deref(), Some("/app/me?x=1"), "{callback:?}");
    assert_eq!(app.fetch("/me").await.status, StatusCode::OK);
}

/// H05, H11, H14 and the rules of optional routes.
#[tokio::test]
async fn an_optional_route_takes_a_user_or_nobody_and_refuses_what_is_wrong() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let page = browser.navigate("/").await;
    assert_eq!((page.status, &*page.body), (StatusCode::OK, "hello stranger"));
    assert_eq!(page.header("vary"), Some("Cookie, Authorization"));
    browser = Browser::signed_in(&app).await;
    let greeting = format!("hello {}", support::AGENT);
    let page = browser.navigate("/").await;
    assert_eq!((page.status, &page.body), (StatusCode::OK, &greeting));
    assert_eq!(page.header("vary"), Some("Cookie, Authorization"));

    let calls = app.calls();
    let (refused, unsupported) = ("Bearer error=\"invalid_token\"", "Bearer");
    for (value, challenge) in [
        ("Bearer x", refused),
        ("bearer", refused),
        ("Basic YTpi", unsupported),
        ("Digest a", unsupported),
        ("", unsupported),
        ("Negotiate abc", unsupported),
    ] {
        let page =
            browser.send(Method::GET, "/", &[FETCH[0], ("authorization", value)], None).await;
        page.assert_unauthorized();
        assert_eq!(page.header("www-authenticate"), Some(challenge), "{value}");
    }
    for (method, site, expected) in [
        (Method::POST, "cross-site", StatusCode::FORBIDDEN),
        (Method::DELETE, "same-site", StatusCode::FORBIDDEN),
    ] {
        let page = browser.send(method, "/", &[("sec-fetch-site", site)], None).await;
        assert_eq!(page.status, expected, "{page:?}");
    }
    assert_eq!(app.calls(), calls);

    let (name, _) = browser.jar.session().expect("a session");
    let name = name.to_owned();
    browser.jar.insert(&name, "garbage");
    let page = browser.fetch("/").await;
    assert_eq!((page.status, &*page.body), (StatusCode::OK, "hello stranger"), "a refused cookie");
    assert_eq!(page.set_cookies(), [""; 0]);
}

/// H05, H06, H11: a header that is not ignored decides alone, with a cookie beside it or not.
#[tokio::test]
async fn an_authorization_header_decides_unless_its_scheme_is_ignored() {
    let app = App::builder()
        .layer(|it| it.ignore_authorization_schemes(["Basic", "Negotiate"]))
        .start()
        .await;
    let signed_in = Browser::signed_in(&app).await;
    for (values, accepted) in [
        (&["Basic YTpi"][..], true),
        (&["basic YTpi"], true),
        (&["BASIC"], true),
        (&["negotiate abc", "Basic YTpi"], true),
        (&["Bearer garbage"], false),
        (&["bearer"], false),
        (&["Digest username=a"], false),
        (&["BasicX YTpi"], false),
        (&["Basic\tYTpi"], false),
        (&["Basic YTpi", "Bearer x"], false),
        (&[""], false),
    ] {
        let mut headers = NAVIGATE.to_vec();
        headers.extend(values.iter().map(|value| ("authorization", *value)));
        let calls = app.calls();
        for (mut browser, with_cookie) in [(signed_in.clone(), true), (Browser::new(&app), false)] {
            let page = browser.send(Method::GET, "/me", &headers, None).await;
            match (accepted, with_cookie) {
                (true, true) => assert_eq!(page.status, StatusCode::OK, "{values:?}"),
                (true, false) => page.assert_login(),
                (false, _) => {
                    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{values:?}: {page:?}");
                    assert!(page.location().is_none() && page.set_cookies().is_empty(), "{page:?}");
                    assert_eq!(app.calls(), calls, "{values:?}");
                }
            }
        }
    }
    let mut public = Browser::new(&app);
    let page = public.send(Method::GET, "/public", &[("authorization", "Bearer x")], None).await;
    assert_eq!(page.status, StatusCode::OK, "public routes look at nothing");
    for scheme in ["Bearer", "bearer", ""] {
        let built = tower_lp_auth::LpAuthLayer::builder()
            .account("1")
            .client_id("id")
            .client_secret("secret")
            .redirect_uri("https://app.example/callback")
            .session_key(SessionKey::random())
            .ignore_authorization_schemes([scheme])
            .build();
        assert!(built.is_err(), "{scheme:?} was ignored");
    }
}

/// H14, I10: unsafe requests and upgrades with our cookie from another site.
#[tokio::test]
async fn an_unsafe_request_from_another_site_does_not_reach_the_handler() {
    let app = App::builder().layer(|it| it.trusted_origin("https://spa.example")).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let own = app.url.clone();
    let table: Vec<(Vec<(&str, &str)>, bool)> = vec![
        (vec![], true),
        (vec![("sec-fetch-site", "same-origin")], true),
        (vec![("sec-fetch-site", "none")], true),
        (vec![("origin", &own)], true),
        (vec![("origin", "https://spa.example"), ("sec-fetch-site", "cross-site")], true),
        (vec![("sec-fetch-site", "cross-site")], false),
        (vec![("sec-fetch-site", "same-site"), ("origin", &own)], false),
        (vec![("origin", "https://evil.example")], false),
        (vec![("origin", "null")], false),
        (vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false),
    ];
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for (headers, allowed) in &table {
            let calls = app.calls();
            let page = browser.send(method.clone(), "/me", headers, Some("{}".into())).await;
            if *allowed {
                assert_eq!(page.status, StatusCode::OK, "{method} {headers:?}");
            } else {
                assert_eq!(page.status, StatusCode::FORBIDDEN, "{method} {headers:?}: {page:?}");
                assert_eq!(page.json()["reason"], "cross_site");
                assert_eq!(app.calls(), calls, "{method} {headers:?}");
            }
        }
    }
    let upgrade = [("upgrade", "websocket"), ("origin", "https://evil.example")];
    let page = browser.send(Method::GET, "/me", &upgrade, None).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "an upgrade: {page:?}");
    let read = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let page = browser.send(Method::GET, "/me", &read, None).await;
    assert_eq!(page.status, StatusCode::OK, "reads are not checked");
    let public = browser.send(Method::POST, "/public", &read, None).await;
    assert_eq!(public.status, StatusCode::OK, "nobody is signed in on a public route");
}

/// H14, I10: a WebSocket over HTTP/2 opens with CONNECT and a path (RFC 8441).
#[tokio::test]
async fn an_extended_connect_from_another_site_is_refused() {
    let mut app = Direct::start().await;
    app.send(Method::CONNECT, "/me", &[]).await.assert_unauthorized();
    app.sign_in().await;
    for (origin, status) in [
        ("https://evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
        ("https://app.example", StatusCode::OK),
    ] {
        let page = app.send(Method::CONNECT, "/me", &[("origin", origin)]).await;
        assert_eq!(page.status, status, "{origin}: {page:?}");
    }
}

/// A session that can neither be used nor renewed: Sentinel answers no refresh.
async fn unrenewable(app: &App) -> Browser {
    app.sentinel.set_access_token_lifetime(Duration::from_secs(3600));
    let browser = Browser::signed_in(app).await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(3601);
    browser
}

/// F08 on optional routes: whether somebody is signed in cannot be said.
#[tokio::test]
async fn an_optional_route_passes_while_sentinel_fails_and_says_so() {
    let app = App::builder()
        .layer(|it| it.optional_under("/maybe"))
        .routes(|router, auth| {
            router
                .route(
                    "/maybe/user",
                    any(|user: tower_lp_auth::LpUser| async move { user.id().to_owned() }),
                )
                .route("/maybe/guarded", any(|| async { "in" }).layer(auth.require_user()))
                .route("/maybe/admin", any(|| async { "in" }).layer(auth.require_admin()))
        })
        .start()
        .await;
    let mut browser = unrenewable(&app).await;
    let before = browser.jar.header();
    let page = browser.fetch("/").await;
    assert_eq!((page.status, &*page.body), (StatusCode::OK, "hello, whoever you are for now"));
    for path in ["/maybe/user", "/maybe/guarded", "/maybe/admin", "/me"] {
        browser.fetch(path).await.assert_unavailable();
        let page = browser.navigate(path).await;
        page.assert_unavailable();
        assert!(page.body.contains("href=\"/login?return_to="), "{path}: {page:?}");
    }
    assert_eq!(browser.jar.header(), before, "the cookie is untouched");
    let page = browser.send(Method::POST, "/", &[("sec-fetch-site", "cross-site")], None).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
    app.sentinel.clear_faults();
    app.advance(61);
    let page = browser.fetch("/").await;
    assert_eq!(
        page.body,
        format!("hello {}", support::AGENT),
        "it is renewed once Sentinel answers"
    );
}

/// What a public route is: `LpUser` is 401 there and never the start of a login, which would lead
/// straight back.
#[tokio::test]
async fn a_public_route_has_no_user_whoever_calls() {
    let app = App::builder()
        .layer(|it| it.public_under("/open"))
        .routes(|router, auth| {
            router
                .route(
                    "/open/user",
                    any(|user: tower_lp_auth::LpUser| async move { user.id().to_owned() }),
                )
                .route("/open/guarded", any(|| async { "in" }).layer(auth.require_user()))
        })
        .start()
        .await;
    for mut browser in [Browser::new(&app), Browser::signed_in(&app).await] {
        let page = browser.fetch("/public").await;
        assert_eq!(page.json()["user"], serde_json::Value::Null);
        assert_eq!(page.header("cache-control"), Some("public, max-age=60"));
        assert_eq!(page.header("vary"), None);
        for path in ["/open/user", "/open/guarded"] {
            browser.fetch(path).await.assert_unauthorized();
            for method in [Method::GET, Method::HEAD] {
                let page = browser.send(method.clone(), path, &NAVIGATE, None).await;
                assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{method} {path}: {page:?}");
                assert!(page.set_cookies().is_empty(), "{method} {path}: {page:?}");
            }
        }
    }
}

/// The policy decides about what no setting names, and sees neither header nor query.
#[tokio::test]
async fn an_access_policy_decides_by_method_and_path() {
    struct Reads;
    impl AccessPolicy for Reads {
        fn access(&self, method: &Method, path: &str) -> Access {
            assert!(!path.contains('?'), "{path}");
            match (method, path) {
                (&Method::GET, "/headers") => Access::Public,
                (&Method::GET, "/maybe") => Access::Optional,
                _ => Access::Protected,
            }
        }
    }
    let app = App::builder().layer(|it| it.access_policy(Reads)).start().await;
    let mut browser = Browser::new(&app);
    assert_eq!(browser.fetch("/headers?x").await.status, StatusCode::OK);
    assert_eq!(browser.fetch("/maybe").await.header("vary"), Some("Cookie, Authorization"));
    browser.send(Method::POST, "/headers", &FETCH, None).await.assert_unauthorized();
    browser.fetch("/headers/").await.assert_unauthorized();
}

/// J06: a form posted after the session's end is a page with a way to sign in, and is not repeated.
#[tokio::test]
async fn a_posted_form_without_a_session_is_refused_and_never_replayed() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let page = browser.send(Method::POST, "/me", &FORM, Some("a=1".into())).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{page:?}");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.contains("href=\"/login\""), "{page:?}");
    assert!(page.location().is_none() && page.set_cookies().is_empty());
    app.sentinel.auto_login(Some(support::AGENT));
    let page = browser.open("/login").await;
    assert_eq!(page.body, format!("hello {}", support::AGENT), "{page:?}");
    assert_eq!(app.calls(), 1, "only the landing page was called");
}
