//! A live access token for work that outlives its request, in both modes.

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::routing::get;
use support::{App, AppBuilder, Browser, Fleet, RiggedStore, until};
use tower_lp_auth::{
    FreshTokenError, LpUser,
    test_kit::{self, Endpoint, Fault},
};

/// The users that have come to `/keep`, for work after their requests.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<LpUser>>>);

impl Kept {
    fn last(&self) -> LpUser {
        self.0
            .lock()
            .expect("no test panics inside")
            .last()
            .expect("somebody came to /keep")
            .clone()
    }

    fn route(&self, builder: AppBuilder) -> AppBuilder {
        let kept = self.clone();
        builder.routes(move |router, _| {
            let keep = move |user: LpUser| async move {
                kept.0.lock().expect("no test panics inside").push(user)
            };
            router.route("/keep", get(keep))
        })
    }
}

/// An application with sealed sessions, and one with a store.
async fn both() -> Vec<(&'static str, App, Kept)> {
    let mut apps = Vec::new();
    for what in ["sealed", "stored"] {
        let kept = Kept::default();
        let builder = kept.route(App::builder()).layer(move |builder| match what {
            "sealed" => builder,
            _ => builder.store(RiggedStore::new()),
        });
        apps.push((what, builder.start().await, kept));
    }
    apps
}

async fn user(app: &App, kept: &Kept) -> (Browser, LpUser) {
    let mut browser = Browser::signed_in(app).await;
    assert_eq!(browser.fetch("/keep").await.status, 200);
    (browser, kept.last())
}

/// The token of the snapshot serves while it is fresh; once expired, one call brings the next for
/// all who ask, and the session has it too.
#[tokio::test]
async fn a_background_task_has_a_live_token_at_any_time() {
    for (what, app, kept) in both().await {
        let (mut browser, user) = user(&app, &kept).await;
        let first = user.access_token().unwrap().clone();
        assert_eq!(user.fresh_access_token().await.unwrap(), first, "{what}");
        app.advance(8 * 3600 - 30);
        let asked: Vec<_> = (0..10)
            .map(|_| {
                let user = user.clone();
                tokio::spawn(async move { user.fresh_access_token().await.unwrap() })
            })
            .collect();
        for task in asked {
            let token = task.await.unwrap();
            assert_ne!(token, first, "{what}");
            assert!(app.sentinel.is_live_access_token(token.expose_secret()), "{what}");
        }
        assert_eq!(app.sentinel.counts().refreshes, 1, "{what}");
        let newest = user.fresh_access_token().await.unwrap();
        assert_eq!(browser.fetch("/token").await.body, newest.expose_secret(), "{what}");
        assert_eq!(app.sentinel.counts().refreshes, 1, "{what}: no further call");
    }
}

/// A task learns that its session is over, or that it has to come again.
#[tokio::test]
async fn a_task_is_told_of_the_end_and_of_an_outage() {
    for (what, app, kept) in both().await {
        let (mut browser, user) = user(&app, &kept).await;
        app.sentinel.inject(Endpoint::Refresh, Fault::status(503));
        app.advance(8 * 3600 - 1);
        assert!(user.fresh_access_token().await.is_ok(), "{what}: the old one lives for a second");
        app.advance(1);
        // The idle end has come too.
        assert_eq!(user.fresh_access_token().await, Err(FreshTokenError::Ended), "{what}");
        browser.sign_in(&app, support::AGENT).await;
        assert_eq!(browser.fetch("/keep").await.status, 200);
        let user = kept.last();
        assert_eq!(browser.post("/logout").await.status, 303);
        assert_eq!(user.fresh_access_token().await, Err(FreshTokenError::Ended), "{what}");
    }
    let app = App::builder()
        .sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(600)))
        .layer(|builder| builder.store(RiggedStore::new()));
    let kept = Kept::default();
    let app = kept.route(app).start().await;
    let (_browser, user) = user(&app, &kept).await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(601);
    let error = user.fresh_access_token().await.unwrap_err();
    let FreshTokenError::Unavailable { retry_after_secs, .. } = error else { panic!("{error:?}") };
    assert!((1..=11).contains(&retry_after_secs), "{retry_after_secs}");
}

/// An upstream that always says 401 makes no refresh loop.
#[tokio::test]
async fn a_refused_token_is_replaced_once_it_is_a_minute_old_and_the_newest() {
    for (what, app, kept) in both().await {
        let (_browser, user) = user(&app, &kept).await;
        let first = user.access_token().unwrap().clone();
        app.advance(59);
        let refused = user.replace_access_token(&first).await;
        assert_eq!(refused, Err(FreshTokenError::TooNew), "{what}");
        assert_eq!(app.sentinel.counts().refreshes, 0, "{what}");
        app.advance(1);
        let second = user.replace_access_token(&first).await.unwrap();
        assert_ne!(second, first, "{what}");
        for _ in 0..10 {
            // The newer token is handed out without a call, and is too new to be replaced itself.
            assert_eq!(user.replace_access_token(&first).await.unwrap(), second, "{what}");
            let refused = user.replace_access_token(&second).await;
            assert_eq!(refused, Err(FreshTokenError::TooNew), "{what}");
        }
        let counts = app.sentinel.counts();
        assert_eq!((counts.refreshes, counts.reuses), (1, 0), "{what}");
    }
}

/// What another instance has brought is found without a call.
#[tokio::test]
async fn a_task_has_the_token_that_another_instance_has_brought() {
    let store = RiggedStore::new();
    let kept = Kept::default();
    let fleet = Fleet::start(2, store, |builder| builder).await;
    let mut browser = Browser::signed_in(&fleet[0]).await;
    let (auth, request) = (fleet[1].auth.clone(), browser.moved_to(&fleet[1]));
    let cookie = request.jar.header().unwrap();
    let keeper = kept.clone();
    let service = tower::Layer::layer(
        &auth,
        tower::service_fn(move |request: http::Request<()>| {
            let user = request.extensions().get::<LpUser>().cloned();
            keeper.0.lock().unwrap().extend(user);
            async { Ok::<_, std::convert::Infallible>(http::Response::new(String::new())) }
        }),
    );
    let request = http::Request::get("/keep").header("cookie", cookie).body(()).unwrap();
    tower::ServiceExt::oneshot(service, request).await.unwrap();
    let user = kept.last();
    fleet.advance(8 * 3600 - 30);
    let token = browser.fetch("/token").await.body;
    assert_eq!(user.fresh_access_token().await.unwrap().expose_secret(), token);
    assert_eq!(fleet.refreshes(), 1);
}

/// G18: a stream's end is heard of at other instances too, some seconds after the logout.
#[tokio::test]
async fn a_logout_at_one_instance_ends_what_waits_at_another() {
    let store = RiggedStore::new();
    let kept = Kept::default();
    let first = kept.route(App::builder());
    let own = store.clone();
    let first = first.layer(move |builder| builder.store(own)).start().await;
    let redirect_uri = format!("{}/callback", first.url);
    let second = App::builder()
        .layer(move |builder| builder.store(store).redirect_uri(redirect_uri))
        .beside(&first)
        .start()
        .await;
    let (browser, user) = user(&first, &kept).await;
    let waiting = tokio::spawn(user.ended());
    let page = browser.moved_to(&second).post("/logout").await;
    assert_eq!(page.status, 303, "{page:?}");
    assert!(!waiting.is_finished());
    first.advance(5);
    until(|| waiting.is_finished()).await;
}

/// A user of a unit test has the token they were made with.
#[tokio::test]
async fn a_user_without_a_layer_has_the_token_they_were_made_with() {
    let user = test_kit::user("3552833710").build();
    let token = user.access_token().unwrap().clone();
    assert_eq!(user.fresh_access_token().await.unwrap(), token);
    assert_eq!(user.replace_access_token(&token).await, Err(FreshTokenError::TooNew));
}
