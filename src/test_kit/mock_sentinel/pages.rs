//! What a browser shows.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use url::Url;

use super::{
    reply::{Reply, with_header},
    users::MockUser,
};

const STYLE: &str = include_str!("pages.css");

/// The page that asks who you are; its form goes to the URL it came from.
pub(super) fn login(account: &str, callback: &Url, users: &[MockUser]) -> Reply {
    let mut choices = String::new();
    for (at, user) in users.iter().enumerate() {
        let _ = write!(
            choices,
            r#"<button class="user" type="submit" name="user" value="{id}" id="user-{id}"{focus}>
<span class="face" aria-hidden="true">{initials}</span>
<span><b>{name}</b><small>{role} · {id}</small></span>
</button>
"#,
            id = escape(user.id()),
            focus = if at == 0 { " autofocus" } else { "" },
            initials = escape(&initials(user.name())),
            name = escape(user.name()),
            role = role(user),
        );
    }
    let content = format!(
        r#"<h1>Who is signing in?</h1>
<p>to <b>{host}</b>, account {account}</p>
<form method="post">
{choices}<button class="deny" type="submit" name="deny" value="1" id="deny">Deny access</button>
</form>"#,
        host = escape(&host(callback)),
        account = escape(account),
    );
    page(StatusCode::OK, "MockSentinel — sign in", &content)
}

/// The page for a request that cannot be sent back to its application.
pub(super) fn problem(status: StatusCode, why: &str) -> Reply {
    let content = format!(
        "<h1>This sign-in cannot go on</h1>\n<p>{}</p>\n<p><small>{status}</small></p>",
        escape(why)
    );
    page(status, "MockSentinel — error", &content)
}

fn page(status: StatusCode, title: &str, content: &str) -> Reply {
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
<p class="mark"><span>MockSentinel</span> a stand-in without passwords</p>
{content}
</main>
</body>
</html>
"#
    );
    let mut reply = Response::new(Bytes::from(html));
    *reply.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
        ),
    ] {
        with_header(&mut reply, name, value);
    }
    reply
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn role(user: &MockUser) -> &'static str {
    match (user.is_lpa(), user.is_admin()) {
        (true, _) => "LivePerson staff",
        (false, true) => "Administrator",
        (false, false) => "Agent",
    }
}

fn initials(name: &str) -> String {
    let words = name.split_whitespace().take(2);
    words.filter_map(|word| word.chars().next()).collect()
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_on_a_page_is_markup_but_its_own() {
        let callback = Url::parse("https://app.example:8443/callback").unwrap();
        let users = [MockUser::new("1\" onclick=\"x", "<b>&'")];
        let reply = login("<i>", &callback, &users);
        let html = String::from_utf8(reply.into_body().to_vec()).unwrap();
        for hidden in ["<b>&'", "<i>", "\" onclick"] {
            assert!(!html.contains(hidden), "{hidden}");
        }
        assert!(html.contains("app.example:8443"));
        assert!(html.contains("id=\"user-1&quot; onclick=&quot;x\""));
    }
}
