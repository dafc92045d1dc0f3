use std::collections::BTreeMap;

use url::{Url, form_urlencoded};

use super::*;
use crate::sentinel::{
    OAuthErrorCode,
    test_support::{
        Step, TestServer, answer, answer_with, client, client_of, refusing_origin, settings, write,
    },
};

const TOKENS: &str = r#"{"access_token":"access-canary","token_type":"Bearer",
    "refresh_token":"next-canary","expires_in":28800}"#;

const fn assert_send<T: Send>(_: &T) {}
const _: fn() = || {
    fn send_sync<T: Send + Sync>() {}
    send_sync::<SentinelClient>();
};

fn account() -> AccountId {
    "12345678".parse().unwrap()
}

fn refresh_token() -> RefreshToken {
    RefreshToken::new("refresh-canary")
}

async fn refresh(client: &SentinelClient) -> Result<TokenSet, TokenError> {
    client.refresh(&account(), &refresh_token()).await
}

async fn exchange(client: &SentinelClient) -> Result<TokenSet, TokenError> {
    let code = AuthorizationCode::new("code-canary");
    client.exchange(&account(), &code, None).await
}

/// The first line of a request, and the fields of its form.
fn dissect(request: &str) -> (String, BTreeMap<String, String>) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let pairs: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let fields: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(fields.len(), pairs.len(), "a field came twice: {body}");
    (head.lines().next().unwrap().to_owned(), fields)
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn every_call_is_the_documented_one() {
    let server = TestServer::start(|_, _| answer(200, TOKENS)).await;
    let (client, _) = client(server.origin());
    let code = AuthorizationCode::new("c/o+de");
    let verifier = CodeVerifier::new("veri~fier");
    let set = client.exchange(&account(), &code, Some(&verifier)).await;
    assert_eq!(set.unwrap().refresh_token, Some(RefreshToken::new("next-canary")));
    refresh(&client).await.unwrap();
    client.revoke(&account(), &refresh_token()).await.unwrap();
    client.app_token(&account()).await.unwrap();

    let requests = server.requests();
    let expected = [
        (
            "POST /sentinel/api/account/12345678/token?v=2.0 HTTP/1.1",
            fields(&[
                ("grant_type", "authorization_code"),
                ("code", "c/o+de"),
                ("redirect_uri", "https://app.example/callback?a=b c"),
                ("client_id", "the-client"),
                ("client_secret", "the+secret & more"),
                ("code_verifier", "veri~fier"),
            ]),
        ),
        (
            "POST /sentinel/api/account/12345678/token?v=2.0 HTTP/1.1",
            fields(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", "refresh-canary"),
                ("client_id", "the-client"),
                ("client_secret", "the+secret & more"),
            ]),
        ),
        (
            "POST /sentinel/api/account/12345678/token/revoke?v=1.0 HTTP/1.1",
            fields(&[
                ("token", "refresh-canary"),
                ("client_id", "the-client"),
                ("client_secret", "the+secret & more"),
            ]),
        ),
        (
            "POST /sentinel/api/v2/account/12345678/app/token HTTP/1.1",
            fields(&[
                ("grant_type", "client_credentials"),
                ("client_id", "the-client"),
                ("client_secret", "the+secret & more"),
            ]),
        ),
    ];
    assert_eq!(requests.len(), expected.len());
    for (request, (line, form)) in requests.iter().zip(expected) {
        assert_eq!(dissect(request), (line.to_owned(), form));
        let head = request.to_ascii_lowercase();
        assert!(head.contains("content-type: application/x-www-form-urlencoded;charset=utf-8"));
        assert!(head.contains(concat!("user-agent: tower-lp-auth/", env!("CARGO_PKG_VERSION"))));
        for header in ["authorization:", "cookie:", "referer:", "accept-encoding:"] {
            assert!(!head.contains(header), "{header} in {head}");
        }
    }
}

#[tokio::test]
async fn the_authorize_url_has_each_parameter_once() {
    let (client, _) = client("https://va.sentinel.liveperson.net".parse().unwrap());
    let host = client.known_host(&account()).unwrap();
    for (challenge, count) in [(None, 5), (Some("cha-llenge"), 7)] {
        let url = client.authorize_url(&host, &account(), "st&te=1", challenge);
        let url = Url::parse(&url).unwrap();
        assert_eq!(url.host_str(), Some("va.sentinel.liveperson.net"));
        assert_eq!(url.path(), "/sentinel/api/account/12345678/authorize");
        assert_eq!(url.query_pairs().count(), count);
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query.len(), count);
        assert_eq!(query["v"], "1.0");
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], "the-client");
        assert_eq!(query["redirect_uri"], "https://app.example/callback?a=b c");
        assert_eq!(query["state"], "st&te=1");
        if let Some(challenge) = challenge {
            assert_eq!(query["code_challenge"], challenge);
            assert_eq!(query["code_challenge_method"], "S256");
        }
    }
}

/// F08 to F13, X03 to X16: one call each, and the class it comes to.
#[tokio::test]
async fn each_fault_has_its_class_and_is_one_call() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("ffff\r\n{}\r\n", " ".repeat(0xffff));
    let drip: Vec<Step> = std::iter::once(write(head))
        .chain((0..40).flat_map(|_| [write(" "), Step::Pause(Duration::from_millis(100))]))
        .collect();
    let redirect = "location: /elsewhere\r\n";
    for (name, steps, class, unspent) in [
        ("invalid_grant", answer(400, r#"{"error":"invalid_grant"}"#), "refused", false),
        ("invalid_client", answer(401, r#"{"error":"invalid_client"}"#), "refused", true),
        ("404", answer(404, "<html>"), "refused", true),
        (
            "half a refusal",
            vec![
                write("HTTP/1.1 400 Bad\r\ncontent-length: 900\r\n\r\n{\"error\":\"inv"),
                Step::Reset,
            ],
            "refused",
            true,
        ),
        ("500", answer(500, r#"{"error":"invalid_grant"}"#), "server", true),
        ("503", answer_with(503, "retry-after: 7\r\n", ""), "server", true),
        ("302", answer_with(302, redirect, ""), "server", true),
        ("307", answer_with(307, redirect, ""), "server", true),
        ("308", answer_with(308, redirect, ""), "server", true),
        ("429", answer(429, ""), "throttled", true),
        ("reset at once", vec![Step::Reset], "unknown", false),
        ("closed at once", vec![Step::Close], "unknown", false),
        ("reset in the head", vec![write("HTTP/1.1 200 O"), Step::Reset], "unknown", false),
        ("reset before the body", vec![write(head), Step::Reset], "unknown", false),
        (
            "reset in the body",
            vec![write(format!("{head}{{\"access")), Step::Reset],
            "unknown",
            false,
        ),
        ("no HTTP", vec![write("SSH-2.0-OpenSSH\r\n\r\n"), Step::Close], "unknown", false),
        ("silence", vec![Step::Pause(Duration::from_secs(9))], "unknown", false),
        ("drip", drip, "unknown", false),
        ("HTML", answer_with(200, "content-type: text/html\r\n", "<html>"), "malformed", false),
        ("empty", answer(200, ""), "malformed", false),
        ("204", vec![write("HTTP/1.1 204 None\r\n\r\n")], "malformed", false),
        ("error with 200", answer(200, r#"{"error":"invalid_grant"}"#), "malformed", false),
        ("a number", answer(200, r#"{"access_token":5}"#), "malformed", false),
        (
            "huge, announced",
            vec![write("HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")],
            "malformed",
            false,
        ),
        (
            "huge, chunked",
            vec![
                write(chunked),
                write(chunk.clone()),
                write(chunk),
                Step::Pause(Duration::from_secs(9)),
            ],
            "malformed",
            false,
        ),
    ] {
        let server = TestServer::start(move |_, _| steps.clone()).await;
        let mut settings = settings(server.origin());
        settings.sentinel_url = Some(server.origin());
        settings.http.timeout = Duration::from_millis(800);
        let (client, _) = client_of(settings);
        let error = refresh(&client).await.expect_err(name);
        assert_eq!(error.class(), class, "{name}: {error:?}");
        assert_eq!(error.is_unspent(), unspent, "{name}");
        assert_eq!(server.requests().len(), 1, "{name}");
        let printed = format!("{error} {error:?} {}", root_cause(&error));
        for secret in ["canary", "the+secret", "127.0.0.1", "/sentinel/"] {
            assert!(!printed.contains(secret), "{name}: {printed}");
        }
    }
}

/// F10.
#[tokio::test]
async fn a_refusal_carries_its_code_and_status() {
    let refusal = r#"{"error":"unauthorized_client"}"#;
    let server = TestServer::start(move |_, _| answer(403, refusal)).await;
    let (client, _) = client(server.origin());
    match exchange(&client).await {
        Err(TokenError::Refused { error, status }) => {
            assert_eq!(error, OAuthErrorCode::UnauthorizedClient);
            assert_eq!(status, StatusCode::FORBIDDEN);
        }
        other => panic!("{other:?}"),
    }
}

/// F13: a connection that breaks, or stalls, after the last byte of the answer.
#[tokio::test]
async fn a_whole_answer_counts_however_its_connection_ends() {
    let longer = TOKENS.len() + 10;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {longer}\r\n\r\n{TOKENS}");
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{TOKENS}\r\n",
        TOKENS.len()
    );
    let soon = || Step::Pause(Duration::from_millis(100));
    for steps in [
        vec![write(&*head), soon(), Step::Reset],
        vec![write(&*head), Step::Close],
        vec![write(&*head), Step::Pause(Duration::from_secs(9))],
        vec![write(&*chunked), soon(), Step::Reset],
        vec![write(format!("HTTP/1.1 200 OK\r\n\r\n{TOKENS}")), Step::Close],
        answer_with(200, "content-type: text/plain\r\n", TOKENS),
    ] {
        let shown = format!("{:?}", steps.last());
        let server = TestServer::start(move |_, _| steps.clone()).await;
        let mut settings = settings(server.origin());
        settings.sentinel_url = Some(server.origin());
        settings.http.timeout = Duration::from_millis(800);
        let (client, _) = client_of(settings);
        let set = refresh(&client).await.expect(&shown);
        assert_eq!(set.access_token.expose_secret(), "access-canary");
    }
}

/// F08.
#[tokio::test]
async fn a_refused_connection_means_not_sent() {
    let (client, _) = client(refusing_origin().await);
    let error = refresh(&client).await.unwrap_err();
    assert!(matches!(error, TokenError::NotSent(_)), "{error:?}");
    let error = client.revoke(&account(), &refresh_token()).await;
    assert!(matches!(error, Err(TokenError::NotSent(_))));
}

/// F08: a peer that takes the connection and never speaks TLS.
#[tokio::test]
async fn a_failed_handshake_means_not_sent() {
    let server = TestServer::start(|_, _| vec![Step::Close]).await;
    for name in ["localhost", "127.0.0.1"] {
        let origin = format!("https://{name}:{}", server.port).parse().unwrap();
        let mut settings = settings(server.origin());
        settings.sentinel_url = Some(origin);
        settings.http.connect_timeout = Duration::from_secs(9);
        settings.http.timeout = Duration::from_millis(1000);
        let (client, _) = client_of(settings);
        let error = refresh(&client).await.unwrap_err();
        assert!(matches!(error, TokenError::NotSent(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_found_means_not_sent() {
    let (client, _) = client_of(settings(refusing_origin().await));
    let error = exchange(&client).await.unwrap_err();
    assert!(matches!(error, TokenError::NotSent(_)), "{error:?}");
}

/// F09: per grant type, for as long as Sentinel said, and no call meanwhile.
#[tokio::test]
async fn a_429_stops_its_own_grant_and_no_other() {
    let server = TestServer::start(|number, _| match number {
        0 => answer_with(429, "retry-after: 30\r\n", ""),
        _ => answer(200, TOKENS),
    })
    .await;
    let (client, clock) = client(server.origin());
    let secs = Duration::from_secs;
    let pause = |outcome: Result<TokenSet, TokenError>| outcome.unwrap_err().retry_after();
    assert_eq!(pause(exchange(&client).await), Some(secs(30)));
    clock.advance(secs(12));
    assert_eq!(pause(exchange(&client).await), Some(secs(18)));
    assert_eq!(server.requests().len(), 1);
    refresh(&client).await.expect("a 429 on codes stops no refresh");
    client.app_token(&account()).await.expect("nor an app token");
    clock.advance(secs(18));
    exchange(&client).await.expect("the pause is over");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_503_passes_its_retry_after_on() {
    let server = TestServer::start(|_, _| answer_with(503, "retry-after: 7\r\n", "")).await;
    let (client, _) = client(server.origin());
    let error = refresh(&client).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    // No memory of it here: that is the caller's.
    refresh(&client).await.unwrap_err();
    assert_eq!(server.requests().len(), 2);
}

/// X17.
#[tokio::test]
async fn a_key_set_is_found_missing_or_an_error() {
    for (status, expected) in [(200, true), (404, false), (410, false)] {
        let server = TestServer::start(move |_, _| answer(status, r#"{"keys":[]}"#)).await;
        let (client, _) = client(server.origin());
        let document = client.jwks(server.origin().as_str()).await.unwrap();
        assert_eq!(document != KeyDocument::Missing, expected, "for {status}");
        let requests = server.requests();
        assert!(requests[0].starts_with("GET /sentinel/well-known/jwks HTTP/1.1\r\n"));
    }
    for (status, calls) in [(401, 1), (429, 1), (302, 1), (500, 3)] {
        let server = TestServer::start(move |_, _| answer(status, "")).await;
        let (client, _) = client(server.origin());
        let error = client.jwks(server.origin().as_str()).await.unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert_eq!(server.requests().len(), calls, "for {status}");
    }
    let (client, _) = client(refusing_origin().await);
    for host in ["http://sentinel.example", "va.example", ""] {
        let error = client.jwks(host).await.unwrap_err();
        assert!(matches!(error, FetchError::Origin(_)), "for {host}");
    }
}

#[tokio::test]
async fn a_key_set_above_the_cap_is_refused() {
    let server =
        TestServer::start(|number, _| answer(200, &" ".repeat(MAX_KEY_DOCUMENT + number))).await;
    let (client, _) = client(server.origin());
    let origin = server.origin();
    let whole = client.jwks(origin.as_str()).await.unwrap();
    assert!(matches!(whole, KeyDocument::Found(bytes) if bytes.len() == MAX_KEY_DOCUMENT));
    let error = client.jwks(origin.as_str()).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge(MAX_KEY_DOCUMENT)));
}

#[test]
fn the_calls_can_move_between_threads() {
    let (client, _) = client("https://va.example".parse().unwrap());
    let (account, code, token) = (account(), AuthorizationCode::new("c"), refresh_token());
    assert_send(&client.exchange(&account, &code, None));
    assert_send(&client.refresh(&account, &token));
    assert_send(&client.revoke(&account, &token));
    assert_send(&client.app_token(&account));
    assert_send(&client.jwks("x"));
    assert_send(&client.host(&account));
}
