//! What people see: the start page, and the frame of all pages.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
    response::{Html, IntoResponse, Response},
};
use serde_json::json;
use tower_lp_auth::{LpAuthLayer, LpUser};

const STYLE: &str = include_str!("../quickstart/style.css");

/// Where the login and the logout are.
#[derive(Clone)]
pub(crate) struct Links {
    login: Arc<str>,
    logout: Arc<str>,
}

impl Links {
    pub(crate) fn of(auth: &LpAuthLayer) -> Self {
        Self { login: auth.login_url("/").into(), logout: auth.logout_url().into() }
    }
}

pub(crate) async fn index(State(links): State<Links>, user: Option<LpUser>) -> Response {
    let control = match user {
        Some(user) => format!(
            "<p class=\"lead\">You are {}.</p><form method=\"post\" action=\"{}\">\
             <button class=\"button quiet\" id=\"sign-out\">Sign out</button></form>",
            escape(user.id()),
            escape(&links.logout),
        ),
        None => {
            let login = escape(&links.login);
            format!("<p><a class=\"button\" id=\"sign-in\" href=\"{login}\">Sign in</a></p>")
        }
    };
    let hint = "<p class=\"hint\">Programs call this service as the user who lets them: \
                <code>cargo run --example grpc-client</code></p>";
    page("A service for programs", &format!("{control}{hint}"), "'self'")
}

pub(crate) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")], STYLE)
}

pub(crate) async fn me(user: LpUser) -> impl IntoResponse {
    let body = json!({ "user_id": user.id(), "is_admin": user.is_admin() });
    ([(CACHE_CONTROL, "no-store")], Json(body))
}

/// A page that nobody stores or frames, without scripts, whose forms lead to one place.
pub(crate) fn page(heading: &str, body: &str, form_action: &str) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action {form_action}; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_SECURITY_POLICY, policy),
        (CACHE_CONTROL, "no-store".to_owned()),
        (REFERRER_POLICY, "same-origin".to_owned()),
    ];
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/style.css\">\
         <title>{heading} · tower-lp-auth</title></head><body><main><h1>{heading}</h1>{body}</main>\
         <footer>tower-lp-auth grpc-server</footer></body></html>\n"
    );
    (headers, Html(html)).into_response()
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
