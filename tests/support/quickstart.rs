//! The quickstart, or another example that serves, as a process of its own.

use std::{
    ffi::OsStr,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use http::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    task::JoinHandle,
    time::timeout,
};

use super::{Browser, FORM, Page};

/// Longer than a start or an end takes on a busy machine; reached only by a bug.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running example; it is killed with this value.
pub struct Quickstart {
    /// The first line on stdout, without the slash at its end.
    pub url: String,
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Quickstart {
    /// Starts it on a free port with these variables and no others, and waits for its URL.
    pub async fn start<V: AsRef<OsStr>>(variables: &[(&str, V)]) -> Self {
        Self::spawn(variables).started().await
    }

    /// Starts the example `sse` on a free port and waits for its URL.
    pub async fn sse() -> Self {
        Self::serve(&SSE).await
    }

    /// The same with `spa`.
    pub async fn spa() -> Self {
        Self::serve(&SPA).await
    }

    /// The same with `stack`.
    pub async fn stack() -> Self {
        Self::serve(&STACK).await
    }

    /// The same with `grpc-server`.
    pub async fn grpc_server() -> Self {
        Self::serve(&GRPC_SERVER).await
    }

    /// Starts the example `grpc-client`, which calls `server`, and waits for the address that it asks a
    /// person to open.
    pub async fn grpc_client(server: &str) -> Self {
        let mut command = tokio::process::Command::new(&*GRPC_CLIENT);
        Self::run(command.env_clear().arg(server)).started().await
    }

    async fn serve(program: &Path) -> Self {
        let mut command = tokio::process::Command::new(program);
        Self::run(command.env_clear().env("LISTEN_ADDR", "127.0.0.1:0")).started().await
    }

    /// Starts it where it cannot run; returns how it ended and what it said on stderr.
    pub async fn fail<V: AsRef<OsStr>>(variables: &[(&str, V)]) -> (ExitStatus, String) {
        Self::spawn(variables).refused().await
    }

    /// The same without any environment at all, where its own address cannot be had.
    pub async fn fail_at_its_own_address() -> (ExitStatus, String) {
        Self::run(tokio::process::Command::new(&*BINARY).env_clear()).refused().await
    }

    /// Everything on stdout from here to its end.
    pub async fn rest_of_stdout(&mut self) -> String {
        let mut rest = String::new();
        while let Some(line) = timeout(PATIENCE, self.stdout.next_line())
            .await
            .unwrap_or_else(|_| panic!("no line in time after {rest:?}"))
            .expect("text on stdout")
        {
            rest.push_str(&line);
            rest.push('\n');
        }
        rest
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no panic while reading").clone()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running process").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("the command `kill`").success());
    }

    /// Waits for its end; returns its exit status and all of stderr.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("an end in time");
        timeout(PATIENCE, &mut self.reader).await.expect("the end of stderr").expect("a reader");
        (status.expect("an exit status"), self.stderr())
    }

    async fn started(mut self) -> Self {
        let line = timeout(PATIENCE, self.stdout.next_line()).await;
        match line.expect("a line on stdout in time").expect("text on stdout") {
            Some(url) => self.url = url.trim_end_matches('/').to_owned(),
            None => {
                let stderr = self.ended().await.1;
                panic!("it did not start: {stderr}");
            }
        }
        self
    }

    async fn refused(mut self) -> (ExitStatus, String) {
        let line = timeout(PATIENCE, self.stdout.next_line()).await;
        let line = line.expect("an end in time").expect("text on stdout");
        assert_eq!(line, None, "it has started");
        self.ended().await
    }

    fn spawn<V: AsRef<OsStr>>(variables: &[(&str, V)]) -> Self {
        Self::run(
            tokio::process::Command::new(&*BINARY)
                .env_clear()
                .env("LISTEN_ADDR", "127.0.0.1:0")
                .envs(variables.iter().map(|(name, value)| (name, value))),
        )
    }

    fn run(command: &mut tokio::process::Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the example's binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut pipe = child.stderr.take().expect("a pipe");
        let stderr = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&stderr);
        let reader = tokio::spawn(async move {
            let mut chunk = vec![0; 8192];
            while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
                let text = String::from_utf8_lossy(&chunk[..read]);
                sink.lock().expect("no panic while reading").push_str(&text);
            }
        });
        Self { url: String::new(), child, stdout, stderr, reader }
    }
}

/// A port that was free a moment ago, for whoever has to name it before binding it.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    listener.local_addr().expect("a bound listener").port()
}

static BINARY: LazyLock<PathBuf> = LazyLock::new(|| example_program("quickstart"));
static SSE: LazyLock<PathBuf> = LazyLock::new(|| example_program("sse"));
static SPA: LazyLock<PathBuf> = LazyLock::new(|| example_program("spa"));
static STACK: LazyLock<PathBuf> = LazyLock::new(|| example_program("stack"));
static GRPC_SERVER: LazyLock<PathBuf> = LazyLock::new(|| example_program("grpc-server"));
static GRPC_CLIENT: LazyLock<PathBuf> = LazyLock::new(|| example_program("grpc-client"));

/// Where an example's program is. Cargo builds examples before it runs tests, unless one test file
/// alone is asked for; where it has, this takes a moment.
pub fn example_program(example: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // What the runner of the tests sets for them: to ring's build script it is a change, and a
    // reason to build half of all dependencies again, here and the next time there.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    let output = cargo
        .args(["build", "--example", example, "--all-features", "--message-format=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "remedy: `cargo build --example {example} --all-features`");
    let messages = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let mut executables = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == example)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next().expect("cargo names the binary that it has built")
}

/// Opens a page of an application and signs in on MockSentinel's page, as a person would.
pub async fn sign_in(browser: &mut Browser, path: &str, user: &str) -> Page {
    let page = browser.open(path).await;
    assert!(page.body.contains("<form method=\"post\">"), "{page:?}");
    let button = format!("value=\"{user}\"");
    assert!(page.body.contains(&button), "{page:?}");
    let form =
        [FORM[0], FORM[1], FORM[2], FORM[3], ("content-type", "application/x-www-form-urlencoded")];
    let sent = browser.send(Method::POST, &page.url, &form, Some(format!("user={user}"))).await;
    let callback = sent.location().unwrap_or_else(|| panic!("{sent:?}"));
    browser.open(&callback).await
}
