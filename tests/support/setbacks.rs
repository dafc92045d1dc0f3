//! The rows of the table of outcomes that keep a session, and what a user sees of each.

use std::time::Duration;

use tower_lp_auth::test_kit::{Endpoint, Fault};

use super::{App, Browser, Counters, Page, until};

const HOUR: u64 = 3600;

/// The seconds of `Retry-After`.
#[track_caller]
pub fn retry_after(page: &Page) -> u64 {
    page.assert_unavailable();
    page.header("retry-after").and_then(|it| it.parse().ok()).expect("whole seconds")
}

/// An attempt that brings no tokens, and for how long nobody tries again.
pub struct Setback {
    pub name: &'static str,
    pub fault: Fault,
    /// The shortest and the longest failure memory after the first such attempt, in seconds.
    pub pause: (u64, u64),
    /// Every further attempt doubles the memory.
    pub doubles: bool,
}

/// The rows of the table of outcomes that keep the session.
pub fn setbacks() -> Vec<Setback> {
    let row = |name, fault, pause, doubles| Setback { name, fault, pause, doubles };
    let failed = |name, fault| row(name, fault, (10, 11), false);
    let unknown = |name, fault| row(name, fault, (10, 11), true);
    let status = |status, headers: &[(&str, &str)], body: &str| Fault::Status {
        status,
        headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        body: body.into(),
    };
    let body = |text: &str| Fault::Body(text.into());
    let unauthorized = r#"{"error":"invalid_client"}"#;
    vec![
        failed("500", Fault::status(500)),
        failed("502 with a page", status(502, &[], "<h1>invalid_grant</h1>")),
        failed("503", Fault::status(503)),
        failed("503 that asks for a second", status(503, &[("retry-after", "1")], "")),
        row("503 that asks for 40 s", status(503, &[("retry-after", "40")], ""), (40, 44), false),
        failed("504", Fault::status(504)),
        failed("a redirect", status(302, &[("location", "/elsewhere")], "")),
        failed("400 without a code", Fault::status(400)),
        failed("404", Fault::status(404)),
        failed("invalid_request", Fault::oauth_error("invalid_request")),
        failed("unsupported_grant_type", Fault::oauth_error("unsupported_grant_type")),
        failed("invalid_scope", Fault::oauth_error("invalid_scope")),
        failed("invalid_client", Fault::oauth_error("invalid_client")),
        failed("invalid_client with 401", status(401, &[], unauthorized)),
        failed("unauthorized_client", Fault::oauth_error("unauthorized_client")),
        row("429", Fault::status(429), (10, 10), false),
        row("429 that asks for 30 s", Fault::throttled(30), (30, 30), false),
        row("429 that asks for an hour", Fault::throttled(3600), (60, 60), false),
        unknown("a reset", Fault::Reset),
        unknown("no answer in time", Fault::Hang),
        unknown("a dripping answer", Fault::Drip),
        unknown("half an answer", Fault::HalfBody),
        unknown("a lost answer", Fault::LostResponse),
        unknown("a late answer", Fault::Late(Duration::from_secs(2))),
        unknown("200 with a page", body("<html>please log in to the network</html>")),
        unknown("200 without a body", body("")),
        unknown("200 with broken JSON", body(r#"{"access_token":"a""#)),
        unknown("200 with deep JSON", body(&"[".repeat(60_000))),
        unknown("200 with an error", body(r#"{"error":"invalid_grant"}"#)),
        unknown("200 without an access token", body(r#"{"token_type":"Bearer"}"#)),
        unknown("200 with a number for a token", body(r#"{"access_token":5}"#)),
        unknown("200 with another token type", body(r#"{"access_token":"a","token_type":"mac"}"#)),
        unknown("200 with a token twice", body(r#"{"access_token":"a","access_token":"b"}"#)),
        unknown("200 with a megabyte", Fault::Body(vec![b' '; 1 << 20])),
    ]
}

impl Setback {
    /// Tells what a user sees of it whose access tokens live an hour: nothing until the token's true end,
    /// then 503, and all is well at the time that the 503 has named.
    pub async fn survived_by(&self, app: &App, mut browser: Browser, counted: &Counters) {
        let Self { name, fault, pause, doubles } = self;
        let attempts = || app.sentinel.counts().refreshes;
        let landed = |number| {
            until(move || {
                attempts() == number && counted.sum_of("lp_auth_refreshes_total") == number
            })
        };
        let token = browser.fetch("/token").await.body;
        app.sentinel.inject_always(Endpoint::Refresh, fault.clone());

        // Due: served meanwhile, and remembered.
        app.advance(2000);
        let served = browser.fetch("/token").await;
        landed(1).await;
        assert_eq!(served.body, token, "{name}: due");
        app.advance(pause.0 - 1);
        assert_eq!(browser.fetch("/token").await.body, token, "{name}: in the failure memory");
        assert_eq!(attempts(), 1, "{name}: the memory is too short");
        app.advance(pause.1 - pause.0 + 1);
        assert_eq!(browser.fetch("/token").await.body, token, "{name}: after the failure memory");
        landed(2).await; // the memory is not too long

        // Within its last minute: a refresh comes first, and its failure is no reason to refuse.
        app.advance(HOUR - 30 - 2000 - pause.1);
        assert_eq!(browser.fetch("/token").await.body, token, "{name}: in the last minute");
        assert_eq!(attempts(), 3, "{name}: in the last minute");
        app.advance(29);
        assert_eq!(browser.fetch("/token").await.body, token, "{name}: in the last second");
        app.advance(1);
        let tried = attempts();
        let refused = browser.fetch("/token").await;
        let seconds = retry_after(&refused);
        let longest = if *doubles { 44 } else { pause.1 };
        assert!(seconds <= longest, "{name}: {seconds} s");
        let page = browser.navigate("/token").await;
        page.assert_unavailable();
        assert!(page.body.contains(r#"href="/login"#), "{name}: {page:?}");
        let login = browser.clone().navigate("/login").await;
        login.assert_login();
        assert!(login.session_cookies().is_empty(), "{name}: {login:?}");
        assert!(attempts() <= tried + 1, "{name}: a refused request asks again");
        assert!(browser.jar.session().is_some(), "{name}: the cookie is gone");

        // `Retry-After` is the time to the next attempt, and not a second more.
        let tried = attempts();
        if seconds > 1 {
            app.advance(seconds - 1);
            assert_eq!(retry_after(&browser.fetch("/token").await), 1, "{name}");
            assert_eq!(attempts(), tried, "{name}: asked before the time that it named");
            app.advance(1);
        } else {
            app.advance(seconds);
        }
        app.sentinel.clear_faults();
        let recovered = browser.fetch("/token").await;
        assert_eq!(recovered.status, 200, "{name}: {recovered:?}");
        assert!(app.sentinel.is_live_access_token(&recovered.body), "{name}");
        assert_eq!(attempts(), tried + 1, "{name}");
    }
}
