//! The program's half of the login: a listener on this machine to which the browser brings the session
//! token (RFC 8252 §7.3).

use std::{error::Error, io, time::Duration};

use aws_lc_rs::rand;
use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header::CONTENT_SECURITY_POLICY},
    response::{Html, IntoResponse, Response},
    routing::post,
};
use constant_time_eq::constant_time_eq;
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tower_lp_auth::SessionToken;

/// For a person who looks for their password.
const LOGIN: Duration = Duration::from_secs(10 * 60);

/// For the browser to get its last page.
const FAREWELL: Duration = Duration::from_secs(5);

/// More than a token and a state come to.
const MAX_BYTES: usize = 8 * 1024;

/// A listener, and the secret by which it knows its own login from those that others start.
pub(crate) struct Loopback {
    listener: TcpListener,
    state: String,
}

#[derive(Clone)]
struct Expected {
    state: String,
    token: mpsc::Sender<SessionToken>,
}

/// The form of the server's page.
#[derive(Deserialize)]
struct Handed {
    state: String,
    session_token: String,
}

impl Loopback {
    pub(crate) async fn open() -> Result<Self, Box<dyn Error>> {
        let mut state = [0; 32];
        rand::fill(&mut state).map_err(|_| io::Error::other("no randomness"))?;
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0").await?,
            state: base64_simd::URL_SAFE_NO_PAD.encode_to_string(state),
        })
    }

    /// What the user opens in a browser.
    pub(crate) fn address(&self, server: &str) -> io::Result<String> {
        let port = self.listener.local_addr()?.port();
        Ok(format!("{server}/native?port={port}&state={}", self.state))
    }

    /// Waits for the user's yes.
    pub(crate) async fn token(self) -> Result<SessionToken, Box<dyn Error>> {
        let (sender, mut token) = mpsc::channel(1);
        let app = Router::new()
            .route("/", post(take))
            .layer(DefaultBodyLimit::max(MAX_BYTES))
            .with_state(Expected { state: self.state, token: sender });
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(self.listener, app).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let server = tokio::spawn(server.into_future());
        let token = timeout(LOGIN, token.recv()).await.map_err(|_| "nobody has said yes")?;
        drop(stop);
        // Whether the last page arrives or not, the user has said yes.
        let _ = timeout(FAREWELL, server).await;
        token.ok_or_else(|| "the listener has ended".into())
    }
}

/// Anybody can post here, a page on the web too, and sign this program in as somebody else: only who
/// knows the state has been sent here by this login. The others are no reason to give up.
async fn take(State(expected): State<Expected>, Form(handed): Form<Handed>) -> Response {
    let policy = [(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'")];
    if !constant_time_eq(handed.state.as_bytes(), expected.state.as_bytes()) {
        return (StatusCode::FORBIDDEN, policy, "This program has not asked for it.\n")
            .into_response();
    }
    // The first yes counts.
    let _ = expected.token.try_send(SessionToken::new(handed.session_token));
    (policy, Html("<!doctype html><title>Signed in</title><h1>You can close this window.</h1>\n"))
        .into_response()
}
