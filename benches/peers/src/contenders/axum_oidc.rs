//! axum-oidc: the login of an OpenID Connect client, its tokens in a tower-sessions `MemoryStore`.

use axum::{
    Router,
    body::Body,
    error_handling::HandleErrorLayer,
    http::{
        HeaderMap, Request, Response, StatusCode, Uri,
        header::{COOKIE, LOCATION, SET_COOKIE},
    },
    response::IntoResponse,
    routing::get,
};
use axum_oidc::{
    EmptyAdditionalClaims, OidcAuthLayer, OidcClaims, OidcClient, OidcLoginLayer,
    error::MiddlewareError,
};
use tower::{ServiceBuilder, ServiceExt};
use tower_sessions::{MemoryStore, SessionManagerLayer};
use url::Url;

use super::Contender;
use crate::{keys::AUDIENCE, provider::Provider, shared::cookie, surroundings::Surroundings};

pub async fn start(around: &Surroundings) -> Contender {
    let provider = Provider::start().await;
    let app = app(&provider).await;
    let mut sessions = Vec::new();
    for _ in 0..around.sessions {
        sessions.push(signed_in(&app).await);
    }
    Contender::new("axum-oidc", app, sessions).noted(
        "login, and a refresh by each request that finds the token expired; verifies the id_token for \
         each request; one redirect URI per page; no CSRF guard but `SameSite`",
    )
}

async fn app(provider: &Provider) -> Router {
    let base = Uri::from_static("https://app.example.com");
    let client = OidcClient::<EmptyAdditionalClaims>::discover_new(
        base,
        provider.issuer.clone(),
        AUDIENCE.to_owned(),
        Some("a-secret".to_owned()),
        Vec::new(),
    );
    let client = client.await.expect("a provider of ours");
    let login = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(failed))
        .layer(OidcLoginLayer::<EmptyAdditionalClaims>::new());
    let auth = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(failed))
        .layer(OidcAuthLayer::new(client));
    Router::new()
        .route("/me", get(me))
        .layer(login)
        .layer(auth)
        .layer(SessionManagerLayer::new(MemoryStore::default()))
}

async fn me(claims: OidcClaims<EmptyAdditionalClaims>) -> String {
    claims.subject().as_str().to_owned()
}

async fn failed(error: MiddlewareError) -> Response<Body> {
    error.into_response()
}

/// Goes through a login as a browser does, the provider's page left out.
async fn signed_in(app: &Router) -> HeaderMap {
    let start = ask(app, "/me", None).await;
    let line = start.headers()[SET_COOKIE].to_str().expect("visible ASCII");
    let session = line.split(';').next().unwrap_or(line).to_owned();
    let location = start.headers()[LOCATION].to_str().expect("visible ASCII");
    let authorize = Url::parse(location).expect("a URL");
    let parameter = |name: &str| {
        let found = authorize.query_pairs().find(|(key, _)| key == name);
        found.unwrap_or_else(|| panic!("no {name} in {authorize}")).1.into_owned()
    };
    let callback = format!("/me?code={}&state={}", parameter("nonce"), parameter("state"));
    let end = ask(app, &callback, Some(&session)).await;
    assert_eq!(end.status(), StatusCode::TEMPORARY_REDIRECT, "{end:?}");
    cookie(&session)
}

async fn ask(app: &Router, target: &str, cookie: Option<&str>) -> Response<Body> {
    let mut request = Request::get(target);
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    let request = request.body(Body::empty()).expect("a request");
    app.clone().oneshot(request).await.expect("an answer")
}
