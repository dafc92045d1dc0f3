//! A real Chromium, driven over the WebDriver protocol (W3C) by chromedriver.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};

/// How WebDriver names an element's reference.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How often, and with what pauses, the browser is asked for what has to come: 10 s.
const ATTEMPTS: u32 = 400;
const PAUSE: Duration = Duration::from_millis(25);

const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1100,850",
];

/// A browser with a profile of its own; it is closed with this value.
pub struct Chromium {
    client: reqwest::Client,
    driver: Driver,
    session: String,
}

/// A running chromedriver and the profile of its browser.
struct Driver {
    child: Child,
    port: u16,
    session: Option<String>,
    profile: PathBuf,
}

impl Chromium {
    pub async fn start() -> Self {
        Self::with_preferences(json!({})).await
    }

    /// With Chromium's preferences, such as `profile.default_content_setting_values.cookies`.
    pub async fn with_preferences(preferences: Value) -> Self {
        let mut driver = Driver::start();
        let profile = format!("--user-data-dir={}", driver.profile.display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([&*profile]).collect();
        let options = json!({ "args": arguments, "prefs": preferences });
        let capabilities =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(Duration::from_secs(40))
            .build()
            .expect("a client without TLS");
        let url = format!("http://127.0.0.1:{}/session", driver.port);
        let value = ask(&client, Method::POST, &url, Some(capabilities)).await;
        let value = value.unwrap_or_else(|error| {
            panic!("Chromium does not start; remedy: ./scripts/test.sh installs it: {error}")
        });
        let id = value["sessionId"].as_str().expect("a session id").to_owned();
        driver.session = Some(id.clone());
        Self { client, session: format!("{url}/{id}"), driver }
    }

    pub async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    pub async fn back(&self) {
        self.post("/back", json!({})).await;
    }

    pub async fn reload(&self) {
        self.post("/refresh", json!({})).await;
    }

    pub async fn url(&self) -> String {
        self.get("/url").await.as_str().expect("a URL").to_owned()
    }

    /// Clicks the first element of a CSS selector, as soon as there is one, and waits for the page
    /// that this leads to.
    pub async fn click(&self, selector: &str) {
        let page = self.element("html").await;
        let id = self.element(selector).await;
        self.post(&format!("/element/{id}/click"), json!({})).await;
        // The driver waits for a page that loads, but a form's may not have begun to when it looks.
        let page = format!("{}/element/{page}/name", self.session);
        let script = format!("{}/execute/sync", self.session);
        let ready = json!({ "script": "return document.readyState", "args": [] });
        for _ in 0..ATTEMPTS {
            let gone = ask(&self.client, Method::GET, &page, None).await.is_err();
            let state = ask(&self.client, Method::POST, &script, Some(ready.clone())).await;
            if gone && state == Ok("complete".into()) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{selector} leads nowhere from {}", self.url().await);
    }

    /// Clicks the same on a page that stays.
    pub async fn press(&self, selector: &str) {
        let id = self.element(selector).await;
        self.post(&format!("/element/{id}/click"), json!({})).await;
    }

    /// Types into it.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let id = self.element(selector).await;
        self.post(&format!("/element/{id}/value"), json!({ "text": text })).await;
    }

    /// The text of the first element of a CSS selector, as a person sees it.
    pub async fn text(&self, selector: &str) -> String {
        let id = self.element(selector).await;
        let text = self.get(&format!("/element/{id}/text")).await;
        text.as_str().expect("text").to_owned()
    }

    /// Waits until an element says this, as a person sees it.
    pub async fn wait_for_text(&self, selector: &str, expected: &str) {
        for _ in 0..ATTEMPTS {
            if self.text(selector).await.eq_ignore_ascii_case(expected) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{selector} does not become {expected:?}: {:?}", self.text(selector).await);
    }

    /// The HTTP status of the page that is shown.
    pub async fn status(&self) -> u64 {
        let script = "return performance.getEntriesByType('navigation')[0].responseStatus";
        self.script(script).await.as_u64().expect("a status")
    }

    /// Runs a function's body in the page, and waits for the promise that it may return.
    pub async fn script(&self, body: &str) -> Value {
        self.post("/execute/sync", json!({ "script": body, "args": [] })).await
    }

    /// The cookies of the page's host, with their attributes.
    pub async fn cookies(&self) -> Vec<Value> {
        self.get("/cookie").await.as_array().expect("a list").clone()
    }

    pub async fn delete_cookies(&self) {
        self.ask(Method::DELETE, "/cookie", None).await;
    }

    /// The tab that has the focus.
    pub async fn tab(&self) -> String {
        self.get("/window").await.as_str().expect("a handle").to_owned()
    }

    /// Opens another tab and gives it the focus.
    pub async fn new_tab(&self) {
        let tab = self.post("/window/new", json!({ "type": "tab" })).await;
        self.show_tab(tab["handle"].as_str().expect("a handle")).await;
    }

    pub async fn show_tab(&self, tab: &str) {
        self.post("/window", json!({ "handle": tab })).await;
    }

    async fn element(&self, selector: &str) -> String {
        let query = json!({ "using": "css selector", "value": selector });
        for _ in 0..ATTEMPTS {
            let url = format!("{}/element", self.session);
            if let Ok(found) = ask(&self.client, Method::POST, &url, Some(query.clone())).await {
                return found[ELEMENT].as_str().expect("an element").to_owned();
            }
            tokio::time::sleep(PAUSE).await;
        }
        let page = self.get("/source").await;
        panic!("no {selector} at {}: {page}", self.url().await);
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = ask(&self.client, method, &format!("{}{path}", self.session), body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// Sends one command; an error is what the driver says.
async fn ask(
    client: &reqwest::Client,
    method: Method,
    url: &str,
    body: Option<Value>,
) -> Result<Value, String> {
    let request = client.request(method, url);
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    };
    let response = request.send().await.map_err(|error| format!("no answer: {error:?}"))?;
    let (ok, body) = (response.status().is_success(), response.bytes().await);
    let body = body.map_err(|error| format!("half an answer: {error:?}"))?;
    let mut answer: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    let value = answer["value"].take();
    if ok { Ok(value) } else { Err(format!("{}: {}", value["error"], value["message"])) }
}

impl Driver {
    fn start() -> Self {
        let profile = fresh_directory();
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("no chromedriver; remedy: ./scripts/test.sh installs it: {error}")
            });
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        // "ChromeDriver was started successfully on port 40123."
        let port = stdout.lines().map_while(Result::ok).find_map(|line| {
            line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        let mut driver = Self { child, port: 0, session: None, profile };
        driver.port = port.expect("chromedriver names its port");
        driver
    }

    /// Asks the driver to close the browser; without it, killing the driver would leave that behind.
    fn close(&self) -> std::io::Result<()> {
        let Some(session) = &self.session else { return Ok(()) };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let request = format!(
            "DELETE /session/{session} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        stream.read(&mut [0; 64]).map(drop)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
        remove(&self.profile);
    }
}

fn fresh_directory() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::SeqCst);
    let name = format!("tower-lp-auth-chromium-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::create_dir_all(&path).expect("a directory for the profile");
    path
}

/// The browser's last processes may still write.
fn remove(directory: &Path) {
    for _ in 0..20 {
        if fs::remove_dir_all(directory).is_ok() || !directory.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
