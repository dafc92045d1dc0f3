//! What an application is asked and told: `on_login`, `on_session_end`, `LpUser::end_session`.

mod support;

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Response, StatusCode};
use support::{AGENT, App, AppBuilder, Browser, Ends, Logs, Page};
use tokio::time::Instant;
use tower_lp_auth::{
    EndReason, LoginDecision, LoginHookError, LpUser,
    test_kit::{Endpoint, Fault},
};

/// What a hook has been told so far.
type Told<T> = Arc<Mutex<Vec<T>>>;

/// Where a login of the agent ends: the answer to the callback.
async fn callback(app: &App, browser: &mut Browser) -> Page {
    let callback = browser.reach_callback(app, "/me").await;
    browser.navigate(&callback).await
}

/// The hook `on_login` with a decision of the test's.
fn deciding<F>(decide: F) -> AppBuilder
where
    F: Fn() -> Result<LoginDecision, LoginHookError> + Send + Sync + 'static,
{
    App::builder().layer(|layer| {
        layer.on_login(move |_| {
            let decision = decide();
            async { decision }
        })
    })
}

/// The hook is asked once, with a user who can act already but has no session yet.
#[tokio::test]
async fn a_login_that_the_hook_allows_becomes_a_session() {
    let seen: Told<(String, String, bool)> = Told::default();
    let store = Arc::clone(&seen);
    let app = App::builder()
        .layer(|layer| {
            layer.on_login(move |user: LpUser| {
                let store = Arc::clone(&store);
                async move {
                    let token = user.access_token().expect("a session's user");
                    let token = token.expose_secret().to_owned();
                    tokio::task::yield_now().await;
                    store.lock().unwrap().push((user.id().to_owned(), token, user.is_admin()));
                    Ok(LoginDecision::Allow)
                }
            })
        })
        .start()
        .await;
    let mut browser = Browser::new(&app);
    let page = callback(&app, &mut browser).await;
    assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
    let token = browser.fetch("/token").await.body;
    assert_eq!(*seen.lock().unwrap(), [(AGENT.to_owned(), token, false)]);
}

/// A denial is a page, not a session, and not a way back into the same login.
#[tokio::test]
async fn a_login_that_the_hook_denies_ends_on_a_page_without_a_session() {
    let app = deciding(|| Ok(LoginDecision::deny())).start().await;
    let mut browser = Browser::new(&app);
    let page = callback(&app, &mut browser).await;
    page.assert_closed_page(403);
    assert!(page.deletes_login(), "{page:?}");
    assert_eq!(browser.jar.header(), None);
    assert_eq!(app.sentinel.counts().exchanges, 1);
    assert_eq!(page.way_forward(), "/login?return_to=%2Fme");
    assert_eq!(app.calls(), 0);
}

/// L01: a denial's own page keeps its status and words, and is not stored.
#[tokio::test]
async fn a_hook_may_deny_with_a_page_of_its_own() {
    let app = deciding(|| {
        let page = Response::builder()
            .status(StatusCode::PAYMENT_REQUIRED)
            .header("content-type", "text/html")
            .header("cache-control", "public, max-age=600")
            .body("<h1>No seat left</h1>".into())
            .expect("a page");
        Ok(LoginDecision::deny_with(page))
    })
    .start()
    .await;
    let mut browser = Browser::new(&app);
    let page = callback(&app, &mut browser).await;
    assert_eq!(page.status, 402, "{page:?}");
    assert_eq!(page.body, "<h1>No seat left</h1>");
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.deletes_login() && page.session_cookies().is_empty(), "{page:?}");
    assert_eq!(browser.jar.header(), None);
}

/// N06: a hook that cannot decide lets nobody in: 503, and the next login asks it anew.
#[tokio::test]
async fn a_hook_that_fails_or_panics_is_a_503_and_no_session() {
    let failing = deciding(|| Err(LoginHookError::new("the database is down"))).start().await;
    let panicking = deciding(|| panic!("a bug in the application's hook")).start().await;
    let panicking_later = App::builder()
        .layer(|layer| {
            layer.on_login(|_| async {
                tokio::task::yield_now().await;
                panic!("a bug in the application's hook")
            })
        })
        .start()
        .await;
    for (case, app) in
        [("fails", failing), ("panics", panicking), ("panics later", panicking_later)]
    {
        let (logs, _guard) = Logs::capture();
        let mut browser = Browser::new(&app);
        let page = callback(&app, &mut browser).await;
        assert_eq!(page.status, 503, "{case}: {page:?}");
        page.assert_closed_page(503);
        assert!(page.header("retry-after").is_some(), "{case}: {page:?}");
        assert!(page.deletes_login(), "{case}: {page:?}");
        assert_eq!(browser.jar.header(), None, "{case}");
        let logged = logs.text();
        assert!(logged.lines().any(|line| line.contains("ERROR") && line.contains("hook")));
        browser.navigate(&page.way_forward()).await.assert_login();
    }
}

/// N06: a hook that does not decide lets nobody in, and has two seconds.
#[tokio::test]
async fn a_hook_that_takes_longer_than_two_seconds_is_a_503() {
    let app = App::builder()
        .layer(|layer| layer.on_login(|_| pending::<Result<LoginDecision, LoginHookError>>()))
        .start()
        .await;
    let mut browser = Browser::new(&app);
    let began = Instant::now();
    let page = callback(&app, &mut browser).await;
    let took = began.elapsed();
    page.assert_closed_page(503);
    assert!(page.deletes_login(), "{page:?}");
    assert!((Duration::from_secs(2)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert_eq!(browser.jar.header(), None);
}

/// Jar rule 3: a login that is denied ends nothing, and nobody is told of a session that no browser
/// had.
#[tokio::test]
async fn a_denied_login_leaves_the_session_before_and_announces_nothing() {
    let (ends, tell) = Ends::new();
    let denying = Arc::new(Mutex::new(false));
    let deny = Arc::clone(&denying);
    let app = App::builder()
        .layer(move |layer| {
            tell(layer).on_login(move |_| {
                let deny = *deny.lock().unwrap();
                let decision = if deny { LoginDecision::deny() } else { LoginDecision::Allow };
                std::future::ready(Ok(decision))
            })
        })
        .start()
        .await;
    let mut browser = Browser::signed_in(&app).await;
    *denying.lock().unwrap() = true;
    let callback = browser.reach_callback(&app, "/login").await;
    browser.navigate(&callback).await.assert_closed_page(403);
    assert_eq!(browser.fetch("/me").await.status, 200);
    assert!(app.auth.shutdown(Duration::from_secs(1)).await);
    assert!(ends.is_quiet());
}

/// What ends a session, and what the hook is told.
#[tokio::test]
async fn the_application_is_told_why_each_session_ends_once() {
    let (mut ends, tell) = Ends::new();
    let app = App::builder().layer(tell).start().await;
    for (case, reason) in [
        ("logout", EndReason::Logout),
        ("end_session", EndReason::Logout),
        ("login", EndReason::Replaced),
        ("invalid_grant", EndReason::RefreshRefused),
        ("another user", EndReason::IdentityChanged),
        ("lost rotation", EndReason::RotationLost),
    ] {
        let mut browser = Browser::signed_in(&app).await;
        let copy = browser.clone();
        match case {
            "logout" => {
                assert_eq!(browser.post("/logout").await.status, 303);
                copy.clone().post("/logout").await;
            }
            "end_session" => {
                assert_eq!(browser.fetch("/end").await.body, "ended");
                copy.clone().fetch("/end").await.assert_unauthorized();
            }
            "login" => {
                let callback = browser.reach_callback(&app, "/login").await;
                assert_eq!(browser.navigate(&callback).await.status, 303);
            }
            "invalid_grant" => {
                let fault = Fault::oauth_error("invalid_grant");
                app.sentinel.inject(Endpoint::Refresh, fault);
                app.advance(8 * 3600 - 30);
                browser.fetch("/me").await.assert_unauthorized();
            }
            "another user" => {
                app.sentinel.set_refresh_id_token(true);
                app.sentinel.set_id_claim("sub", "somebody else");
                app.advance(8 * 3600 - 30);
                browser.fetch("/me").await.assert_unauthorized();
                app.sentinel.set_refresh_id_token(false);
                app.sentinel.reset_id_claims();
            }
            _ => {
                app.sentinel.inject(Endpoint::Refresh, Fault::LostResponse);
                app.advance(2000);
                assert_eq!(browser.fetch("/me").await.status, 200);
                app.advance(60);
                assert_eq!(browser.fetch("/me").await.status, 200);
            }
        }
        let end = ends.next_end().await;
        copy.clone().fetch("/me").await.assert_unauthorized();
        assert!(ends.is_quiet(), "{case} was told twice");
        assert_eq!((end.reason(), end.user_id()), (reason, AGENT), "{case}");
        assert_eq!(end.account_id().as_str(), app.sentinel.account_id(), "{case}");
    }
}

/// O12: a shutdown lets a hook finish that is still at work.
#[tokio::test]
async fn a_shutdown_waits_for_the_hook() {
    let ends: Told<EndReason> = Told::default();
    let told = Arc::clone(&ends);
    let app = App::builder()
        .layer(|layer| {
            layer.on_session_end(move |end| {
                let told = Arc::clone(&told);
                async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    told.lock().unwrap().push(end.reason());
                }
            })
        })
        .start()
        .await;
    let mut browser = Browser::signed_in(&app).await;
    browser.post("/logout").await;
    assert!(!app.auth.shutdown(Duration::ZERO).await);
    assert!(app.auth.shutdown(Duration::from_secs(5)).await);
    assert_eq!(*ends.lock().unwrap(), [EndReason::Logout]);
}

/// A hook that panics harms nobody else.
#[tokio::test]
async fn an_end_hook_that_panics_leaves_the_logout_as_it_is() {
    let app = App::builder()
        .layer(|layer| layer.on_session_end(|_| async { panic!("a bug in the application") }))
        .start()
        .await;
    let mut browser = Browser::signed_in(&app).await;
    let copy = browser.clone();
    assert_eq!(browser.post("/logout").await.status, 303);
    assert_eq!(browser.jar.session(), None);
    copy.clone().fetch("/me").await.assert_unauthorized();
    assert!(app.auth.shutdown(Duration::from_secs(5)).await);
}

/// G05: a handler's end of a session is as final as a logout.
#[tokio::test]
async fn a_handler_that_ends_the_session_deletes_its_cookie_and_revokes_if_chosen() {
    for revoke in [false, true] {
        let app = App::builder().layer(move |layer| layer.revoke_on_logout(revoke)).start().await;
        let mut browser = Browser::signed_in(&app).await;
        let copy = browser.clone();
        let page = browser.fetch("/end").await;
        assert_eq!(page.body, "ended");
        let lines = page.session_cookies();
        assert!(lines.len() == 1 && lines[0].contains("Max-Age=0"), "{lines:?}");
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(browser.jar.session(), None);
        copy.clone().fetch("/me").await.assert_unauthorized();
        assert!(app.auth.shutdown(Duration::from_secs(5)).await);
        assert_eq!(app.sentinel.counts().revocations, u64::from(revoke), "revoke: {revoke}");
    }
}

/// A user whom a hook or a task has kept can be signed out later.
#[tokio::test]
async fn a_user_kept_from_the_login_hook_can_be_signed_out_from_anywhere() {
    let kept: Told<LpUser> = Told::default();
    let keep = Arc::clone(&kept);
    let app = App::builder()
        .layer(|layer| {
            layer.on_login(move |user| {
                keep.lock().unwrap().push(user);
                std::future::ready(Ok(LoginDecision::Allow))
            })
        })
        .start()
        .await;
    let mut browser = Browser::signed_in(&app).await;
    let other = Browser::signed_in(&app).await;
    let user = kept.lock().unwrap()[0].clone();
    for _ in 0..2 {
        user.end_session().await.expect("a sealed session ends");
    }
    browser.fetch("/me").await.assert_unauthorized();
    assert_eq!(other.clone().fetch("/me").await.status, 200, "the user's other session");
}
