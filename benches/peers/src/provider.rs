//! As much of an OpenID Connect provider as a client needs that is to be measured: on loopback,
//! without users. A code is the nonce of the login it belongs to.

use std::sync::Arc;

use axum::{
    Form, Json, Router,
    extract::State,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{keys::Keys, session::Tokens};

/// A provider that ends when this is dropped.
pub struct Provider {
    pub issuer: String,
    server: AbortHandle,
}

struct Shared {
    issuer: String,
    keys: Keys,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let issuer = format!("http://{}", listener.local_addr().expect("a bound socket"));
        let shared = Shared { issuer: issuer.clone(), keys: Keys::generate() };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(async |State(it): State<Arc<Shared>>| Json(it.keys.jwks())))
            .route("/token", post(token))
            .with_state(Arc::new(shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("a server on loopback");
        });
        Self { issuer, server: server.abort_handle() }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn metadata(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let issuer = &shared.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

#[derive(Deserialize)]
struct Exchange {
    code: String,
}

async fn token(State(shared): State<Arc<Shared>>, Form(exchange): Form<Exchange>) -> Json<Value> {
    let tokens = Tokens::number(exchange.code.len());
    Json(json!({
        "access_token": tokens.access,
        "refresh_token": tokens.refresh,
        "id_token": shared.keys.id_token(&shared.issuer, &exchange.code),
        "token_type": "Bearer",
        "expires_in": 28_800,
    }))
}
