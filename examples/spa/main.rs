//! A single-page application with a JSON API.
//!
//! The browser keeps the session in its cookie and the script never sees it: it asks the API, and where
//! that answers 401 it shows a button to the login, which is a navigation of the whole page.
//! MockSentinel plays LivePerson, so that nothing else is needed:
//!
//! ```sh
//! cargo run --example spa
//! ```

use std::{
    collections::HashMap,
    env,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    response::IntoResponse,
    routing::get,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_lp_auth::{LpUser, test_kit::MockSentinel};

const PAGE: &str = include_str!("index.html");
const SCRIPT: &str = include_str!("app.js");
const STYLE: &str = concat!(include_str!("../quickstart/style.css"), include_str!("notes.css"));
const ICON: &str = include_str!("../quickstart/icon.svg");

/// Nothing inline, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Of a user; each is at most so many bytes.
const MAX_NOTES: usize = 20;
const MAX_NOTE_BYTES: usize = 400;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::var("LISTEN_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("LISTEN_ADDR: cannot listen on {address:?}: {error}"))?;
    let mock = MockSentinel::start().await?;
    let callback = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    // The page and its parts are for everybody; what is said on it comes from the API.
    let auth = mock.layer_builder(callback).public("/").public_under("/assets").build()?;
    let app = Router::new()
        .route("/", get(async || asset("text/html; charset=utf-8", PAGE)))
        .route("/assets/app.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/assets/style.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/assets/icon.svg", get(async || asset("image/svg+xml", ICON)))
        .route("/api/me", get(me))
        .route("/api/notes", get(notes).post(add_note))
        .with_state(Desk { logout: auth.logout_url().into(), notes: Arc::default() })
        .layer(auth.clone());

    eprintln!("Open this address in a browser:");
    println!("{}/", auth.origin());
    Ok(axum::serve(listener, app).await?)
}

fn asset(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

#[derive(Clone)]
struct Desk {
    logout: Arc<str>,
    /// By the user's id.
    notes: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

/// What the page shows of its user, and where the script posts the logout to.
async fn me(State(desk): State<Desk>, user: LpUser) -> impl IntoResponse {
    let role = if user.is_admin() { "admin" } else { "agent" };
    answer(json!({
        "user_id": user.id(),
        "account_id": user.account_id().as_str(),
        "role": role,
        "session_expires_at": milliseconds(user.session_expires_at()),
        "logout": &*desk.logout,
    }))
}

async fn notes(State(desk): State<Desk>, user: LpUser) -> impl IntoResponse {
    let notes = desk.notes.lock().unwrap_or_else(PoisonError::into_inner);
    answer(json!(notes.get(user.id()).map_or(&[][..], Vec::as_slice)))
}

async fn add_note(
    State(desk): State<Desk>,
    user: LpUser,
    Json(note): Json<String>,
) -> Result<impl IntoResponse, StatusCode> {
    let mut notes = desk.notes.lock().unwrap_or_else(PoisonError::into_inner);
    let notes = notes.entry(user.id().to_owned()).or_default();
    if note.len() > MAX_NOTE_BYTES || notes.len() >= MAX_NOTES {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    notes.push(note);
    Ok(answer(json!(notes)))
}

fn answer(body: Value) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(body))
}

/// As JavaScript counts time.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
