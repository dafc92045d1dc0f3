//! Answers for people: small pages that need nothing from anywhere else.

use std::{fmt::Write, sync::LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
};

use super::{Rejection, WayForward, problem::add_status_headers, seal_off};

const STYLE: &str = include_str!("page.css");

/// Nothing but this style may load or run, and nobody may frame the page. There is no `form-action`:
/// browsers apply it to redirects too, and a logout may lead on to LivePerson.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = base64_simd::STANDARD.encode_to_string(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 is visible ASCII")
});

/// What stands below a page's text.
enum Control<'a> {
    Link {
        href: &'a str,
        label: &'a str,
    },
    /// Another try of the same, and a link to the login beside it.
    Retry {
        login: &'a str,
    },
    Form {
        action: &'a str,
        label: &'a str,
        back: &'a str,
    },
}

/// The page of a request that does not get through.
pub(super) fn rejection(rejection: &Rejection) -> Response<Bytes> {
    let control = match rejection.way_forward() {
        WayForward::Login(login) => Control::Link { href: login, label: "Sign in" },
        WayForward::Landing(landing) => Control::Link { href: landing, label: "Back to the start" },
        WayForward::Retry => Control::Retry { login: rejection.login() },
    };
    let reference = Some(rejection.reference());
    let html = page(rejection.title(), rejection.explanation(), &control, reference);
    let mut response = html_response(rejection.status(), html);
    add_status_headers(&mut response, rejection);
    response
}

/// The question before a logout. `action` and `back` are paths of our own.
pub(crate) fn confirm_logout(action: &str, back: &str) -> Response<Bytes> {
    let control = Control::Form { action, label: "Sign out", back };
    let text = "This ends your session in this application.";
    let mut response = html_response(StatusCode::OK, page("Sign out?", text, &control, None));
    seal_off(&mut response);
    // A form's POST carries its page's origin only under a policy that lets it.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// The page after a logout. `login` is a path of our own.
pub(crate) fn signed_out(login: &str) -> Response<Bytes> {
    let control = Control::Link { href: login, label: "Sign in again" };
    let text = "You are signed out of this application.";
    let mut response = html_response(StatusCode::OK, page("Signed out", text, &control, None));
    seal_off(&mut response);
    response
}

fn html_response(status: StatusCode, html: String) -> Response<Bytes> {
    let mut response = Response::new(html.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

fn page(title: &str, text: &str, control: &Control<'_>, reference: Option<&str>) -> String {
    let mut html = String::with_capacity(STYLE.len() + 1024);
    html.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.push_str("<meta name=\"color-scheme\" content=\"light dark\"><title>");
    escape(&mut html, title);
    html.push_str("</title><style>");
    html.push_str(STYLE);
    html.push_str("</style></head><body><main><h1>");
    escape(&mut html, title);
    html.push_str("</h1><p>");
    escape(&mut html, text);
    html.push_str("</p>");
    match control {
        Control::Link { href, label } => {
            html.push_str("<p><a class=\"action\" href=\"");
            escape(&mut html, href);
            html.push_str("\">");
            escape(&mut html, label);
            html.push_str("</a></p>");
        }
        Control::Retry { login } => {
            // An empty reference is the same address: nothing of the request is repeated.
            html.push_str("<p><a class=\"action\" href=\"\">Try again</a> <a href=\"");
            escape(&mut html, login);
            html.push_str("\">Sign in afresh</a></p>");
        }
        Control::Form { action, label, back } => {
            html.push_str("<form method=\"post\" action=\"");
            escape(&mut html, action);
            html.push_str("\"><button class=\"action\" type=\"submit\">");
            escape(&mut html, label);
            html.push_str("</button> <a href=\"");
            escape(&mut html, back);
            html.push_str("\">Stay signed in</a></form>");
        }
    }
    if let Some(reference) = reference {
        // Writing to a string cannot fail.
        let _ = write!(html, "<p class=\"reference\">Reference: {reference}</p>");
    }
    html.push_str("</main></body></html>\n");
    html
}

/// Escapes for element content and double-quoted attributes.
fn escape(html: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B09, B37.
    #[test]
    fn nothing_breaks_out_of_a_page() {
        let control = Control::Link { href: "/?a=\"><script>", label: "<b>" };
        let html = page("<i>", "a & 'b'", &control, None);
        assert!(!html.contains("<script>") && !html.contains("<b>") && !html.contains("<i>"));
        assert!(html.contains("href=\"/?a=&quot;&gt;&lt;script&gt;\""));
    }

    /// L06.
    #[test]
    fn a_page_is_closed_to_scripts_and_frames() {
        let response = signed_out("/login");
        let header = |name| response.headers()[name].to_str().unwrap();
        assert!(
            header(CONTENT_SECURITY_POLICY).starts_with("default-src 'none'; style-src 'sha256-")
        );
        assert!(header(CONTENT_SECURITY_POLICY).ends_with("frame-ancestors 'none'"));
        assert_eq!(header(http::header::CACHE_CONTROL), "no-store");
        assert_eq!(header(REFERRER_POLICY), "no-referrer");
        let confirm = confirm_logout("/logout", "/");
        assert_eq!(confirm.headers()[REFERRER_POLICY], "same-origin");
    }
}
