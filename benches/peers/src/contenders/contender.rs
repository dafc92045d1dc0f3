//! A router, and the requests that its users send.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, Uri},
    routing::RouterIntoService,
};
use http_body_util::BodyExt;
use tower::Service;

use crate::session::USER;

/// One router with signed-in users.
pub struct Contender {
    pub name: &'static str,
    /// What it is compared with besides the bare router.
    pub floor: &'static str,
    /// What it does, and what it leaves to the application.
    pub note: &'static str,
    /// Whether the tasks of one session ask for the same thing as those of many.
    pub shares_sessions: bool,
    app: Router,
    path: &'static str,
    /// The header fields of each session's requests.
    sessions: Vec<HeaderMap>,
    in_turns: bool,
}

impl Contender {
    pub fn new(name: &'static str, app: Router, sessions: Vec<HeaderMap>) -> Self {
        Self {
            name,
            floor: "floor+wrap",
            note: "",
            shares_sessions: true,
            // As `axum::serve` does for each connection: each request would apply the layer anew otherwise.
            app: app.with_state(()),
            path: "/me",
            sessions,
            in_turns: false,
        }
    }

    /// Says what it does.
    pub fn noted(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// Asks for another path.
    pub fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// Compares it with something else than `floor+wrap`.
    pub fn over(self, floor: &'static str) -> Self {
        Self { floor, ..self }
    }

    /// On one thread, each request is of another session than the one before.
    pub fn in_turns(self) -> Self {
        Self { in_turns: true, shares_sessions: false, ..self }
    }

    /// A client of the first session, or of all in turns.
    pub fn client(&self) -> Client {
        let sessions = if self.in_turns { &self.sessions[..] } else { &self.sessions[..1] };
        self.client_with(sessions.to_vec())
    }

    /// A client of the session with this number, counted round.
    pub fn client_of(&self, session: usize) -> Client {
        self.client_with(vec![self.sessions[session % self.sessions.len()].clone()])
    }

    fn client_with(&self, requests: Vec<HeaderMap>) -> Client {
        let service = self.app.clone().into_service();
        Client { name: self.name, service, path: self.path, requests, next: 0 }
    }

    /// Makes sure that every session gets the answer that the measurements take for granted.
    pub async fn check(&self) {
        let expected = if self.path == "/me" { USER } else { "hi" };
        for session in 0..self.sessions.len() {
            let answer = self.client_of(session).answer().await;
            assert_eq!(answer, expected, "{} to session {session}", self.name);
        }
    }
}

/// Somebody who asks one contender, again and again.
pub struct Client {
    name: &'static str,
    service: RouterIntoService<Body>,
    path: &'static str,
    requests: Vec<HeaderMap>,
    next: usize,
}

impl Client {
    /// Asks so many times.
    pub async fn ask_times(&mut self, times: usize) {
        for _ in 0..times {
            self.ask().await;
        }
    }

    /// Asks once, checks the status, and reads the answer to its end.
    async fn ask(&mut self) {
        let mut body = self.send().await;
        while let Some(frame) = body.frame().await {
            std::hint::black_box(frame).expect("a whole body");
        }
    }

    async fn answer(&mut self) -> String {
        let body = self.send().await.collect().await.expect("a whole body");
        String::from_utf8_lossy(&body.to_bytes()).into_owned()
    }

    async fn send(&mut self) -> Body {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static(self.path);
        *request.headers_mut() = self.requests[self.next].clone();
        self.next = (self.next + 1) % self.requests.len();
        let response = match self.service.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        assert_eq!(response.status(), StatusCode::OK, "{}: {response:?}", self.name);
        response.into_body()
    }
}
