//! A login step by step, pages for people, raw requests, and what is logged.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

use super::{AGENT, App, Browser, Page};

impl Browser {
    /// Starts a login at `path` and signs in at Sentinel; returns the callback's URL, unopened.
    pub async fn reach_callback(&mut self, app: &App, path: &str) -> String {
        self.reach_callback_as(app, path, AGENT).await
    }

    /// The same as a user of your choice.
    pub async fn reach_callback_as(&mut self, app: &App, path: &str, user: &str) -> String {
        let start = self.navigate(path).await;
        start.assert_login();
        self.through_sentinel(app, &start, user).await
    }

    /// Follows a started login to Sentinel; returns where that sends the browser.
    pub async fn through_sentinel(&mut self, app: &App, start: &Page, user: &str) -> String {
        app.sentinel.auto_login(Some(user));
        let authorize = start.location().expect("a login that has started");
        let authorized = self.navigate(&authorize).await;
        authorized.location().unwrap_or_else(|| panic!("no way back from {authorized:?}"))
    }
}

impl Page {
    /// A page of the layer's for a person: HTML, closed to scripts, frames, caches and referrers.
    #[track_caller]
    pub fn assert_closed_page(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        for (name, expected) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(self.header(name), Some(expected), "{name} of {self:?}");
        }
        let policy = self.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{self:?}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{self:?}");
        assert!(self.location().is_none() && self.session_cookies().is_empty(), "{self:?}");
    }

    /// 400L, but for the login cookie: a closed page, no session.
    #[track_caller]
    pub fn assert_refused(&self) {
        self.assert_closed_page(400);
    }

    /// Where the page's one link leads.
    #[track_caller]
    pub fn way_forward(&self) -> String {
        let (_, link) = self.body.split_once("class=\"action\" href=\"").expect("a way forward");
        let (href, _) = link.split_once('"').expect("a whole attribute");
        if href.is_empty() {
            // The same address once more.
            let after_origin = self.url.splitn(4, '/').nth(3).unwrap_or_default();
            return format!("/{after_origin}");
        }
        href.replace("&amp;", "&")
    }

    /// Whether the response deletes the cookie of a pending login.
    pub fn deletes_login(&self) -> bool {
        self.login_cookies().iter().any(|line| line.contains("Max-Age=0"))
    }
}

/// Waits until something is so, at most five seconds.
#[track_caller]
pub fn eventually(
    what: &'static str,
    mut condition: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..1000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what} ({caller})");
    }
}

/// Sends a GET whose request target no URL library has touched.
pub async fn raw_get(app: &App, target: &str, headers: &[(&str, &str)]) -> Page {
    let authority = app.url.strip_prefix("http://").expect("a URL of plain http");
    let mut request =
        format!("GET {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(authority).await.expect("a running application");
    stream.write_all(request.as_bytes()).await.expect("a request sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("a whole answer");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers: HeaderMap = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a header's name");
            (name, HeaderValue::from_str(value).expect("a header's value"))
        })
        .collect();
    Page {
        status: StatusCode::from_bytes(status.as_bytes()).expect("a status"),
        headers,
        body: body.to_owned(),
        url: app.url(target),
    }
}

/// What this thread logs, from `capture` until the guard is dropped.
#[derive(Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    pub fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        Self::capture_with(FmtSpan::NONE)
    }

    /// The same, and when each span begins, goes on and ends.
    pub fn capture_spans() -> (Self, tracing::subscriber::DefaultGuard) {
        Self::capture_with(FmtSpan::FULL)
    }

    fn capture_with(spans: FmtSpan) -> (Self, tracing::subscriber::DefaultGuard) {
        let logs = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_span_events(spans)
            .with_writer(logs.clone())
            .finish();
        (logs, tracing::subscriber::set_default(subscriber))
    }

    /// Adds a line of the test's own.
    pub fn add(&self, text: &str) {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
    }

    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
