//! jwt-authorizer: a layer that verifies an RS256 bearer token for each request.
//!
//! It is made for axum 0.7: between it and axum 0.8 its refusals become answers by hand, and the
//! claims come from the extension that it leaves.

use axum::{
    Extension, Router,
    body::Body,
    http::{Response, StatusCode},
    routing::get,
};
use jsonwebtoken9::TokenData;
use jwt_authorizer::{AuthError, Authorizer, IntoLayer, JwtAuthorizer, Validation};
use tower::ServiceBuilder;

use super::{
    Contender,
    jsonwebtoken::{Claims, ISSUER, bearers},
};
use crate::{keys::AUDIENCE, surroundings::Surroundings};

/// An answer, or what stands for a refusal of the layer's.
struct Answer(Response<Body>);

impl From<AuthError> for Answer {
    fn from(_: AuthError) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        Self(response)
    }
}

pub async fn start(around: &Surroundings) -> Contender {
    let keys = around.keys().await;
    let validation = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
    let authorizer: Authorizer<Claims> = JwtAuthorizer::from_jwks_text(&keys.jwks().to_string())
        .validation(validation)
        .build()
        .await
        .expect("keys of ours");
    let layers = ServiceBuilder::new()
        .map_response(|answer: Answer| answer.0)
        .layer(authorizer.into_layer())
        .map_response(Answer);
    let app = Router::new().route("/me", get(me)).layer(layers);
    Contender::new("jwt-authorizer", app, bearers(keys, around.sessions))
        .noted("a bearer token verified for each request, with ring; no session, nothing to revoke")
}

async fn me(token: Extension<TokenData<Claims>>) -> String {
    token.0.claims.sub
}
