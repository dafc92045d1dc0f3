//! id_tokens and App-JWTs as bearer tokens: each lets in only where it is switched on.

mod support;

use std::{convert::Infallible, time::Duration};

use axum::{
    response::sse::{Event, Sse},
    routing::get,
};
use futures_util::StreamExt;
use http::{Method, StatusCode};
use support::{AGENT, App, AppBuilder, Browser, FETCH, NAVIGATE, Page};
use tower_lp_auth::{
    LpApp, LpUser,
    test_kit::{Endpoint, Fault},
};

const PARTNER: &str = "a-partner";
const SCOPE: &str = "data.services.external.msghist";

/// An application that accepts both kinds; `/app` is for applications with [`SCOPE`], `/either` says
/// who has called.
fn accepting() -> AppBuilder {
    App::builder()
        .layer(|it| it.allow_id_token_bearers(true).allow_app("another").allow_app(PARTNER))
        .routes(|router, auth| {
            let guard = auth.require_app(SCOPE);
            router
                .route("/app", get(async |app: LpApp| app.client_id().to_owned()).layer(guard))
                .route("/any-app", get(async |app: LpApp| format!("{app:?}")))
                .route("/user", get(async || "user").layer(auth.require_user()))
                .route("/either", get(either))
        })
}

async fn either(user: Option<LpUser>, app: Option<LpApp>) -> String {
    match (user, app) {
        (Some(user), None) => format!("user {}", user.id()),
        (None, Some(app)) => format!("app {}", app.client_id()),
        other => format!("{other:?}"),
    }
}

async fn ask(app: &App, path: &str, token: &str) -> Page {
    let value = format!("Bearer {token}");
    Browser::new(app).send(Method::GET, path, &[("authorization", &value)], None).await
}

fn assert_invalid_token(page: &Page) {
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{page:?}");
    let challenge = page.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer error=\"invalid_token\""), "{page:?}");
    assert!(page.location().is_none() && page.set_cookies().is_empty(), "{page:?}");
}

/// H07, H10: what is not switched on is 401, and Sentinel is not even asked.
#[tokio::test]
async fn by_default_no_jwt_lets_anybody_in() {
    let app = App::start().await;
    let id_token = app.sentinel.id_token(AGENT);
    let before = app.sentinel.calls().len();
    let app_jwt = app.sentinel.app_token().client_id(PARTNER).scopes([SCOPE]).build();
    for token in [&*id_token, &app_jwt, "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30."] {
        for path in ["/me", "/"] {
            assert_invalid_token(&ask(&app, path, token).await);
        }
    }
    assert_eq!(app.sentinel.calls().len(), before);
}

/// H10: a text that is no JWT of ours is refused without a call, also where JWTs are accepted.
#[tokio::test]
async fn what_cannot_be_right_makes_no_call() {
    let app = accepting()
        .layer(|it| it.allow_id_token_bearers(true).allow_app(PARTNER).session_tokens(false));
    let app = app.start().await;
    let foreign = app.sentinel.app_token().client_id("a-stranger").build();
    let elsewhere = app.sentinel.app_token().client_id(PARTNER).account("999").build();
    let delegated = app.sentinel.app_token().client_id(PARTNER).delegated("c").build();
    let old = app.sentinel.app_token().client_id(PARTNER).issued_ago(Duration::from_secs(3661));
    for token in [&*foreign, &elsewhere, &delegated, &old.build(), "opaque", "a.b.c", "...."] {
        assert_invalid_token(&ask(&app, "/either", token).await);
    }
    assert_eq!(app.sentinel.calls().len(), 0);
}

/// Design "Bearer": a user without a session, for as long as the id_token lives.
#[tokio::test]
async fn an_id_token_is_its_user_until_it_ends() {
    let app = accepting()
        .routes(|router, _| {
            router.route("/either", get(either)).route(
                "/what",
                get(async |user: LpUser| {
                    let access = user.access_token().map(|_| ()).map_err(|e| e.to_string());
                    let fresh = user.fresh_access_token().await.map(|_| ());
                    let session = user.session_token().map(|_| ());
                    format!("{access:?} {fresh:?} {session:?} {:?}", user.end_session().await)
                }),
            )
        })
        .start()
        .await;
    let token = app.sentinel.id_token(AGENT);
    let page = ask(&app, "/either", &token).await;
    assert_eq!(page.body, format!("user {AGENT}"), "{page:?}");
    assert_eq!(page.header("cache-control"), Some("private"));
    assert!(page.header("lp-session-token").is_none() && page.set_cookies().is_empty());
    let what = ask(&app, "/what", &token).await.body;
    assert!(what.contains("no access token"), "{what}");
    assert!(what.contains("NoAccessToken"), "{what}");
    assert!(what.contains("NoSession") && what.ends_with("Err(NoSession)"), "{what}");
    let calls = app.sentinel.calls().len();
    for _ in 0..20 {
        assert_eq!(ask(&app, "/either", &token).await.status, 200);
    }
    assert_eq!(app.sentinel.calls().len(), calls, "believed before");
    app.advance(10 * 60 + 61);
    assert_invalid_token(&ask(&app, "/either", &token).await);
}

/// H09, E04: a signature by nobody's published key, or none, is never believed of a caller, although
/// logins may do without.
#[tokio::test]
async fn an_id_token_of_a_caller_needs_its_signature() {
    let app = accepting().start().await;
    let token = app.sentinel.id_token(AGENT);
    let (signed, _) = token.rsplit_once('.').expect("three parts");
    let forged = app.sentinel.app_token().signed_by_stranger().client_id(PARTNER).build();
    for bad in [format!("{signed}."), format!("{signed}.AAAA"), forged] {
        assert_invalid_token(&ask(&app, "/either", &bad).await);
    }
    app.sentinel.set_publish_signing_key(false);
    app.advance(11 * 60); // the keys are fetched anew
    Browser::signed_in(&app).await;
    let token = app.sentinel.id_token(AGENT);
    assert_invalid_token(&ask(&app, "/either", &token).await);
}

/// Design "Bearer": an application is an `LpApp` with scopes and no user.
#[tokio::test]
async fn an_app_jwt_is_its_application() {
    let app = accepting().start().await;
    let token = app.sentinel.app_token().client_id(PARTNER).scopes([SCOPE, "users.read"]).build();
    let page = ask(&app, "/either", &token).await;
    assert_eq!(page.body, format!("app {PARTNER}"), "{page:?}");
    assert_eq!(page.header("cache-control"), Some("private"));
    assert_eq!(ask(&app, "/app", &token).await.body, PARTNER);
    let page = ask(&app, "/any-app", &token).await;
    assert!(page.body.contains("users.read") && page.body.contains(app.sentinel.account_id()));
    for path in ["/me", "/user", "/admin"] {
        let page = ask(&app, path, &token).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}: {page:?}");
        assert_eq!(page.json()["reason"], "forbidden", "{path}");
    }
    assert_eq!(
        ask(&app, "/", &token).await.body,
        "hello stranger",
        "no user, on an optional route"
    );
    // LivePerson's token stays in the request: the inner service may pass it on.
    let page = ask(&app, "/headers", &token).await;
    assert_eq!(page.json()["authorization"][0], format!("Bearer {token}"));
}

/// H04: 403 `insufficient_scope` names the scope.
#[tokio::test]
async fn an_application_without_the_scope_is_told_which() {
    let app = accepting().start().await;
    for scopes in [&["users.read"][..], &[]] {
        let token = app.sentinel.app_token().client_id(PARTNER).scopes(scopes.iter().copied());
        let page = ask(&app, "/app", &token.build()).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{SCOPE}\"");
        assert_eq!(page.header("www-authenticate"), Some(&*challenge));
    }
}

/// A route for applications: a user is forbidden it, and nobody is sent to a login for it.
#[tokio::test]
async fn a_route_for_applications_is_for_no_user() {
    let app = accepting().layer(|it| it.allow_app(PARTNER).optional("/app")).start().await;
    let mut browser = Browser::new(&app);
    for headers in [&NAVIGATE[..], &FETCH] {
        let page = browser.send(Method::GET, "/app", headers, None).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{page:?}");
        assert_eq!(page.header("www-authenticate"), Some("Bearer"));
        if headers == NAVIGATE {
            assert_eq!(page.way_forward(), "/", "no login makes an application of a person");
        } else {
            let problem = page.json();
            assert_eq!((&problem["reason"], problem.get("login")), (&"not_an_app".into(), None));
        }
    }
    let mut browser = Browser::signed_in(&app).await;
    let page = browser.fetch("/app").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
}

/// D01, X17: keys that cannot be had refuse nobody.
#[tokio::test]
async fn keys_that_cannot_be_had_are_no_reason_to_refuse() {
    let app = accepting().start().await;
    app.sentinel.inject_always(Endpoint::Jwks, Fault::status(503));
    let token = app.sentinel.app_token().client_id(PARTNER).scopes([SCOPE]).build();
    ask(&app, "/either", &token).await.assert_unavailable();
    let page = ask(&app, "/", &token).await;
    assert_eq!(page.body, "hello, whoever you are for now", "{page:?}");
    app.sentinel.clear_faults();
    app.advance(31);
    assert_eq!(ask(&app, "/app", &token).await.body, PARTNER);
}

/// H06, H05: no login, no logout and no cookie for a JWT.
#[tokio::test]
async fn our_own_paths_take_no_jwt() {
    let app = accepting().start().await;
    let token = app.sentinel.id_token(AGENT);
    let headers = [("authorization", &*format!("Bearer {token}"))];
    let mut browser = Browser::signed_in(&app).await;
    for (method, path) in
        [(Method::GET, "/login"), (Method::POST, "/logout"), (Method::GET, "/callback")]
    {
        let page = browser.send(method, path, &headers, None).await;
        assert_invalid_token(&page);
    }
    assert_eq!(browser.fetch("/me").await.status, 200, "the browser's session goes on");
}

/// I07: a stream of a caller with a JWT ends with the token.
#[tokio::test]
async fn a_stream_ends_with_the_token() {
    let app = accepting()
        .routes(|router, _| {
            let stream = async || {
                let beat = futures_util::stream::once(async {
                    Ok::<_, Infallible>(Event::default().data("on"))
                });
                Sse::new(beat.chain(futures_util::stream::pending()))
            };
            router.route("/events", get(stream))
        })
        .start()
        .await;
    let by_app = app.sentinel.app_token().client_id(PARTNER).build();
    let by_user = app.sentinel.id_token(AGENT);
    for (token, life) in [(by_user, 10 * 60), (by_app, 60 * 60)] {
        let value = format!("Bearer {token}");
        let request =
            Browser::new(&app).request(Method::GET, "/events", &[("authorization", &value)], None);
        let mut response = request.send().await.expect("a head");
        assert_eq!(response.status(), 200);
        assert!(response.chunk().await.expect("a frame").is_some());
        app.advance(life + 61); // it is accepted for a minute more
        assert_eq!(response.chunk().await.expect("a clean end"), None);
    }
}
