//! Where the layer stands among others: the rows of `docs/order.md`.

mod support;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request as Incoming,
    middleware::{Next, from_fn},
    response::IntoResponse,
    routing::{get, post},
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use support::{AGENT, Direct, FETCH, NAVIGATE, eventually};
use tower::{Layer, ServiceBuilder, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer,
    limit::RequestBodyLimitLayer, timeout::TimeoutLayer, trace::TraceLayer,
};
use tower_lp_auth::{
    Builder, LpApp, LpUser, MemoryStore, SessionKey,
    test_kit::{Endpoint, Fault, ManualClock},
};

/// After this long the timeout layers cut off: far longer than anything takes that does not wait.
const CUT_OFF: Duration = Duration::from_secs(1);

/// The whole way: a page, Sentinel, the callback, the page.
async fn assert_signs_in(mut app: Direct, path: &str, returns_to: &str) -> Direct {
    let start = app.navigate(path).await;
    start.assert_login();
    let callback = app.arrive(&start).await;
    assert_eq!(callback.status, StatusCode::SEE_OTHER, "{callback:?}");
    assert_eq!(callback.location().as_deref(), Some(returns_to), "{callback:?}");
    let page = app.fetch(path).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(page.json()["user_id"], AGENT);
    app
}

/// The statuses of the callback and of a protected page, for nobody.
async fn statuses(app: &mut Direct, prefix: &str) -> (u16, u16) {
    let callback = app.fetch(&format!("{prefix}/callback?code=a&state=b")).await;
    let page = app.fetch(&format!("{prefix}/me")).await;
    (callback.status.as_u16(), page.status.as_u16())
}

/// A user signs in, and even the fallback is for users.
async fn assert_all_is_behind_it(app: Direct) {
    let mut app = assert_signs_in(app, "/me", "/me").await;
    assert_eq!(app.fetch("/nowhere").await.body, "fallback");
    app.jar.clear();
    app.fetch("/nowhere").await.assert_unauthorized();
}

/// O06: last on a router, all its routes and its fallback are behind it.
#[tokio::test]
async fn last_on_a_router_it_has_all_routes_and_the_fallback_behind_it() {
    let app = Direct::start().await;
    let whole = app.router.clone().layer(app.auth.clone());
    assert_all_is_behind_it(app.whole(whole)).await;
}

/// O06: the layer that keeps axum's body, around one that changes it.
#[tokio::test]
async fn on_a_router_it_may_keep_the_body() {
    let app = Direct::start().await;
    let packed = app.router.clone().layer(CompressionLayer::new());
    let whole = packed.layer(app.auth.keep_body());
    assert_all_is_behind_it(app.whole(whole)).await;
}

/// O06: a fallback added after the layer is not behind it and swallows the layer's own paths.
#[tokio::test]
async fn a_fallback_added_after_it_takes_the_callback_away() {
    let app = Direct::start().await;
    let router = Router::new().route("/me", get(|_: LpUser| async { "me" }));
    let whole = router.layer(app.auth.clone()).fallback(|| async { "outside" });
    let mut app = app.whole(whole);
    app.navigate("/me").await.assert_login();
    for path in ["/callback?code=a&state=b", "/login", "/nowhere"] {
        let page = app.navigate(path).await;
        assert_eq!((page.status, &*page.body), (StatusCode::OK, "outside"), "{path}");
    }
}

/// O06: a route added after the layer is not behind it.
#[tokio::test]
async fn a_route_added_after_it_is_open_to_everybody() {
    let app = Direct::start().await;
    let router = Router::new().route("/me", get(|_: LpUser| async { "me" }));
    let whole = router.layer(app.auth.clone()).route("/late", get(|| async { "late" }));
    let mut app = app.whole(whole);
    assert_eq!(app.fetch("/late").await.body, "late");
    app.fetch("/me").await.assert_unauthorized();
}

/// O06: a `route_layer` sees only what matches a route, so not the callback.
#[tokio::test]
async fn as_a_route_layer_it_never_sees_the_callback() {
    let app = Direct::start().await;
    let router = Router::new().route("/me", get(|_: LpUser| async { "me" }));
    let whole = router.route_layer(app.auth.clone());
    let mut app = app.whole(whole);
    assert_eq!(statuses(&mut app, "").await, (404, 401));
}

/// O06: on the inner router of a `nest` it sees only what matches a route of that.
#[tokio::test]
async fn on_a_nested_router_it_never_sees_the_callback() {
    let app = Direct::start().await;
    let inner = Router::new().route("/me", get(|_: LpUser| async { "me" }));
    let whole = Router::new().nest("/app", inner.layer(app.auth.clone()));
    let mut app = app.whole(whole);
    assert_eq!(statuses(&mut app, "/app").await, (404, 401));
}

/// J04, O06: around a nested service, with the prefix that the outside sees.
#[tokio::test]
async fn around_a_nested_service_it_works_with_the_external_prefix() {
    let mut app = Direct::with(ManualClock::new(), |it| {
        it.session_key(SessionKey::random())
            .redirect_uri("https://app.example/app/callback")
            .external_prefix("/app")
    })
    .await;
    app.prefix = "";
    let whole = Router::new().nest_service("/app", app.auth.layer(app.router.clone()));
    let mut app = assert_signs_in(app.whole(whole), "/app/me?x=1", "/app/me?x=1").await;
    assert_eq!(app.fetch("/app/public").await.status, StatusCode::OK);
    let logout = app.send(Method::POST, "/app/logout", &FETCH).await;
    assert_eq!(logout.location().as_deref(), Some("/app/"), "{logout:?}");
}

/// J04.
#[tokio::test]
async fn outside_a_nested_router_its_rules_see_the_whole_path() {
    let app = Direct::with(ManualClock::new(), |it| {
        it.session_key(SessionKey::random()).public("/app/open").public("/shut")
    })
    .await;
    let inner =
        Router::new()
            .route(
                "/me",
                get(|user: LpUser| async move {
                    axum::Json(serde_json::json!({ "user_id": user.id() }))
                }),
            )
            .route("/open", get(|| async { "open" }))
            .route("/shut", get(|| async { "shut" }));
    let whole = Router::new().nest("/app", inner).layer(app.auth.clone());
    let mut app = assert_signs_in(app.whole(whole), "/app/me?x=1", "/app/me?x=1").await;
    app.jar.clear();
    assert_eq!(app.fetch("/app/open").await.body, "open");
    app.fetch("/app/shut").await.assert_unauthorized();
}

/// O06: merged into another router, its own routes and the fallback stay behind it.
#[tokio::test]
async fn a_router_with_it_can_be_merged_into_another() {
    let app = Direct::start().await;
    let outer = Router::new().route("/outside", get(|| async { "outside" }));
    let whole = outer.merge(app.router.clone().layer(app.auth.clone()));
    let mut app = assert_signs_in(app.whole(whole), "/me", "/me").await;
    app.jar.clear();
    assert_eq!(app.fetch("/outside").await.body, "outside");
    app.fetch("/nowhere").await.assert_unauthorized();
}

/// O06: around a finished router, everything is behind it.
#[tokio::test]
async fn around_a_finished_router_it_has_everything_behind_it() {
    let app = Direct::start().await;
    let router = app.router.clone();
    let whole = Router::new().fallback_service(app.auth.layer(router));
    let mut app = assert_signs_in(app.whole(whole), "/me", "/me").await;
    app.jar.clear();
    app.fetch("/nowhere").await.assert_unauthorized();
}

/// H12, O06: with CORS outside, the page's script can read the 401.
#[tokio::test]
async fn with_cors_outside_answers_of_ours_are_readable_and_preflights_answered() {
    let app = Direct::start().await;
    let cors = CorsLayer::new()
        .allow_origin(["https://spa.example".parse().unwrap()])
        .allow_methods([Method::PUT])
        .allow_credentials(true);
    let whole = app.router.clone().layer(app.auth.clone()).layer(cors);
    let mut app = app.whole(whole);
    let origin = ("origin", "https://spa.example");
    let page = app.send(Method::GET, "/me", &[origin, FETCH[1]]).await;
    page.assert_unauthorized();
    assert_eq!(page.header("access-control-allow-origin"), Some("https://spa.example"));
    let preflight = [origin, ("access-control-request-method", "PUT")];
    let page = app.send(Method::OPTIONS, "/me", &preflight).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(page.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(app.calls(), 0);
}

/// J07, O06: with CORS inside, preflights need to be let pass, and scripts cannot read our answers.
#[tokio::test]
async fn with_cors_inside_preflights_have_to_be_let_pass_and_answers_of_ours_are_not_readable() {
    for allowed in [false, true] {
        let app = Direct::with(ManualClock::new(), |it| {
            it.session_key(SessionKey::random()).allow_preflight(allowed)
        })
        .await;
        let cors = CorsLayer::new().allow_origin(["https://spa.example".parse().unwrap()]);
        let whole = app.router.clone().layer(cors).layer(app.auth.clone());
        let mut app = app.whole(whole);
        let preflight =
            [("origin", "https://spa.example"), ("access-control-request-method", "PUT")];
        let page = app.send(Method::OPTIONS, "/me", &preflight).await;
        let expected = if allowed { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(page.status, expected, "{allowed}: {page:?}");
        let page = app.send(Method::GET, "/me", &preflight[..1]).await;
        page.assert_unauthorized();
        assert_eq!(page.header("access-control-allow-origin"), None);
    }
}

/// O06: a trace inside sees no callback, whose query holds `code` and `state`; one outside does, unless
/// it takes the path alone.
#[tokio::test]
async fn a_trace_inside_never_sees_a_code_and_one_outside_does() {
    for outside in [false, true] {
        let app = Direct::start().await;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let trace = TraceLayer::new_for_http().make_span_with(move |request: &Request<Body>| {
            log.lock().unwrap().push(request.uri().to_string());
            tracing::Span::none()
        });
        let (router, auth) = (app.router.clone(), app.auth.clone());
        let whole =
            if outside { router.layer(auth).layer(trace) } else { router.layer(trace).layer(auth) };
        assert_signs_in(app.whole(whole), "/me", "/me").await;
        let seen = seen.lock().unwrap();
        let code = |uri: &String| uri.contains("code=");
        assert_eq!(seen.iter().any(code), outside, "{seen:?}");
        let paths: Vec<_> = seen.iter().filter_map(|uri| uri.split('?').next()).collect();
        assert_eq!(paths.contains(&"/callback"), outside, "{paths:?}");
        assert!(seen.iter().any(|uri| uri == "/me"), "{seen:?}");
    }
}

/// F06, O06: a request that is cut off outside does not take the session's refresh with it.
#[tokio::test]
async fn a_timeout_outside_cuts_the_wait_and_loses_no_token() {
    let app = Direct::start().await;
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, CUT_OFF);
    app.sentinel.set_access_token_lifetime(Duration::from_secs(3600));
    let patient = app.router.clone().layer(app.auth.clone());
    let app = assert_signs_in(app.whole(patient.clone()), "/me", "/me").await;
    app.advance(3601);
    app.sentinel.inject(Endpoint::Refresh, Fault::Late(CUT_OFF * 3));
    let mut app = app.whole(patient.clone().layer(timeout));
    let page = app.fetch("/me").await;
    assert_eq!(page.status, StatusCode::GATEWAY_TIMEOUT, "{page:?}");
    let mut app = app.whole(patient);
    let page = app.fetch("/me").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}

/// O06: a timeout inside bounds the handler, not a login.
#[tokio::test]
async fn a_timeout_inside_bounds_the_handler_alone() {
    let app = Direct::start().await;
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, CUT_OFF);
    let router = app
        .router
        .clone()
        .route("/never", get(|_: LpUser| async { std::future::pending::<()>().await }));
    let whole = router.layer(timeout).layer(app.auth.clone());
    app.sentinel.inject(Endpoint::Token, Fault::Late(CUT_OFF * 2));
    let mut app = assert_signs_in(app.whole(whole), "/me", "/me").await;
    let page = app.fetch("/never").await;
    assert_eq!(page.status, StatusCode::GATEWAY_TIMEOUT, "{page:?}");
    assert_eq!(page.header("cache-control"), Some("private"), "{page:?}");
}

/// O07: what a handler breaks is the handler's.
#[tokio::test]
async fn a_panic_is_caught_on_either_side_and_leaves_the_sessions_whole() {
    for outside in [false, true] {
        let app = Direct::start().await;
        let router = app.router.clone().route(
            "/panic",
            get(|_: LpUser| async {
                if true {
                    panic!("the handler's own");
                }
            }),
        );
        let (auth, catch) = (app.auth.clone(), CatchPanicLayer::new());
        let whole =
            if outside { router.layer(auth).layer(catch) } else { router.layer(catch).layer(auth) };
        let mut app = assert_signs_in(app.whole(whole), "/me", "/me").await;
        app.advance(2000); // a refresh runs beside the handler that panics
        let page = app.fetch("/panic").await;
        assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR, "{outside}: {page:?}");
        let page = app.fetch("/me").await;
        assert_eq!(page.status, StatusCode::OK, "{outside}: {page:?}");
        assert_eq!(app.sentinel.counts().reuses, 0, "{outside}");
    }
}

/// O06: a body limit works inside and outside.
#[tokio::test]
async fn a_body_limit_works_on_either_side() {
    for outside in [false, true] {
        let app = Direct::start().await;
        let router = app.router.clone().route("/echo", post(|body: Bytes| async move { body }));
        let (auth, limit) = (app.auth.clone(), RequestBodyLimitLayer::new(4));
        let whole =
            if outside { router.layer(auth).layer(limit) } else { router.layer(limit).layer(auth) };
        let app = assert_signs_in(app.whole(whole), "/me", "/me").await;
        for (body, status) in [("1234", 200), ("12345", 413)] {
            let mut request = app.request(Method::POST, "/echo", &[]);
            *request.body_mut() = Body::from(body);
            let page = app.call(request).await;
            assert_eq!(page.status.as_u16(), status, "{outside} {body}: {page:?}");
        }
    }
}

/// O05: the inner one trusts what the outer one of the same configuration has found.
#[tokio::test]
async fn twice_it_works_once() {
    let app = Direct::start().await;
    let guarded = app
        .router
        .clone()
        .route("/guarded", get(|| async { "in" }).layer(app.auth.require_admin()));
    let twice = guarded.layer(app.auth.clone()).layer(app.auth.clone());
    let mut app = assert_signs_in(app.whole(twice), "/me", "/me").await;
    app.advance(2000);
    let page = app.fetch("/").await;
    assert_eq!(page.body, format!("hello {AGENT}"));
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
    assert_eq!(page.headers.get_all("vary").iter().count(), 1, "{page:?}");
    assert_eq!(app.sentinel.counts().refreshes, 1);
    let page = app.fetch("/guarded").await;
    assert_eq!(page.json()["reason"], "forbidden", "{page:?}");
    let mut other = assert_signs_in(app.another_browser(), "/me", "/me").await;
    let ended = other.fetch("/end").await;
    assert_eq!((ended.body.as_str(), ended.set_cookies().len()), ("ended", 1), "{ended:?}");
    let logout = app.send(Method::POST, "/logout", &FETCH).await;
    assert_eq!(logout.set_cookies().len(), 1, "{logout:?}");
    let page = app.fetch("/").await;
    assert_eq!(page.body, "hello stranger");
    assert_eq!(page.headers.get_all("vary").iter().count(), 1, "{page:?}");
    let start = app.navigate("/me").await;
    start.assert_login();
    assert_eq!(start.set_cookies().len(), 1, "{start:?}");
}

/// O05: on the whole and once more on a part of it.
#[tokio::test]
async fn on_a_router_and_on_a_part_of_it_it_works_once() {
    let app = Direct::start().await;
    let inner =
        Router::new().route("/who", get(|user: LpUser| async move { user.id().to_owned() }));
    let router = app.router.clone().nest("/part", inner.layer(app.auth.clone()));
    let whole = router.layer(app.auth.clone());
    let mut app = assert_signs_in(app.whole(whole), "/me", "/me").await;
    app.advance(400);
    let page = app.fetch("/part/who").await;
    assert_eq!((page.body.as_str(), page.session_cookies().len()), (AGENT, 1), "{page:?}");
    app.jar.clear();
    app.fetch("/part/who").await.assert_unauthorized();
}

/// Who is signed in, beneath a prefix.
fn part() -> Router {
    let who = |user: LpUser| async move { axum::Json(serde_json::json!({ "user_id": user.id() })) };
    Router::new().route("/who", get(who)).route("/open", get(|| async { "open" }))
}

/// J04, O05: the inner one sees a path that is stripped; where a login leads back to is what the outer
/// one has seen, whoever asks for the login.
#[tokio::test]
async fn the_return_path_is_the_one_that_the_outermost_layer_saw() {
    let app = Direct::with(ManualClock::new(), |it| {
        it.session_key(SessionKey::random()).optional_under("/asks")
    })
    .await;
    let asks = part().layer(app.auth.require_user());
    let router = app
        .router
        .clone()
        .nest("/part", part().layer(app.auth.clone()))
        .nest("/asks", asks.layer(app.auth.clone()));
    let whole = router.layer(app.auth.clone());
    let mut app = app.whole(whole);
    for path in ["/part/who", "/asks/who"] {
        app.jar.clear();
        let page = format!("{path}?x=1");
        app = assert_signs_in(app, &page, &page).await;
    }
}

/// J04, O05: what the outer one lets pass without a look at the session, the inner one does, too, however
/// the path looks there: it would ask for a login over and over, whose session it never sees.
#[tokio::test]
async fn what_is_public_for_the_outer_one_is_for_the_inner_one() {
    let app = Direct::with(ManualClock::new(), |it| {
        it.session_key(SessionKey::random()).public("/part/open").public("/part/who")
    })
    .await;
    let router = app.router.clone().nest("/part", part().layer(app.auth.clone()));
    let whole = router.layer(app.auth.clone());
    let mut app = assert_signs_in(app.whole(whole), "/me", "/me").await;
    for signed_in in [true, false] {
        let page = app.navigate("/part/open").await;
        assert_eq!((page.status.as_u16(), &*page.body), (200, "open"), "{signed_in}: {page:?}");
        // Nobody is looked for there: a handler that asks for a user gets none.
        let page = app.navigate("/part/who").await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{signed_in}: {page:?}");
        app.jar.clear();
    }
}

/// O05: each of two configurations trusts its own word alone, whichever was built first.
#[tokio::test]
async fn what_another_one_has_let_pass_the_inner_one_asks_again() {
    let public: fn(Builder) -> Builder =
        |it| it.session_key(SessionKey::random()).public("/part/open");
    let first = Direct::with(ManualClock::new(), public).await;
    let second = first.beside(public);
    let layers = [first.auth.clone(), second.auth.clone()];
    for (outer, inner, expected) in [(0, 0, 200), (1, 1, 200), (0, 1, 401), (1, 0, 401)] {
        let router = Router::new().nest("/part", part().layer(layers[inner].clone()));
        let mut app = first.another_browser().whole(router.layer(layers[outer].clone()));
        let page = app.fetch("/part/open").await;
        assert_eq!(page.status.as_u16(), expected, "{outer} around {inner}: {page:?}");
    }
    // The last word counts, of three.
    let router = Router::new().nest("/part", part().layer(layers[0].clone()));
    let whole = router.layer(layers[1].clone()).layer(layers[0].clone());
    let page = first.another_browser().whole(whole).fetch("/part/open").await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{page:?}");
}

/// The session of whoever is signed in, as a token.
async fn session_token(app: &mut Direct) -> String {
    let page = app.fetch("/session-token").await;
    page.json()["session_token"].as_str().expect("a token").to_owned()
}

/// A script's request with these `Authorization` headers, and no cookie.
async fn ask(app: &mut Direct, path: &str, authorizations: &[&str]) -> support::Page {
    app.jar.clear();
    let headers: Vec<_> = authorizations.iter().map(|it| ("authorization", *it)).collect();
    let page = app.send(Method::GET, path, &headers).await;
    assert!(page.set_cookies().is_empty(), "{page:?}");
    page
}

/// An application with the layer on the whole and once more on the part, which is twice around.
fn thrice(app: Direct) -> Direct {
    let inner = part().layer(app.auth.clone()).layer(app.auth.clone());
    let whole = app.router.clone().nest("/part", inner).layer(app.auth.clone());
    app.whole(whole)
}

/// O05, H05: the inner one finds no `Authorization` header any more, and trusts the outer one's word.
#[tokio::test]
async fn twice_it_works_once_for_a_token() {
    let sealed: fn(Builder) -> Builder = |it| it.session_key(SessionKey::random());
    let stored: fn(Builder) -> Builder =
        |it| it.session_key(SessionKey::random()).store(MemoryStore::default());
    for (what, layer) in [("sealed", sealed), ("stored", stored)] {
        let mut app = thrice(Direct::with(ManualClock::new(), layer).await);
        app.sign_in().await;
        let token = session_token(&mut app).await;
        let bearer = format!("Bearer {token}");
        for path in ["/part/who", "/me"] {
            let page = ask(&mut app, path, &[&bearer]).await;
            assert_eq!(page.json()["user_id"], AGENT, "{what}: {page:?}");
        }
        let page = ask(&mut app, "/headers", &[&bearer]).await;
        assert!(page.json().get("authorization").is_none(), "{what}: {page:?}");
        app.advance(2000);
        let page = ask(&mut app, "/part/who", &[&bearer]).await;
        let renewed = page.headers.get_all("lp-session-token").iter().count();
        assert_eq!(renewed, usize::from(what == "sealed"), "{page:?}");
        // That of a stored session goes on behind the answer.
        eventually("one refresh", || app.sentinel.counts().refreshes == 1).await;
        let page = ask(&mut app, "/part/who", &["Bearer garbage"]).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{what}: {page:?}");
        assert_eq!(page.headers.get_all("www-authenticate").iter().count(), 1, "{what}: {page:?}");
    }
}

/// O05: applications, who have no session at all, are known to the inner one as well.
#[tokio::test]
async fn twice_it_works_once_for_an_application() {
    let app = Direct::with(ManualClock::new(), |it| {
        it.session_key(SessionKey::random()).allow_app("partner")
    })
    .await;
    let name = get(|app: LpApp| async move { app.client_id().to_owned() });
    let router = app.router.clone().route("/app", name.layer(app.auth.require_app("scope")));
    let twice = router.layer(app.auth.clone()).layer(app.auth.clone());
    let mut app = app.whole(twice);
    let token = app.sentinel.app_token().client_id("partner").scopes(["scope"]).build();
    let page = ask(&mut app, "/app", &[&format!("Bearer {token}")]).await;
    assert_eq!(page.body, "partner", "{page:?}");
}

/// O05, H05: a request has one `Authorization` header, which the outer layer takes.
#[tokio::test]
async fn a_token_gets_past_one_of_two_different_ones_alone() {
    let mut app = Direct::start().await;
    let other = app.beside(|it| it.session_key(SessionKey::random()).public("/me"));
    app.sign_in().await;
    let bearer = format!("Bearer {}", session_token(&mut app).await);
    let inner = other.auth.clone();
    let whole = app.router.clone().layer(inner).layer(app.auth.clone());
    let mut app = app.whole(whole);
    // To the inner one it is a bad token; where it looks at nothing, its user is nobody.
    for (path, challenge) in [("/headers", "Bearer error=\"invalid_token\""), ("/me", "Bearer")] {
        let page = ask(&mut app, path, &[&bearer]).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{page:?}");
        assert_eq!(page.header("www-authenticate"), Some(challenge), "{page:?}");
        assert!(page.location().is_none() && page.set_cookies().is_empty(), "{page:?}");
    }
}

const BASIC: &str = "Basic c3RhZ2luZzpnYXRl";

/// A staging server's gate: lets nobody pass without its password.
async fn gate(request: Incoming, next: Next) -> axum::response::Response {
    let mut values = request.headers().get_all("authorization").iter();
    if values.any(|value| value == BASIC) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic")], "gate").into_response()
}

/// H11, O06: a browser sends the gate's password with everything, which must not be taken for a
/// credential of a user.
#[tokio::test]
async fn beneath_a_basic_gate_the_gates_scheme_has_to_be_ignored() {
    for (outside, ignored) in [(true, true), (true, false), (false, true)] {
        let app = Direct::with(ManualClock::new(), |it| {
            let it = it.session_key(SessionKey::random());
            if ignored { it.ignore_authorization_schemes(["Basic"]) } else { it }
        })
        .await;
        let router = app.router.clone().nest("/part", part().layer(app.auth.clone()));
        let auth = app.auth.clone();
        let whole = match outside {
            true => router.layer(auth).layer(from_fn(gate)),
            false => router.layer(from_fn(gate)).layer(auth),
        };
        let mut app = app.whole(whole);
        // Without the password: outside, the gate comes first, and inside it comes after the login.
        let page = app.navigate("/part/who").await;
        match outside {
            true => assert_eq!(page.header("www-authenticate"), Some("Basic"), "{page:?}"),
            false => page.assert_login(),
        }
        app.jar.clear();
        let mut headers = NAVIGATE.to_vec();
        headers.push(("authorization", BASIC));
        let start = app.send(Method::GET, "/part/who", &headers).await;
        if !ignored {
            assert!(start.status.is_client_error(), "{start:?}");
            assert!(start.set_cookies().is_empty() && start.body != "gate", "{start:?}");
            continue;
        }
        start.assert_login();
        let callback = app.reach_callback_as(&start, AGENT).await;
        let page = app.send(Method::GET, &callback, &headers).await;
        assert_eq!(page.location().as_deref(), Some("/part/who"), "{outside}: {page:?}");
        let page = app.send(Method::GET, "/part/who", &headers).await;
        assert_eq!(page.json()["user_id"], AGENT, "{outside}: {page:?}");
        let page = app.send(Method::GET, "/session-token", &headers).await;
        let token = page.json()["session_token"].as_str().expect("a token").to_owned();
        // A client with a token has two headers to send, and the gate's is left where it was.
        let bearer = format!("Bearer {token}");
        let page = ask(&mut app, "/part/who", &[BASIC, &bearer]).await;
        assert_eq!(page.json()["user_id"], AGENT, "{outside}: {page:?}");
        let page = ask(&mut app, "/headers", &[BASIC, &bearer]).await;
        assert_eq!(page.json()["authorization"], serde_json::json!([BASIC]), "{page:?}");
    }
}

/// O05: a layer of another configuration counts for nothing: each asks for a session of its own.
#[tokio::test]
async fn two_different_ones_each_ask_for_their_own_session() {
    let app = Direct::start().await;
    let other = app.beside(|it| {
        it.session_key(SessionKey::random())
            .redirect_uri("https://app.example/inner/callback")
            .login_path("/inner/login")
            .logout_path("/inner/logout")
    });
    let inner = app.router.clone().layer(other.auth.clone());
    let whole = inner.layer(app.auth.clone());
    let mut app = app.whole(whole);
    let start = app.navigate("/me").await;
    app.arrive(&start).await;
    app.fetch("/me").await.assert_unauthorized(); // by the inner one
    let start = app.navigate("/me").await;
    start.assert_login();
    let location = start.location().unwrap_or_default();
    assert!(location.contains("inner%2Fcallback"), "{location}");
    app.arrive(&start).await;
    assert_eq!(app.fetch("/me").await.json()["user_id"], AGENT);
    assert_eq!(app.jar.names().len(), 2, "{:?}", app.jar.names());
}

/// O06: in a `ServiceBuilder` of plain services, without a router.
#[tokio::test]
async fn it_needs_no_axum() {
    async fn handler(request: Request<Body>) -> Result<Response<Full<Bytes>>, Infallible> {
        let user = request.extensions().get::<LpUser>().map(|user| user.id().to_owned());
        let body = serde_json::json!({ "user_id": user }).to_string();
        let mut response = Response::new(Full::from(body));
        response.headers_mut().insert("x-from-app", "1".parse().unwrap());
        Ok(response)
    }
    let app = Direct::start().await;
    let stack = ServiceBuilder::new()
        .layer(app.auth.clone())
        .concurrency_limit(1)
        .service(service_fn(handler));
    let whole = Router::new().fallback_service(stack);
    let mut app = assert_signs_in(app.whole(whole), "/me", "/me").await;
    app.jar.clear();
    app.send(Method::GET, "/me", &NAVIGATE).await.assert_login();
    app.fetch("/me").await.assert_unauthorized();
    assert_eq!(app.fetch("/").await.json()["user_id"], serde_json::Value::Null);
}
