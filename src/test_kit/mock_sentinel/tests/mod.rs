//! The mock as its clients see it: over sockets, without an HTTP library to smooth things over.

mod app_tokens;
mod faults;
mod keys;
mod login;
mod switches;
mod tokens;

use std::io;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::{Url, form_urlencoded};

use super::*;

const CALLBACK: &str = "http://app.example/callback?from=mock";

/// A response, split but not interpreted.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.expect("a response has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        Self { status: head[9..12].parse().unwrap(), head, body: bytes[end + 4..].to_vec() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The parameters that a redirect carries to the application.
    #[track_caller]
    fn redirected(&self) -> Vec<(String, String)> {
        assert_eq!(self.status, 302, "{self:?}");
        let url = Url::parse(self.header("location").unwrap()).unwrap();
        assert_eq!((url.host_str(), url.path()), (Some("app.example"), "/callback"));
        url.query_pairs().into_owned().collect()
    }
}

async fn connect(sentinel: &MockSentinel) -> TcpStream {
    TcpStream::connect(&sentinel.shared.authority).await.unwrap()
}

/// Sends one request and reads until the connection ends, however it ends.
async fn exchange(
    sentinel: &MockSentinel,
    request_line: &str,
    headers: &str,
    body: &str,
) -> (Vec<u8>, io::Result<usize>) {
    let mut stream = connect(sentinel).await;
    let length = body.len();
    let request = format!(
        "{request_line} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n{headers}\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received).await;
    (received, end)
}

async fn get(sentinel: &MockSentinel, path: &str, headers: &str) -> Answer {
    let (received, end) = exchange(sentinel, &format!("GET {path}"), headers, "").await;
    end.unwrap();
    Answer::parse(&received)
}

async fn post(sentinel: &MockSentinel, path: &str, form: &[(&str, &str)]) -> Answer {
    post_with(sentinel, path, "", form).await
}

async fn post_with(
    sentinel: &MockSentinel,
    path: &str,
    headers: &str,
    form: &[(&str, &str)],
) -> Answer {
    let headers = format!("content-type: application/x-www-form-urlencoded\r\n{headers}");
    let line = format!("POST {path}");
    let (received, end) = exchange(sentinel, &line, &headers, &encode(form)).await;
    end.unwrap();
    Answer::parse(&received)
}

fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn account_path(sentinel: &MockSentinel, rest: &str) -> String {
    format!("/sentinel/api/account/{}/{rest}", sentinel.account_id())
}

/// An authorization request in order, with `more` at its end.
fn authorize_path(sentinel: &MockSentinel, more: &[(&str, &str)]) -> String {
    let query = encode(&[
        ("v", "1.0"),
        ("response_type", "code"),
        ("client_id", sentinel.client_id()),
        ("redirect_uri", CALLBACK),
    ]);
    let path = account_path(sentinel, "authorize");
    format!("{path}?{query}&{}", encode(more))
}

/// A token request in order, but for what `grant` says.
async fn token(sentinel: &MockSentinel, grant: &[(&str, &str)]) -> Answer {
    let mut form =
        vec![("client_id", sentinel.client_id()), ("client_secret", sentinel.client_secret())];
    form.extend(grant);
    post(sentinel, &account_path(sentinel, "token?v=2.0"), &form).await
}

async fn redeem(sentinel: &MockSentinel, code: &str) -> Answer {
    let grant = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
    token(sentinel, &grant).await
}

async fn refresh(sentinel: &MockSentinel, refresh_token: &Value) -> Answer {
    let grant =
        [("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str().unwrap())];
    token(sentinel, &grant).await
}

/// A code for the first user, without a page.
async fn code(sentinel: &MockSentinel) -> String {
    sentinel.auto_login(Some(sentinel.users()[0].id()));
    let answer = get(sentinel, &authorize_path(sentinel, &[]), "").await;
    sentinel.auto_login(None);
    value(&answer.redirected(), "code").unwrap().to_owned()
}

/// The tokens of the first user's login.
async fn log_in(sentinel: &MockSentinel) -> Value {
    let answer = redeem(sentinel, &code(sentinel).await).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let named = pairs.iter().find(|(other, _)| other == name);
    named.map(|(_, value)| value.as_str())
}

fn error(answer: &Answer) -> (u16, String) {
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    (answer.status, error)
}

fn live(sentinel: &MockSentinel, tokens: &Value) -> bool {
    sentinel.is_live_access_token(tokens["access_token"].as_str().unwrap())
}

const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<MockSentinel>();
    shareable::<MockSentinelBuilder>();
};

#[tokio::test]
async fn a_connection_serves_more_than_one_request() {
    let sentinel = MockSentinel::start().await.unwrap();
    let mut stream = connect(&sentinel).await;
    for _ in 0..2 {
        let request = b"GET /nowhere HTTP/1.1\r\nhost: mock\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut received = [0; 12];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"HTTP/1.1 404");
        let mut rest = [0; 1024];
        assert!(stream.read(&mut rest).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn the_last_handle_stops_the_server() {
    let sentinel = MockSentinel::start().await.unwrap();
    let authority = sentinel.shared.authority.clone();
    let mut open = connect(&sentinel).await;
    drop(sentinel.clone());
    assert_eq!(get(&sentinel, "/", "").await.status, 404);

    drop(sentinel);
    assert_eq!(open.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(authority).await.is_err());
}

#[tokio::test]
async fn the_domain_api_names_this_server() {
    let sentinel = MockSentinel::builder().another_account("le1", "b", "c").start().await.unwrap();
    let host = sentinel.url().replace("http://", "");
    for (path, status) in [
        ("12345678/service/sentinel/baseURI.json?version=1.0", 200),
        ("le1/service/sentinel/baseURI.json?version=1.0", 200),
        ("12345678/service/Sentinel/baseURI.json?version=1.0", 404),
        ("12345678/service/sentinel/baseURI.json", 400),
        ("87654321/service/sentinel/baseURI.json?version=1.0", 401),
    ] {
        let answer = get(&sentinel, &format!("/api/account/{path}"), "").await;
        assert_eq!(answer.status, status, "{path}");
        if status == 200 {
            let account = &path[..path.find('/').unwrap()];
            let expected = serde_json::json!({
                "service": "sentinel", "account": account, "baseURI": host,
            });
            assert_eq!(answer.json(), expected);
        }
    }
    let all = "/api/account/12345678/service/baseURI.json?version=1.0";
    let answer = get(&sentinel, all, "").await.json();
    assert_eq!(answer["baseURIs"][0]["baseURI"], host.as_str());
    assert_eq!(sentinel.counts().domain, 6);
}
