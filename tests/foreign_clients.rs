//! Clients that know nothing of this crate, in front of the example `grpc-server`: grpcio, as Python's
//! programs have it, and curl. `./scripts/test.sh` installs both.

mod support;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};
use support::{AGENT, Browser, Quickstart, sign_in};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

const ADMIN: &str = "3552833711";

/// For a whole program on a busy machine.
const PATIENCE: Duration = Duration::from_secs(45);

/// The example, a signed-in browser, and a session token from where native applications get it.
struct Scene {
    server: Quickstart,
    browser: Browser,
    token: String,
}

impl Scene {
    async fn of(user: &str) -> Self {
        let server = Quickstart::grpc_server().await;
        let mut browser = Browser::at(&server.url);
        let asked = format!("/native?port=1024&state={}", "s".repeat(22));
        let token = sign_in(&mut browser, &asked, user).await.hidden("session_token");
        Self { server, browser, token }
    }

    /// What the Python client has seen. It gets the token on stdin, where no list of processes shows it.
    async fn seen_by_python(&self) -> Value {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/grpc_client.py");
        let mut command = Command::new(python());
        let seen = run(command.arg(script).arg(&self.server.url), &self.token).await;
        assert!(!seen.contains(&self.token), "the token comes back: {seen}");
        serde_json::from_str(&seen).unwrap_or_else(|_| panic!("no JSON: {seen}"))
    }

    /// Status, content type and body of what curl gets, with the token or without.
    async fn curl(&self, method: &str, path: &str, with_token: bool) -> (u16, String, String) {
        let mut command = Command::new("curl");
        let url = format!("{}{path}", self.server.url);
        command.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"]);
        command.args(["--write-out", "\n%{http_code}\n%{content_type}"]);
        command.args(["--header", "@-", "--request", method, &url]);
        let header = format!("Authorization: Bearer {}\n", self.token);
        let answer = run(&mut command, if with_token { &header } else { "" }).await;
        let (rest, content_type) = answer.rsplit_once('\n').expect("a content type");
        let (body, status) = rest.rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), content_type.to_owned(), body.to_owned())
    }
}

/// The first Python that has grpcio, in the order of `scripts/test.sh`.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python3");
    let candidates = [own, "python3".into(), "/usr/bin/python3".into()];
    let has_grpcio = |python: &PathBuf| {
        let mut asked = std::process::Command::new(python);
        let asked = asked.args(["-c", "import grpc"]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    let found = candidates.into_iter().find(has_grpcio);
    found.expect("a Python with grpcio (remedy: ./scripts/test.sh installs what is missing)")
}

/// What a program says on stdout.
async fn run(command: &mut Command, stdin: &str) -> String {
    let remedy = "remedy: ./scripts/test.sh installs what is missing";
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}; {remedy}"));
    let mut pipe = child.stdin.take().expect("a pipe");
    // A program that has ended reads nothing, and what it says is more telling than the broken pipe.
    let _ = pipe.write_all(stdin.as_bytes()).await;
    drop(pipe);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("an end in time");
    let output = output.expect("an exit status");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}; {remedy}");
    String::from_utf8(output.stdout).expect("text")
}

/// A refusal as grpcio shows it.
#[track_caller]
fn assert_refused(seen: &Value, code: u16, details: &str) {
    assert_eq!((&seen["code"], &seen["details"]), (&json!(code), &json!(details)), "{seen}");
}

/// I01, I04, I07, I08: grpcio calls in the four ways, and is told code and message where it may not.
#[tokio::test]
async fn grpcio_calls_and_is_told_why_not() {
    let mut scene = Scene::of(AGENT).await;
    let seen = scene.seen_by_python().await;
    assert_eq!(seen["health"], "0801", "SERVING, for nobody too: {seen}");
    for way in ["unary", "client stream", "server stream", "both"] {
        assert_refused(&seen["nobody"][way], 16, "Please sign in");
    }
    assert_refused(&seen["worn out"], 16, "Not accepted");

    let user = &seen["user"];
    let heard = |text: &str, messages: u64, bytes: u64| json!({ "text": text, "user_id": AGENT, "messages": messages, "bytes": bytes });
    assert_eq!(user["unary"], heard("grüße", 1, 7));
    assert_eq!(user["client stream"], heard("def", 3, 6));
    let again = [1, 2, 3].map(|number| heard("again", number, 5));
    assert_eq!(user["server stream"], json!(again));
    assert_eq!(user["both"], json!([heard("a", 1, 1), heard("bc", 2, 2)]));

    assert_refused(&seen["for admins"], 7, "Not allowed");
    assert_eq!((&seen["first"], &seen["logout"]), (&heard("again", 1, 5), &json!(204)));
    assert_refused(&seen["open stream"], 16, "Your session has ended");
    assert_refused(&seen["afterwards"], 16, "Not accepted");
    scene.browser.fetch("/me").await.assert_unauthorized();
}

/// I03: what is for administrators is there for them.
#[tokio::test]
async fn grpcio_of_an_administrator_sees_what_is_theirs() {
    let seen = Scene::of(ADMIN).await.seen_by_python().await;
    assert_eq!(
        (&seen["for admins"], &seen["user"]["unary"]["user_id"]),
        (&json!(1), &json!(ADMIN))
    );
}

/// H01, H06, G01: curl calls the pages beside the service, and signs out.
#[tokio::test]
async fn curl_calls_what_stands_beside_the_service() {
    let mut scene = Scene::of(AGENT).await;
    let (status, content_type, body) = scene.curl("GET", "/me", false).await;
    assert_eq!((status, &*content_type), (401, "application/problem+json"), "{body}");
    let problem: Value = serde_json::from_str(&body).expect("JSON");
    assert!(problem["login"].as_str().is_some_and(|it| it.starts_with("/login")), "{body}");

    let (status, _, body) = scene.curl("GET", "/me", true).await;
    let me: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &me["user_id"]), (200, &json!(AGENT)), "{body}");
    let (status, _, body) = scene.curl("POST", "/logout", true).await;
    assert_eq!((status, &*body), (204, ""));
    assert_eq!(scene.curl("GET", "/me", true).await.0, 401);
    scene.browser.fetch("/me").await.assert_unauthorized();
}
