//! axum-extra's `PrivateCookieJar`: the session is JSON, encrypted in the cookie.

use axum::{
    Router,
    extract::FromRef,
    http::{HeaderMap, StatusCode, header::SET_COOKIE},
    response::IntoResponse,
    routing::get,
};
use axum_extra::extract::{PrivateCookieJar, cookie::Cookie, cookie::Key};

use super::Contender;
use crate::{session::Session, shared::cookie, surroundings::Surroundings};

const NAME: &str = "session";

#[derive(Clone)]
struct AppState {
    key: Key,
}

impl FromRef<AppState> for Key {
    fn from_ref(state: &AppState) -> Self {
        state.key.clone()
    }
}

pub fn start(around: &Surroundings) -> Contender {
    let state = AppState { key: Key::generate() };
    let sessions = (0..around.sessions).map(|number| sealed(number, &state.key)).collect();
    let app = Router::new().route("/me", get(me)).with_state(state);
    Contender::new("PrivateCookieJar", app, sessions).noted(
        "an encrypted cookie and nothing else: no login, refresh, key rotation, CSRF guard or \
         revocation",
    )
}

async fn me(jar: PrivateCookieJar) -> Result<String, StatusCode> {
    let cookie = jar.get(NAME).ok_or(StatusCode::UNAUTHORIZED)?;
    let session: Session =
        serde_json::from_str(cookie.value()).map_err(|_| StatusCode::UNAUTHORIZED)?;
    Ok(session.user)
}

fn sealed(number: usize, key: &Key) -> HeaderMap {
    let session = serde_json::to_string(&Session::number(number)).expect("JSON");
    let jar = PrivateCookieJar::from_headers(&HeaderMap::new(), key.clone());
    let response = jar.add(Cookie::new(NAME, session)).into_response();
    let line = response.headers()[SET_COOKIE].to_str().expect("visible ASCII");
    cookie(line.split(';').next().unwrap_or(line))
}
