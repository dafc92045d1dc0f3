//! Small servers that misbehave on purpose, and a clock that tests move.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time,
};

use super::{HttpSettings, SentinelClient, SentinelSettings, ServerOrigin, TokenApiVersion};
use crate::{ClientSecret, Clock, SystemClock};

/// Reads a monotonic time that only tests move.
#[derive(Debug, Default)]
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    pub(super) fn advance(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        SystemClock.now()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What a server does once it has read a request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(Vec<u8>),
    Pause(Duration),
    /// Ends the connection by RST; without it the connection stays for the next request.
    Reset,
    /// Ends the connection by FIN.
    Close,
}

pub(super) fn write(text: impl Into<String>) -> Step {
    Step::Write(text.into().into_bytes())
}

/// A whole answer with `headers`, each ended by CRLF.
pub(super) fn answer_with(status: u16, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    vec![write(format!(
        "HTTP/1.1 {status} Status\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))]
}

pub(super) fn answer(status: u16, body: &str) -> Vec<Step> {
    answer_with(status, "content-type: application/json\r\n", body)
}

/// A server on loopback that keeps what it was asked.
pub(super) struct TestServer {
    pub(super) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl TestServer {
    /// `script` is given the number of the request, from 0 on, and the request.
    pub(super) async fn start<F>(script: F) -> Self
    where
        F: Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, script) = (Arc::clone(&requests), Arc::new(script));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                tokio::spawn(async move { serve(stream, &kept, &*script).await });
            }
        });
        Self { port, requests, accepting }
    }

    pub(super) fn origin(&self) -> ServerOrigin {
        format!("http://127.0.0.1:{}", self.port).parse().unwrap()
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve<F>(mut stream: TcpStream, kept: &Mutex<Vec<String>>, script: &F)
where
    F: Fn(usize, &str) -> Vec<Step>,
{
    while let Some(request) = read_request(&mut stream).await {
        let number = {
            let mut kept = kept.lock().unwrap();
            kept.push(request.clone());
            kept.len() - 1
        };
        for step in script(number, &request) {
            match step {
                Step::Write(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Pause(duration) => time::sleep(duration).await,
                Step::Reset => return reset_on_drop(&stream),
                Step::Close => return,
            }
        }
    }
}

#[allow(deprecated, reason = "its successor is newer than the oldest tokio we build with")]
fn reset_on_drop(stream: &TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).unwrap();
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse().unwrap());
        if body.len() >= length {
            return Some(text.into_owned());
        }
    }
}

/// An origin that refuses connections.
pub(super) async fn refusing_origin() -> ServerOrigin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}").parse().unwrap()
}

pub(super) fn settings(domain_api_url: ServerOrigin) -> SentinelSettings {
    SentinelSettings {
        client_id: "the-client".into(),
        client_secret: ClientSecret::new("the+secret & more"),
        redirect_uri: "https://app.example/callback?a=b c".into(),
        sentinel_url: None,
        domain_api_url,
        host_suffixes: SentinelSettings::HOST_SUFFIXES.map(Into::into).into(),
        token_api_version: TokenApiVersion::V2,
        http: HttpSettings { timeout: Duration::from_secs(2), ..HttpSettings::default() },
    }
}

/// A client whose Sentinel is `origin`.
pub(super) fn client(origin: ServerOrigin) -> (SentinelClient, Arc<TestClock>) {
    let settings = SentinelSettings { sentinel_url: Some(origin.clone()), ..settings(origin) };
    client_of(settings)
}

pub(super) fn client_of(settings: SentinelSettings) -> (SentinelClient, Arc<TestClock>) {
    let clock = Arc::new(TestClock::default());
    let client = SentinelClient::new(settings, Arc::clone(&clock) as Arc<dyn Clock>);
    (client.unwrap(), clock)
}
