//! Walks through a session's life in the terminal: no browser, no LivePerson account.
//!
//! MockSentinel plays LivePerson, a manual clock lets half an hour pass in no time, and an HTTP
//! client that follows no redirect plays the browser, so that every hop can be seen.
//!
//! ```sh
//! cargo run --example tour
//! ```

use std::{collections::BTreeMap, error::Error, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{Router, routing::get};
use reqwest::{
    Method, Response,
    header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE},
};
use tokio::net::TcpListener;
use tower_lp_auth::{
    LpAuthLayer, LpUser, SessionKey,
    test_kit::{Endpoint, Fault, ManualClock, MockSentinel},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::starting_now();
    let sentinel = MockSentinel::builder().clock(clock.clone()).start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);

    // The layer, as an application has it; only the clock and the Domain API are the tour's.
    let auth = LpAuthLayer::builder()
        .account(sentinel.account_id())
        .client_id(sentinel.client_id())
        .client_secret(sentinel.client_secret())
        .redirect_uri(format!("{origin}/callback"))
        .session_key(SessionKey::random())
        .domain_api_url(sentinel.url())
        .clock(clock.clone())
        .build()?;
    let logout = format!("{origin}{}", auth.logout_url());
    let me = format!("{origin}/me");
    let app = Router::new().route("/me", get(describe)).layer(auth);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut browser = Browser::new()?;
    println!("One user, one session, from the first click to the logout.\n");

    say(
        "Nobody yet",
        "a protected page sends the browser to Sentinel, with a sealed pending login",
    );
    let redirect = browser.get(&me).await?;
    let authorize = location(&redirect)?;

    say("Sentinel", "asks who it is: the browser gets a login page");
    let login = location(&browser.get(&authorize).await?)?;
    browser.get(&login).await?;

    say("Login", "the user picks the agent; Sentinel sends the browser back with a code");
    let agent = sentinel.users().remove(0);
    sentinel.auto_login(Some(agent.id()));
    let callback = location(&browser.get(&authorize).await?)?;

    say("Code", "the callback checks the state, trades the code for tokens and seals the session");
    let welcome = browser.get(&callback).await?;
    println!("      tokens: {} code exchanged", sentinel.counts().exchanges);

    say("User", "the browser is back where it wanted to go, and the handler has an `LpUser`");
    browser.read(&location(&welcome)?).await?;

    say(
        "Refresh",
        "40 minutes later the tokens are due: the answer brings the session's new cookie",
    );
    clock.advance(Duration::from_secs(40 * 60));
    browser.read(&me).await?;
    println!("      tokens: {} refresh", sentinel.counts().refreshes);

    say("Renewed", "the next request has a new access token, of the same session");
    browser.read(&me).await?;

    say(
        "Trouble",
        "40 minutes later Sentinel answers 503: the access token that still lives serves",
    );
    sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    clock.advance(Duration::from_secs(40 * 60));
    browser.read(&me).await?;

    say("Recovery", "Sentinel is back, and the session goes on as if nothing had happened");
    sentinel.clear_faults();
    clock.advance(Duration::from_secs(60));
    browser.read(&me).await?;
    browser.read(&me).await?;
    println!("      tokens: {} refreshes, one of them in vain", sentinel.counts().refreshes);

    say("Logout", "a form posts to the logout path: the session ends here, and its cookie goes");
    browser.send(Method::POST, &logout).await?;

    say("Nobody again", "the same page starts at the beginning");
    browser.get(&me).await?;

    println!("\nThat was it. `cargo run --example quickstart` shows the same in a real browser.");
    Ok(())
}

async fn describe(user: LpUser) -> String {
    let token = user.access_token().map(|token| fingerprint(token.expose_secret()));
    format!("hello {}, token {}", user.id(), token.unwrap_or_default())
}

fn say(hop: &str, explanation: &str) {
    println!("{hop}: {explanation}");
}

/// An HTTP client with cookies that shows what it does, without showing a secret.
struct Browser {
    client: reqwest::Client,
    /// By host and port: unlike a browser's, so that application and Sentinel stay apart.
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([]) // everything is plain http on this machine
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client, cookies: BTreeMap::new() })
    }

    async fn get(&mut self, url: &str) -> Result<Response, Box<dyn Error>> {
        self.send(Method::GET, url).await
    }

    /// Gets a page and shows what it says.
    async fn read(&mut self, url: &str) -> Result<(), Box<dyn Error>> {
        let body = self.get(url).await?.error_for_status()?.text().await?;
        println!("      page: {body}");
        Ok(())
    }

    async fn send(&mut self, method: Method, url: &str) -> Result<Response, Box<dyn Error>> {
        let parsed = reqwest::Url::parse(url)?;
        let place = parsed.authority().to_owned();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((of, _), _)| *of == place)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        let mut request = self
            .client
            .request(method.clone(), url)
            .header(ACCEPT, "text/html")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        let response = request.send().await?;
        println!("   -> {method} {}", shortened(&parsed));
        println!("   <- {}", response.status());
        if let Ok(target) = location(&response) {
            println!("      location: {}", shortened(&target.parse()?));
        }
        for line in response.headers().get_all(SET_COOKIE) {
            self.keep(&place, line.to_str()?);
        }
        Ok(response)
    }

    /// Takes a `Set-Cookie` line in.
    fn keep(&mut self, place: &str, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = (place.to_owned(), name.to_owned());
        if attributes.contains("Max-Age=0") {
            println!("      cookie: {name} deleted");
            self.cookies.remove(&key);
        } else {
            println!("      cookie: {name} = {} ({} bytes)", fingerprint(value), value.len());
            self.cookies.insert(key, value.to_owned());
        }
    }
}

/// Where a redirect leads, as an absolute URL.
fn location(response: &Response) -> Result<String, Box<dyn Error>> {
    let value = response.headers().get(LOCATION).ok_or("no redirect")?;
    Ok(response.url().join(value.to_str()?)?.into())
}

/// A URL whose secrets are fingerprints.
fn shortened(url: &reqwest::Url) -> String {
    let query: Vec<String> = url
        .query_pairs()
        .map(|(name, value)| match &*name {
            "v" | "response_type" => format!("{name}={value}"),
            "redirect_uri" => format!("{name}=…/callback"),
            _ => format!("{name}={}", fingerprint(&value)),
        })
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}{}{mark}{}", url.origin().ascii_serialization(), url.path(), query.join("&"))
}

/// The first digits of a hash: tells two secrets apart and gives none away.
fn fingerprint(secret: &str) -> String {
    let hash = digest(&SHA256, secret.as_bytes());
    let digits: String = hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("#{digits}")
}
