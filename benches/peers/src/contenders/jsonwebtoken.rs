//! The `jsonwebtoken` crate by hand: an RS256 bearer token, verified for each request.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::get,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

use super::Contender;
use crate::{
    keys::{AUDIENCE, Keys},
    shared::shared,
    surroundings::Surroundings,
};

pub const ISSUER: &str = "https://issuer.example.com";

struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    pub sub: String,
}

pub async fn start(around: &Surroundings) -> Contender {
    let keys = around.keys().await;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let verifier = Arc::new(Verifier { key: keys.decoding(), validation });
    let app = Router::new().route("/me", get(me)).with_state(verifier);
    Contender::new("jsonwebtoken", app, bearers(keys, around.sessions)).noted(
        "a bearer token verified for each request, with aws-lc; no session, nothing to revoke",
    )
}

async fn me(
    State(verifier): State<Arc<Verifier>>,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|it| it.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
    let data = decode::<Claims>(token, &verifier.key, &verifier.validation);
    Ok(data.map_err(|_| StatusCode::UNAUTHORIZED)?.claims.sub)
}

/// Requests with a token each.
pub fn bearers(keys: &Keys, count: usize) -> Vec<HeaderMap> {
    let bearer = |number: usize| {
        let token = keys.id_token(ISSUER, &format!("nonce-{number}"));
        HeaderMap::from_iter([(AUTHORIZATION, shared(&format!("Bearer {token}")))])
    };
    (0..count).map(bearer).collect()
}
