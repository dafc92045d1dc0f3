//! An instance of the application as a process of its own, which can be killed.
//!
//! The process is the test's own program, run for the same test once more: there the test calls
//! [`Instance::serve_if_told`] first, and gets no further.

use std::{
    env,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use tower_lp_auth::{
    LpAuthLayer, RedisStore, SessionKey,
    test_kit::{self, MockSentinel},
};

use super::{Browser, routes};

/// Longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// In front of the line that names the address.
const ADDRESS: &str = "instance at ";

/// A key drawn for these tests.
const KEY: &str = "mL8ktFp9oY7nXhRZ2qvE1cW0sB4uJ6dAQGiTeKxV3zM=";

/// Set where a process is to be an instance.
const TOLD: &str = "TOWER_LP_AUTH_INSTANCE_SENTINEL";

/// What an instance is started with.
pub struct Instance {
    pub url: String,
    child: Child,
    stderr: Arc<Mutex<String>>,
    _reader: JoinHandle<()>,
}

/// Where an instance finds everything.
pub struct Surroundings<'a> {
    /// The name of the running test.
    pub test: &'a str,
    pub sentinel: &'a MockSentinel,
    /// The way to it.
    pub sentinel_url: &'a str,
    pub redis_url: &'a str,
    /// The instance whose callback is the application's; its own where there is none.
    pub beside: Option<&'a Instance>,
    /// Whole seconds.
    pub refresh_after: u64,
}

impl Instance {
    pub async fn start(around: Surroundings<'_>) -> Self {
        let mut command = Command::new(env::current_exe().expect("a program that runs"));
        command
            .args(["--exact", "--nocapture", around.test])
            .env(TOLD, around.sentinel_url)
            .env("ACCOUNT", around.sentinel.account_id())
            .env("CLIENT", around.sentinel.client_id())
            .env("SECRET", around.sentinel.client_secret())
            .env("REDIS", around.redis_url)
            .env("REFRESH_AFTER", around.refresh_after.to_string())
            .env("CALLBACK", around.beside.map_or("", |other| &*other.url))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("a program that runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut pipe = child.stderr.take().expect("a pipe");
        let stderr = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&stderr);
        let reader = tokio::spawn(async move {
            let mut chunk = vec![0; 8_192];
            while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
                let text = String::from_utf8_lossy(&chunk[..read]);
                sink.lock().expect("no panic while reading").push_str(&text);
            }
        });
        let address = async {
            while let Some(line) = stdout.next_line().await.expect("text on stdout") {
                if let Some((_, url)) = line.split_once(ADDRESS) {
                    return url.to_owned();
                }
            }
            panic!("no instance has started");
        };
        let url = timeout(PATIENCE, address).await.expect("an address in time");
        Self { url, child, stderr, _reader: reader }
    }

    /// A browser at this instance with the cookies of another: cookies ignore ports.
    pub fn browser(&self, other: &Browser) -> Browser {
        let mut browser = Browser::at(&self.url);
        browser.jar = other.jar.clone();
        browser
    }

    /// SIGKILL: nothing is finished, nobody is told.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process that runs");
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.stderr.lock().expect("no panic while reading").clone()
    }

    /// Where this process has been started to be an instance it is one until it is killed; else
    /// nothing happens.
    pub async fn serve_if_told() {
        let Ok(sentinel) = env::var(TOLD) else { return };
        let told = |name: &str| env::var(name).expect("a variable that the test sets");
        tracing_subscriber::fmt()
            .with_env_filter("tower_lp_auth=debug")
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .init();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
        let callback = match told("CALLBACK") {
            none if none.is_empty() => url.clone(),
            other => other,
        };
        let refresh_after = told("REFRESH_AFTER").parse().expect("whole seconds");
        let builder = LpAuthLayer::builder()
            .account(told("ACCOUNT"))
            .client_id(told("CLIENT"))
            .client_secret(told("SECRET"))
            .sentinel_url(sentinel)
            .redirect_uri(format!("{callback}/callback"))
            .session_key(SessionKey::from_base64(KEY).expect("a key"))
            .store(RedisStore::new(told("REDIS")).expect("a URL of a server"))
            .refresh_after(Duration::from_secs(refresh_after))
            .on_session_end(|end| {
                eprintln!("ended: {:?}", end.reason());
                std::future::ready(())
            });
        let auth = test_kit::lease(builder, LEASE).build().expect("a configuration that works");
        let app: Router = routes(&auth).layer(auth);
        println!("{ADDRESS}{url}");
        axum::serve(listener, app).await.expect("a server that runs until it is killed");
        unreachable!("nothing stops it");
    }
}

/// How long the lease of an instance lasts that is killed.
pub const LEASE: Duration = Duration::from_secs(2);
