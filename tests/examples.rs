//! The examples do what they say; the quickstart has a file of its own.

mod support;

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::LazyLock,
    time::Duration,
};

use http::Method;
use serde_json::Value;
use support::{AGENT, Browser, FETCH, Quickstart, eventually, example_program, sign_in};
use tokio::time::timeout;

/// Asking cargo for it takes a moment, and longer while others ask.
static MANIFEST: LazyLock<PathBuf> = LazyLock::new(|| example_program("manifest"));

fn manifest(arguments: &[&str]) -> Output {
    Command::new(&*MANIFEST).args(arguments).output().expect("a program that runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// M01: the tour tells of each hop, and of no secret more than eight digits.
#[test]
fn the_tour_shows_every_hop_in_order_and_no_secret() {
    let output = Command::new(example_program("tour")).output().expect("a program that runs");
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    let mut rest = &shown[..];
    for expected in [
        "Nobody yet:",
        "303 See Other",
        "authorize?v=1.0&response_type=code",
        "cookie: lp_login_",
        "Login:",
        "/callback?code=#",
        "Code:",
        "cookie: lp_session_",
        "tokens: 1 code exchanged",
        "User:",
        "200 OK",
        "page: hello 3552833710, token #",
        "Refresh:",
        "cookie: lp_session_",
        "tokens: 1 refresh",
        "Renewed:",
        "page: hello",
        "Trouble:",
        "200 OK",
        "Recovery:",
        "cookie: lp_session_",
        "tokens: 3 refreshes, one of them in vain",
        "Logout:",
        "cookie: lp_session_",
        "deleted",
        "Nobody again:",
        "303 See Other",
    ] {
        let at = rest.find(expected).unwrap_or_else(|| panic!("no {expected:?} in order: {shown}"));
        rest = &rest[at + expected.len()..];
    }
    // What is shown of a secret has eight digits; the secrets themselves have 32 and more.
    let looks_secret = |word: &&str| word.len() >= 32 && word.bytes().all(|b| b != b'_');
    let words = || shown.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    assert_eq!(words().find(looks_secret), None, "{shown}");
}

/// The manifest example writes what it was told, and the grants and the response type by itself.
#[test]
fn a_manifest_is_json_with_what_was_said() {
    let output = manifest(&[
        "com.example.desk",
        "https://desk.example.com/callback",
        "http://localhost:3000/callback",
        "--display-name",
        "Example Desk",
        "--description",
        "Where agents work",
        "--entry-uri",
        "https://desk.example.com/login",
        "--profiles",
        "0,1, 2",
        "--quick-launch",
        "--disabled",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "client_name": "com.example.desk",
            "display_name": "Example Desk",
            "description": "Where agents work",
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris":
                ["https://desk.example.com/callback", "http://localhost:3000/callback"],
            "response_types": ["code"],
            "entry_uri": "https://desk.example.com/login",
            "quick_launch_enabled": true,
            "enabled_for_profiles": [0, 1, 2],
            "enabled": false,
        })
    );
}

/// N05: what is missing, too long or unknown is named, and nothing is written.
#[test]
fn what_cannot_be_a_manifest_is_explained_and_exits_with_2() {
    let long = "x".repeat(129);
    let uri = "https://desk.example.com/callback";
    let table: &[(&[&str], &str)] = &[
        (&[], "the client name is missing"),
        (&["com.example.desk"], "`redirect_uris` is empty"),
        (&["com.example.desk", "desk.example.com"], "`redirect_uris` holds \"desk.example.com\""),
        (
            &["com.example.desk", "http://desk.example.com/cb"],
            "plain http is for loopback hosts only",
        ),
        (&[&long, uri], "`client_name` has 129 characters, and LivePerson accepts at most 128"),
        (&["x", uri, "--display-name", &long], "`display_name` has 129 characters"),
        (&["x", uri, "--display-name"], "--display-name needs a value"),
        (&["x", uri, "--colour", "red"], "there is no option --colour"),
        (&["x", uri, "--profiles", "all"], "--profiles holds \"all\""),
        (&["x", uri, "--quick-launch"], "`quick_launch_enabled` needs `entry_uri`"),
    ];
    for (arguments, expected) in table {
        let output = manifest(arguments);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

/// `--help` names all that can be said.
#[test]
fn help_names_every_option() {
    let output = manifest(&["--help"]);
    assert!(output.status.success());
    let help = text(&output.stdout);
    for option in [
        "CLIENT_NAME",
        "REDIRECT_URI",
        "--display-name",
        "--description",
        "--scope",
        "--entry-uri",
        "--logo-uri",
        "--profiles",
        "--quick-launch",
        "--disabled",
    ] {
        assert!(help.contains(option), "{option}: {help}");
    }
}

/// G18: the example of an event stream shows events, and both ends of the stream.
#[tokio::test]
async fn an_event_stream_is_seen_to_open_and_to_close() {
    const PATIENCE: Duration = Duration::from_secs(15);
    let example = Quickstart::sse().await;
    eventually("it says what to do", || example.stderr().contains("in two tabs")).await;
    let mut browser = Browser::at(&example.url);
    let page = sign_in(&mut browser, "/", AGENT).await;
    assert!(page.body.contains("Your events"), "{page:?}");
    let request = browser.request(Method::GET, "/events", &FETCH, None);
    let mut events = request.send().await.expect("an answer");
    for number in 1..=2 {
        let event = timeout(PATIENCE, events.chunk()).await.expect("an event in time");
        let event = text(&event.expect("no broken body").expect("an event"));
        assert_eq!(event, format!("data: event {number} for {AGENT}\n\n"));
    }
    assert!(page.body.contains("fetch(\"/logout\""), "{page:?}");
    browser.post("/logout").await;
    let mut after_logout = 0;
    while let Some(event) =
        timeout(PATIENCE, events.chunk()).await.expect("an end in time").expect("no broken body")
    {
        after_logout += 1;
        assert!(after_logout <= 2, "it goes on: {event:?}");
    }
    let closed = format!("stream of {AGENT} closed");
    eventually("the terminal tells of the end", || example.stderr().contains(&closed)).await;
}

/// O06: a tower stack without a framework has an open page, one for users, and the logout.
#[tokio::test]
async fn a_plain_stack_signs_its_users_in_and_out() {
    let example = Quickstart::stack().await;
    eventually("it says what to do", || example.stderr().contains("in a browser")).await;
    let mut browser = Browser::at(&example.url);
    let welcome = browser.navigate("/").await;
    assert!(welcome.status == 200 && welcome.body.contains("href=\"/desk\""), "{welcome:?}");
    let desk = sign_in(&mut browser, "/desk", AGENT).await;
    assert_eq!((desk.status.as_u16(), &*desk.url), (200, &*format!("{}/desk", example.url)));
    assert!(desk.body.contains(&format!("Hello, {AGENT}")), "{desk:?}");
    assert!(desk.body.contains("action=\"/logout\""), "{desk:?}");
    assert_eq!(browser.fetch("/nowhere").await.status, 404);
    assert_eq!(browser.post("/logout").await.status, 303);
    browser.fetch("/desk").await.assert_unauthorized();
}

/// J08, H06: the API of the single-page application answers scripts, and each user with their own notes.
#[tokio::test]
async fn the_api_of_a_single_page_application_answers_in_json() {
    let example = Quickstart::spa().await;
    let mut browser = Browser::at(&example.url);
    for path in ["/api/me", "/api/notes"] {
        let refused = browser.fetch(path).await;
        refused.assert_unauthorized();
        assert!(refused.json()["login"].as_str().is_some_and(|it| it.starts_with("/login")));
    }
    let page = sign_in(&mut browser, "/login?return_to=%2F%3Ffrom%3Dhere", AGENT).await;
    assert_eq!((page.status.as_u16(), &*page.url), (200, &*format!("{}/?from=here", example.url)));
    let me = browser.fetch("/api/me").await;
    assert_eq!((&me.json()["user_id"], &me.json()["role"]), (&AGENT.into(), &"agent".into()));
    assert_eq!(me.header("cache-control"), Some("no-store"));

    let json = [FETCH[0], FETCH[1], FETCH[2], FETCH[3], ("content-type", "application/json")];
    let add = async |browser: &mut Browser, note: &str| {
        let body = Some(Value::from(note).to_string());
        browser.send(Method::POST, "/api/notes", &json, body).await
    };
    assert_eq!(add(&mut browser, "one").await.json(), serde_json::json!(["one"]));
    assert_eq!(add(&mut browser, &"x".repeat(401)).await.status, 413);
    for _ in 1..20 {
        assert_eq!(add(&mut browser, "another").await.status, 200);
    }
    assert_eq!(add(&mut browser, "one too many").await.status, 413);
    let foreign = [("sec-fetch-site", "cross-site"), json[4]];
    let page = browser.send(Method::POST, "/api/notes", &foreign, Some("\"x\"".into())).await;
    assert_eq!(page.status, 403, "{page:?}");

    let mut admin = Browser::at(&example.url);
    sign_in(&mut admin, "/login", "3552833711").await;
    assert_eq!(admin.fetch("/api/notes").await.json(), serde_json::json!([]));
    browser.post("/logout").await;
    browser.fetch("/api/notes").await.assert_unauthorized();
}

/// Nothing of the single-page application is inline, and nothing comes from elsewhere.
#[tokio::test]
async fn the_page_of_a_single_page_application_keeps_its_policy() {
    let example = Quickstart::spa().await;
    let mut browser = Browser::at(&example.url);
    let page = browser.navigate("/").await;
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for inline in ["<style", " style=", " onclick", "javascript:", "http:", "https:"] {
        assert!(!page.body.contains(inline), "{inline} in {}", page.body);
    }
    let scripts: Vec<&str> = page.body.split("<script").skip(1).collect();
    assert!(scripts.iter().all(|it| it.starts_with(" src=\"/assets/")), "{scripts:?}");
    for (path, content_type) in [
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/style.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        assert!(page.body.contains(path), "{path}");
        let part = browser.fetch(path).await;
        assert_eq!((part.status.as_u16(), part.header("content-type")), (200, Some(content_type)));
        assert_eq!(part.header("x-content-type-options"), Some("nosniff"));
    }
}

/// What `grpc-client` says once its user has said yes.
const CALLS_OF_THE_AGENT: &str = "\
unary: hello is heard from 3552833710
client stream: 3 messages, 11 bytes
server stream: again, again, again
both: one, two, three
logout: 204 No Content
the open stream: 16, Your session has ended
the next call: 16, Not accepted
";

/// H05, I04, I08: a native client signs in through the browser, calls in all four ways, and signs out
/// everywhere; the token is in no address, and who does not know the state is not listened to.
#[tokio::test]
async fn a_native_client_signs_in_through_the_browser() {
    let server = Quickstart::grpc_server().await;
    let mut client = Quickstart::grpc_client(&server.url).await;
    let mut browser = Browser::at(&server.url);
    let page = sign_in(&mut browser, &client.url, AGENT).await;
    assert_eq!((page.status.as_u16(), &page.url), (200, &client.url));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let address = page.body.split_once("action=\"").expect("a form").1.split('"').next();
    let address = address.expect("an address");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.contains(&format!("form-action {address};")), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");

    let (state, token) = (page.hidden("state"), page.hidden("session_token"));
    assert!(client.url.ends_with(&format!("&state={state}")) && !client.url.contains(&token));
    assert_eq!(browser.navigate(address).await.status, 405);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let hand_over = async |browser: &mut Browser, state: &str, token: &str| {
        let body = Some(format!("state={state}&session_token={token}"));
        browser.send(Method::POST, address, &form, body).await
    };
    let foreign = hand_over(&mut browser, &state.to_lowercase(), "somebody-elses").await;
    assert_eq!(foreign.status, 403, "{foreign:?}");
    let huge = hand_over(&mut browser, &state, &"x".repeat(10_000)).await;
    assert_eq!(huge.status, 413, "{huge:?}");
    let last = hand_over(&mut browser, &state, &token).await;
    assert!(last.status == 200 && last.body.contains("close this window"), "{last:?}");

    assert_eq!(client.rest_of_stdout().await, CALLS_OF_THE_AGENT);
    let (status, stderr) = client.ended().await;
    assert!(status.success(), "{stderr}");
    assert!(!stderr.contains(&token), "{stderr}");
    browser.fetch("/me").await.assert_unauthorized();
}

/// A session token is offered to programs of this machine alone, for a state that can be one.
#[tokio::test]
async fn the_page_for_native_clients_refuses_what_is_none() {
    let server = Quickstart::grpc_server().await;
    let mut browser = Browser::at(&server.url);
    let state = "s".repeat(22);
    let asked = format!("/native?port=1024&state={state}");
    browser.fetch(&asked).await.assert_unauthorized();
    let page = sign_in(&mut browser, &asked, AGENT).await;
    assert!(page.body.contains("action=\"http://127.0.0.1:1024/\""), "{page:?}");
    for query in [
        String::new(),
        format!("state={state}"),
        "port=3001".to_owned(),
        format!("port=0&state={state}"),
        format!("port=443&state={state}"),
        format!("port=65536&state={state}"),
        format!("port=-1&state={state}"),
        format!("port=3001%40example.com&state={state}"),
        format!("port=3001&port=3002&state={state}"),
        format!("port=3001&state={}", &state[1..]),
        format!("port=3001&state={}", state.repeat(6)),
        format!("port=3001&state={state}%22%3E"),
        format!("port=3001&state={state}%0A"),
    ] {
        let page = browser.navigate(&format!("/native?{query}")).await;
        assert_eq!(page.status, 400, "{query}: {page:?}");
        assert!(!page.body.contains("<form"), "{query}: {page:?}");
    }
}
