//! The session cookie: what stands in it, what is believed of it, and who gets to see it.

mod support;

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{COOKIE, SET_COOKIE},
    },
    response::AppendHeaders,
    routing::get,
};
use support::{AGENT, App, Browser, Direct, FETCH, NAVIGATE, Page};
use tower_lp_auth::{Clock, LpAuthLayer, LpUser, SessionKey, test_kit::ManualClock};

const HOUR: u64 = 3600;

/// The parts of a Set-Cookie line behind its value, Max-Age apart.
fn attributes(line: &str) -> (Vec<&str>, u64) {
    let mut parts: Vec<&str> = line.split("; ").skip(1).collect();
    let age = parts.iter().position(|part| part.starts_with("Max-Age=")).expect("a Max-Age");
    let age = parts.remove(age)["Max-Age=".len()..].parse().expect("a number");
    parts.sort_unstable();
    (parts, age)
}

fn pair(line: &str) -> (&str, &str) {
    line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a name and a value")
}

/// C01, C21.
#[tokio::test]
async fn on_https_every_cookie_is_host_bound_and_deleted_with_the_attributes_it_was_set_with() {
    let mut app = Direct::start().await;
    let start = app.navigate("/me").await;
    start.assert_login();
    let callback = app.arrive(&start).await;
    assert_eq!(callback.status, StatusCode::SEE_OTHER, "{callback:?}");
    let logout = app.send(Method::POST, "/logout", &[("sec-fetch-site", "same-origin")]).await;
    let set_login = &start.login_cookies()[0];
    let deleted_login = &callback.login_cookies()[0];
    let set_session = &callback.session_cookies()[0];
    let deleted_session = &logout.session_cookies()[0];
    let expected = ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"];
    for (line, age) in
        [(set_login, 600), (deleted_login, 0), (set_session, 24 * HOUR), (deleted_session, 0)]
    {
        assert!(pair(line).0.starts_with("__Host-lp_"), "{line}");
        assert_eq!(attributes(line), (expected.to_vec(), age), "{line}");
    }
    assert_eq!(pair(set_login).0, pair(deleted_login).0);
    assert_eq!(pair(set_session).0, pair(deleted_session).0);
    assert_eq!(app.jar.names(), [""; 0]);
}

/// C01, C31.
#[tokio::test]
async fn on_plain_http_cookies_have_no_prefix_and_no_secure() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let start = browser.navigate("/me").await;
    let line = &start.login_cookies()[0];
    assert!(line.starts_with("lp_login_"), "{line}");
    assert_eq!(attributes(line), (vec!["HttpOnly", "Path=/", "SameSite=Lax"], 600));
}

/// C31.
#[tokio::test]
async fn plain_http_is_for_loopback_alone() {
    for (uri, accepted) in [
        ("http://app.example/callback", false),
        ("http://10.0.0.1/callback", false),
        ("http://localhost.evil.example/callback", false),
        ("http://localhost/callback", true),
        ("http://app.localhost:3000/callback", true),
        ("http://127.9.9.9/callback", true),
        ("http://[::1]:8080/callback", true),
        ("https://app.example/callback", true),
    ] {
        let built = LpAuthLayer::builder()
            .account("12345678")
            .client_id("id")
            .client_secret("secret")
            .redirect_uri(uri)
            .session_key(SessionKey::random())
            .build();
        assert_eq!(built.is_ok(), accepted, "{uri}");
    }
}

/// C02, C30: the idle end moves with activity, the absolute one with nothing.
#[tokio::test]
async fn a_session_ends_by_what_is_inside_its_seal() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let kept = app.jar.clone();
    for hour in 1..24 {
        app.advance(HOUR);
        let page = app.fetch("/me").await;
        assert_eq!(page.status, StatusCode::OK, "after {hour} h: {page:?}");
        for line in page.session_cookies() {
            assert_eq!(attributes(&line).1, (24 - hour) * HOUR, "after {hour} h");
        }
    }
    app.advance(HOUR + 1);
    app.fetch("/me").await.assert_unauthorized();
    app.jar = kept;
    app.fetch("/me").await.assert_unauthorized();

    let mut idle = Direct::start().await;
    idle.sign_in().await;
    idle.advance(8 * HOUR - 300);
    assert_eq!(idle.fetch("/me").await.status, StatusCode::OK);
    idle.advance(8 * HOUR + 1);
    idle.fetch("/me").await.assert_unauthorized();
    assert!(idle.jar.session().is_some(), "a refused fetch leaves the jar alone");
    let login = idle.navigate("/me").await;
    login.assert_login();
    assert_eq!(login.session_cookies().len(), 1, "{login:?}");
    assert_eq!(idle.jar.session(), None, "a navigation that starts a login deletes what is dead");
}

/// C03, C05, C25: whatever is wrong with a cookie, the answer is the same.
#[tokio::test]
async fn a_cookie_that_was_touched_is_refused_each_time_in_the_same_way() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let (name, value) = app.jar.session().expect("a session");
    let (name, value) = (name.to_owned(), value.to_owned());
    let mut cases: Vec<(String, String)> = Vec::new();
    // The last character's low bits may be padding, which a strict decoder refuses too.
    for at in 0..value.len() {
        let flipped = match value.as_bytes()[at] {
            b'A' => 'B',
            _ => 'A',
        };
        let mut touched = value.clone();
        touched.replace_range(at..=at, &flipped.to_string());
        cases.push((format!("flip at {at}"), touched));
    }
    for length in 0..value.len() {
        cases.push((format!("cut to {length}"), value[..length].to_owned()));
    }
    for (what, touched) in [
        ("a byte more", format!("{value}A")),
        ("padding", format!("{value}==")),
        ("a space inside", format!("{} {}", &value[..9], &value[9..])),
        ("the other alphabet", value.replace('-', "+").replace('_', "/") + "+"),
        ("quotes", format!("\"{value}\"")),
        ("twice", format!("{value}{value}")),
        ("another user's format", "eyJhbGciOiJub25lIn0.e30.".to_owned()),
        ("nothing", String::new()),
    ] {
        cases.push((what.to_owned(), touched));
    }
    assert_eq!(app.fetch("/me").await.status, StatusCode::OK, "untouched");
    let calls = app.calls();
    let mut first: Option<String> = None;
    for (what, touched) in cases {
        app.jar.insert(&name, &touched);
        let page = app.fetch("/me").await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{what}");
        page.assert_unauthorized();
        let seen = without_reference(&page);
        assert_eq!(first.get_or_insert(seen.clone()), &seen, "{what}");
    }
    assert_eq!(app.calls(), calls, "the inner service was called");
}

/// Everything a client can see of an answer but its reference.
fn without_reference(page: &Page) -> String {
    let mut body = page.json();
    body["reference"] = serde_json::Value::Null;
    format!("{} {:?} {body}", page.status, page.headers)
}

/// C04: name, purpose, deployment and key are bound into the seal.
#[tokio::test]
async fn a_cookie_opens_only_where_and_for_what_it_was_sealed() {
    let key = SessionKey::random();
    let clock = ManualClock::new();
    let mut app = Direct::with(clock, |it| it.session_key(key.clone())).await;
    let start = app.navigate("/me").await;
    let pending = pair(&start.login_cookies()[0]).1.to_owned();
    app.arrive(&start).await;
    let (name, value) = app.jar.session().expect("a session");
    let (name, value) = (name.to_owned(), value.to_owned());

    let mut renamed = app.beside(|it| it.session_key(key.clone()).cookie_name("mine"));
    renamed.jar.insert("__Host-mine", &value);
    renamed.fetch("/me").await.assert_unauthorized();

    let mut moved =
        app.beside(|it| it.session_key(key.clone()).redirect_uri("https://b.example/callback"));
    let elsewhere = moved.navigate("/me").await;
    let other = pair(&elsewhere.login_cookies()[0]).0.to_owned();
    let tag = other.trim_start_matches("__Host-lp_login_").split('_').next().expect("a tag");
    moved.jar.insert(&format!("__Host-lp_session_{tag}"), &value);
    moved.fetch("/me").await.assert_unauthorized();

    let mut foreign = app.beside(|it| it.session_key(SessionKey::random()));
    foreign.fetch("/me").await.assert_unauthorized();

    let mut account = app.beside(|it| it.session_key(key.clone()).account("87654321"));
    account.fetch("/me").await.assert_unauthorized();

    let mut client = app.beside(|it| it.session_key(key.clone()).client_id("another-client"));
    client.fetch("/me").await.assert_unauthorized();

    let mut purpose = app.beside(|it| it.session_key(key.clone()));
    purpose.jar.insert(&name, &pending);
    purpose.fetch("/me").await.assert_unauthorized();

    let mut same = app.beside(|it| it.session_key(key.clone()));
    assert_eq!(same.fetch("/me").await.status, StatusCode::OK, "the cookie itself is good");
}

/// C11, C12.
#[tokio::test]
async fn a_session_too_large_for_a_cookie_fails_loudly_at_login() {
    let mut app = Direct::start().await;
    app.sentinel.set_refresh_token_digits(8000);
    let page = app.sign_in().await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR, "{page:?}");
    assert!(page.body.contains("too large"), "{page:?}");
    assert_eq!(page.session_cookies(), [""; 0]);
    assert_eq!(app.jar.logins(), [], "the pending login is over");
}

/// C13, C14, C15: several cookies of one name.
#[tokio::test]
async fn of_several_session_cookies_the_valid_one_counts_and_two_users_count_for_nobody() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let (name, mine) = app.jar.session().expect("a session");
    let (name, mine) = (name.to_owned(), mine.to_owned());
    app.jar.clear();
    app.sign_in().await;
    let theirs = app.jar.session().expect("a second session").1.to_owned();
    app.jar.clear();
    let garbage = "Z".repeat(40);
    let table: &[(&[&str], StatusCode)] = &[
        (&[&mine], StatusCode::OK),
        (&[&mine, &garbage], StatusCode::OK),
        (&[&garbage, &mine], StatusCode::OK),
        (&[&garbage, "", &mine, &mine], StatusCode::OK),
        (&[&mine, &theirs], StatusCode::UNAUTHORIZED),
        (&[&theirs, &mine], StatusCode::UNAUTHORIZED),
        (&[&mine, &garbage, &theirs], StatusCode::UNAUTHORIZED),
        (&[&mine, &mine, &mine, &mine, &mine], StatusCode::UNAUTHORIZED),
        (&[&garbage, &garbage], StatusCode::UNAUTHORIZED),
    ];
    for (values, expected) in table {
        let cookies: Vec<_> = values.iter().map(|value| format!("{name}={value}")).collect();
        let header = cookies.join("; ");
        let page = app.send(Method::GET, "/me", &[FETCH[1], ("cookie", &header)]).await;
        assert_eq!(page.status, *expected, "{} cookies: {page:?}", values.len());
        assert_eq!(page.session_cookies(), [""; 0], "nothing is deleted by a fetch");
    }
}

/// C15: cookies that a login cannot get rid of end in a page, not in a loop.
#[tokio::test]
async fn a_login_among_cookies_that_hide_its_own_ends_in_a_page() {
    for count in [1, 4, 5, 9] {
        let mut app = Direct::start().await;
        app.sign_in().await;
        let (name, tossed) = app.jar.session().expect("a session");
        let tossed = vec![format!("{name}={tossed}"); count].join("; ");
        app.jar.clear();
        let start = app.navigate("/me").await;
        // The browser sends the tossed ones beside its own, which no deletion of ours reaches.
        for (name, value) in app.jar.clone().logins() {
            app.jar.insert(name, &format!("{value}; {tossed}"));
        }
        let page = app.arrive(&start).await;
        if count == 1 || count == 4 {
            // One session, whether it is sent once or four times: it is replaced and ended.
            assert_eq!(page.status, StatusCode::SEE_OTHER, "{count}: {page:?}");
        } else {
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{count}: {page:?}");
            assert_eq!(page.session_cookies(), [""; 0], "{count}");
        }
    }
}

/// C16.
#[tokio::test]
async fn a_name_that_only_looks_like_ours_is_not_ours() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let (name, value) = app.jar.session().expect("a session");
    let (name, value) = (name.to_owned(), value.to_owned());
    app.jar.clear();
    let lower = name.replace("__Host-", "__host-");
    let bare = name.replace("__Host-", "");
    let table: &[(String, bool)] = &[
        (format!("{name}={value}"), true),
        (format!("a=b;\t {name} = {value}\t;c"), true),
        (format!("\u{a0}{name}={value}"), false),
        (format!("\u{2000}{name}={value}"), false),
        (format!("$Version=1, {name}={value}"), false),
        (format!("{name}=\"{value}\""), false),
        (format!("{lower}={value}"), false),
        (format!("{bare}={value}"), false),
        (format!("={name}={value}"), false),
        (format!("{name}x={value}"), false),
        (format!("a={name}={value}"), false),
    ];
    for (header, accepted) in table {
        let mut request = app.request(Method::GET, "/me", &FETCH);
        let field = HeaderValue::from_bytes(header.as_bytes()).expect("a field value");
        request.headers_mut().insert(COOKIE, field);
        let page = app.call(request).await;
        assert_eq!(page.status == StatusCode::OK, *accepted, "{header:.60}");
    }
}

/// C17, C18, C28: however the cookies are split, the session is found, and the inner service sees
/// the others as they came.
#[tokio::test]
async fn cookies_in_any_number_of_fields_are_one_set_and_ours_stay_outside() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let ours = app.jar.header().expect("a session");
    app.jar.clear();
    app.navigate("/me").await; // a pending login beside it
    let login = app.jar.header().expect("a pending login");
    app.jar.clear();
    let thirty: Vec<String> = (0..30).map(|at| format!("c{at}=\"v {at}\"")).collect();
    let mut split = thirty.clone();
    split.insert(17, ours.clone());
    split.insert(3, login.clone());
    let many: Vec<String> = (0..100).map(|at| format!("n{at}={at}")).collect();
    let big = format!("big={}", "x".repeat(64 * 1024));
    let pairs = vec!["a="; 10_000].join("; ");
    let table: Vec<(&str, Vec<String>, Vec<String>)> = vec![
        ("alone", vec![ours.clone()], vec![]),
        ("both of ours", vec![format!("{ours}; {login}")], vec![]),
        ("one line", vec![format!("a=1; {ours}; b=\"2\";c")], vec!["a=1; b=\"2\";c".into()]),
        ("two lines", vec!["a=1".into(), format!("{ours}; b=2")], vec!["a=1".into(), "b=2".into()]),
        ("thirty fields", split, {
            let mut seen = thirty;
            seen.insert(17, String::new());
            seen.insert(3, String::new());
            seen
        }),
        ("a hundred", vec![format!("{}; {ours}", many.join("; "))], vec![many.join("; ")]),
        ("64 KiB", vec![format!("{big}; {ours}")], vec![big]),
        ("ten thousand", vec![format!("{pairs}; {ours}")], vec![pairs]),
    ];
    for (what, fields, expected) in table {
        let mut request = app.request(Method::GET, "/headers", &FETCH);
        for field in &fields {
            request.headers_mut().append(COOKIE, field.parse().expect("a field value"));
        }
        let page = app.call(request).await;
        assert_eq!(page.status, StatusCode::OK, "{what}");
        let seen = &page.json()["cookie"];
        let seen: Vec<String> = serde_json::from_value(seen.clone()).unwrap_or_default();
        let ours_left = |field: &String| field.contains("lp_session") || field.contains("lp_login");
        assert!(!seen.iter().any(ours_left), "{what}: {seen:.200?}");
        assert!(seen == expected, "{what}: {seen:.200?}");
    }
}

/// C18: on public and optional routes neither.
#[tokio::test]
async fn our_cookies_are_hidden_from_public_routes_too() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    app.jar.insert("theirs", "\"x y\"");
    let page = app.fetch("/public").await;
    assert_eq!(page.json()["cookie"], "theirs=\"x y\"");
}

/// C19, C20, I11: each cookie has its own line, in the head of a body that has not begun.
#[tokio::test]
async fn our_cookie_is_a_line_beside_the_applications_in_the_head_of_a_stream() {
    async fn stream(_: LpUser) -> (AppendHeaders<[(HeaderName, &'static str); 2]>, Body) {
        let lines = [(SET_COOKIE, "a=1, 2; Path=/x"), (SET_COOKIE, "b=3")];
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        (AppendHeaders(lines), Body::from_stream(never))
    }
    let mut app = Direct::start().await.routes(Router::new().route("/stream", get(stream)));
    app.sign_in().await;
    app.advance(2000);
    let request = app.request(Method::GET, "/stream", &FETCH);
    let response = tokio::time::timeout(Duration::from_secs(5), app.respond(request))
        .await
        .expect("a head before the body");
    let lines: Vec<&[u8]> =
        response.headers().get_all("set-cookie").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], b"a=1, 2; Path=/x");
    assert_eq!(lines[1], b"b=3");
    assert!(lines[2].starts_with(b"__Host-lp_session_"), "{:?}", response.headers());
    assert_eq!(response.headers()["cache-control"], "no-store");
}

/// C22, C23.
#[tokio::test]
async fn a_new_sealing_key_takes_over_within_one_request_and_a_removed_one_deletes_nothing() {
    let (old, new) = (SessionKey::random(), SessionKey::random());
    let mut before = Direct::with(ManualClock::new(), |it| it.session_key(old.clone())).await;
    before.sign_in().await;
    let mut rotated = before.beside(|it| it.session_key(new.clone()).session_key(old.clone()));
    let page = rotated.fetch("/me").await;
    assert_eq!((page.status, page.session_cookies().len()), (StatusCode::OK, 1), "{page:?}");
    let again = rotated.fetch("/me").await;
    assert_eq!((again.status, again.session_cookies().len()), (StatusCode::OK, 0), "{again:?}");

    let mut after = rotated.beside(|it| it.session_key(new.clone()));
    assert_eq!(after.fetch("/me").await.status, StatusCode::OK, "it was re-sealed");

    let mut removed = before.beside(|it| it.session_key(new.clone()));
    removed.fetch("/me").await.assert_unauthorized();
    let start = removed.navigate("/me").await;
    start.assert_login();
    assert_eq!(start.session_cookies(), [""; 0], "another instance may know that key");
    let callback = removed.arrive(&start).await;
    assert_eq!(callback.location().as_deref(), Some("/me"), "{callback:?}");
    assert_eq!(removed.fetch("/me").await.status, StatusCode::OK, "no loop");
}

/// C24: a format of a later version is somebody else's; the version is in the AAD too.
#[tokio::test]
async fn a_newer_cookie_is_not_signed_in_and_not_deleted() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let (name, value) = app.jar.session().expect("a session");
    let name = name.to_owned();
    // The first byte is `000000 01`, the second character's high bits are its end.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let second = alphabet.iter().position(|c| *c == value.as_bytes()[1]).expect("base64url");
    assert!(value.starts_with('A') && second >> 4 == 1, "the version byte is 1: {value:.8}");
    let newer = format!("A{}{}", char::from(alphabet[second + 16]), &value[2..]);
    app.jar.insert(&name, &newer);
    app.fetch("/me").await.assert_unauthorized();
    let start = app.navigate("/me").await;
    start.assert_login();
    assert_eq!(start.session_cookies(), [""; 0], "{start:?}");
    let login = app.send(Method::GET, "/login", &NAVIGATE).await;
    login.assert_login();
    assert_eq!(login.session_cookies(), [""; 0], "{login:?}");
    assert_eq!(app.jar.session(), Some((&*name, &*newer)));
}

/// C26.
#[tokio::test]
async fn sessions_outlive_2038_and_2106() {
    for year in [2038, 2107, 2200] {
        let seconds = (year - 1970) * 31_556_952;
        let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(seconds));
        let mut app = Direct::with(clock, |it| it.session_key(SessionKey::random())).await;
        let callback = app.sign_in().await;
        assert_eq!(callback.status, StatusCode::SEE_OTHER, "{year}: {callback:?}");
        assert_eq!(app.fetch("/me").await.status, StatusCode::OK, "{year}");
        app.advance(2000);
        let due = app.fetch("/me").await;
        assert_eq!(attributes(&due.session_cookies()[0]).1, 24 * HOUR - 2000, "{year}");
        app.advance(24 * HOUR);
        app.fetch("/me").await.assert_unauthorized();
    }
}

/// C29: a cookie is re-issued when something has changed, and then as the same bytes for all.
#[tokio::test]
async fn parallel_requests_get_one_cookie_and_a_quiet_session_none() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    for at in 0..20 {
        app.advance(10);
        let page = app.fetch("/me").await;
        assert_eq!(page.session_cookies(), [""; 0], "request {at}");
    }
    app.advance(400);
    let app = Arc::new(app);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let app = Arc::clone(&app);
        tasks.spawn(async move { app.call(app.request(Method::GET, "/me", &FETCH)).await });
    }
    let mut lines = std::collections::HashSet::new();
    for page in tasks.join_all().await {
        assert_eq!(page.session_cookies().len(), 1, "{page:?}");
        lines.extend(page.session_cookies());
    }
    assert_eq!(lines.len(), 1, "{lines:?}");
}

/// The limit of opened sessions decides what a request costs, never whose it is.
#[tokio::test]
async fn two_sessions_take_turns_in_a_cache_of_one() {
    let app = App::builder().layer(|layer| layer.opened_sessions(1)).start().await;
    let mut agent = Browser::signed_in(&app).await;
    let mut other = Browser::new(&app);
    other.sign_in(&app, "4711").await;
    for turn in 0..10 {
        assert_eq!(agent.fetch("/me").await.json()["user_id"], AGENT, "turn {turn}");
        assert_eq!(other.fetch("/me").await.json()["user_id"], "4711", "turn {turn}");
    }
    let copy = agent.clone();
    agent.post("/logout").await;
    assert_eq!(other.fetch("/me").await.json()["user_id"], "4711");
    copy.clone().fetch("/me").await.assert_unauthorized();
    assert_eq!(other.fetch("/me").await.json()["user_id"], "4711");
}

/// C02, C30, F33: whichever end comes first is the one that a user is told of.
#[tokio::test]
async fn the_end_that_is_told_is_the_earliest() {
    async fn ends(app: &App, browser: &mut Browser) -> u64 {
        let now = app.clock.now();
        let end: u64 = browser.fetch("/ends").await.body.parse().expect("seconds");
        end - now.duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
    }
    for (refresh_token, access_token, expected) in [
        // Signed in, after 15 and after 20 hours: idle twice, then absolute.
        (true, HOUR, [8 * HOUR, 8 * HOUR, 4 * HOUR]),
        // The access token's end comes before them, and later it does not.
        (false, 23 * HOUR, [8 * HOUR, 8 * HOUR, 3 * HOUR]),
    ] {
        let app = App::builder()
            .sentinel(move |it| it.access_token_lifetime(Duration::from_secs(access_token)))
            .routes(|router, _| {
                let end = |user: LpUser| async move {
                    let end = user.session_expires_at().duration_since(UNIX_EPOCH);
                    end.expect("after 1970").as_secs().to_string()
                };
                router.route("/ends", get(end))
            })
            .start()
            .await;
        app.sentinel.set_login_refresh_token(refresh_token);
        let mut browser = Browser::signed_in(&app).await;
        let mut seen = vec![ends(&app, &mut browser).await];
        for hours in [5, 5, 5, 5] {
            app.advance(hours * HOUR);
            browser.fetch("/me").await; // activity, sealed anew
            seen.push(ends(&app, &mut browser).await);
        }
        assert_eq!([seen[0], seen[3], seen[4]], expected, "{refresh_token}: {seen:?}");
    }
}

/// K01, K06: identity travels in extensions alone.
#[tokio::test]
async fn the_layer_adds_no_header_to_a_request_and_removes_only_its_cookies() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let claims = [
        ("x-forwarded-user", "eve"),
        ("x_forwarded_user", "eve"),
        ("x-lp-user", "eve"),
        ("authorization-user", "eve"),
    ];
    let mut seen = app.send(Method::GET, "/headers", &claims).await.json();
    let seen = seen.as_object_mut().expect("an object");
    seen.retain(|name, _| !name.starts_with('_'));
    let sent: HeaderMap =
        claims.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
    assert_eq!(seen.len(), sent.len(), "{seen:?}");
    for (name, value) in claims {
        assert_eq!(seen[name], serde_json::json!([value]));
    }
    let me = app.send(Method::GET, "/me", &claims).await.json();
    assert_eq!(me["user_id"], AGENT, "headers of a client are no identity");
}
