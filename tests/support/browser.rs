//! A browser: cookies, navigations hop by hop, fetches and forms.

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::{AGENT, App, Jar};

/// A browser with a cookie jar for the application and one for Sentinel.
#[derive(Clone)]
pub struct Browser {
    client: reqwest::Client,
    pub jar: Jar,
    sentinel_jar: Jar,
    app: String,
    /// The application tells its own responses from the layer's.
    marks_responses: bool,
}

/// A response, read whole.
#[derive(Clone, Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    /// The URL that was asked for.
    pub url: String,
}

/// What a browser sends when a person opens a page.
pub const NAVIGATE: [(&str, &str); 4] = [
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "none"),
];

/// What a browser sends for `fetch("/path")` in a page of the application.
pub const FETCH: [(&str, &str); 4] = [
    ("accept", "*/*"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-site", "same-origin"),
];

/// What a browser sends for a form in a page of the application.
pub const FORM: [(&str, &str); 4] = [
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "same-origin"),
];

impl Browser {
    pub fn new(app: &App) -> Self {
        Self { marks_responses: true, ..Self::at(&app.url) }
    }

    /// A browser for an application that runs elsewhere; `origin` is `http://127.0.0.1:PORT`.
    pub fn at(origin: &str) -> Self {
        Self {
            client: client(),
            jar: Jar::default(),
            sentinel_jar: Jar::default(),
            app: origin.to_owned(),
            marks_responses: false,
        }
    }

    /// The same browser at another instance: cookies ignore ports.
    pub fn moved_to(&self, app: &App) -> Self {
        Self { app: app.url.clone(), ..self.clone() }
    }

    /// A browser that is signed in as MockSentinel's agent.
    pub async fn signed_in(app: &App) -> Self {
        let mut browser = Self::new(app);
        browser.sign_in(app, AGENT).await;
        browser
    }

    /// Opens `/me` as a user without a session and goes through the login to its end.
    pub async fn sign_in(&mut self, app: &App, user: &str) -> Page {
        app.sentinel.auto_login(Some(user));
        let page = self.open("/me").await;
        assert_eq!(page.status, StatusCode::OK, "sign-in ended with {page:?}");
        page
    }

    /// Opens a page of the application and follows redirects, at most 10.
    pub async fn open(&mut self, path: &str) -> Page {
        let mut page = self.navigate(path).await;
        for _ in 0..10 {
            let Some(location) = page.location() else { return page };
            let base: url::Url = page.url.parse().expect("an absolute URL");
            let next = base.join(&location).expect("a URL to go to");
            page = self.navigate(next.as_str()).await;
        }
        panic!("more than 10 redirects, the last to {:?}", page.location());
    }

    /// One GET as a person's navigation; redirects are not followed.
    pub async fn navigate(&mut self, url: &str) -> Page {
        self.send(Method::GET, url, &NAVIGATE, None).await
    }

    /// One GET as a script's `fetch`.
    pub async fn fetch(&mut self, url: &str) -> Page {
        self.send(Method::GET, url, &FETCH, None).await
    }

    /// One POST as a form of the application's own pages.
    pub async fn post(&mut self, url: &str) -> Page {
        self.send(Method::POST, url, &FORM, Some(String::new())).await
    }

    /// One request with exactly these headers and the jar's cookies.
    pub async fn send(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Page {
        let request = self.request(method, url, headers, body);
        let url = self.absolute(url);
        let page = read(request.send().await.expect("an answer"), url).await;
        if self.marks_responses && self.is_app(&page.url) {
            page.assert_caching_is_safe();
        }
        self.take_cookies(&page);
        page
    }

    /// A request that can be sent from a task of its own; its cookies are not taken in.
    pub fn request(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> reqwest::RequestBuilder {
        let url = self.absolute(url);
        let mut request = self.client.request(method, &url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let jar = if self.is_app(&url) { &self.jar } else { &self.sentinel_jar };
        if let Some(cookies) = jar.header() {
            request = request.header("cookie", cookies);
        }
        match body {
            Some(body) => request.body(body),
            None => request,
        }
    }

    /// Takes the cookies of a response in.
    pub fn take_cookies(&mut self, page: &Page) {
        let is_app = self.is_app(&page.url);
        let jar = if is_app { &mut self.jar } else { &mut self.sentinel_jar };
        for line in page.set_cookies() {
            jar.set(&line);
        }
    }

    fn is_app(&self, url: &str) -> bool {
        url.strip_prefix(&self.app)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    }

    fn absolute(&self, url: &str) -> String {
        if url.starts_with('/') { format!("{}{url}", self.app) } else { url.to_owned() }
    }
}

/// A client for plain http that follows nothing.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client without TLS")
}

/// Reads a response whole.
pub async fn read(response: reqwest::Response, url: String) -> Page {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.expect("a whole body");
    Page { status, headers, body: String::from_utf8_lossy(&body).into_owned(), url }
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("visible ASCII"))
    }

    pub fn location(&self) -> Option<String> {
        self.header("location").map(str::to_owned)
    }

    pub fn set_cookies(&self) -> Vec<String> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| value.to_str().expect("visible ASCII").to_owned())
            .collect()
    }

    /// The lines that set or delete the session cookie.
    pub fn session_cookies(&self) -> Vec<String> {
        self.cookies_with("lp_session_")
    }

    /// The lines that set or delete cookies of pending logins.
    pub fn login_cookies(&self) -> Vec<String> {
        self.cookies_with("lp_login_")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> String {
        let field = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
        let rest = self.body.split_once(&field).map(|(_, rest)| rest);
        let rest = rest.unwrap_or_else(|| panic!("no field {name}: {self:?}"));
        rest.split('"').next().expect("a value").to_owned()
    }

    /// The user's access token, of `/me`.
    pub fn access_token(&self) -> String {
        self.json()["access_token"].as_str().expect("an access token").to_owned()
    }

    /// LOGIN: 303 to Sentinel, `no-store`, exactly one new login cookie.
    #[track_caller]
    pub fn assert_login(&self) {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{self:?}");
        let location = self.location().unwrap_or_default();
        assert!(location.contains("/authorize?v=1.0&response_type=code"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let set: Vec<_> =
            self.login_cookies().into_iter().filter(|line| !line.contains("Max-Age=0")).collect();
        assert_eq!(set.len(), 1, "{self:?}");
    }

    /// 401P: a problem with a challenge, no redirect, no cookie.
    #[track_caller]
    pub fn assert_unauthorized(&self) {
        assert_eq!(self.status, StatusCode::UNAUTHORIZED, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert!(
            self.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")),
            "{self:?}"
        );
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert!(self.location().is_none() && self.set_cookies().is_empty(), "{self:?}");
    }

    /// 503R: `Retry-After`, nothing set, nothing deleted.
    #[track_caller]
    pub fn assert_unavailable(&self) {
        assert_eq!(self.status, StatusCode::SERVICE_UNAVAILABLE, "{self:?}");
        let retry_after = self.header("retry-after").and_then(|it| it.parse::<u64>().ok());
        assert!(retry_after.is_some_and(|seconds| seconds >= 1), "{self:?}");
        assert!(self.set_cookies().is_empty(), "{self:?}");
    }

    /// L01, L02, checked for every response that a test's browser gets: what the layer has made, and
    /// whatever carries a cookie of ours, is stored by nobody.
    #[track_caller]
    pub fn assert_caching_is_safe(&self) {
        let ours = !self.headers.contains_key(super::FROM_APP);
        let has_cookie = !self.session_cookies().is_empty() || !self.login_cookies().is_empty();
        if ours || has_cookie {
            let all: Vec<_> = self.headers.get_all("cache-control").iter().collect();
            assert_eq!(all, ["no-store"], "{self:?}");
            for targeted in ["cdn-cache-control", "example-cdn-cache-control", "surrogate-control"]
            {
                assert_eq!(self.headers.get(targeted), None, "{self:?}");
            }
        }
        if ours {
            assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
            assert!(self.header("referrer-policy").is_some(), "{self:?}");
        }
    }

    fn cookies_with(&self, prefix: &str) -> Vec<String> {
        let ours = |line: &String| line.trim_start_matches("__Host-").starts_with(prefix);
        self.set_cookies().into_iter().filter(ours).collect()
    }
}
