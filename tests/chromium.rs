//! What a real browser makes of it (L07). `./scripts/test.sh` installs Chromium where it is missing.

#![expect(clippy::unwrap_used, reason = "what tests share fails as they do")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, response::Html, routing::get};
use http::{HeaderName, header::AUTHORIZATION};
use serde_json::{Value, json};
use support::{AGENT, App, Browser, Chromium, Quickstart, TokenClient, free_port, routes};
use tokio::net::TcpListener;
use tower_http::cors::CorsLayer;
use tower_lp_auth::{
    DefaultResponses, Rejection, RejectionReason, ResponseForRejection,
    test_kit::{Endpoint, MockSentinel},
};

/// The button of MockSentinel's agent.
const AS_AGENT: &str = "#user-3552833710";

/// The same of its administrator.
const AS_ADMIN: &str = "#user-3552833711";
const ADMIN: &str = "3552833711";

/// C01, G16: by clicks alone, and nothing stays on the screen's other side.
#[tokio::test]
async fn a_person_signs_in_and_out_and_goes_back_to_nothing() {
    let quickstart = Quickstart::start::<&str>(&[]).await;
    let browser = Chromium::start().await;
    browser.open(&format!("{}/", quickstart.url)).await;
    browser.click("#sign-in").await;
    browser.click(AS_AGENT).await;
    assert_eq!(browser.text("#user-id").await, AGENT);
    assert_eq!(browser.url().await, format!("{}/", quickstart.url));
    assert_eq!(browser.text("h1").await, "Hello, Dana Agent");

    let cookies = browser.cookies().await;
    let [cookie] = &cookies[..] else { panic!("one cookie and no other: {cookies:?}") };
    assert!(cookie["name"].as_str().unwrap().starts_with("lp_session_"), "{cookie}");
    let attributes = ["httpOnly", "sameSite", "path", "secure", "domain"].map(|name| &cookie[name]);
    // Without a dot in front the cookie has no attribute `Domain`.
    let expected = [json!(true), json!("Lax"), json!("/"), json!(false), json!("127.0.0.1")];
    assert_eq!(attributes, expected.each_ref(), "{cookie}");
    assert_eq!(browser.script("return document.cookie").await, "");

    browser.click("#sign-out").await;
    assert!(browser.text("#sign-in").await.contains("Sign in"));
    browser.back().await;
    let seen = browser.text("body").await;
    for personal in ["Dana", AGENT] {
        assert!(!seen.contains(personal), "after back: {seen}");
    }
}

/// G16: nor do the pages that only a user sees come back, the admins' among them.
#[tokio::test]
async fn going_back_to_pages_of_a_user_shows_them_no_more() {
    let sentinel = MockSentinel::start().await.unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let callback = format!("http://{address}/callback");
    let quickstart = Quickstart::start(&[
        ("LISTEN_ADDR", &*address),
        ("LP_REDIRECT_URI", &*callback),
        ("LP_ACCOUNT_ID", sentinel.account_id()),
        ("LP_CLIENT_ID", sentinel.client_id()),
        ("LP_CLIENT_SECRET", sentinel.client_secret()),
        ("LP_SENTINEL_URL", &sentinel.url()),
        ("LP_SESSION_KEY", "Vvo3gM1zqm1dIXoZgYzNNQf1sUcYS3xkU0GBVkGyJp8"),
    ])
    .await;
    let browser = Chromium::start().await;
    let url = |path: &str| format!("{}{path}", quickstart.url);
    browser.open(&url("/me")).await;
    browser.click(AS_ADMIN).await;
    assert!(browser.text("body").await.contains("token_fingerprint"));
    browser.open(&url("/admin")).await;
    assert_eq!(browser.text("h1").await, "The engine room");
    browser.open(&url("/")).await;
    browser.click("#sign-out").await;
    assert!(browser.text("#sign-in").await.contains("Sign in"));
    assert_eq!(browser.cookies().await, Vec::<Value>::new());
    // LivePerson's own session would sign the same person in again without a word.
    sentinel.end_user_sessions(ADMIN);

    let mut visited = Vec::new();
    for _ in 0..4 {
        browser.back().await;
        visited.push(browser.url().await);
        let seen = browser.text("body").await;
        for personal in ["token_fingerprint", "session_expires_at", "engine room", "Hello"] {
            assert!(!seen.contains(personal), "{visited:?}: {seen}");
        }
    }
    let logins = visited.iter().filter(|url| url.starts_with(&sentinel.url())).count();
    assert!(logins >= 2, "both pages ask for a login: {visited:?}");
}

/// A19: the way back is the page that was asked for; a second application needs no page.
#[tokio::test]
async fn a_deep_link_survives_and_the_next_application_asks_nothing() {
    let app = App::start().await;
    let other = App::builder().beside(&app).start().await;
    let browser = Chromium::start().await;
    let deep = app.url("/headers?a=1&b=%2F%20&a=2");
    browser.open(&deep).await;
    browser.click(AS_AGENT).await;
    assert_eq!(browser.url().await, deep);
    let headers = shown(&browser).await;
    assert_eq!(headers["_path"], "/headers?a=1&b=%2F%20&a=2");
    assert_eq!(headers["cookie"], Value::Null);

    browser.open(&other.url("/me?x=y")).await;
    assert_eq!(browser.url().await, other.url("/me?x=y"));
    assert_eq!(shown(&browser).await["user_id"], AGENT);
    let counts = app.sentinel.counts();
    assert_eq!((counts.logins, counts.exchanges), (1, 2));
    // Neither application has signed the other's user out.
    browser.open(&app.url("/me")).await;
    assert_eq!(shown(&browser).await["user_id"], AGENT);
    assert_eq!(app.sentinel.counts().exchanges, 2);
}

/// B14.
#[tokio::test]
async fn two_tabs_finish_their_logins_in_reverse_order() {
    let app = App::start().await;
    let browser = Chromium::start().await;
    let first = browser.tab().await;
    browser.open(&app.url("/me?tab=1")).await;
    browser.new_tab().await;
    browser.open(&app.url("/me?tab=2")).await;
    browser.click(AS_AGENT).await;
    assert_eq!(browser.url().await, app.url("/me?tab=2"));
    assert_eq!(shown(&browser).await["user_id"], AGENT);
    browser.show_tab(&first).await;
    browser.click(AS_AGENT).await;
    assert_eq!(browser.url().await, app.url("/me?tab=1"));
    assert_eq!(shown(&browser).await["user_id"], AGENT);
    assert_eq!(browser.cookies().await.len(), 1, "no login is left over");
}

/// B10, B11, L07: a used sign-in page and a used callback end on the landing page.
#[tokio::test]
async fn going_back_into_a_finished_login_does_no_harm() {
    let app = App::start().await;
    let browser = Chromium::start().await;
    browser.open(&app.url("/me")).await;
    browser.click(AS_AGENT).await;
    browser.back().await;
    browser.click(AS_AGENT).await;
    assert_eq!(browser.url().await, app.url("/"));
    assert_eq!(browser.text("body").await, format!("hello {AGENT}"));

    let callback = app.url(&used_callback(&app));
    browser.open(&callback).await;
    assert_eq!(browser.url().await, app.url("/"));
    assert_eq!(browser.text("body").await, format!("hello {AGENT}"));
    assert_eq!(app.sentinel.counts().exchanges, 1, "a code is presented once");

    browser.delete_cookies().await;
    browser.open(&callback).await;
    browser.reload().await;
    assert_eq!((browser.url().await, browser.status().await), (callback, 400));
    browser.click("a.action").await;
    browser.open(&app.url("/me")).await;
    assert_eq!(shown(&browser).await["user_id"], AGENT);
}

/// G01, G03: Chromium's own `Origin` and `Sec-Fetch-Site` pass.
#[tokio::test]
async fn the_confirmation_page_signs_out_or_leaves_everything_as_it_is() {
    let app = App::start().await;
    let browser = Chromium::start().await;
    sign_in(&browser, &app).await;
    browser.open(&app.url("/logout")).await;
    browser.click("form a").await;
    assert_eq!(browser.text("body").await, format!("hello {AGENT}"));
    browser.open(&app.url("/logout")).await;
    browser.click("form button").await;
    assert_eq!(browser.url().await, app.url("/"));
    assert_eq!(browser.text("body").await, "hello stranger");
    assert_eq!(browser.cookies().await, Vec::<Value>::new());
}

/// B28, Y13: a page says so, and there is no loop.
#[tokio::test]
async fn blocked_cookies_end_in_a_page_that_says_so() {
    let app = App::start().await;
    let block = json!({ "profile.default_content_setting_values.cookies": 2 });
    let browser = Chromium::with_preferences(block).await;
    browser.open(&app.url("/me")).await;
    browser.click(AS_AGENT).await;
    assert_eq!(browser.text("h1").await, "Your browser sent no cookie");
    assert_eq!(browser.status().await, 400);
    let counts = app.sentinel.counts();
    assert_eq!((counts.authorize, counts.exchanges), (1, 0));
}

/// J06: the form is not replayed, and its page says what became of it.
#[tokio::test]
async fn a_form_posted_after_the_sessions_end_shows_a_way_to_sign_in() {
    let app = app_with_page("<form method=post action=/me><button>Save</button></form>").await;
    let browser = Chromium::start().await;
    sign_in(&browser, &app).await;
    browser.open(&app.url("/page")).await;
    let calls = app.calls();
    app.advance(9 * 3600);
    browser.click("button").await;
    assert_eq!(browser.status().await, 401);
    assert_eq!(browser.text("h1").await, "Please sign in");
    assert!(browser.text("p").await.contains("has not been saved"));
    assert_eq!(app.calls(), calls);
    browser.click("a.action").await;
    // Signed in at LivePerson still, so there is no page in between.
    assert_eq!(browser.text("body").await, format!("hello {AGENT}"));
}

/// G01: a prefetched logout link ends nothing.
#[tokio::test]
async fn fetching_ahead_changes_nothing() {
    let seen = Seen::default();
    let responses = seen.clone();
    let html = "<link rel=prefetch href=/logout><link rel=prefetch href=/login>page";
    let app = App::builder()
        .layer(|builder| builder.responses(responses))
        .routes(move |router, _| router.route("/page", get(async move || Html(html))))
        .start()
        .await;
    let browser = Chromium::start().await;
    sign_in(&browser, &app).await;
    let authorized = app.sentinel.counts().authorize;
    browser.open(&app.url("/page")).await;
    seen.wait_for(RejectionReason::Prefetch, 2).await;
    browser.open(&app.url("/me")).await;
    assert_eq!(shown(&browser).await["user_id"], AGENT);
    assert_eq!(app.sentinel.counts().authorize, authorized);
}

/// G02: neither another site nor another port of this host can act for the user.
#[tokio::test]
async fn forms_of_other_origins_do_nothing() {
    let app = App::start().await;
    let browser = Chromium::start().await;
    sign_in(&browser, &app).await;
    let calls = app.calls();
    for (host, path, status) in [
        ("localhost", "/logout", 403),
        ("127.0.0.1", "/logout", 403),
        ("127.0.0.1", "/me", 403),
        // `SameSite=Lax` keeps the cookie away.
        ("localhost", "/me", 401),
    ] {
        let action = app.url(path);
        let html = format!("<form method=post action={action}><button>Win</button></form>");
        let port = serve(html).await;
        browser.open(&format!("http://{host}:{port}/")).await;
        browser.click("button").await;
        assert_eq!(browser.url().await, action);
        assert_eq!(browser.status().await, status, "{host} to {path}");
    }
    assert_eq!(app.calls(), calls);
    browser.open(&app.url("/me")).await;
    assert_eq!(shown(&browser).await["user_id"], AGENT);
}

/// J09: a frame of another site starts no login.
#[tokio::test]
async fn a_frame_of_another_site_starts_no_login() {
    let seen = Seen::default();
    let responses = seen.clone();
    let app = App::builder().layer(|builder| builder.responses(responses)).start().await;
    let port = serve(format!("<iframe src={}></iframe>", app.url("/me"))).await;
    let browser = Chromium::start().await;
    browser.open(&format!("http://localhost:{port}/")).await;
    seen.wait_for(RejectionReason::NotSignedIn, 1).await;
    assert_eq!(app.sentinel.counts().authorize, 0);
    browser.open(&app.url("/public")).await;
    assert_eq!(browser.cookies().await, Vec::<Value>::new());
}

/// The reasons of all rejections so far.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<RejectionReason>>>);

impl ResponseForRejection for Seen {
    fn response(&self, rejection: &Rejection) -> http::Response<bytes::Bytes> {
        self.0.lock().unwrap().push(rejection.reason());
        DefaultResponses.response(rejection)
    }
}

impl Seen {
    /// Waits, at most 10 s, for so many of them.
    async fn wait_for(&self, reason: RejectionReason, number: usize) {
        for _ in 0..400 {
            if self.0.lock().unwrap().iter().filter(|seen| **seen == reason).count() >= number {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no {number} of {reason:?} in {:?}", self.0.lock().unwrap());
    }
}

async fn app_with_page(html: &'static str) -> App {
    let routes = move |router: Router, _: &_| router.route("/page", get(async move || Html(html)));
    App::builder().routes(routes).start().await
}

async fn sign_in(browser: &Chromium, app: &App) {
    browser.open(&app.url("/me")).await;
    browser.click(AS_AGENT).await;
    assert_eq!(shown(browser).await["user_id"], AGENT);
}

/// The JSON that the browser shows.
async fn shown(browser: &Chromium) -> Value {
    let text = browser.text("pre").await;
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

/// Path and query of the first callback, as Sentinel had sent it.
fn used_callback(app: &App) -> String {
    let calls = app.sentinel.calls();
    let call = |endpoint| calls.iter().find(|call| call.endpoint == endpoint).unwrap();
    let authorize = &call(Endpoint::Authorize).query;
    let state = authorize.split('&').find(|pair| pair.starts_with("state=")).unwrap();
    format!("/callback?code={}&{state}", call(Endpoint::Token).field("code").unwrap())
}

/// Serves one page at a free port of loopback, for the rest of the test.
async fn serve(html: String) -> u16 {
    serve_router(Router::new().fallback(async move || Html(html.clone()))).await
}

async fn serve_router(router: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

/// G18, Y20: a page that listens sees its stream end when another tab signs out.
#[tokio::test]
async fn signing_out_in_one_tab_ends_the_stream_of_the_other() {
    let example = Quickstart::sse().await;
    let browser = Chromium::start().await;
    let page = format!("{}/", example.url);
    browser.open(&page).await;
    browser.click(AS_AGENT).await;
    let first = browser.tab().await;
    browser.wait_for_text("#state", "Live").await;
    browser.new_tab().await;
    browser.open(&page).await;
    browser.wait_for_text("#state", "Live").await;
    browser.script("document.getElementById('sign-out').click()").await;
    browser.wait_for_text("#state", "Ended").await;
    browser.show_tab(&first).await;
    browser.wait_for_text("#state", "Ended").await;
    browser.click("#sign-in").await;
    browser.wait_for_text("#state", "Live").await;
}

/// G16, G18, J06, J08: a single-page application shows whether its user is signed in, loses nothing that
/// was being written when the session ended elsewhere, and comes back to where it was.
#[tokio::test]
async fn a_single_page_application_follows_its_users_session() {
    let example = Quickstart::spa().await;
    let browser = Chromium::start().await;
    let page = format!("{}/?from=bookmark", example.url);
    browser.open(&page).await;
    browser.wait_for_text("#signed-out .eyebrow", "Signed out").await;
    browser.click("#sign-in").await;
    browser.click(AS_AGENT).await;
    browser.wait_for_text("#user-id", AGENT).await;
    assert_eq!(browser.url().await, page);
    browser.type_into("#note", "Call Dana").await;
    browser.press("#add").await;
    browser.wait_for_text("#notes li", "Call Dana").await;

    let mut elsewhere = Browser::at(&example.url);
    for cookie in browser.cookies().await {
        elsewhere.jar.insert(cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap());
    }
    assert_eq!(elsewhere.post("/logout").await.status, 303);
    browser.type_into("#note", "Half a thought").await;
    browser.press("#add").await;
    browser.wait_for_text("#invitation", "You are signed out.").await;
    let seen = browser.script("return document.body.textContent").await;
    assert!(!seen.as_str().unwrap().contains("Call Dana"), "{seen}");

    // LivePerson remembers the person, so that there is no page in between.
    browser.click("#sign-in").await;
    browser.wait_for_text("#user-id", AGENT).await;
    assert_eq!(browser.url().await, page);
    browser.wait_for_text("#notes li", "Call Dana").await;
    let draft = browser.script("return document.getElementById('note').value").await;
    assert_eq!(draft, "Half a thought");

    browser.press("#sign-out").await;
    browser.wait_for_text("#invitation", "You are signed out.").await;
    assert_eq!(browser.cookies().await, Vec::<Value>::new());
    browser.reload().await;
    browser.wait_for_text("#signed-out .eyebrow", "Signed out").await;
    assert_eq!(browser.text("#user-id").await, "");
}

/// What a script of the shown page gets: status, body and renewed token, or the name of its error.
async fn fetch_from_page(browser: &Chromium, method: &str, url: &str, token: &str) -> Value {
    let options = json!({
        "method": method,
        "headers": { "authorization": format!("Bearer {token}") },
    });
    let script = format!(
        "return fetch({}, {options}).then(async (answer) => ({{
            status: answer.status,
            body: await answer.json(),
            renewed: answer.headers.get('lp-session-token'),
        }})).catch((error) => error.name)",
        json!(url)
    );
    browser.script(&script).await
}

/// H12, J07: a page of another origin calls the API with a session token: through a CORS layer outside
/// it reads what it gets, a 401 too, and the renewed token where that is exposed; without, nothing.
#[tokio::test]
async fn a_page_of_another_origin_calls_with_a_session_token() {
    const HOUR: u64 = 3600;
    let lifetime = Duration::from_secs(HOUR);
    let app = App::builder().sentinel(move |it| it.access_token_lifetime(lifetime)).start().await;
    let signed_in = Browser::signed_in(&app).await;
    let token = TokenClient::of(&app, &signed_in).await.token;

    let page = format!("http://localhost:{}", serve("another origin".to_owned()).await);
    let cors =
        CorsLayer::new().allow_origin([page.parse().unwrap()]).allow_headers([AUTHORIZATION]);
    let protected = || routes(&app.auth).layer(app.auth.clone());
    let silent = serve_router(protected().layer(cors.clone())).await;
    let exposed = cors.expose_headers([HeaderName::from_static("lp-session-token")]);
    let exposed = serve_router(protected().layer(exposed)).await;
    let [silent, exposed] = [silent, exposed].map(|port| format!("http://127.0.0.1:{port}/me"));

    let browser = Chromium::start().await;
    browser.open(&format!("{page}/")).await;
    for method in ["GET", "POST"] {
        let answer = fetch_from_page(&browser, method, &exposed, &token).await;
        assert_eq!(answer["status"], 200, "{method}: {answer}");
        assert_eq!(answer["body"]["user_id"], AGENT, "{method}: {answer}");
        assert_eq!(answer["renewed"], Value::Null, "{method}: {answer}");
        let nothing = fetch_from_page(&browser, method, &app.url("/me"), &token).await;
        assert_eq!(nothing, "TypeError", "{method}: without a CORS layer");
    }
    let refused = fetch_from_page(&browser, "GET", &exposed, "worn-out").await;
    assert_eq!(refused["status"], 401, "{refused}");
    assert_eq!(refused["body"]["status"], 401, "{refused}");
    assert!(refused["body"]["login"].as_str().unwrap().starts_with("/login"), "{refused}");

    app.advance(HOUR - 30);
    let answer = fetch_from_page(&browser, "GET", &silent, &token).await;
    assert_eq!((&answer["status"], &answer["renewed"]), (&json!(200), &Value::Null), "{answer}");
    let answer = fetch_from_page(&browser, "GET", &exposed, &token).await;
    let renewed = answer["renewed"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let answer = fetch_from_page(&browser, "GET", &exposed, renewed).await;
    assert_eq!((&answer["status"], &answer["renewed"]), (&json!(200), &Value::Null), "{answer}");
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// H05: a person lets a native client in: the form's way to this machine passes the page's policy, the
/// token is in no address, and a No leads back.
#[tokio::test]
async fn a_person_lets_a_native_client_in() {
    let server = Quickstart::grpc_server().await;
    let mut client = Quickstart::grpc_client(&server.url).await;
    let browser = Chromium::start().await;
    browser.open(&client.url).await;
    browser.click(AS_AGENT).await;
    assert_eq!(browser.url().await, client.url);
    assert!(browser.text("h1").await.contains("on this machine?"));
    browser.click("#deny").await;
    assert_eq!(browser.url().await, format!("{}/", server.url));
    browser.back().await;
    browser.click("#allow").await;
    assert_eq!(browser.text("h1").await, "You can close this window.");
    let address = browser.url().await;
    let path = address.strip_prefix("http://127.0.0.1:").and_then(|it| it.split_once('/'));
    assert_eq!(path.map(|(_, path)| path), Some(""), "{address}");
    let said = client.rest_of_stdout().await;
    assert!(said.starts_with(&format!("unary: hello is heard from {AGENT}\n")), "{said}");
    assert!(client.ended().await.0.success());
}
