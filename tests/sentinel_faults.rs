//! LivePerson misbehaves: what users get then, and what they keep.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic like it")]

mod support;

use std::{sync::Arc, time::Duration};

use axum::routing::get;
use serde_json::json;
use support::{AGENT, App, AppBuilder, Browser, Logs, NAVIGATE, Page, read};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::Instant,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use tower_lp_auth::{
    IdTokenSignature, LpUser, RejectionReason, TokenApiVersion,
    test_kit::{Endpoint, ExpiresIn, Fault},
};
use url::Url;

/// Calls that hang are given up soon.
const SHORT: Duration = Duration::from_millis(400);

fn impatient() -> AppBuilder {
    App::builder().layer(|builder| builder.request_timeout(SHORT))
}

/// A new browser tries to sign in.
async fn attempt(app: &App) -> (Browser, Page) {
    app.sentinel.auto_login(Some(AGENT));
    let mut browser = Browser::new(app);
    let page = browser.open("/me").await;
    (browser, page)
}

#[track_caller]
fn assert_signed_in(page: &Page, row: &str) {
    assert_eq!(page.status, 200, "{row}: {page:?}");
    assert_eq!(page.json()["user_id"], AGENT, "{row}");
}

/// A page of ours for this reason, without a session, that says nothing of the answer.
#[track_caller]
fn assert_refused(page: &Page, reason: RejectionReason, row: &str) {
    assert_eq!(page.status, reason.status(), "{row}: {page:?}");
    assert!(page.body.contains(reason.title()), "{row}: {page:?}");
    let explanation = reason.explanation().replace('\'', "&#39;");
    assert!(page.body.contains(&explanation), "{row}: {page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"), "{row}");
    assert!(page.session_cookies().is_empty(), "{row}: {page:?}");
    assert!(!page.body.contains("canary"), "{row}: {page:?}");
    if reason.status() == 503 {
        let seconds = page.header("retry-after").and_then(|it| it.parse::<u64>().ok());
        assert!(seconds.is_some_and(|it| it >= 1), "{row}: {page:?}");
    }
}

/// A page's link: to a new login, or to another try of the same.
#[track_caller]
fn html() -> Fault {
    Fault::Status {
        status: 200,
        headers: vec![("content-type".into(), "text/html".into())],
        body: b"<html>canary: please sign in to this network</html>".to_vec(),
    }
}

fn elsewhere(app: &App) -> Fault {
    Fault::Status {
        status: 307,
        headers: vec![(
            "location".into(),
            format!("{}/sentinel/well-known/jwks", app.sentinel.url()),
        )],
        body: Vec::new(),
    }
}

/// X01, N06.
#[tokio::test]
async fn an_application_starts_without_the_domain_api_and_is_ready_once_it_answers() {
    let app = App::start().await;
    app.sentinel.inject_always(Endpoint::Domain, Fault::status(500));
    let mut browser = Browser::new(&app);
    assert_eq!(browser.fetch("/public").await.status, 200);
    let page = browser.navigate("/me").await;
    assert_refused(&page, RejectionReason::SentinelUnavailable, "down");
    assert!(page.set_cookies().is_empty() && page.location().is_none(), "{page:?}");
    browser.fetch("/me").await.assert_unauthorized();
    let health = app.auth.health();
    assert!(health.ready && !health.sentinel_known, "{health:?}");
    app.sentinel.clear_faults();
    app.advance(2);
    assert_eq!(page.way_forward(), "/login?return_to=%2Fme");
    app.sentinel.auto_login(Some(AGENT));
    assert_signed_in(&browser.open(&page.way_forward()).await, "back again");
    assert!(app.auth.health().sentinel_known);
}

/// X01, X11 to X13, X16, X20.
#[tokio::test]
async fn no_login_starts_on_a_domain_answer_that_is_not_believed() {
    let app = impatient().start().await;
    let body = |value: serde_json::Value| Fault::Body(value.to_string().into_bytes());
    let table = [
        ("hang", Fault::Hang),
        ("drip", Fault::Drip),
        ("reset", Fault::Reset),
        ("half a body", Fault::HalfBody),
        ("404", Fault::status(404)),
        ("redirect", elsewhere(&app)),
        ("html", html()),
        ("huge", Fault::Body(vec![b' '; 64 * 1024 + 1])),
        ("no host", body(json!({ "service": "sentinel" }))),
        ("no text", body(json!({ "service": "sentinel", "baseURI": 7 }))),
        ("with a path", body(json!({ "baseURI": "127.0.0.1/x" }))),
        ("with a scheme", body(json!({ "baseURI": "http://127.0.0.1" }))),
        ("with a user", body(json!({ "baseURI": "u@127.0.0.1" }))),
        ("another service", body(json!({ "service": "agentVep", "baseURI": "127.0.0.1" }))),
        ("another account", body(json!({ "account": "999", "baseURI": "127.0.0.1" }))),
    ];
    for (row, fault) in table {
        app.sentinel.inject_always(Endpoint::Domain, fault);
        let page = Browser::new(&app).navigate("/me").await;
        assert_refused(&page, RejectionReason::SentinelUnavailable, row);
        app.advance(2);
    }
    let authorized = app.sentinel.counts().authorize;
    assert_eq!(authorized, 0);
}

/// X20: the host of a real name is asked over https, whatever the Domain API was asked over.
#[tokio::test]
async fn browsers_are_sent_to_other_machines_over_https_alone() {
    let app = App::start().await;
    let answer = json!({ "service": "sentinel", "baseURI": "va.sentinel.liveperson.net" });
    app.sentinel.inject(Endpoint::Domain, Fault::Body(answer.to_string().into_bytes()));
    let page = Browser::new(&app).navigate("/me").await;
    let location = page.location().unwrap();
    assert!(location.starts_with("https://va.sentinel.liveperson.net/sentinel/api/"), "{location}");
}

/// X20: a host once known serves on.
#[tokio::test]
async fn a_known_host_outlives_the_domain_api() {
    let app = App::start().await;
    assert_signed_in(&attempt(&app).await.1, "at first");
    app.sentinel.inject_always(Endpoint::Domain, Fault::status(503));
    app.advance(601);
    assert_signed_in(&attempt(&app).await.1, "while it is down");
    assert!(app.sentinel.counts().domain > 1, "it was asked again");
}

/// X02.
#[tokio::test]
async fn sessions_live_on_while_nobody_can_authorize() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject_always(Endpoint::Authorize, Fault::status(503));
    assert_eq!(browser.fetch("/me").await.status, 200);
    Browser::new(&app).navigate("/me").await.assert_login();
    assert!(app.auth.health().ready);
}

/// X17, E20: keys that were never had, under both policies.
#[tokio::test]
async fn keys_that_cannot_be_had_fail_a_login_for_now_and_keys_that_are_not_there_by_policy() {
    use RejectionReason::{LoginRefused, SentinelUnavailable};
    for policy in [IdTokenSignature::Published, IdTokenSignature::Required] {
        let app = App::builder()
            .layer(move |builder| builder.request_timeout(SHORT).id_token_signature(policy))
            .start()
            .await;
        let by_policy = (policy == IdTokenSignature::Required).then_some(LoginRefused);
        let for_now = Some(SentinelUnavailable);
        let table = [
            ("500", Fault::status(500), for_now),
            ("403", Fault::status(403), for_now),
            ("hang", Fault::Hang, for_now),
            ("drip", Fault::Drip, for_now),
            ("reset", Fault::Reset, for_now),
            ("half a body", Fault::HalfBody, for_now),
            ("redirect", elsewhere(&app), for_now),
            ("html", html(), for_now),
            ("no set", Fault::Body(b"{\"keys\":{}}".to_vec()), for_now),
            ("huge", Fault::Body(vec![b' '; 512 * 1024 + 1]), for_now),
            ("404", Fault::status(404), by_policy),
            ("410", Fault::status(410), by_policy),
            ("empty", Fault::Body(b"{\"keys\":[]}".to_vec()), by_policy),
        ];
        for (row, fault, refusal) in table {
            let row = format!("{row} under {policy:?}");
            app.sentinel.inject_always(Endpoint::Jwks, fault);
            let (_, page) = attempt(&app).await;
            match refusal {
                Some(reason) => assert_refused(&page, reason, &row),
                None => assert_signed_in(&page, &row),
            }
            app.advance(31);
        }
        app.sentinel.clear_faults();
        assert_signed_in(&attempt(&app).await.1, "keys are there again");
    }
}

/// X17, E19, E20: a failed fetch removes no key, for a day.
#[tokio::test]
async fn keys_once_had_outlive_the_server_for_a_day() {
    let app = App::builder()
        .layer(|builder| {
            builder.request_timeout(SHORT).id_token_signature(IdTokenSignature::Required)
        })
        .start()
        .await;
    assert_signed_in(&attempt(&app).await.1, "at first");
    for (row, fault) in [
        ("500", Fault::status(500)),
        ("html", html()),
        ("hang", Fault::Hang),
        ("huge", Fault::Body(vec![b'{'; 512 * 1024 + 1])),
    ] {
        app.sentinel.inject_always(Endpoint::Jwks, fault);
        app.advance(601);
        let before = app.sentinel.counts().jwks;
        assert_signed_in(&attempt(&app).await.1, row);
        let (_, page) = attempt(&app).await;
        assert_signed_in(&page, row);
        let fetches = app.sentinel.counts().jwks - before;
        assert!((1..=3).contains(&fetches), "{row}: {fetches} fetches"); // one, with its retries
    }
    app.advance(24 * 3600);
    let (_, page) = attempt(&app).await;
    assert_refused(&page, RejectionReason::SentinelUnavailable, "after a day");
}

/// E21, E22, X18.
#[tokio::test]
async fn a_new_key_is_fetched_once_and_an_old_one_leaves_with_its_set() {
    let app = App::builder()
        .layer(|builder| builder.id_token_signature(IdTokenSignature::Required))
        .start()
        .await;
    assert_signed_in(&attempt(&app).await.1, "the first key");
    app.advance(31);
    app.sentinel.rotate_signing_key();
    assert_signed_in(&attempt(&app).await.1, "the second key");
    assert_signed_in(&attempt(&app).await.1, "the second key again");
    assert_eq!(app.sentinel.counts().jwks, 2);
    app.sentinel.withdraw_old_keys();
    app.advance(601);
    assert_signed_in(&attempt(&app).await.1, "the second key alone");
    assert_eq!(app.sentinel.counts().jwks, 3);
}

/// E18, X19: logins whose key is never published make nobody fetch more often.
#[tokio::test]
async fn unknown_keys_cost_one_fetch_in_thirty_seconds() {
    let app = App::builder()
        .layer(|builder| builder.id_token_signature(IdTokenSignature::Required))
        .start()
        .await;
    app.sentinel.set_jwks_body(Some(b"{\"keys\":[]}".to_vec()));
    for round in 1..=3 {
        for _ in 0..5 {
            let (_, page) = attempt(&app).await;
            assert_refused(&page, RejectionReason::LoginRefused, "an unknown key");
        }
        assert_eq!(app.sentinel.counts().jwks, round);
        app.advance(31);
    }
}

/// E23.
#[tokio::test]
async fn many_first_logins_at_once_fetch_host_and_keys_once() {
    let app = App::start().await;
    let attempts = (0..20).map(|_| attempt(&app));
    for (_, page) in futures_util::future::join_all(attempts).await {
        assert_signed_in(&page, "at once");
    }
    let counts = app.sentinel.counts();
    assert_eq!((counts.domain, counts.jwks, counts.exchanges), (1, 1, 20));
}

/// X03, X05 to X16: a code is presented once, and the page leads to a login that works.
#[tokio::test]
async fn a_failed_exchange_is_a_page_with_a_way_forward_and_never_a_second_try() {
    use RejectionReason::{LoginRefused, SentinelUnavailable};
    let app = impatient().start().await;
    let body = |text: &str| Fault::Body(text.as_bytes().to_vec());
    let nested = format!("{{\"access_token\":\"a\",\"x\":{}", "[".repeat(30_000));
    let table = [
        ("500", Fault::status(500), SentinelUnavailable),
        ("503", Fault::status(503), SentinelUnavailable),
        ("redirect", elsewhere(&app), SentinelUnavailable),
        ("hang", Fault::Hang, SentinelUnavailable),
        ("late", Fault::Late(Duration::from_secs(2)), SentinelUnavailable),
        ("drip", Fault::Drip, SentinelUnavailable),
        ("half a body", Fault::HalfBody, SentinelUnavailable),
        ("reset", Fault::Reset, SentinelUnavailable),
        ("lost response", Fault::LostResponse, SentinelUnavailable),
        ("html", html(), LoginRefused),
        ("huge", Fault::Body(vec![b' '; 64 * 1024 + 1]), LoginRefused),
        ("an error in a success", body(r#"{"error":"canary"}"#), LoginRefused),
        ("no access token", body(r#"{"token_type":"Bearer"}"#), LoginRefused),
        ("wrong types", body(r#"{"access_token":7,"token_type":"Bearer"}"#), LoginRefused),
        ("a name twice", body(r#"{"access_token":"a","access_token":"b"}"#), LoginRefused),
        ("nested", body(&nested), LoginRefused),
        ("invalid_grant", Fault::oauth_error("invalid_grant"), LoginRefused),
        ("invalid_client", Fault::oauth_error("invalid_client"), LoginRefused),
        ("an unknown error", Fault::oauth_error("canary"), LoginRefused),
        ("400 without a body", Fault::status(400), LoginRefused),
    ];
    for (row, fault, reason) in table {
        app.sentinel.inject(Endpoint::Token, fault);
        let before = app.sentinel.counts().exchanges;
        let (mut browser, page) = attempt(&app).await;
        assert_refused(&page, reason, row);
        assert_eq!(browser.jar.names(), [] as [&str; 0], "{row}");
        assert_eq!(app.sentinel.counts().exchanges, before + 1, "{row}");
        let again = browser.navigate(&page.url).await;
        assert!(again.status.is_client_error(), "{row}: {again:?}");
        assert_eq!(app.sentinel.counts().exchanges, before + 1, "{row}, reloaded");
        assert_eq!(page.way_forward(), "/login?return_to=%2Fme", "{row}");
        assert_signed_in(&browser.open(&page.way_forward()).await, row);
    }
}

/// X15.
#[tokio::test]
async fn a_whole_answer_counts_although_its_connection_is_reset() {
    let app = App::start().await;
    app.sentinel.inject(Endpoint::Token, Fault::ResetAfterBody);
    assert_signed_in(&attempt(&app).await.1, "reset after the body");
}

/// X07: a code that was not taken is still good.
#[tokio::test]
async fn a_throttled_login_goes_on_where_it_stopped() {
    let app = App::start().await;
    app.sentinel.inject(Endpoint::Token, Fault::throttled(7));
    let (mut browser, page) = attempt(&app).await;
    assert_refused(&page, RejectionReason::LoginBusy, "throttled");
    assert_eq!(page.header("retry-after"), Some("7"));
    assert_eq!(browser.jar.logins().len(), 1, "the login waits");
    let retry = page.way_forward();
    assert!(retry.starts_with("/callback?code="), "{retry}");
    let early = browser.navigate(&retry).await;
    assert_refused(&early, RejectionReason::LoginBusy, "too early");
    assert_eq!(app.sentinel.counts().exchanges, 1, "nobody asks before the time has come");
    app.advance(8);
    assert_signed_in(&browser.open(&retry).await, "in time");
}

/// F20's other half: every form of `expires_in` means something.
#[tokio::test]
async fn a_lifetime_is_read_in_every_form() {
    const HOURS: u64 = 8 * 3600;
    let app = App::builder()
        .routes(|router, _| {
            let life = |user: LpUser| async move {
                let life = user
                    .access_token_expires_at()
                    .expect("a session")
                    .duration_since(user.authenticated_at());
                life.unwrap().as_secs().to_string()
            };
            router.route("/life", get(life))
        })
        .start()
        .await;
    app.sentinel.set_access_token_lifetime(Duration::from_secs(1800));
    let literal = |value: serde_json::Value| ExpiresIn::Literal(value);
    for (form, expected) in [
        (ExpiresIn::Number, 1800),
        (ExpiresIn::Text, 1800),
        (ExpiresIn::Absent, HOURS),
        (literal(json!(null)), HOURS),
        (literal(json!("soon")), HOURS),
        (literal(json!(true)), HOURS),
        (literal(json!([])), HOURS),
        (literal(json!(90.5)), 90),
        (literal(json!(0)), 1),
        (literal(json!(-5)), 1),
        (literal(json!("-5")), 1),
        (literal(json!(1e300)), 400 * 24 * 3600),
        (literal(json!(u64::MAX)), 400 * 24 * 3600),
    ] {
        app.sentinel.set_expires_in(form.clone());
        let (mut browser, page) = attempt(&app).await;
        assert_signed_in(&page, &format!("{form:?}"));
        assert_eq!(browser.fetch("/life").await.body, expected.to_string(), "for {form:?}");
    }
}

/// E17.
#[tokio::test]
async fn an_issuer_is_one_of_two_spellings_or_the_configured_one() {
    let refused = RejectionReason::LoginRefused;
    let by_default = App::start().await;
    let configured = App::builder().layer(|builder| builder.issuer("https://lp.example")).start();
    let configured = configured.await;
    for (app, issuer, fine) in [
        (&by_default, "Sentinel", true),
        (&by_default, "sentinel", true),
        (&by_default, "SENTINEL", false),
        (&by_default, "Sentinel/", false),
        (&by_default, " Sentinel", false),
        (&by_default, "https://sentinel.liveperson.net", false),
        (&configured, "https://lp.example", true),
        (&configured, "https://lp.example/", false),
        (&configured, "https://lp.example:443", false),
        (&configured, "Sentinel", false),
    ] {
        app.sentinel.set_issuer(issuer);
        let (_, page) = attempt(app).await;
        if fine {
            assert_signed_in(&page, issuer);
        } else {
            assert_refused(&page, refused, issuer);
        }
    }
}

/// X21, E15: the leeway is 60 s, and what is beyond is named.
#[tokio::test]
async fn a_clock_that_is_a_minute_off_is_fine_and_more_is_named() {
    let app = App::start().await;
    let now = {
        use tower_lp_auth::Clock;
        let since = app.clock.now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs()
    };
    for (iat, exp, fine) in [
        (now + 59, now + 600, true),
        (now + 61, now + 660, false),
        (now - 600, now - 59, true),
        (now - 600, now - 61, false),
    ] {
        app.sentinel.set_id_claim("iat", iat);
        app.sentinel.set_id_claim("exp", exp);
        let row = format!(
            "issued at {} s, ends at {} s",
            iat as i64 - now as i64,
            exp as i64 - now as i64
        );
        let (_, page) = attempt(&app).await;
        if fine {
            assert_signed_in(&page, &row);
        } else {
            assert_refused(&page, RejectionReason::ClockSkew, &row);
        }
    }
}

/// E01.
#[tokio::test]
async fn a_token_type_is_bearer_in_any_case_and_nothing_else_at_login() {
    let app = App::start().await;
    for (kind, fine) in [
        (Some("Bearer"), true),
        (Some("bearer"), true),
        (Some("BEARER"), true),
        (Some("mac"), false),
        (Some(""), false),
        (None, false),
    ] {
        app.sentinel.set_token_type(kind);
        let (_, page) = attempt(&app).await;
        if fine {
            assert_signed_in(&page, &format!("{kind:?}"));
        } else {
            assert_refused(&page, RejectionReason::LoginRefused, &format!("{kind:?}"));
        }
    }
}

/// The version goes into the token endpoint's query alone.
#[tokio::test]
async fn the_configured_version_is_the_token_endpoints() {
    for (version, query) in [(TokenApiVersion::V1, "v=1.0"), (TokenApiVersion::V2, "v=2.0")] {
        let app = App::builder()
            .layer(move |builder| builder.token_api_version(version).revoke_on_logout(true))
            .start()
            .await;
        let mut browser = Browser::signed_in(&app).await;
        app.advance(2000);
        browser.fetch("/me").await;
        assert_eq!(browser.post("/logout").await.status, 303);
        let asked = |endpoint| {
            let calls = app.sentinel.calls();
            let queries = calls.into_iter().filter(move |call| call.endpoint == endpoint);
            queries.map(|call| call.query).collect::<Vec<_>>()
        };
        assert_eq!(asked(Endpoint::Token), [query]);
        assert_eq!(asked(Endpoint::Refresh), [query]);
        assert_eq!(asked(Endpoint::Revoke), ["v=1.0"]);
        assert!(asked(Endpoint::Authorize)[0].starts_with("v=1.0&"));
        assert!(app.sentinel.calls().iter().all(|call| !call.had_authorization));
    }
}

/// B24: an answer without an id_token is refused, and the log names `LP_TOKEN_API_VERSION`.
#[tokio::test]
async fn a_login_without_an_id_token_names_the_setting_that_may_help() {
    let (log, _guard) = Logs::capture();
    let app = App::start().await;
    app.sentinel.set_id_token(false);
    let (_, page) = attempt(&app).await;
    assert_refused(&page, RejectionReason::LoginRefused, "no id_token");
    let text = log.text();
    assert!(text.contains("ERROR") && text.contains("LP_TOKEN_API_VERSION"), "{text}");
}

/// X24.
#[tokio::test]
async fn a_logout_is_done_whatever_becomes_of_the_revocation() {
    let app = App::builder().layer(|builder| builder.revoke_on_logout(true)).start().await;
    for (row, fault) in [
        ("500", Fault::status(500)),
        ("reset", Fault::Reset),
        ("hang", Fault::Hang),
        ("throttled", Fault::throttled(60)),
    ] {
        app.sentinel.inject(Endpoint::Revoke, fault);
        let mut browser = Browser::signed_in(&app).await;
        let mut copy = browser.clone();
        let before = app.sentinel.counts().revocations;
        let page = tokio::time::timeout(Duration::from_secs(4), browser.post("/logout")).await;
        let page = page.unwrap_or_else(|_| panic!("{row}: the logout waits for Sentinel"));
        assert_eq!(page.status, 303, "{row}: {page:?}");
        assert_eq!(app.sentinel.counts().revocations, before + 1, "{row}");
        assert_eq!(browser.jar.session(), None, "{row}");
        copy.fetch("/me").await.assert_unauthorized();
    }
}

/// Speaks TLS in front of MockSentinel; ends with this value.
struct TlsFront {
    port: u16,
    /// The authority that signed its certificate.
    ca: String,
    accepting: AbortHandle,
}

impl TlsFront {
    /// A certificate of an authority of its own for `localhost`.
    async fn before(sentinel: &str) -> Self {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let ca = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = own.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let behind = sentinel.trim_start_matches("http://").to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, behind) = (acceptor.clone(), behind.clone());
                tokio::spawn(async move {
                    // A client that does not trust the certificate hangs up.
                    let Ok(mut front) = acceptor.accept(stream).await else { return };
                    let mut back = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut front, &mut back).await;
                });
            }
        });
        Self { port, ca, accepting: accepting.abort_handle() }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A login through a Sentinel that our test browser reaches by another address.
async fn attempt_at(app: &App, front: &str) -> (Browser, Page) {
    app.sentinel.auto_login(Some(AGENT));
    let mut browser = Browser::new(app);
    let started = browser.navigate("/me").await;
    let location = started.location().unwrap();
    let rest = location.strip_prefix(front).unwrap_or_else(|| panic!("off to {location}"));
    let page = browser.open(&format!("{}{rest}", app.sentinel.url())).await;
    (browser, page)
}

/// X03: over TLS with an authority of one's own, as `ca_certificate` names it.
#[tokio::test]
async fn tokens_and_keys_are_fetched_over_tls_that_a_given_authority_vouches_for() {
    let first = App::start().await;
    let front = TlsFront::before(&first.sentinel.url()).await;
    let (url, ca) = (front.url(), front.ca.clone());
    let app = App::builder()
        .beside(&first)
        .layer(move |builder| {
            builder
                .sentinel_url(url)
                .ca_certificate(ca)
                .id_token_signature(IdTokenSignature::Required)
        })
        .start()
        .await;
    let (_, page) = attempt_at(&app, &front.url()).await;
    assert_signed_in(&page, "over TLS");
    let counts = app.sentinel.counts();
    assert_eq!((counts.domain, counts.exchanges, counts.jwks), (0, 1, 1));
}

/// X03, Y18: no connection and no TLS mean that the code is as good as before.
#[tokio::test]
async fn a_code_that_could_not_be_sent_is_unspent() {
    let first = App::start().await;
    let front = TlsFront::before(&first.sentinel.url()).await;
    // Another authority: the right certificate of the wrong one.
    let other = TlsFront::before(&first.sentinel.url()).await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for (row, url) in [("no trust", front.url()), ("nobody listens", closed)] {
        let (sentinel_url, ca) = (url.clone(), other.ca.clone());
        let app = App::builder()
            .beside(&first)
            .layer(move |builder| builder.sentinel_url(sentinel_url).ca_certificate(ca))
            .start()
            .await;
        let (mut browser, page) = attempt_at(&app, &url).await;
        assert_refused(&page, RejectionReason::SentinelUnavailable, row);
        assert_eq!(app.sentinel.counts().exchanges, 0, "{row}");
        assert_eq!(browser.jar.logins().len(), 1, "{row}: the login waits");
        let retry = page.way_forward();
        let callback = Url::parse(&page.url).unwrap();
        assert_eq!(retry, callback[url::Position::BeforePath..], "{row}");
        let again = browser.navigate(&retry).await;
        assert_refused(&again, RejectionReason::SentinelUnavailable, row);
    }
}

/// X05: one slow call holds up nobody else.
#[tokio::test]
async fn a_slow_exchange_leaves_other_sessions_alone() {
    let app = impatient().start().await;
    let mut other = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Token, Fault::Hang);
    let mut browser = Browser::new(&app);
    let started = browser.navigate("/me").await;
    let back = browser.navigate(&started.location().unwrap()).await;
    let callback = back.location().unwrap();
    let request = browser.request(http::Method::GET, &callback, &NAVIGATE, None);
    let slow = tokio::spawn(async move { read(request.send().await.unwrap(), callback).await });
    while app.sentinel.counts().exchanges < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(other.fetch("/me").await.status, 200);
    assert!(!slow.is_finished(), "the exchange was over before the other request");
    assert_refused(&slow.await.unwrap(), RejectionReason::SentinelUnavailable, "slow");
}

/// X03, Y18: a connection that is not made in `connect_timeout` carries no code.
#[tokio::test]
async fn a_connection_has_a_deadline_of_its_own() {
    let first = App::start().await;
    let front = TlsFront::before(&first.sentinel.url()).await;
    // It takes connections and never speaks TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", silent.local_addr().unwrap().port());
    let (sentinel_url, ca) = (url.clone(), front.ca.clone());
    let app = App::builder()
        .beside(&first)
        .layer(move |builder| {
            builder.sentinel_url(sentinel_url).ca_certificate(ca).connect_timeout(SHORT)
        })
        .start()
        .await;
    let started = Instant::now();
    let (browser, page) = attempt_at(&app, &url).await;
    let took = started.elapsed();
    assert_refused(&page, RejectionReason::SentinelUnavailable, "no handshake");
    assert!(
        (SHORT..Duration::from_millis(1800)).contains(&took),
        "not in 2 s, its default: {took:?}"
    );
    assert_eq!(browser.jar.logins().len(), 1, "the login waits");
}
