//! The quickstart as its readers meet it: a process, an environment, a browser.

#![expect(clippy::unwrap_used, reason = "what tests share fails as they do")]

mod support;

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::TcpListener,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::Method;
use support::{AGENT, Browser, FORM, Page, Quickstart, free_port, sign_in};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::AbortHandle,
};
use tower_lp_auth::test_kit::{Endpoint, Fault, MockSentinel};

const ADMIN: &str = "3552833711";
const STAFF: &str = "3552833712";

/// Two keys drawn for these tests.
const KEY: &str = "Vvo3gM1zqm1dIXoZgYzNNQf1sUcYS3xkU0GBVkGyJp8";
const OTHER_KEY: &str = "mL8ktFp9oY7nXhRZ2qvE1cW0sB4uJ6dAQGiTeKxV3zM=";

const ALONE: [(&str, &str); 0] = [];

/// G03: the whole flow, from the printed URL to the logout.
#[tokio::test]
async fn without_any_environment_everything_can_be_tried() {
    let quickstart = Quickstart::start(&ALONE).await;
    assert!(quickstart.url.starts_with("http://127.0.0.1:"), "{}", quickstart.url);
    let mut browser = Browser::at(&quickstart.url);

    let start = browser.navigate("/").await;
    assert_eq!(start.status, 200, "{start:?}");
    let login = attribute_after(&start.body, "id=\"sign-in\"", "href");
    let page = sign_in(&mut browser, &login, AGENT).await;
    assert_eq!((page.status.as_u16(), &*page.url), (200, &*format!("{}/", quickstart.url)));
    for shown in ["Dana Agent", AGENT, "id=\"sign-out\""] {
        assert!(page.body.contains(shown), "no {shown}: {}", page.body);
    }

    assert_describes(&browser.navigate("/me").await, AGENT);
    let refused = browser.navigate("/admin").await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let form = [FORM[0], FORM[1], FORM[2], FORM[3], ("content-type", "text/plain")];
    let echo = browser.send(Method::POST, "/echo", &form, Some("to and fro".to_owned())).await;
    assert_eq!((echo.status.as_u16(), &*echo.body), (200, "to and fro"));

    let logout = attribute_after(&page.body, "<form method=\"post\"", "action");
    let gone = browser.post(&logout).await;
    assert_eq!((gone.status.as_u16(), gone.location().as_deref()), (303, Some("/")));
    assert!(browser.navigate("/").await.body.contains("id=\"sign-in\""));
    browser.fetch("/me").await.assert_unauthorized();

    let mut admin = Browser::at(&quickstart.url);
    let page = sign_in(&mut admin, "/admin", ADMIN).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.url.ends_with("/admin") && page.body.contains(ADMIN), "{page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
}

/// The one who tries the demo can be each of its users in one browser: LivePerson's memory of them is
/// asked to forget.
#[tokio::test]
async fn one_browser_can_be_somebody_else() {
    let quickstart = Quickstart::start(&ALONE).await;
    let mut browser = Browser::at(&quickstart.url);
    sign_in(&mut browser, "/me", AGENT).await;
    browser.post("/logout").await;
    let again = browser.open("/me").await;
    assert_eq!(again.json()["user_id"], AGENT, "LivePerson remembers: {again:?}");
    browser.post("/logout").await;
    let start = browser.navigate("/").await;
    let switch = attribute_after(&start.body, "id=\"switch\"", "href");
    let page = sign_in(&mut browser, &switch, ADMIN).await;
    assert!(page.body.contains("Alex Admin"), "{page:?}");
    assert_eq!(browser.navigate("/admin").await.status, 200);
}

/// H03, G01: what the quickstart hands out serves curl, and ends with the session.
#[tokio::test]
async fn curl_calls_with_the_session_as_a_token() {
    let quickstart = Quickstart::start(&ALONE).await;
    let mut browser = Browser::at(&quickstart.url);
    browser.fetch("/token").await.assert_unauthorized();
    let start = sign_in(&mut browser, "/login", AGENT).await;
    let link = attribute_after(&start.body, "For admins only</a>", "href");
    let page = browser.navigate(&link).await;
    assert_eq!((page.status.as_u16(), &*link), (200, "/token"), "{page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let body = page.json();
    let token = body["session_token"].as_str().expect("a token");

    let url = |path: &str| format!("{}{path}", quickstart.url);
    let (status, body) = curl("curl", &url("/me"), token).await;
    let me: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &me["user_id"]), (200, &AGENT.into()), "{body}");
    let (status, body) = curl("curl --data to-and-fro", &url("/echo"), token).await;
    assert_eq!((status, &*body), (200, "to-and-fro"));
    assert_eq!(curl("curl", &url("/me"), "no-token").await.0, 401);
    assert_eq!(curl("curl -X POST", &url("/logout"), token).await, (204, String::new()));
    let (status, body) = curl("curl", &url("/me"), token).await;
    assert!(status == 401 && body.contains("\"login\""), "{body}");
    browser.fetch("/me").await.assert_unauthorized();
}

/// Status and body of what a shell gets with a command as the README shows it.
async fn curl(command: &str, url: &str, token: &str) -> (u16, String) {
    let how = r#"--silent --show-error --noproxy '*' --max-time 20 --write-out '\n%{http_code}'"#;
    let line = format!(r#"{command} {how} -H "Authorization: Bearer $TOKEN" "$URL""#);
    let mut shell = tokio::process::Command::new("sh");
    let shell = shell.args(["-c", &line]).env("URL", url).env("TOKEN", token);
    let output = shell.output().await.expect("a shell");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "./scripts/test.sh installs curl: {stderr}");
    let stdout = String::from_utf8(output.stdout).expect("text");
    let (body, status) = stdout.rsplit_once('\n').expect("a status behind the body");
    (status.parse().expect("a number"), body.to_owned())
}

/// What a user is, is what Sentinel's id_token says.
#[tokio::test]
async fn each_kind_of_user_is_told_who_they_are() {
    let quickstart = Quickstart::start(&ALONE).await;
    for (user, is_admin, is_lpa) in
        [(AGENT, false, false), (ADMIN, true, false), (STAFF, true, true)]
    {
        let mut browser = Browser::at(&quickstart.url);
        let me = sign_in(&mut browser, "/me", user).await.json();
        assert_eq!(me["user_id"], user);
        assert_eq!((&me["is_admin"], &me["is_lpa"]), (&is_admin.into(), &is_lpa.into()), "{user}");
        let admin = browser.navigate("/admin").await;
        assert_eq!(admin.status, if is_admin { 200 } else { 403 }, "{user}: {admin:?}");
        assert_eq!(admin.header("cache-control"), Some("no-store"), "{user}");
    }
}

/// The fingerprint is the beginning of the SHA-256 of the very token that Sentinel has issued.
#[tokio::test]
async fn the_fingerprint_is_the_access_tokens() {
    let sentinel = MockSentinel::start().await.unwrap();
    let wire = Wire::to(&sentinel).await;
    let mut variables = Variables::for_mock(&sentinel);
    variables.set("LP_SENTINEL_URL", &wire.url);
    let quickstart = Quickstart::start(&variables.0).await;
    let mut browser = Browser::at(&quickstart.url);
    let me = sign_in(&mut browser, "/me", AGENT).await.json();
    let token = wire.access_token();
    assert!(sentinel.is_live_access_token(&token), "{token}");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(me["token_fingerprint"], hex[..16], "of {token}");
}

/// F33: the session's end is its idle end, or without a refresh token the access token's.
#[tokio::test]
async fn the_end_that_is_shown_is_the_one_that_comes() {
    for (refresh_token, access_hours, session_hours) in
        [(true, 1, 8), (true, 12, 8), (false, 1, 1), (false, 12, 8)]
    {
        let sentinel = MockSentinel::builder()
            .access_token_lifetime(Duration::from_secs(access_hours * 3600))
            .start()
            .await
            .unwrap();
        sentinel.set_login_refresh_token(refresh_token);
        let quickstart = Quickstart::start(&Variables::for_mock(&sentinel).0).await;
        let me = sign_in(&mut Browser::at(&quickstart.url), "/me", AGENT).await.json();
        let now = jiff::Timestamp::now().as_second();
        let expected = [access_hours, session_hours].map(|hours| (hours * 3600).cast_signed());
        for (member, expected) in
            ["access_token_expires_at", "session_expires_at"].iter().zip(expected)
        {
            let end: jiff::Timestamp = me[*member].as_str().unwrap().parse().unwrap();
            let left = end.as_second() - now;
            assert!((expected - 60..=expected).contains(&left), "{member}: {left} s, {me}");
        }
    }
}

/// N05: every variable does what it says.
#[tokio::test]
async fn every_variable_is_honoured() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_issuer("issuer of this test");
    let secret = SecretFile::new(&format!("{}\n", sentinel.client_secret()));
    let mut variables = Variables::for_mock(&sentinel);
    variables.remove("LP_CLIENT_SECRET");
    variables.remove("LP_SENTINEL_URL");
    variables.set("LP_CLIENT_SECRET_FILE", &secret.0);
    variables.set("LP_DOMAIN_API_URL", sentinel.url());
    variables.set("LP_SESSION_KEY", format!("{KEY},{OTHER_KEY}"));
    variables.set("LP_ISSUER", "issuer of this test");
    variables.set("LP_ID_TOKEN_SIGNATURE", "required");
    variables.set("LP_TOKEN_API_VERSION", "1.0");
    variables.set("LP_REFRESH_AFTER", "1");
    variables.set("LP_REVOKE_ON_LOGOUT", "true");
    // Proxies are not asked for loopback: nobody listens there.
    variables.set("HTTP_PROXY", "http://127.0.0.1:1");
    variables.set("http_proxy", "http://127.0.0.1:1");
    let quickstart = Quickstart::start(&variables.0).await;
    let mut browser = Browser::at(&quickstart.url);
    let page = sign_in(&mut browser, "/me", AGENT).await;
    assert_describes(&page, AGENT);
    let counts = sentinel.counts();
    assert_eq!((counts.domain, counts.exchanges), (1, 1));
    let exchange = call(&sentinel, Endpoint::Token);
    assert_eq!(exchange.query, "v=1.0");

    let first = page.json()["token_fingerprint"].clone();
    until("a second fingerprint", async || {
        browser.fetch("/me").await.json()["token_fingerprint"] != first
    })
    .await;
    assert!(sentinel.counts().refreshes >= 1);

    browser.post("/logout").await;
    assert_eq!(sentinel.counts().revocations, 1);
}

/// N05: `LP_SENTINEL_URL` wins where both are set, and nothing is revoked unless that is chosen.
#[tokio::test]
async fn a_sentinel_url_spares_the_domain_api_and_revoking_is_a_choice() {
    let sentinel = MockSentinel::start().await.unwrap();
    let mut variables = Variables::for_mock(&sentinel);
    variables.set("LP_SENTINEL_URL", format!("{}/", sentinel.url()));
    variables.set("LP_DOMAIN_API_URL", "http://127.0.0.1:1");
    let quickstart = Quickstart::start(&variables.0).await;
    let mut browser = Browser::at(&quickstart.url);
    assert_describes(&sign_in(&mut browser, "/me", AGENT).await, AGENT);
    assert_eq!(call(&sentinel, Endpoint::Token).query, "v=2.0");
    browser.post("/logout").await;
    let counts = sentinel.counts();
    assert_eq!((counts.domain, counts.refreshes, counts.revocations), (0, 0, 0));
}

/// E17, and the policy for keys that nobody publishes.
#[tokio::test]
async fn issuer_and_signature_policy_decide_who_gets_in() {
    for (name, value, expected) in [
        ("LP_ID_TOKEN_SIGNATURE", "published", 200),
        ("LP_ID_TOKEN_SIGNATURE", "required", 502),
        ("LP_ISSUER", "Sentinel", 200),
        ("LP_ISSUER", "sentinel", 502),
    ] {
        let sentinel = MockSentinel::start().await.unwrap();
        sentinel.set_publish_keys(false);
        let mut variables = Variables::for_mock(&sentinel);
        variables.set(name, value);
        let quickstart = Quickstart::start(&variables.0).await;
        let page = sign_in(&mut Browser::at(&quickstart.url), "/me", AGENT).await;
        assert_eq!(page.status, expected, "{name}={value}: {page:?}");
    }
}

/// C22, C23: the first key seals, all open.
#[tokio::test]
async fn sessions_outlive_a_restart_and_a_new_key() {
    let sentinel = MockSentinel::start().await.unwrap();
    let mut variables = Variables::for_mock(&sentinel);
    variables.set("LP_SESSION_KEY", KEY);
    let quickstart = Quickstart::start(&variables.0).await;
    let mut browser = Browser::at(&quickstart.url);
    assert_describes(&sign_in(&mut browser, "/me", AGENT).await, AGENT);
    stop(quickstart).await;
    for (keys, expected) in
        [(KEY.to_owned(), 200), (format!("{OTHER_KEY},{KEY}"), 200), (OTHER_KEY.to_owned(), 401)]
    {
        variables.set("LP_SESSION_KEY", &keys);
        let quickstart = Quickstart::start(&variables.0).await;
        assert_eq!(browser.clone().fetch("/me").await.status, expected, "{keys}");
        stop(quickstart).await;
    }
}

/// N05: one name alone, then what the error asks for, until it runs.
#[tokio::test]
async fn each_missing_variable_is_asked_for_by_name() {
    let sentinel = MockSentinel::start().await.unwrap();
    let complete = Variables::for_mock(&sentinel);
    let mut needed =
        ["LP_ACCOUNT_ID", "LP_CLIENT_ID", "LP_CLIENT_SECRET", "LP_REDIRECT_URI", "LP_SESSION_KEY"]
            .to_vec();
    let mut variables = Variables(vec![
        ("LP_REVOKE_ON_LOGOUT", "false".into()),
        ("LISTEN_ADDR", complete.get("LISTEN_ADDR").into()),
    ]);
    while !needed.is_empty() {
        let (status, stderr) = Quickstart::fail(&variables.0).await;
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        let named = needed.iter().position(|name| stderr.contains(&format!("({name}) is missing")));
        let named =
            needed.swap_remove(named.unwrap_or_else(|| panic!("none of {needed:?}: {stderr}")));
        variables.set(named, complete.get(named));
    }
    stop(Quickstart::start(&variables.0).await).await;
}

/// N01, N02, N04, N05.
#[tokio::test]
async fn a_value_that_cannot_work_ends_the_start_with_its_remedy() {
    let sentinel = MockSentinel::start().await.unwrap();
    let empty = SecretFile::new("\n");
    let table: &[(&str, &str, &str)] = &[
        ("LP_ACCOUNT_ID", "1/2", "letters"),
        ("LP_CLIENT_ID", "two words", "UUID"),
        ("LP_CLIENT_SECRET", "", "set it or leave it out"),
        ("LP_CLIENT_SECRET_FILE", "/nowhere/secret", "set one of them"),
        ("LP_REDIRECT_URI", "/callback", "write `https://app.example.com/callback`"),
        ("LP_REDIRECT_URI", "http://app.example.com/callback", "use https"),
        ("LP_REDIRECT_URI", "https://app.example.com/callback#x", "leave out"),
        ("LP_REDIRECT_URI", "https://*.example.com/callback", "registered URL itself"),
        ("LP_SESSION_KEY", "canary", "openssl rand -base64 32"),
        ("LP_SESSION_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "openssl"),
        ("LP_SESSION_KEY", &format!("{KEY},{KEY}"), "listed twice"),
        ("LP_SENTINEL_URL", "sentinel.example", "https://"),
        ("LP_SENTINEL_URL", "http://sentinel.example", "https"),
        ("LP_SENTINEL_URL", "https://sentinel.example/path", "path"),
        ("LP_DOMAIN_API_URL", "ftp://api.example", "https://"),
        ("LP_DOMAIN_API_URL", "http://api.example", "https"),
        ("LP_DOMAIN_API_URL", "https://api.example/path", "path"),
        ("LP_ISSUER", "", "set it or leave it out"),
        ("LP_ID_TOKEN_SIGNATURE", "maybe", "`required`"),
        ("LP_TOKEN_API_VERSION", "3.0", "2.0"),
        ("LP_REFRESH_AFTER", "0", "from 1 up"),
        ("LP_REFRESH_AFTER", "+5", "from 1 up"),
        ("LP_REFRESH_AFTER", "1.5", "whole seconds"),
        ("LP_REFRESH_AFTER", "99999999999999999999", "from 1 up"),
        ("LP_REVOKE_ON_LOGOUT", "yes", "`true` or `false`"),
        ("LP_REDIS_URL", "canary", "write redis://"),
        ("LP_REDIS_URL", "http://:canary@localhost", "write redis://"),
        ("LP_REDIS_URL", "redis://:canary@localhost/sessions", "redis://host:6379/0"),
        ("LP_REDIS_URL", "", "set it or leave it out"),
    ];
    for (name, value, remedy) in table {
        let mut variables = Variables::for_mock(&sentinel);
        variables.set(name, value);
        assert_refused(&variables, name, remedy).await;
    }
    for (file, remedy) in
        [(OsStr::new("/nowhere/secret"), "cannot be read"), (empty.0.as_os_str(), "is empty")]
    {
        let mut variables = Variables::for_mock(&sentinel);
        variables.remove("LP_CLIENT_SECRET");
        variables.set("LP_CLIENT_SECRET_FILE", file);
        assert_refused(&variables, "LP_CLIENT_SECRET_FILE", remedy).await;
    }
}

/// N04.
#[tokio::test]
async fn a_misspelt_variable_is_reported_with_the_name_that_was_meant() {
    let sentinel = MockSentinel::start().await.unwrap();
    for (name, meant) in
        [("LP_CLIENT_SECRETS", "LP_CLIENT_SECRET"), ("LP_REDIRECT_URL", "LP_REDIRECT_URI")]
    {
        let mut variables = Variables::for_mock(&sentinel);
        variables.set(name, "canary");
        let stderr = stop(Quickstart::start(&variables.0).await).await;
        let warned = stderr.lines().find(|line| line.contains(name));
        let warned = warned.unwrap_or_else(|| panic!("{name}: {stderr}"));
        assert!(warned.contains("WARN") && warned.contains(&format!("\"{meant}\"")), "{warned}");
        assert!(!stderr.contains("canary"), "{stderr}");
    }
}

/// N05: an address that is taken, or none, is named with its variable.
#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [taken.local_addr().unwrap().to_string(), "nonsense".to_owned()] {
        let (status, stderr) = Quickstart::fail(&[("LISTEN_ADDR", &address)]).await;
        assert_eq!(status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("LISTEN_ADDR") && stderr.contains(&address), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

/// N05: without `LISTEN_ADDR` the address is the documented one.
#[tokio::test]
async fn its_own_address_is_the_documented_one() {
    // Whoever holds the port, this test or another program: it is taken.
    let _taken = TcpListener::bind("127.0.0.1:3000");
    let (status, stderr) = Quickstart::fail_at_its_own_address().await;
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("LISTEN_ADDR") && stderr.contains("\"127.0.0.1:3000\""), "{stderr}");
}

/// O12: a revocation that nobody waits for any more is finished before the process ends.
#[tokio::test]
async fn a_signal_lets_a_revocation_under_way_finish() {
    let sentinel = MockSentinel::start().await.unwrap();
    let wire = Wire::to(&sentinel).await;
    let mut variables = Variables::for_mock(&sentinel);
    variables.set("LP_SENTINEL_URL", &wire.url);
    variables.set("LP_REVOKE_ON_LOGOUT", "true");
    let quickstart = Quickstart::start(&variables.0).await;
    let mut browser = Browser::at(&quickstart.url);
    sign_in(&mut browser, "/me", AGENT).await;
    let token = wire.access_token();
    sentinel.inject(Endpoint::Revoke, Fault::Delay(Duration::from_millis(1500)));
    let logout = tokio::spawn(browser.request(Method::POST, "/logout", &FORM, None).send());
    until("a revocation under way", async || sentinel.counts().revocations == 1).await;
    logout.abort();
    assert!(sentinel.is_live_access_token(&token), "it was over before the signal");

    quickstart.signal("TERM");
    let at = now();
    let (status, stderr) = quickstart.ended().await;
    assert!(status.success() && at.elapsed() < Duration::from_secs(5), "{stderr}");
    assert!(!sentinel.is_live_access_token(&token), "cut off: {stderr}");
    assert!(stderr.contains("refresh token revoked"), "{stderr}");
    assert!(!stderr.contains("not finished in time"), "{stderr}");
}

/// Sealed rule 8: what is under way is finished, and the process is gone within 5 s.
#[tokio::test]
async fn a_signal_lets_uploads_and_refreshes_under_way_finish() {
    for signal in ["TERM", "INT"] {
        let sentinel = MockSentinel::builder()
            .access_token_lifetime(Duration::from_secs(2))
            .start()
            .await
            .unwrap();
        let quickstart = Quickstart::start(&Variables::for_mock(&sentinel).0).await;
        let mut browser = Browser::at(&quickstart.url);
        sign_in(&mut browser, "/me", AGENT).await;
        let mut upload = Upload::start(&browser, &quickstart.url).await;

        sentinel.inject_always(Endpoint::Refresh, Fault::Delay(Duration::from_millis(1500)));
        let mut waiting = browser.clone();
        let waiting = tokio::spawn(async move {
            loop {
                let page = waiting.fetch("/me").await;
                if !page.session_cookies().is_empty() {
                    return page;
                }
            }
        });
        until("a refresh under way", async || sentinel.counts().refreshes == 1).await;

        quickstart.signal(signal);
        let at = now();
        until("the log's word", async || quickstart.stderr().contains("stopping")).await;
        upload.finish().await;
        let page = waiting.await.unwrap();
        assert_eq!(page.status, 200, "{signal}: {page:?}");
        let (status, stderr) = quickstart.ended().await;
        assert!(status.success(), "{signal}: {stderr}");
        assert!(at.elapsed() < Duration::from_secs(5), "{signal}: {:?}", at.elapsed());
        assert!(!stderr.contains("not finished in time"), "{signal}: {stderr}");
    }
}

/// O12: a client that never finishes does not keep the process alive.
#[tokio::test]
async fn a_stalled_upload_does_not_hold_the_end_up() {
    let sentinel = MockSentinel::start().await.unwrap();
    let quickstart = Quickstart::start(&Variables::for_mock(&sentinel).0).await;
    let mut browser = Browser::at(&quickstart.url);
    sign_in(&mut browser, "/me", AGENT).await;
    let _stalled = Upload::start(&browser, &quickstart.url).await;
    quickstart.signal("TERM");
    let at = now();
    let (status, stderr) = quickstart.ended().await;
    assert!(at.elapsed() < Duration::from_secs(5), "{:?}", at.elapsed());
    assert!(status.success() && stderr.contains("not finished in time"), "{stderr}");
}

/// M01: at the most talkative level, nothing that opens anything.
#[tokio::test]
async fn no_secret_reaches_the_log() {
    let sentinel = MockSentinel::builder()
        .client("client-of-the-test", "canary-of-the-secret")
        .start()
        .await
        .unwrap();
    let mut variables = Variables::for_mock(&sentinel);
    variables.set("RUST_LOG", "trace");
    variables.set("LP_REFRESH_AFTER", "1");
    variables.set("LP_REVOKE_ON_LOGOUT", "true");
    let quickstart = Quickstart::start(&variables.0).await;
    let mut browser = Browser::at(&quickstart.url);
    let mut canaries = vec!["canary-of-the-secret".to_owned(), KEY.to_owned()];

    let (callback, cookies) = pending_login(&mut browser, AGENT).await;
    let query = callback.split_once('?').expect("a query").1.to_owned();
    canaries
        .extend(query.split('&').map(|pair| pair.split_once('=').expect("a value").1.to_owned()));
    canaries.extend(cookies);
    let denied = "/callback?error=access_denied&error_description=canary-of-an-error&state=canary-of-a-state";
    browser.navigate(denied).await;
    canaries.extend(["canary-of-an-error".to_owned(), "canary-of-a-state".to_owned()]);
    assert_eq!(browser.navigate(&callback).await.status, 303);
    let before = session(&browser);
    until("a refresh", async || {
        browser.fetch("/me").await;
        session(&browser) != before
    })
    .await;
    canaries.extend([before, session(&browser)]);
    browser.navigate(&callback).await;
    sentinel.inject_always(
        Endpoint::Refresh,
        Fault::Body(b"{\"access_token\":\"canary-of-garbage\"".to_vec()),
    );
    let refreshes = sentinel.counts().refreshes;
    until("a refresh that fails", async || {
        browser.fetch("/me").await;
        sentinel.counts().refreshes > refreshes
    })
    .await;
    canaries.push("canary-of-garbage".to_owned());
    let bearer = [("authorization", "Bearer canary-of-a-bearer")];
    browser.send(Method::GET, "/me", &bearer, None).await;
    canaries.push("canary-of-a-bearer".to_owned());
    browser.post("/logout").await;
    for call in sentinel.calls() {
        let secret = |name: &str| call.field(name).map(str::to_owned);
        canaries.extend(
            secret("code").into_iter().chain(secret("refresh_token")).chain(secret("token")),
        );
    }

    let stderr = stop(quickstart).await;
    assert!(stderr.contains("TRACE") && stderr.contains("login started"), "{stderr}");
    assert!(canaries.len() > 12, "{canaries:?}");
    for canary in canaries {
        assert!(canary.len() > 8 && !stderr.contains(&canary), "{canary} in {stderr}");
    }
    // An access token has 64 hexadecimal digits, an id_token begins like this.
    let hex = |word: &str| word.len() >= 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let word = stderr.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| hex(word));
    assert_eq!(word, None, "{stderr}");
    assert!(!stderr.contains("eyJ"), "{stderr}");
}

/// `RUST_LOG` decides what is logged, and switches it off.
#[tokio::test]
async fn the_log_is_as_loud_as_it_is_told() {
    for (level, debug, info) in [
        ("off", false, false),
        ("info", false, true),
        ("tower_lp_auth=debug,quickstart=info", true, true),
    ] {
        let quickstart = Quickstart::start(&[("RUST_LOG", level)]).await;
        Browser::at(&quickstart.url).navigate("/me").await;
        let stderr = stop(quickstart).await;
        assert_eq!(stderr.contains("login started"), debug, "{level}: {stderr}");
        assert_eq!(stderr.contains("INFO"), info, "{level}: {stderr}");
    }
}

/// The environment of a quickstart.
struct Variables(Vec<(&'static str, OsString)>);

impl Variables {
    /// All that is needed, and the address of Sentinel.
    fn for_mock(sentinel: &MockSentinel) -> Self {
        let port = free_port();
        Self(vec![
            ("LISTEN_ADDR", format!("127.0.0.1:{port}").into()),
            ("LP_ACCOUNT_ID", sentinel.account_id().into()),
            ("LP_CLIENT_ID", sentinel.client_id().into()),
            ("LP_CLIENT_SECRET", sentinel.client_secret().into()),
            ("LP_REDIRECT_URI", format!("http://127.0.0.1:{port}/callback").into()),
            ("LP_SESSION_KEY", KEY.into()),
            ("LP_SENTINEL_URL", sentinel.url().into()),
        ])
    }

    fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.remove(name);
        self.0.push((name, value.into()));
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| *known != name);
    }

    fn get(&self, name: &str) -> &OsStr {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_os_str()).expect("a variable that is set")
    }
}

/// A file that goes with this value.
struct SecretFile(PathBuf);

impl SecretFile {
    fn new(text: &str) -> Self {
        let name = format!("tower-lp-auth-{}-{}", std::process::id(), free_port());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A POST to `/echo`, half sent.
struct Upload(TcpStream);

impl Upload {
    async fn start(browser: &Browser, url: &str) -> Self {
        let host = url.strip_prefix("http://").unwrap();
        let cookies = browser.jar.header().unwrap();
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\nContent-Length: 8\r\n\r\nhalf"
        );
        let mut stream = TcpStream::connect(host).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        Self(stream)
    }

    async fn finish(&mut self) {
        self.0.write_all(b"done").await.unwrap();
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("half") && rest.contains("done"), "{rest}");
    }
}

/// A way to MockSentinel that hears what it answers.
struct Wire {
    url: String,
    heard: Arc<Mutex<Vec<u8>>>,
    accepting: AbortHandle,
}

impl Wire {
    async fn to(sentinel: &MockSentinel) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behind = sentinel.url().strip_prefix("http://").unwrap().to_owned();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        let accepting = tokio::spawn(async move {
            while let Ok((front, _)) = listener.accept().await {
                let (mut answers, mut requests) =
                    TcpStream::connect(&behind).await.unwrap().into_split();
                let (mut asked, mut told) = front.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut asked, &mut requests).await });
                let ears = Arc::clone(&ears);
                tokio::spawn(async move {
                    let mut chunk = vec![0; 8192];
                    while let Ok(read @ 1..) = answers.read(&mut chunk).await {
                        ears.lock().unwrap().extend_from_slice(&chunk[..read]);
                        if told.write_all(&chunk[..read]).await.is_err() {
                            break; // a client that has hung up
                        }
                    }
                });
            }
        });
        Self { url, heard, accepting: accepting.abort_handle() }
    }

    /// The access token that was last issued.
    fn access_token(&self) -> String {
        let heard = self.heard.lock().unwrap();
        let text = String::from_utf8_lossy(&heard);
        let (_, token) = text.rsplit_once("\"access_token\":\"").expect("an access token");
        token.split('"').next().unwrap().to_owned()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn assert_refused(variables: &Variables, name: &str, remedy: &str) {
    let (status, stderr) = Quickstart::fail(&variables.0).await;
    let row = format!("{name}={:?}", variables.get(name));
    assert_eq!(status.code(), Some(1), "{row}: {stderr}");
    assert!(stderr.contains(name) && stderr.contains(remedy), "{row}, {remedy:?}: {stderr}");
    for unwanted in ["panicked", "canary", KEY] {
        assert!(!stderr.contains(unwanted), "{row}: {stderr}");
    }
}

/// The documented members, and no others.
#[track_caller]
fn assert_describes(page: &Page, user: &str) {
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
    let json = page.json();
    let members: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "access_token_expires_at",
            "account_id",
            "is_admin",
            "is_lpa",
            "session_expires_at",
            "token_fingerprint",
            "user_id"
        ]
    );
    assert_eq!((&json["user_id"], &json["account_id"]), (&user.into(), &"12345678".into()));
    assert_eq!((&json["is_admin"], &json["is_lpa"]), (&false.into(), &false.into()));
    let fingerprint = json["token_fingerprint"].as_str().unwrap();
    assert!(
        fingerprint.len() == 16 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()),
        "{fingerprint}"
    );
    for member in ["access_token_expires_at", "session_expires_at"] {
        let time = json[member].as_str().unwrap();
        time.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{member} {time}: {error}"));
        assert!(time.ends_with('Z'), "{member} {time}");
    }
}

/// A login that waits for its callback: the callback's URL and the values of the login's cookies.
async fn pending_login(browser: &mut Browser, user: &str) -> (String, Vec<String>) {
    let page = browser.open("/me").await;
    let form =
        [FORM[0], FORM[1], FORM[2], FORM[3], ("content-type", "application/x-www-form-urlencoded")];
    let sent = browser.send(Method::POST, &page.url, &form, Some(format!("user={user}"))).await;
    let cookies = browser.jar.logins().iter().map(|(_, value)| (*value).to_owned()).collect();
    (sent.location().expect("a callback"), cookies)
}

fn session(browser: &Browser) -> String {
    browser.jar.session().expect("a session").1.to_owned()
}

fn call(sentinel: &MockSentinel, endpoint: Endpoint) -> tower_lp_auth::test_kit::Call {
    let calls = sentinel.calls();
    calls.into_iter().find(|call| call.endpoint == endpoint).expect("a call")
}

/// The value of an attribute of the element that a piece of its markup stands in.
fn attribute_after(html: &str, mark: &str, attribute: &str) -> String {
    let rest = html.split_once(mark).unwrap_or_else(|| panic!("no {mark}: {html}")).1;
    let rest = rest.split_once(&format!("{attribute}=\"")).expect("the attribute").1;
    rest.split_once('"').expect("its end").0.replace("&amp;", "&")
}

async fn stop(quickstart: Quickstart) -> String {
    quickstart.signal("TERM");
    let (status, stderr) = quickstart.ended().await;
    assert!(status.success(), "{stderr}");
    stderr
}

/// Asks until it is so, at most 10 s.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never came: {what}");
}

#[expect(clippy::disallowed_methods, reason = "how long a process takes is real time")]
fn now() -> Instant {
    Instant::now()
}
