//! A client that keeps no cookies: it holds a session token, and takes a renewed one in.

use http::Method;

use super::{App, Browser, Page};

#[derive(Clone)]
pub struct TokenClient {
    client: Browser,
    pub token: String,
}

/// The header of a renewed token.
pub const HEADER: &str = "lp-session-token";

impl TokenClient {
    /// A client of the user who is signed in with this browser.
    pub async fn of(app: &App, browser: &Browser) -> Self {
        let page = browser.clone().fetch("/session-token").await;
        let body = page.json();
        let token = body["session_token"].as_str();
        let token = token.unwrap_or_else(|| panic!("no token in {page:?}")).to_owned();
        Self { client: Browser::new(app), token }
    }

    /// The same client at another instance.
    pub fn moved_to(&self, app: &App) -> Self {
        Self { client: Browser::new(app), token: self.token.clone() }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[]).await
    }

    /// One request with the token and these headers; what the response renews is taken in. A cookie
    /// never comes, nor a redirect.
    pub async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)]) -> Page {
        let authorization = format!("Bearer {}", self.token);
        let mut all = headers.to_vec();
        all.push(("authorization", &authorization));
        let page = self.client.send(method, path, &all, None).await;
        assert!(page.set_cookies().is_empty(), "{page:?}");
        assert!(!page.status.is_redirection(), "{page:?}");
        if let Some(renewed) = page.header(HEADER) {
            assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
            self.token = renewed.to_owned();
        }
        page
    }
}
