//! What the quickstart shows.

use std::time::SystemTime;

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
};
use tower_lp_auth::LpUser;

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

pub(crate) async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "max-age=86400")], ICON)
}

/// The start page of somebody who is not signed in.
/// `forget` is where MockSentinel, if it plays LivePerson, forgets who has signed in.
pub(crate) fn welcome(login: &str, forget: Option<&str>) -> String {
    let hint = forget.map_or_else(String::new, |forget| {
        format!(
            "<p class=\"hint\">This demo runs on <strong>MockSentinel</strong>, a stand-in for \
             LivePerson on your own machine: no account is needed. Pick the agent, the administrator \
             or LivePerson's staff, and see what changes. LivePerson remembers who has signed in: to \
             be somebody else, <a id=\"switch\" href=\"{}\">let it ask again</a>.</p>",
            escape(forget)
        )
    });
    let body = format!(
        "<p class=\"eyebrow\">Agent desk</p>\
         <h1>Work with the sign-in<br>you already have.</h1>\
         <p class=\"lead\">Agents and managers sign in with their LivePerson account. \
         No second password, no second user list.</p>\
         <p><a class=\"button\" id=\"sign-in\" href=\"{}\">Sign in with LivePerson</a></p>{hint}",
        escape(login)
    );
    page("Welcome", &body)
}

/// The start page of a signed-in user.
pub(crate) fn signed_in(
    user: &LpUser,
    name: Option<&str>,
    fingerprint: &str,
    logout: &str,
) -> String {
    let id = escape(user.id());
    let heading = name.map_or_else(|| id.clone(), escape);
    let badge =
        |on: bool, text: &str| if on { format!("<span>{text}</span>") } else { String::new() };
    let body = format!(
        "<p class=\"eyebrow\">Signed in</p>\
         <h1>Hello, {heading}</h1>\
         <p class=\"badges\">{}{}{}</p>\
         <dl>\
         <dt>User id</dt><dd id=\"user-id\">{id}</dd>\
         <dt>Account</dt><dd>{}</dd>\
         <dt>Access token</dt><dd><code>{fingerprint}</code> <small>first digits of its SHA-256</small></dd>\
         <dt>… lives until</dt><dd>{}</dd>\
         <dt>Session until</dt><dd>{}</dd>\
         </dl>\
         <nav><a href=\"/me\">Your data as JSON</a><a href=\"/admin\">For admins only</a>\
         <a href=\"/token\">A token for curl</a></nav>\
         <form method=\"post\" action=\"{}\"><button class=\"button quiet\" id=\"sign-out\">Sign out</button></form>",
        badge(true, "agent"),
        badge(user.is_admin(), "admin"),
        badge(user.is_lpa(), "LivePerson staff"),
        escape(user.account_id().as_str()),
        user.access_token_expires_at().map_or_else(|none| none.to_string(), rfc3339),
        rfc3339(user.session_expires_at()),
        escape(logout),
    );
    page("Your desk", &body)
}

/// The page for admins.
pub(crate) fn admin(id: &str) -> String {
    let body = format!(
        "<p class=\"eyebrow\">Admins only</p><h1>The engine room</h1>\
         <p class=\"lead\">Only users with the admin role see this page. You are {}.</p>\
         <nav><a href=\"/\">Back to your desk</a></nav>",
        escape(id)
    );
    page("Admin", &body)
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    jiff::Timestamp::from_second(seconds).map_or_else(|_| String::new(), |time| time.to_string())
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <link rel=\"icon\" href=\"/favicon.ico\"><title>{title} · tower-lp-auth</title>\
         <style>{STYLE}</style></head><body><main>{body}</main>\
         <footer>tower-lp-auth quickstart</footer></body></html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
