//! What is told to logs, metrics and pages: no secret, nothing forged, nothing without bounds.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic like it")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::Method;
use support::{AGENT, App, AppBuilder, Browser, Counters, FETCH, Logs, NAVIGATE, Page, until};
use tower_lp_auth::{
    DefaultResponses, LoginDecision, LpUser, RejectionReason, ResponseForRejection, SessionKey,
    test_kit::{self, Endpoint, Fault},
};

/// Counters, and what they were when last looked at.
struct Growth<'a> {
    counters: &'a Counters,
    seen: BTreeMap<String, u64>,
}

impl Growth<'_> {
    /// Checks that these series have grown since the last call.
    #[track_caller]
    fn expect(&mut self, row: &str, series: &[&str]) {
        let now = self.counters.read();
        for series in series {
            let (before, after) = (self.seen.get(*series), now.get(*series));
            assert!(after > before, "{row}: {series} went from {before:?} to {after:?}");
        }
        self.seen = now;
    }
}

/// What must never be told, with what it is.
#[derive(Default)]
struct Secrets(BTreeSet<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl Into<String>) {
        let secret = secret.into();
        assert!(secret.len() >= 8, "{what} {secret:?} is too short to be looked for");
        self.0.insert((what, secret));
    }

    /// What a response has set.
    fn add_cookies(&mut self, page: &Page) {
        for line in page.set_cookies() {
            let value = line.split_once('=').unwrap().1.split(';').next().unwrap();
            if !value.is_empty() {
                self.add("cookie", value);
            }
        }
    }

    /// Everything that went to Sentinel.
    fn add_calls(&mut self, app: &App) {
        for call in app.sentinel.calls() {
            for name in ["code", "code_verifier", "refresh_token", "client_secret", "token"] {
                if let Some(value) = call.field(name) {
                    self.add(name, value);
                }
            }
            if call.endpoint == Endpoint::Authorize {
                for (name, value) in url::form_urlencoded::parse(call.query.as_bytes()) {
                    if name == "state" {
                        self.add("state", value);
                    }
                }
            }
        }
    }

    #[track_caller]
    fn assert_absent_from(&self, told: &str) {
        for what in ["code", "code_verifier", "refresh_token", "client_secret", "state", "cookie"] {
            assert!(self.0.iter().any(|(known, _)| *known == what), "no {what} was collected");
        }
        for (what, secret) in &self.0 {
            if let Some(at) = told.find(secret.as_str()) {
                let line = told[..at].rfind('\n').map_or(0, |start| start + 1);
                let end = told[at..].find('\n').map_or(told.len(), |end| at + end);
                panic!("a {what} is told: {}", &told[line..end]);
            }
        }
    }
}

const KEY: &str = "Vvo3gM1zqm1dIXoZgYzNNQf1sUcYS3xkU0GBVkGyJp8";

fn eager() -> AppBuilder {
    App::builder().layer(|builder| {
        builder
            .pkce(true)
            .revoke_on_logout(true)
            .request_timeout(Duration::from_secs(2))
            .session_key(SessionKey::from_base64(KEY).unwrap())
    })
}

/// Signs in hop by hop, and collects what is set on the way.
async fn sign_in(app: &App, secrets: &mut Secrets) -> (Browser, Page) {
    app.sentinel.auto_login(Some(AGENT));
    let mut browser = Browser::new(app);
    let mut page = browser.navigate("/token").await;
    secrets.add_cookies(&page);
    while let Some(location) = page.location() {
        page = browser.navigate(&location).await;
        secrets.add_cookies(&page);
    }
    (browser, page)
}

/// M01, M02.
#[tokio::test]
async fn no_secret_of_a_whole_life_is_ever_told() {
    let (told, _log) = Logs::capture_spans();
    let counters = Counters::default();
    let _metrics = counters.listen();
    let shown = told.clone();
    let users = told.clone();
    let app = eager()
        .layer(move |builder| {
            let ends = shown.clone();
            builder
                .responses_fn(move |rejection| {
                    shown.add(&format!("{rejection:?} {rejection:#?}"));
                    DefaultResponses.response(rejection)
                })
                .on_login(move |user: LpUser| {
                    users.add(&format!("{user:?} {user:#?} {:?}", user.access_token()));
                    std::future::ready(Ok(LoginDecision::Allow))
                })
                .on_session_end(move |end| {
                    ends.add(&format!("{end:?}"));
                    std::future::ready(())
                })
        })
        .start()
        .await;
    told.add(&format!("{:?} {:#?} {:?}", app.auth, app.auth, app.auth.health()));
    told.add(&format!("{:?} {:?}", app.key, app.sentinel));
    let mut secrets = Secrets::default();
    secrets.add("session key", KEY);

    // A login, a refresh, refreshes that fail in each way, and the token's end.
    let (mut browser, page) = sign_in(&app, &mut secrets).await;
    secrets.add("access token", &page.body);
    app.advance(2000);
    secrets.add_cookies(&browser.fetch("/token").await);
    let page = browser.fetch("/token").await;
    secrets.add("access token", &page.body);
    secrets.add_cookies(&page);
    let canary = || Fault::Status {
        status: 400,
        headers: Vec::new(),
        body: br#"{"error":"canary-error","error_description":"canary-description"}"#.to_vec(),
    };
    let faults = [Fault::status(500), Fault::Reset, canary(), Fault::oauth_error("invalid_client")];
    for fault in faults {
        app.sentinel.inject(Endpoint::Refresh, fault);
        app.advance(2100);
        secrets.add_cookies(&browser.fetch("/token").await);
    }
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(6 * 3600);
    for headers in [&NAVIGATE[..], &FETCH] {
        let page = browser.send(Method::GET, "/me", headers, None).await;
        assert_eq!(page.status, 503, "{page:?}");
        told.add(&format!("{page:?}"));
    }
    app.sentinel.clear_faults();
    app.advance(301);
    let page = browser.fetch("/token").await;
    assert_eq!(page.status, 200, "{page:?}");
    secrets.add("access token", &page.body);
    secrets.add_cookies(&page);

    // Logins that fail in each way, and answers that carry canaries.
    let html = || Fault::Status { status: 200, headers: Vec::new(), body: b"canary-html".to_vec() };
    for fault in [
        canary(),
        html(),
        Fault::oauth_error("invalid_grant"),
        Fault::LostResponse,
        Fault::status(500),
        Fault::throttled(1),
        Fault::Body(br#"{"access_token":"canary-access","token_type":"mac"}"#.to_vec()),
        Fault::Body(br#"{"access_token":"canary-access","token_type":"Bearer"}"#.to_vec()),
        Fault::Body(
            br#"{"access_token":"canary-access","token_type":"Bearer","id_token":"canary.id.token"}"#
                .to_vec(),
        ),
    ] {
        app.sentinel.inject(Endpoint::Token, fault.clone());
        let (mut failed, page) = sign_in(&app, &mut secrets).await;
        assert!(page.status.is_server_error(), "{fault:?}: {page:?}");
        let again = failed.navigate(&page.url).await;
        told.add(&page.body);
        told.add(&again.body);
        app.advance(2);
    }
    app.sentinel.set_issuer("canary-issuer");
    told.add(&sign_in(&app, &mut secrets).await.1.body);
    app.sentinel.set_issuer("Sentinel");
    app.sentinel.inject(Endpoint::Jwks, html());
    told.add(&sign_in(&app, &mut secrets).await.1.body);
    for query in [
        "code=canary-code&state=canary-state",
        "error=canary-error&error_description=canary-description",
        "code=canary-code&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "error=access_denied&state=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let page = Browser::new(&app).navigate(&format!("/callback?{query}")).await;
        assert_eq!(page.status, 400, "{page:?}");
        told.add(&format!("{:?} {}", page.headers, page.body));
    }

    // Cookies and credentials that are no good.
    let (name, value) = browser.jar.session().map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
    for broken in [format!("{}AA", &value[..value.len() - 2]), format!("Ag{}", &value[2..])] {
        let mut thief = Browser::new(&app);
        thief.jar.insert(&name, &broken);
        let page = thief.fetch("/me").await;
        page.assert_unauthorized();
        told.add(&format!("{page:?}"));
        secrets.add("broken cookie", broken);
    }
    let bearer = [("authorization", "Bearer canary-bearer"), FETCH[1], FETCH[2]];
    let page = browser.send(Method::GET, "/me", &bearer, None).await;
    page.assert_unauthorized();
    told.add(&format!("{page:?}"));

    // The end.
    app.sentinel.inject(Endpoint::Revoke, canary());
    let page = browser.post("/logout").await;
    assert_eq!(page.status, 303, "{page:?}");
    told.add(&format!("{:?}", page.headers));
    let (mut last, _) = sign_in(&app, &mut secrets).await;
    assert_eq!(last.post("/logout").await.status, 303);

    secrets.add_calls(&app);
    told.add(&format!("{:?}", counters.read()));
    let text = told.text();
    for expected in
        ["session refreshed", "signed in", "request refused", "session ended", "revoked"]
    {
        assert!(text.contains(expected), "{expected:?} was not told: nothing was listened to");
    }
    secrets.assert_absent_from(&text);
    for canary in ["canary-", "canary.", "eyJ"] {
        let at = text.find(canary);
        let near = at.map(|at| &text[at.saturating_sub(200)..(at + 40).min(text.len())]);
        assert_eq!(near, None, "{canary:?} is told");
    }
}

/// M02: what a user of the crate may print.
#[test]
fn values_that_hold_secrets_print_without_them() {
    let user = test_kit::user("7").access_token("canary-access").scope("s");
    let shown = format!("{user:?} {user:#?} {:?} {:?}", user.clone().build(), AGENT);
    let key = SessionKey::from_base64(KEY).unwrap();
    let builder = tower_lp_auth::LpAuthLayer::builder()
        .client_secret("canary-secret")
        .session_key(key.clone())
        .proxy("http://u:canary-word@proxy");
    let token = user.build().access_token().unwrap().clone();
    let shown = format!("{shown} {builder:?} {builder:#?} {key:?} {token:?} {token:#?}");
    assert!(!shown.contains("canary") && !shown.contains(KEY), "{shown}");
}

/// M03, M04: one reason, of a closed set, and one reference, in answer, log and metric alike.
#[tokio::test]
async fn a_refusal_has_one_reason_and_one_reference_for_answer_log_and_metric() {
    let (told, _log) = Logs::capture_spans();
    let counters = Counters::default();
    let _metrics = counters.listen();
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let api = [FETCH[0], FETCH[1], FETCH[2]];
    let bearer = [("authorization", "Bearer x"), FETCH[1], FETCH[2]];
    for (row, reason) in [
        ("no session", RejectionReason::NotSignedIn),
        ("a bearer", RejectionReason::CredentialRefused),
        ("a callback", RejectionReason::InvalidCallback),
        ("a method", RejectionReason::MethodNotAllowed),
    ] {
        let series = format!("lp_auth_rejections_total{{reason={}}}", reason.as_str());
        let (one, all) = (counters.get(&series), counters.sum_of("lp_auth_rejections_total"));
        let page = match reason {
            RejectionReason::NotSignedIn => browser.send(Method::GET, "/me", &api, None).await,
            RejectionReason::CredentialRefused => {
                browser.send(Method::GET, "/me", &bearer, None).await
            }
            RejectionReason::InvalidCallback => browser.navigate("/callback").await,
            _ => browser.send(Method::DELETE, "/login", &NAVIGATE, None).await,
        };
        assert_eq!(page.status, reason.status(), "{row}: {page:?}");
        assert_eq!(counters.get(&series), one + 1, "{row}");
        assert_eq!(counters.sum_of("lp_auth_rejections_total"), all + 1, "{row}");
        let log = told.text();
        let mut lines = log.lines().filter(|line| line.contains("request refused"));
        let line = lines.next_back().unwrap_or_else(|| panic!("{row}: {log}"));
        assert!(line.contains(&format!("reason=\"{}\"", reason.as_str())), "{row}: {line}");
        let (_, rest) = line.split_once("reference=\"").unwrap_or_else(|| panic!("{row}: {line}"));
        let reference = rest.split('"').next().unwrap();
        assert_eq!(reference.len(), 8, "{row}: {line}");
        assert!(page.body.contains(reference), "{row}: {page:?}");
        if page.header("content-type") == Some("application/problem+json") {
            let problem = page.json();
            assert_eq!(problem["status"], page.status.as_u16(), "{row}");
            assert_eq!(problem["reason"], reason.as_str(), "{row}");
            assert_eq!(problem["reference"], reference, "{row}");
            assert_eq!(problem["type"], "about:blank", "{row}");
        }
    }
}

/// M05: no path, user, issuer or reason of a stranger becomes a label.
#[tokio::test]
async fn no_request_adds_a_series() {
    let counters = Counters::default();
    let _metrics = counters.listen();
    let app = App::start().await;
    let before: Vec<String> = counters.read().into_keys().collect();
    assert!(before.len() > 20, "{before:?}");
    let mut browser = Browser::new(&app);
    for number in 0..60 {
        let mut key = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1);
        key ^= key >> 29;
        browser.fetch(&format!("/path-{key:x}")).await;
        browser.navigate(&format!("/callback?error={key:x}&state=x&iss={key:x}")).await;
        let scheme = format!("Scheme{key:x} y");
        let headers = [("authorization", &*scheme), FETCH[1], FETCH[2]];
        browser.send(Method::GET, &format!("/{key:x}?{key:x}"), &headers, None).await;
    }
    for user in ["canary-1", "canary-2", "canary-3"] {
        let mut browser = Browser::new(&app);
        browser.sign_in(&app, user).await;
        assert_eq!(browser.post("/logout").await.status, 303);
        app.sentinel.set_issuer(user);
        app.sentinel.auto_login(Some(user));
        assert_eq!(Browser::new(&app).open("/me").await.status, 502);
        app.sentinel.set_issuer("Sentinel");
    }
    let after: Vec<String> = counters.read().into_keys().collect();
    assert_eq!(after, before);
}

/// M06: no line of the log is written by a stranger.
#[tokio::test]
async fn what_a_stranger_sends_forges_no_line_of_the_log() {
    let (told, _log) = Logs::capture_spans();
    let app = App::start().await;
    app.sentinel.auto_login(Some(AGENT));
    let forged = "%0d%0aFORGED%20%1b[31m";
    for path in [
        format!("/callback?state={forged}&code={forged}"),
        format!("/callback?error={forged}&error_description={forged}&state={}", "A".repeat(43)),
        format!("/login?return_to={forged}"),
        format!("/logout?return_to={forged}"),
        format!("/x{forged}?{forged}"),
    ] {
        let mut browser = Browser::new(&app);
        for headers in [&NAVIGATE[..], &FETCH] {
            browser.send(Method::GET, &path, headers, None).await;
        }
    }
    for (name, value) in [
        ("iss", "x\r\nFORGED \u{1b}[31m"),
        ("sub", "x\r\nFORGED \u{1b}[31m"),
        ("aud", "x\r\nFORGED \u{1b}[31m"),
    ] {
        app.sentinel.set_id_claim(name, value);
        assert_eq!(Browser::new(&app).open("/me").await.status, 502, "{name}");
        app.sentinel.reset_id_claims();
    }
    let body = "{\"error\":\"x\\r\\nFORGED \\u001b[31m\"}".as_bytes().to_vec();
    let fault = Fault::Status { status: 400, headers: Vec::new(), body };
    app.sentinel.inject(Endpoint::Token, fault);
    assert_eq!(Browser::new(&app).open("/me").await.status, 502);
    let ours: Vec<String> = {
        let text = told.text();
        assert!(!text.contains('\u{1b}'), "an escape sequence is in the log");
        assert!(!text.lines().any(|line| line.starts_with("FORGED")), "a line was forged");
        text.lines().filter(|line| line.contains("tower_lp_auth")).map(str::to_owned).collect()
    };
    assert!(!ours.is_empty(), "nothing was listened to");
    for line in ours {
        assert!(!line.contains("FORGED") && !line.contains("%0d"), "{line}");
    }
}

/// M04: each documented counter is counted by the flow that it names.
#[tokio::test]
async fn every_documented_counter_counts() {
    let counters = Counters::default();
    let _metrics = counters.listen();
    let app = App::builder()
        .layer(|builder| builder.revoke_on_logout(true).request_timeout(Duration::from_secs(2)))
        .start()
        .await;
    let mut growth = Growth { counters: &counters, seen: counters.read() };

    let mut browser = Browser::signed_in(&app).await;
    growth.expect("a login", &["lp_auth_logins_total{outcome=success}"]);
    Browser::new(&app).navigate("/callback").await;
    growth.expect(
        "a bad callback",
        &[
            "lp_auth_logins_total{outcome=invalid_callback}",
            "lp_auth_rejections_total{reason=invalid_callback}",
        ],
    );
    app.advance(2000);
    browser.fetch("/me").await;
    growth.expect("a refresh", &["lp_auth_refreshes_total{outcome=success}"]);
    for (fault, outcome) in [
        (Fault::status(500), "failed"),
        (Fault::Reset, "unknown"),
        (Fault::oauth_error("invalid_client"), "misconfigured"),
    ] {
        app.sentinel.inject(Endpoint::Refresh, fault);
        app.advance(2100);
        browser.fetch("/me").await;
        growth.expect(outcome, &[&format!("lp_auth_refreshes_total{{outcome={outcome}}}")]);
    }

    // A session that ends while its refresh is under way.
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Late(Duration::from_millis(300)));
    app.advance(2100);
    let refreshes = app.sentinel.counts().refreshes;
    let due = browser.request(Method::GET, "/me", &FETCH, None).send();
    let due = tokio::spawn(due);
    while app.sentinel.counts().refreshes == refreshes {
        tokio::task::yield_now().await;
    }
    assert_eq!(browser.post("/logout").await.status, 303);
    assert_eq!(due.await.unwrap().unwrap().status(), 200);
    assert!(app.auth.clone().shutdown(Duration::from_secs(5)).await, "the refresh has landed");
    growth.expect(
        "a logout during a refresh",
        &[
            "lp_auth_sessions_ended_total{reason=logout}",
            "lp_auth_refreshes_total{outcome=discarded}",
            "lp_auth_revocations_total{outcome=success}",
        ],
    );

    // The layer above is shut down: another one starts refreshes again.
    let app =
        App::builder().beside(&app).layer(|builder| builder.revoke_on_logout(true)).start().await;
    for (fault, series) in [
        (
            Fault::oauth_error("unsupported_token_type"),
            "lp_auth_revocations_total{outcome=unsupported}",
        ),
        (Fault::oauth_error("invalid_client"), "lp_auth_revocations_total{outcome=misconfigured}"),
        (Fault::status(404), "lp_auth_revocations_total{outcome=refused}"),
        (Fault::status(500), "lp_auth_revocation_retries_total"),
        (Fault::status(500), "lp_auth_revocations_waiting"),
    ] {
        app.sentinel.inject(Endpoint::Revoke, fault);
        let mut browser = Browser::signed_in(&app).await;
        browser.post("/logout").await;
        growth.expect("a revocation that fails", &[series]);
    }
    app.advance(601);
    let given_up = "lp_auth_revocations_total{outcome=gave_up}";
    until(|| counters.get(given_up) == 2).await;
    growth.expect("revocations whose time is over", &[given_up]);

    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::oauth_error("invalid_grant"));
    app.advance(2100);
    browser.fetch("/me").await;
    growth.expect("invalid_grant", &["lp_auth_sessions_ended_total{reason=refresh_refused}"]);

    let mut browser = Browser::signed_in(&app).await;
    for fault in [Fault::Reset, Fault::oauth_error("invalid_grant")] {
        app.sentinel.inject(Endpoint::Refresh, fault);
        app.advance(2100);
        browser.fetch("/me").await;
    }
    growth.expect("a lost rotation", &["lp_auth_sessions_ended_total{reason=rotation_lost}"]);

    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.set_refresh_id_token(true);
    app.sentinel.set_id_claim("sub", "somebody-else");
    app.advance(2100);
    browser.fetch("/me").await;
    app.sentinel.set_refresh_id_token(false);
    app.sentinel.reset_id_claims();
    growth.expect("another user", &["lp_auth_sessions_ended_total{reason=identity_changed}"]);

    let mut browser = Browser::signed_in(&app).await;
    browser.open("/login?return_to=/me").await;
    growth.expect("a login over a session", &["lp_auth_sessions_ended_total{reason=replaced}"]);

    let (name, value) = browser.jar.session().map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap();
    for (kind, cookie) in [("broken", "AAAA".to_owned()), ("foreign", format!("Ag{}", &value[2..]))]
    {
        let mut thief = Browser::new(&app);
        thief.jar.insert(&name, &cookie);
        thief.fetch("/me").await.assert_unauthorized();
        let series = format!("lp_auth_unopenable_cookies_total{{kind={kind}}}");
        growth.expect(kind, &[&series, "lp_auth_rejections_total{reason=not_signed_in}"]);
    }

    // Keys once seen are kept: an instance that has seen none finds none.
    let app = App::builder().beside(&app).start().await;
    app.sentinel.set_publish_keys(false);
    Browser::signed_in(&app).await;
    growth.expect("an unpublished key", &["lp_auth_unsigned_id_tokens_total"]);
}

/// M04: the counter of logins knows those that the application denies with a page of its own.
#[tokio::test]
async fn a_login_that_the_application_denies_counts_whatever_its_page() {
    for with_page in [false, true] {
        let counters = Counters::default();
        let _metrics = counters.listen();
        let app = App::builder()
            .layer(move |builder| {
                builder.on_login(move |_| {
                    let page = with_page.then(|| Box::new(http::Response::new("no".into())));
                    std::future::ready(Ok(LoginDecision::Deny(page)))
                })
            })
            .start()
            .await;
        app.sentinel.auto_login(Some(AGENT));
        let page = Browser::new(&app).open("/me").await;
        assert!(page.session_cookies().is_empty(), "{page:?}");
        let series = "lp_auth_logins_total{outcome=login_denied}";
        assert_eq!(counters.get(series), 1, "with a page of its own: {with_page}");
    }
}
