//! axum-login over tower-sessions: an id in the cookie, the session in a store, the user from a
//! backend. The tokens are in the session, so that it holds what ours does.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header::SET_COOKIE},
    routing::{get, post},
};
use axum_login::{
    AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId, login_required,
};
use tower::ServiceExt;
use tower_sessions::{MemoryStore, Session as Stored, SessionManagerLayer, SessionStore};
use tower_sessions_moka_store::MokaStore;
use tower_sessions_redis_store::{
    RedisStore,
    fred::prelude::{ClientLike, Config, Pool, ServerConfig},
};

use super::Contender;
use crate::{
    session::{Tokens, USER},
    shared::cookie,
    surroundings::Surroundings,
};

/// As many connections as the store's documentation has.
const CONNECTIONS: usize = 6;

#[derive(Clone, Debug)]
struct User {
    id: String,
    /// What axum-login compares with the session's; in its OAuth example the access token.
    access: String,
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.access.as_bytes()
    }
}

/// Stands for a database, at no cost.
#[derive(Clone)]
struct Backend {
    users: Arc<HashMap<String, User>>,
}

impl Backend {
    fn with_one_user() -> Self {
        let user = User { id: USER.to_owned(), access: Tokens::number(0).access };
        Self { users: Arc::new(HashMap::from([(user.id.clone(), user)])) }
    }
}

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = String;
    type Error = Infallible;

    async fn authenticate(&self, id: String) -> Result<Option<User>, Infallible> {
        Ok(self.users.get(&id).cloned())
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(self.users.get(id).cloned())
    }
}

pub async fn start(name: &'static str, around: &Surroundings) -> Contender {
    match name {
        "axum-login, MokaStore" => {
            let contender = with(name, MokaStore::new(None), around).await;
            contender.noted("the same over another store in this process")
        }
        "axum-login, RedisStore" => {
            let store = RedisStore::new(pool(around.redis().await.port()).await);
            with(name, store, around).await.over("GET from Redis").noted("the same over Redis")
        }
        _ => with(name, MemoryStore::default(), around).await.noted(
            "a session id in the cookie, ended in the store at once; no token refresh, no CSRF guard \
             but `SameSite`; a request under way revives a session that has been logged out",
        ),
    }
}

async fn with<S: SessionStore + Clone>(
    name: &'static str,
    store: S,
    around: &Surroundings,
) -> Contender {
    let sessions = SessionManagerLayer::new(store);
    let auth = AuthManagerLayerBuilder::new(Backend::with_one_user(), sessions).build();
    let app = Router::new()
        .route("/me", get(me))
        .route_layer(login_required!(Backend, login_url = "/login"))
        .route("/login", post(log_in))
        .layer(auth);
    let mut requests = Vec::new();
    for number in 0..around.sessions {
        requests.push(signed_in(&app, number).await);
    }
    Contender::new(name, app, requests)
}

async fn me(auth: AuthSession<Backend>) -> Result<String, StatusCode> {
    auth.user.map(|user| user.id).ok_or(StatusCode::UNAUTHORIZED)
}

/// The body is the session's number.
async fn log_in(mut auth: AuthSession<Backend>, session: Stored, body: String) -> StatusCode {
    let user = auth.authenticate(USER.to_owned()).await.expect("a backend in memory");
    auth.login(&user.expect("the one user")).await.expect("a store that works");
    let tokens = Tokens::number(body.parse().expect("a number"));
    session.insert("tokens", tokens).await.expect("tokens that are JSON");
    StatusCode::NO_CONTENT
}

async fn signed_in(app: &Router, number: usize) -> HeaderMap {
    let request = Request::post("/login").body(Body::from(number.to_string()));
    let response = app.clone().oneshot(request.expect("a request")).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let line = response.headers()[SET_COOKIE].to_str().expect("visible ASCII");
    cookie(line.split(';').next().unwrap_or(line))
}

async fn pool(port: u16) -> Pool {
    let config =
        Config { server: ServerConfig::new_centralized("127.0.0.1", port), ..Config::default() };
    let pool = Pool::new(config, None, None, None, CONNECTIONS).expect("a configuration");
    pool.connect();
    pool.wait_for_connect().await.expect("a server that has started");
    pool
}
