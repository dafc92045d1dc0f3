use super::*;
use crate::sentinel::test_support::{Step, TestServer, answer, client_of, settings};

fn account() -> AccountId {
    "12345678".parse().unwrap()
}

fn suffixes() -> Vec<Box<str>> {
    vec!["liveperson.net".into(), "LivePerson.com".into(), "".into()]
}

fn read(body: &str, api: &str) -> Result<String, InvalidHostAnswer> {
    let api = api.parse().unwrap();
    let origin = read_answer(body.as_bytes(), &account(), &api, &suffixes());
    origin.map(|origin| origin.as_str().to_owned())
}

fn read_host(host: &str, api: &str) -> Result<String, InvalidHostAnswer> {
    let body = serde_json::json!({ "baseURI": host });
    read(&body.to_string(), api)
}

const REAL: &str = "https://api.liveperson.net";
const LOCAL: &str = "http://127.0.0.1:3000";
const LOCAL_TLS: &str = "https://localhost:3000";

#[test]
fn both_forms_of_the_answer_are_read() {
    for body in [
        r#"{"service":"sentinel","account":"12345678","baseURI":"va.sentinel.liveperson.net"}"#,
        r#"{"baseURI":"va.sentinel.liveperson.net"}"#,
        r#"{"account":12345678,"baseURI":"va.sentinel.liveperson.net","more":[]}"#,
        r#"{"baseURIs":[
            {"service":"Sentinel","account":"12345678","baseURI":"wrong.liveperson.net"},
            {"service":"msgHist","account":"12345678","baseURI":"https://x/y"},
            {"service":"sentinel","account":"12345678","baseURI":"va.sentinel.liveperson.net"}]}"#,
    ] {
        let host = read(body, REAL).expect(body);
        assert_eq!(host, "https://va.sentinel.liveperson.net");
    }
}

#[test]
fn an_answer_that_is_not_ours_is_refused() {
    use InvalidHostAnswer::{Account, Service, Syntax};
    for (body, expected) in [
        ("", Syntax),
        ("<html>", Syntax),
        ("[]", Syntax),
        ("{}", Syntax),
        (r#"{"baseURI":5}"#, Syntax),
        (r#"{"baseURIs":{}}"#, Syntax),
        (r#"{"baseURIs":[]}"#, Service),
        (r#"{"baseURIs":[{"service":"msgHist","baseURI":"a.liveperson.net"}]}"#, Service),
        (r#"{"service":"msgHist","baseURI":"a.liveperson.net"}"#, Service),
        (r#"{"service":null,"baseURI":"a.liveperson.net"}"#, Service),
        (r#"{"account":"87654321","baseURI":"a.liveperson.net"}"#, Account),
        (
            r#"{"baseURIs":[{"service":"sentinel","account":"1","baseURI":"a.liveperson.net"}]}"#,
            Account,
        ),
    ] {
        assert_eq!(read(body, REAL), Err(expected), "for {body}");
    }
}

#[test]
fn the_real_domain_api_may_name_only_hosts_below_the_suffixes() {
    use InvalidHostAnswer::{BaseUri, Suffix};
    let https = |host: &str| Ok(format!("https://{host}"));
    for (host, expected) in [
        ("va.sentinel.liveperson.net", https("va.sentinel.liveperson.net")),
        ("VA.Sentinel.LivePerson.Net", https("va.sentinel.liveperson.net")),
        ("a.liveperson.com:8443", https("a.liveperson.com:8443")),
        ("liveperson.net", https("liveperson.net")),
        ("badliveperson.net", Err(Suffix)),
        ("liveperson.net.evil.example", Err(Suffix)),
        ("va.liveperson.net.", Err(Suffix)),
        ("evil.example", Err(Suffix)),
        ("sentinel", Err(Suffix)),
        ("localhost", Err(Suffix)),
        ("127.0.0.1", Err(Suffix)),
        ("2130706433", Err(Suffix)),
        ("[::1]", Err(Suffix)),
        ("", Err(BaseUri)),
        (":443", Err(BaseUri)),
        ("https://va.liveperson.net", Err(BaseUri)),
        ("va.liveperson.net/", Err(BaseUri)),
        ("va.liveperson.net/x", Err(BaseUri)),
        ("va.liveperson.net?x", Err(BaseUri)),
        ("va.liveperson.net#x", Err(BaseUri)),
        ("evil.example\\.liveperson.net", Err(BaseUri)),
        ("evil.example@va.liveperson.net", Err(BaseUri)),
        ("evil%2eexample.liveperson.net", Err(BaseUri)),
        ("va.liveperson.net ", Err(BaseUri)),
        ("va.\tliveperson.net", Err(BaseUri)),
        ("va.liveperson.net:99999", Err(BaseUri)),
        ("va.liveperson.net:x", Err(BaseUri)),
    ] {
        assert_eq!(read_host(host, REAL), expected, "for {host:?}");
    }
}

#[test]
fn only_plain_loopback_may_name_plain_loopback() {
    for (api, host, expected) in [
        (LOCAL, "127.0.0.1:3001", "http://127.0.0.1:3001"),
        (LOCAL, "[::1]:3001", "http://[::1]:3001"),
        (LOCAL, "mock.localhost", "http://mock.localhost"),
        (LOCAL, "sentinel.example", "https://sentinel.example"),
        (LOCAL, "10.0.0.1", "https://10.0.0.1"),
        (LOCAL_TLS, "127.0.0.1:3001", "https://127.0.0.1:3001"),
        (LOCAL_TLS, "localhost", "https://localhost"),
    ] {
        assert_eq!(read_host(host, api).as_deref(), Ok(expected));
    }
    assert_eq!(read_host("http://127.0.0.1", LOCAL), Err(InvalidHostAnswer::BaseUri));
}

const FOUND: &str = r#"{"service":"sentinel","account":"12345678","baseURI":"127.0.0.1:9"}"#;

#[tokio::test]
async fn a_hundred_look_ups_at_once_are_one_request() {
    let server = TestServer::start(|_, _| {
        let mut steps = vec![Step::Pause(Duration::from_millis(100))];
        steps.extend(answer(200, FOUND));
        steps
    })
    .await;
    let (client, _) = client_of(settings(server.origin()));
    let client = Arc::new(client);
    assert_eq!(client.known_host(&account()), None);
    let look_up = || {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.host(&account()).await })
    };
    // The caller that starts the flight goes away; the flight does not.
    let first = look_up();
    tokio::time::sleep(Duration::from_millis(30)).await;
    first.abort();
    let waiters: Vec<_> = (0..100).map(|_| look_up()).collect();
    for waiter in waiters {
        let host = waiter.await.unwrap().unwrap();
        assert_eq!(host.as_str(), "http://127.0.0.1:9");
    }
    assert!(client.known_host(&account()).is_some());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let line = "GET /api/account/12345678/service/sentinel/baseURI.json?version=1.0 HTTP/1.1\r\n";
    assert!(requests[0].starts_with(line), "{}", requests[0]);
}

#[tokio::test]
async fn a_known_host_serves_on_while_the_domain_api_fails() {
    let server = TestServer::start(|number, _| match number {
        0 => answer(200, FOUND),
        1 => answer(404, ""),
        _ => answer(200, &FOUND.replace(":9", ":10")),
    })
    .await;
    let (client, clock) = client_of(settings(server.origin()));
    let host = async || client.host(&account()).await.unwrap().as_str().to_owned();
    assert_eq!(host().await, "http://127.0.0.1:9");
    clock.advance(FRESH_FOR - Duration::from_secs(1));
    assert_eq!(host().await, "http://127.0.0.1:9");
    assert_eq!(server.requests().len(), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(client.known_host(&account()), None);
    assert_eq!(host().await, "http://127.0.0.1:9");
    assert_eq!(host().await, "http://127.0.0.1:9");
    assert_eq!(server.requests().len(), 2);
    clock.advance(STALE_FOR);
    assert_eq!(host().await, "http://127.0.0.1:10");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_failure_is_shared_for_a_second() {
    let server = TestServer::start(|number, _| match number {
        0 => answer(400, ""),
        _ => answer(200, FOUND),
    })
    .await;
    let (client, clock) = client_of(settings(server.origin()));
    for _ in 0..3 {
        let error = client.host(&account()).await.unwrap_err();
        assert!(matches!(error, FetchError::Status(status) if status == 400));
    }
    assert_eq!(server.requests().len(), 1);
    clock.advance(FAILED_FOR);
    client.host(&account()).await.unwrap();
}

/// X05, X13, X16, X26 at the Domain API; a redirect is not followed.
#[tokio::test]
async fn a_fetch_retries_what_may_pass_and_nothing_else() {
    let found = || answer(200, FOUND);
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n";
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"base";
    let too_large = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_ANSWER));
    for (name, first, succeeds, calls) in [
        ("503", answer(503, ""), true, 2),
        ("reset", vec![Step::Reset], true, 2),
        ("half", vec![Step::Write(half.into()), Step::Reset], true, 2),
        ("302", vec![Step::Write(redirect.into())], false, 1),
        ("404", answer(404, ""), false, 1),
        ("429", answer(429, ""), false, 1),
        ("large", answer(200, &too_large), false, 1),
        ("HTML", answer(200, "<html>"), false, 1),
    ] {
        let server = TestServer::start(move |number, _| match number {
            0 => first.clone(),
            _ => found(),
        })
        .await;
        let (client, _) = client_of(settings(server.origin()));
        let outcome = client.host(&account()).await;
        assert_eq!(outcome.is_ok(), succeeds, "{name}: {outcome:?}");
        assert_eq!(server.requests().len(), calls, "{name}");
    }
}

#[tokio::test]
async fn retries_end_with_the_time_of_the_call() {
    let server = TestServer::start(|_, _| vec![Step::Pause(Duration::from_secs(9))]).await;
    let mut settings = settings(server.origin());
    settings.http.timeout = Duration::from_millis(300);
    let (client, _) = client_of(settings);
    let account = account();
    let waited = tokio::time::timeout(Duration::from_secs(3), client.host(&account));
    let error = waited.await.expect("the call ends by itself").unwrap_err();
    assert!(matches!(error, FetchError::Unreachable(_)), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn accounts_are_bounded_and_the_oldest_goes_first() {
    let mut accounts = HashMap::new();
    for number in 0..MAX_ACCOUNTS + 5 {
        let id: AccountId = format!("a{number}").parse().unwrap();
        slot(&mut accounts, &id).asked_at = Duration::from_millis(number as u64);
    }
    assert_eq!(accounts.len(), MAX_ACCOUNTS);
    assert!(!accounts.contains_key(&"a4".parse().unwrap()));
    assert!(accounts.contains_key(&"a5".parse().unwrap()));
}
