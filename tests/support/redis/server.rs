//! One `redis-server` process.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use redis::{RedisError, Value};
use tokio::time::{Instant, sleep, timeout};

use super::{super::free_port, Authority};

/// Longer than a server takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a server may think about a command: a slow machine's takes more than the half second that
/// is usual.
const ANSWER: Duration = Duration::from_secs(5);

/// A server that keeps its data in memory, and loses it when it is stopped.
pub struct RedisServer {
    port: u16,
    tls_port: Option<u16>,
    admin: String,
    options: Vec<String>,
    directory: Directory,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts a server without a password.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with further options, written as on its command line.
    pub async fn with(options: &[&str]) -> Self {
        Self::launch(options, "", None).await
    }

    /// Starts a server whose default user has this password.
    pub async fn with_password(password: &str) -> Self {
        Self::with_password_and(password, &[]).await
    }

    /// The same with further options.
    pub async fn with_password_and(password: &str, options: &[&str]) -> Self {
        let all = [&["--requirepass", password], options].concat();
        Self::launch(&all, &format!(":{password}@"), None).await
    }

    /// Starts a server that speaks TLS too, with a certificate of this authority.
    pub async fn with_tls(authority: &Authority) -> Self {
        Self::launch(&[], "", Some(authority)).await
    }

    async fn launch(options: &[&str], admin: &str, authority: Option<&Authority>) -> Self {
        // Between finding a free port and taking it, somebody else may take it.
        for _ in 0..5 {
            let mut server = Self {
                port: free_port(),
                tls_port: authority.map(|_| free_port()),
                admin: admin.to_owned(),
                options: options.iter().map(|&option| option.to_owned()).collect(),
                directory: Directory::new(),
                process: None,
            };
            if let (Some(authority), Some(port)) = (authority, server.tls_port) {
                server.options.extend(authority.server_options(server.directory.path(), port));
            }
            if server.start_again().await {
                return server;
            }
        }
        panic!("redis-server does not start (scripts/test.sh installs it)");
    }

    /// The URL of the server, with the password where there is one.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}/", self.admin, self.port)
    }

    /// The URL with user information of your choice, such as `user:password`.
    pub fn url_as(&self, credentials: &str) -> String {
        format!("redis://{credentials}@127.0.0.1:{}/", self.port)
    }

    /// The URL of the TLS port.
    pub fn tls_url(&self) -> String {
        let port = self.tls_port.expect("a server with TLS");
        format!("rediss://127.0.0.1:{port}/")
    }

    /// The address of the plain port.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills the server; its port refuses connections from then on.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            self.reap(&mut process);
        }
    }

    /// Waits until a killed process is gone: one that a slow disk holds back goes late.
    fn reap(&self, process: &mut Child) {
        let begin = Instant::now();
        while let Ok(None) = process.try_wait() {
            if begin.elapsed() > PATIENCE {
                // In a test that fails already, a second panic would hide the first.
                assert!(
                    std::thread::panicking(),
                    "port {} is still served by a killed process",
                    self.port
                );
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills the server and starts it on the same port: data, scripts and connections are gone.
    pub async fn restart(&mut self) {
        self.stop();
        assert!(self.start_again().await, "redis-server does not start again: {}", self.log());
    }

    /// Adds options for the next start.
    pub fn add_options(&mut self, options: &[&str]) {
        self.options.extend(options.iter().map(|&option| option.to_owned()));
    }

    /// Starts the stopped server without waiting for it to be of use.
    pub fn spawn(&mut self) {
        let log = File::create(self.directory.path().join("log")).expect("a log");
        let process = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--repl-diskless-sync-delay", "0", "--dir"])
            .arg(self.directory.path())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("redis-server is installed (scripts/test.sh does it)");
        self.process = Some(process);
    }

    /// Starts the stopped server; whether it came up.
    pub async fn start_again(&mut self) -> bool {
        self.spawn();
        let ready = async {
            loop {
                let process = self.process.as_mut().expect("a started server");
                if process.try_wait().expect("a child of ours").is_some() {
                    return false;
                }
                if self.try_ask(&["PING"]).await.is_ok() {
                    return true;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        matches!(timeout(PATIENCE, ready).await, Ok(true))
    }

    /// Waits until a spawned server is of use.
    pub async fn loaded(&self) {
        let loading = async {
            while self.try_ask(&["PING"]).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, loading).await.is_ok(), "never loaded: {}", self.log());
    }

    /// What the server answers to a command, over a connection of its own.
    #[track_caller]
    pub fn ask(&self, command: &[&str]) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.try_ask(command).await;
            answer.unwrap_or_else(|error| panic!("{error} to {command:?} at {caller}"))
        }
    }

    /// The same as text.
    #[track_caller]
    pub fn text(&self, command: &[&str]) -> impl Future<Output = String> {
        let answer = self.ask(command);
        async move { redis::from_redis_value(answer.await).expect("a text") }
    }

    /// What the server answers to a command, or its error.
    pub async fn try_ask(&self, command: &[&str]) -> Result<Value, RedisError> {
        let client = redis::Client::open(self.url())?;
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut asked = redis::cmd(command[0]);
        for argument in &command[1..] {
            asked.arg(*argument);
        }
        asked.query_async(&mut connection).await
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A directory of its own, removed with what is in it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-lp-auth-redis-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until the answer to a command contains this text.
pub(super) async fn until_says(server: &RedisServer, command: &[&str], expected: &str) {
    let waiting = async {
        while !server.text(command).await.contains(expected) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "{command:?} never says {expected}");
}
