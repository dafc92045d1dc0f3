//! Where a login or a logout ends: whatever is asked for, on our own origin.
//!
//! The lines are generated from the families of published bypasses. Each goes through every sink,
//! and the last `Location` is judged as a browser resolves it, as sent and once percent-decoded.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic like it")]

mod support;

use std::collections::BTreeSet;

use support::{AGENT, App};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::{Url, form_urlencoded};

/// One return path that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    /// The number of its case.
    family: &'static str,
    path: String,
    /// Where it has to end.
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// At the landing page.
    Default,
    /// At the landing page, or at exactly these bytes on our origin.
    DefaultOrSame,
    /// At exactly these bytes.
    Same,
}

const LANDING: &str = "/";

const FOREIGN: [&str; 6] =
    ["evil.example", "evil.example/x?y=z", "evil.example:443", "user@evil.example", "1.2.3.4", ""];

/// A01 to A12.
fn attacks(own: &str) -> Vec<Line> {
    let mut lines = BTreeSet::new();
    let mut add = |family, path: String, end| {
        lines.insert(Line { family, path, end });
    };
    for host in FOREIGN.iter().filter(|host| !host.is_empty()) {
        for slashes in ["//", "///", "////", "//////"] {
            add("A01", format!("{slashes}{host}"), End::Default);
        }
        for slashes in [
            "/\\", "\\", "\\\\", "/\\/", "\\/", "\\/\\", "//\\", "/\\\\", "\\//", "/\\/\\", "///\\",
        ] {
            add("A02", format!("{slashes}{host}"), End::Default);
        }
    }
    // Every control byte, and what else is white space to some parser, raw and once encoded.
    let blanks = (0..=0x20u8).chain([0x7f]).map(char::from);
    for (index, blank) in blanks.chain(['\u{85}', '\u{a0}', '\u{2028}', '\u{feff}']).enumerate() {
        let host = FOREIGN[index % 5];
        let encoded: String =
            blank.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
        let twice = encoded.replace('%', "%25");
        for (before, after) in [
            ("/", "/"),
            ("", "//"),
            ("/", "\\"),
            ("//", ""),
            ("/", "//"),
            ("", "/"),
            ("/x/..", "//"),
        ] {
            add("A03", format!("{before}{blank}{after}{host}"), End::Default);
        }
        for (before, after) in [("/", "/"), ("/", "\\"), ("/", "//")] {
            // A byte of UTF-8 that is no ASCII is an ordinary letter of a path to every parser.
            let end = if blank.is_ascii() { End::Default } else { End::DefaultOrSame };
            add("A04", format!("{before}{encoded}{after}{host}"), end);
            add("A04", format!("{before}{twice}{after}{host}"), end);
        }
    }
    for split in ["%0d%0aSet-Cookie:x=1", "%0aLocation:%20//evil.example", "%0d%0a%0d%0a<script>"] {
        add("A04", format!("/{split}"), End::Default);
        add("A04", format!("/x{split}"), End::DefaultOrSame);
        add("A04", format!("/x?y={split}"), End::DefaultOrSame);
    }
    let slashes = ["%2f", "%2F", "%5c", "%5C"];
    for first in slashes {
        for second in slashes.iter().chain(&["/", "\\", ""]) {
            for (before, depth) in [("/", 0), ("/", 1), ("/", 2), ("", 0), ("/.", 0), ("/x/", 0)] {
                let mut pair = format!("{first}{second}");
                for _ in 0..depth {
                    pair = pair.replace('%', "%25");
                }
                let end = if before == "/" { End::Default } else { End::DefaultOrSame };
                for host in &FOREIGN[..2] {
                    add("A05", format!("{before}{pair}{host}"), end);
                }
            }
        }
    }
    for dots in
        ["/.", "/..", "/x/..", "/./.", "/../..", "/%2e", "/%2E%2e", "/.%2e", "/x/%2e%2e", "."]
    {
        for then in ["//", "/\\", "\\", "\\\\", "/%2f", "%2f%2f", "///", "/\t/", "/%09/"] {
            for host in [FOREIGN[0], FOREIGN[3]] {
                add("A06", format!("{dots}{then}{host}"), End::DefaultOrSame);
            }
        }
    }
    for scheme in ["https", "HTTPS", "http", "hTTp", "ftp", "ws", "wss"] {
        for then in [":", ":/", "://", ":///", ":\\\\", ":\\", ":/\\", ": //", "%3a//"] {
            add("A07", format!("{scheme}{then}evil.example"), End::Default);
            add("A07", format!("\t{scheme}{then}evil.example"), End::Default);
        }
    }
    let host = own.trim_start_matches("http://");
    for path in [
        format!("{own}@evil.example/"),
        format!("https://evil.example#{host}"),
        format!("https://evil.example?{own}"),
        format!("https://{host}:80@evil.example"),
        format!("https://{host}\\@evil.example"),
        format!("https://{host}%40evil.example"),
        format!("//{host}@evil.example"),
        format!("/\\{host}@evil.example"),
        format!("//evil.example\\@{host}"),
        format!("//evil.example/{own}"),
        format!("@{host}@evil.example"),
        "//:@evil.example:80".to_owned(),
    ] {
        add("A08", path, End::Default);
    }
    let name = host.split(':').next().unwrap_or_default();
    for path in [
        format!("https://{name}.evil.example"),
        format!("https://evil{name}"),
        format!("//{name}.evil.example/"),
        format!("//evil-{name}"),
        format!("http://{name}:1/x"),
        format!("//{name}:1/x"),
        format!("https://{host}/x"),
        format!("{own}.evil.example"),
        format!("{own}/x"),
        format!("//{host}/x"),
    ] {
        add("A09", path, End::Default);
    }
    for scheme in [
        "javascript",
        "JaVaScRiPt",
        "java\tscript",
        "data",
        "vbscript",
        "blob",
        "file",
        "about",
        "mailto",
        "view-source",
        "intent",
        "filesystem",
    ] {
        for rest in [":alert(1)", "://x/%0aalert(1)", ":text/html,<script>alert(1)</script>", ":"] {
            add("A10", format!("{scheme}{rest}"), End::Default);
            add("A10", format!(" {scheme}{rest}"), End::Default);
        }
    }
    for look_alike in [
        '\u{ff0f}', '\u{2044}', '\u{2215}', '\u{29f8}', '\u{29f5}', '\u{fe68}', '\u{ff3c}',
        '\u{ff0e}', '\u{3002}', '\u{2024}', '\u{ad}', '\u{200b}', '\u{200d}', '\u{2060}',
        '\u{202e}', '\u{200f}', '\u{2066}', '\u{ff1a}', '\u{ff20}', '\u{2100}', '\u{430}',
    ] {
        let encoded: String =
            look_alike.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        for character in [look_alike.to_string(), encoded] {
            for path in [
                format!("/{character}evil.example"),
                format!("{character}{character}evil.example"),
                format!("/{character}{character}evil.example"),
                format!("/x{character}evil.example"),
            ] {
                add("A11", path, End::DefaultOrSame);
            }
            for path in [
                format!("//evil{character}example"),
                format!("https://evil{character}example"),
                format!("//{character}evil.example"),
            ] {
                add("A11", path, End::Default);
            }
        }
    }
    for host in [
        "16909060",
        "0x01020304",
        "0x1.0x2.0x3.0x4",
        "01.02.03.04",
        "0100401404",
        "1.2.772",
        "1.131844",
        "[::ffff:1.2.3.4]",
        "[::1]",
        "[fe80::1%25eth0]",
        "1.2.3.4.",
        "evil.example.",
        "0",
        "localhost",
        "2130706433",
    ] {
        for before in ["//", "/\\", "http://", "https:", "///", "/%2f", "/.//"] {
            let end = if before == "/.//" { End::DefaultOrSame } else { End::Default };
            add("A12", format!("{before}{host}"), end);
        }
    }
    lines.into_iter().collect()
}

/// A15, A16, A19 and A20: text that is no path, our own routes, and paths that are kept.
fn others() -> Vec<Line> {
    let line = |family, end| move |path: &&str| Line { family, path: (*path).to_owned(), end };
    let broken = ["/%", "/%z", "/%zz", "/a%", "/a%2", "/%c0%af", "/%ed%a0%80", "/%ff", "/%uD800"];
    let own = [
        "/login",
        "/login/",
        "/LOGIN",
        "/login?return_to=/logout",
        "/callback",
        "/Callback?code=a&state=b",
        "/callback/",
        "/logout",
        "/logout//",
        "/Logout#x",
    ];
    let kept = [
        "/a/b?x=1&y=%2F%20&y=2",
        "/a//b",
        "/a///b//",
        "/a:b@c",
        "/%C3%A9t%C3%A9",
        "/a%2Fb",
        "/a%252Fb",
        "/?//evil.example",
        "/?next=https://evil.example/",
        "/a;b=c",
        "/~user/-._!$&'()*+,;=:@",
        "/login-help",
        "/x?a=%FF",
        "/%25",
    ];
    let mut lines: Vec<Line> = broken.iter().map(line("A15", End::Default)).collect();
    lines.extend(own.iter().map(line("A16", End::Default)));
    // A query is UTF-8 too, or the path is none.
    lines.extend(kept.iter().filter(|path| !path.contains("%FF")).map(line("A19, A20", End::Same)));
    lines.push(line("A15", End::Default)(&"/x?a=%FF"));
    lines
}

fn all(own: &str) -> Vec<Line> {
    let mut lines = attacks(own);
    lines.extend(others());
    lines
}

impl Line {
    /// Judges where a browser on our origin lands. `landing` is the landing page of this sink.
    #[track_caller]
    fn judge(&self, own: &str, location: &str, sink: &str) {
        let here = Url::parse(own).unwrap().join("/callback").unwrap();
        let told = || format!("{sink}: {self:?} ended at {location:?}");
        assert!(location.starts_with('/'), "{}", told());
        let end = here.join(location).unwrap_or_else(|_| panic!("{}", told()));
        assert_eq!(end.origin(), here.origin(), "{}", told());
        // A proxy on the way may decode once.
        let decoded = percent_decode(location);
        let end = here.join(&decoded).unwrap_or_else(|_| panic!("decoded {}", told()));
        assert_eq!(end.origin(), here.origin(), "decoded {}", told());
        let fine = match self.end {
            End::Default => location == LANDING,
            End::DefaultOrSame => location == LANDING || location == self.path,
            End::Same => location == self.path,
        };
        assert!(fine, "{}", told());
    }

    fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", &self.path)
            .finish()
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escape = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A connection that sends exactly the bytes it is given: HTTP clients normalise targets.
struct Wire {
    address: String,
    stream: Option<TcpStream>,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Answer {
    fn location(&self) -> Option<&str> {
        self.all("location").next()
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }
}

impl Wire {
    fn to(url: &str) -> Self {
        Self { address: url.trim_start_matches("http://").to_owned(), stream: None }
    }

    async fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("content-length: 0\r\n\r\n");
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                stream
            }
        };
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read(&mut stream).await;
        // What is no request to hyper ends the connection.
        if answer.status != 400 && !answer.all("connection").any(|value| value == "close") {
            self.stream = Some(stream);
        }
        answer
    }
}

async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let head = loop {
        let read = stream.read_buf(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "the connection ended after {:?}", String::from_utf8_lossy(&bytes));
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break bytes.drain(..end + 4).collect::<Vec<u8>>();
        }
    };
    let head = String::from_utf8(head).expect("a head of ASCII");
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let answer = Answer { status, headers };
    let length = answer.all("content-length").next().map_or(0, |value| value.parse().unwrap());
    while bytes.len() < length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "half a body: {answer:?}");
    }
    assert_eq!(bytes.len(), length, "{answer:?}");
    answer
}

/// What a browser does, over two connections that are kept.
struct Journey {
    app: Wire,
    sentinel: Wire,
    sentinel_url: String,
    own: String,
}

const HTML: (&str, &str) = ("accept", "text/html");

impl Journey {
    fn new(app: &App) -> Self {
        Self {
            app: Wire::to(&app.url),
            sentinel: Wire::to(&app.sentinel.url()),
            sentinel_url: app.sentinel.url(),
            own: app.url.clone(),
        }
    }

    /// From the redirect that starts a login to the `Location` that ends it.
    async fn finish(&mut self, started: &Answer) -> String {
        let location = started.location().unwrap_or_else(|| panic!("{started:?}"));
        let authorize = location.strip_prefix(&self.sentinel_url);
        let authorize = authorize.unwrap_or_else(|| panic!("off to {location:?}"));
        assert_eq!(started.all("set-cookie").count(), 1, "{started:?}");
        let line = started.all("set-cookie").next().unwrap();
        let cookie = line.split(';').next().unwrap().to_owned();
        let back = self.sentinel.send("GET", authorize, &[]).await;
        let callback = back.location().unwrap_or_else(|| panic!("{back:?}"));
        let callback = callback.strip_prefix(&self.own).unwrap_or_else(|| panic!("{callback:?}"));
        let callback = callback.to_owned();
        let ended = self.app.send("GET", &callback, &[HTML, ("cookie", &cookie)]).await;
        assert_eq!(ended.status, 303, "{ended:?}");
        // The login's cookie goes, the session's comes, and no line was smuggled in between.
        assert_eq!(ended.all("set-cookie").count(), 2, "{ended:?}");
        assert_eq!(ended.all("location").count(), 1, "{ended:?}");
        ended.location().unwrap().to_owned()
    }
}

async fn app() -> App {
    let app = App::start().await;
    app.sentinel.auto_login(Some(AGENT));
    app
}

/// Two journeys at once, each with every second line.
fn halves(lines: Vec<Line>) -> [Vec<Line>; 2] {
    let (even, odd): (Vec<_>, Vec<_>) =
        lines.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    [even, odd].map(|half| half.into_iter().map(|(_, line)| line).collect())
}

/// A27.
#[test]
fn the_lines_are_many_and_distinct() {
    let lines = attacks("http://127.0.0.1:3000");
    let distinct: BTreeSet<&str> = lines.iter().map(|line| &*line.path).collect();
    assert!(distinct.len() >= 1000, "{} lines", distinct.len());
    for number in 1..=12 {
        let family = format!("A{number:02}");
        let count = lines.iter().filter(|line| line.family == family).count();
        assert!(count >= 9, "{family} has {count} lines");
    }
}

/// A01 to A12, A15, A16, A19, A20, A27: the parameter of the login path, through the sealed cookie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_ends_on_our_origin_whatever_its_parameter_says() {
    let app = app().await;
    let [one, two] = halves(all(&app.url)).map(|lines| {
        let mut journey = Journey::new(&app);
        tokio::spawn(async move {
            for line in lines {
                let target = format!("/login?{}", line.query());
                let started = journey.app.send("GET", &target, &[HTML]).await;
                assert_eq!(started.status, 303, "{line:?}: {started:?}");
                let end = journey.finish(&started).await;
                line.judge(&journey.own, &end, "login");
            }
        })
    });
    one.await.unwrap();
    two.await.unwrap();
}

/// A01 to A12, A17 to A20, A27: a page that was asked for, as raw request targets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_automatic_login_ends_on_our_origin_whatever_page_was_asked_for() {
    let app = app().await;
    let mut lines = all(&app.url);
    lines.extend(
        ["http://evil/", "http://evil/x", "https://evil.example//x", "evil:80", "*"]
            .map(|path| Line { family: "A18", path: path.to_owned(), end: End::DefaultOrSame }),
    );
    let tasks = halves(lines).map(|lines| {
        let mut journey = Journey::new(&app);
        tokio::spawn(async move {
            let mut logins = 0;
            for line in lines {
                let answer = journey.app.send("GET", &line.path, &[HTML]).await;
                match answer.status {
                    // No request to HTTP, or one of our own routes.
                    400 => continue,
                    // The landing page is open to all.
                    200 => assert_eq!(answer.location(), None, "{line:?}: {answer:?}"),
                    303 if !answer.location().is_some_and(|to| to.contains("/authorize?")) => {
                        let to = answer.location().unwrap_or_default();
                        line.judge(&journey.own, to, "own route");
                    }
                    303 => {
                        logins += 1;
                        let end = journey.finish(&answer).await;
                        line.judge_capture(&journey.own, &end);
                    }
                    _ => panic!("{line:?}: {answer:?}"),
                }
            }
            logins
        })
    });
    let mut logins = 0;
    for task in tasks {
        logins += task.await.unwrap();
    }
    assert!(logins >= 500, "only {logins} lines could be asked for");
}

impl Line {
    /// A target in absolute form names a host that is not ours: its path alone is come back to.
    #[track_caller]
    fn judge_capture(&self, own: &str, end: &str) {
        let path = self.path.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..]));
        match path {
            Some(path) => {
                let same = Line { path: path.to_owned(), end: End::DefaultOrSame, ..self.clone() };
                same.judge(own, end, "page");
            }
            None => self.judge(own, end, "page"),
        }
    }
}

/// A01 to A12, A15, A16, A19, A20, A27: the parameter of the logout.
#[tokio::test]
async fn a_logout_ends_on_our_origin_whatever_its_parameter_says() {
    let app = app().await;
    let mut wire = Wire::to(&app.url);
    for line in all(&app.url) {
        let target = format!("/logout?{}", line.query());
        let answer = wire.send("POST", &target, &[HTML]).await;
        assert_eq!(answer.status, 303, "{line:?}: {answer:?}");
        line.judge(&app.url, answer.location().unwrap_or_default(), "logout");
    }
}

/// A01 to A12, A15, A16, A19, A20, A27: the link that a handler asks for.
#[tokio::test]
async fn a_login_link_comes_back_to_our_origin_whatever_it_is_made_of() {
    let app = app().await;
    let own = Url::parse(&app.url).unwrap();
    for line in all(&app.url) {
        let link = app.auth.login_url(&line.path);
        let resolved = own.join(&link).unwrap();
        assert_eq!(resolved.origin(), own.origin(), "{line:?} became {link:?}");
        assert_eq!(resolved.path(), "/login", "{line:?} became {link:?}");
        let pairs: Vec<(String, String)> = resolved.query_pairs().into_owned().collect();
        match &pairs[..] {
            [] => line.judge(&app.url, LANDING, "link"),
            [(name, path)] if name == "return_to" => line.judge(&app.url, path, "link"),
            _ => panic!("{line:?} became {link:?}"),
        }
    }
}

/// A15: bytes that are no UTF-8 never become a path, nor an error.
#[tokio::test]
async fn a_parameter_that_is_no_text_leads_to_the_landing_page() {
    let app = app().await;
    let mut journey = Journey::new(&app);
    for value in ["%FF", "/%FF", "%2F%C0%AF", "%2F%ED%A0%80", "%", "%zz", "/%2", "+//evil.example"]
    {
        let target = format!("/login?return_to={value}");
        let started = journey.app.send("GET", &target, &[HTML]).await;
        assert_eq!(started.status, 303, "{value}: {started:?}");
        assert_eq!(journey.finish(&started).await, LANDING, "{value}");
    }
}
