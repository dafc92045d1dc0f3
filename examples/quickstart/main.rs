//! An axum application whose users sign in with LivePerson.
//!
//! Without any environment it starts MockSentinel, a stand-in for LivePerson, and prints one URL to
//! open. As soon as one `LP_*` variable is set it runs against what they name:
//!
//! ```sh
//! LP_ACCOUNT_ID=12345678 LP_CLIENT_ID=… LP_CLIENT_SECRET_FILE=secret.txt \
//! LP_REDIRECT_URI=http://localhost:3000/callback LP_SESSION_KEY=$(openssl rand -base64 32) \
//! cargo run --example quickstart
//! ```
//!
//! With `LP_REDIS_URL=redis://user:password@host:6379/0` besides, sessions are kept in Redis or
//! Valkey: users stay signed in when the process restarts, and any number of processes that share
//! redirect URI, session key and Redis share the logins, the logouts and the refreshes. Redis may
//! be down when the process starts: until it answers, users get 503 and stay signed in.

mod page;

use std::{
    env,
    error::Error,
    future::IntoFuture,
    io::{self, IsTerminal},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{Html, IntoResponse},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_lp_auth::{LpAuthLayer, LpUser, test_kit::MockSentinel};
use tracing_subscriber::EnvFilter;

/// How long refreshes and logins under way may take after the signal to stop.
const SHUTDOWN: Duration = Duration::from_secs(4);

/// How long the whole process may take after it.
const EXIT: Duration = Duration::from_millis(4800);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let address = env::var("LISTEN_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("LISTEN_ADDR: cannot listen on {address:?}: {error}"))?;

    // `mock` lives as long as the application.
    let (auth, mock) = if env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("LP_"))
    {
        (protect(LpAuthLayer::builder_from_env()?).build()?, None)
    } else {
        let mock = MockSentinel::start().await?;
        (with_mock(&mock, listener.local_addr()?)?, Some(mock))
    };

    let told_to_stop = stop_signal()?;
    eprintln!("Open this address in a browser:");
    println!("{}/", auth.origin());

    let app = app(&auth, mock.map(Arc::new));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let mut server = tokio::spawn(server.into_future());
    tokio::select! {
        ended = &mut server => return Ok(ended??),
        () = told_to_stop => tracing::info!("stopping"),
    }
    // Refreshes, logins and revocations under way finish while the server finishes its requests.
    let _ = stop.send(());
    let finished = async { tokio::join!(auth.shutdown(SHUTDOWN), server) };
    match tokio::time::timeout(EXIT, finished).await {
        Ok((_, ended)) => ended??,
        Err(_) => tracing::warn!("some requests were not finished in time"),
    }
    Ok(())
}

/// The layer in front of MockSentinel.
fn with_mock(mock: &MockSentinel, bound: SocketAddr) -> Result<LpAuthLayer, Box<dyn Error>> {
    let builder = mock.layer_builder(format!("http://127.0.0.1:{}/callback", bound.port()));
    Ok(protect(builder).build()?)
}

/// Everything needs a user but the start page and the icon that browsers ask for.
pub(crate) fn protect(builder: tower_lp_auth::Builder) -> tower_lp_auth::Builder {
    builder.optional("/").public("/favicon.ico")
}

/// The application: six routes, and the layer last.
pub(crate) fn app(auth: &LpAuthLayer, mock: Option<Arc<MockSentinel>>) -> Router {
    routes(auth, mock).layer(auth.clone())
}

pub(crate) fn routes(auth: &LpAuthLayer, mock: Option<Arc<MockSentinel>>) -> Router {
    let login = auth.login_url("/");
    let back = format!("{}{login}", auth.origin());
    let forget = mock.as_ref().map(|mock| mock.forget_url(&back));
    let start = Start { login, logout: auth.logout_url(), mock, forget };
    Router::new()
        .route("/", get(index))
        .route("/me", get(me))
        .route("/token", get(token))
        .route("/admin", get(admin).layer(auth.require_admin()))
        .route("/echo", post(echo))
        .route("/favicon.ico", get(page::icon))
        .with_state(start)
}

/// What the start page shows beside the user.
#[derive(Clone)]
struct Start {
    login: String,
    logout: String,
    mock: Option<Arc<MockSentinel>>,
    /// Where the mock forgets who has signed in, and asks again.
    forget: Option<String>,
}

async fn index(State(start): State<Start>, user: Option<LpUser>) -> impl IntoResponse {
    let html = match &user {
        Some(user) => {
            let name = display_name(&start, user).await;
            page::signed_in(user, name.as_deref(), &fingerprint(user), &start.logout)
        }
        None => page::welcome(&start.login, start.forget.as_deref()),
    };
    ([(CACHE_CONTROL, "no-store")], Html(html))
}

async fn me(user: LpUser) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(describe(&user)))
}

/// The session for a client that keeps no cookies: who holds this token is the user.
async fn token(user: LpUser) -> Result<impl IntoResponse, (StatusCode, String)> {
    let token = user
        .session_token()
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let body = json!({ "session_token": token.expose_secret() });
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)))
}

async fn admin(user: LpUser) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Html(page::admin(user.id())))
}

async fn echo(body: Body) -> Body {
    body
}

fn describe(user: &LpUser) -> Value {
    json!({
        "user_id": user.id(),
        "account_id": user.account_id().as_str(),
        "is_admin": user.is_admin(),
        "is_lpa": user.is_lpa(),
        "token_fingerprint": fingerprint(user),
        "access_token_expires_at": user.access_token_expires_at().ok().map(page::rfc3339),
        "session_expires_at": page::rfc3339(user.session_expires_at()),
    })
}

/// Shows that a token has changed without showing the token.
fn fingerprint(user: &LpUser) -> String {
    let Ok(token) = user.access_token() else { return String::new() };
    let hash = digest(&SHA256, token.expose_secret().as_bytes());
    hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Acts for the user: asks LivePerson (here: the mock) who they are, with their own access token.
async fn display_name(start: &Start, user: &LpUser) -> Option<String> {
    let mock = start.mock.as_ref()?;
    let url =
        format!("{}/api/account/{}/configuration/le-users/users/me", mock.url(), user.account_id());
    let token = user.access_token().ok()?;
    let response = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .ok()?
        .get(url)
        .bearer_auth(token.expose_secret())
        .send()
        .await
        .ok()?;
    let profile: Value = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
    profile["fullName"].as_str().map(str::to_owned)
}

/// Resolves when the process is told to stop; from the call on, signals no longer kill it.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
