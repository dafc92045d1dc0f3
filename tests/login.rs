//! From nobody to a signed-in user.

mod support;

use std::{collections::HashSet, time::Duration};

use http::Method;
use support::{AGENT, App, Browser, FETCH, NAVIGATE, Page, raw_get};
use tower_lp_auth::test_kit::{Endpoint, Fault};
use url::Url;

/// A19: the whole way, from a page that was asked for back to it, with one call each.
#[tokio::test]
async fn a_user_signs_in_and_reaches_the_handler_they_asked_for() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    app.sentinel.auto_login(Some(AGENT));
    let page = browser.open("/me?deep=link&x=%2F").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.url.ends_with("/me?deep=link&x=%2F"), "{}", page.url);
    assert_eq!(page.json()["user_id"], AGENT);
    assert!(app.sentinel.is_live_access_token(&page.access_token()));
    assert_eq!(browser.jar.logins(), []);
    let counts = app.sentinel.counts();
    assert_eq!((counts.domain, counts.exchanges, counts.jwks), (1, 1, 1));
}

/// The names and values of an authorize URL's query.
fn parameters(start: &Page) -> Vec<(String, String)> {
    let url = Url::parse(&start.location().expect("a redirect")).expect("a URL");
    url.query_pairs().into_owned().collect()
}

fn parameter(start: &Page, name: &str) -> String {
    let named = parameters(start).into_iter().find(|(key, _)| key == name);
    named.unwrap_or_else(|| panic!("no {name} in {start:?}")).1
}

/// The path where a login ends that has started with `start`.
async fn end_of(app: &App, browser: &mut Browser, start: &Page) -> String {
    start.assert_login();
    let callback = browser.through_sentinel(app, start, AGENT).await;
    let end = browser.navigate(&callback).await;
    assert_eq!(end.status, 303, "{end:?}");
    end.location().expect("a redirect")
}

/// A13, A14, A15, A16.
#[tokio::test]
async fn a_return_parameter_that_cannot_be_used_ends_on_the_landing_page() {
    let app = App::start().await;
    let long = format!("/login?return_to=/{}", "a".repeat(1024));
    for path in [
        "/login",
        "/login?return_to=",
        "/login?return_to=/me&return_to=//evil.example",
        "/login?return_to=//evil.example&return_to=/me",
        "/login?return_to=/me&return_to=/me",
        &long,
        "/login?return_to=/%25",
        "/login?return_to=/%25zz",
        "/login?return_to=/%25c0%25af",
        "/login?return_to=/%25ed%25a0%2580",
        "/login?return_to=/%ff",
        "/login?return_to=/login",
        "/login?return_to=/LOGIN",
        "/login?return_to=/login/",
        "/login?return_to=/login?return_to=/me",
        "/login?return_to=/callback?code=a%26state=b",
        "/login?return_to=/logout",
        "/login?return_to=/Logout//",
        "/login?return_to=https://evil.example/",
    ] {
        let mut browser = Browser::new(&app);
        let start = browser.navigate(path).await;
        let cookies: usize = start.login_cookies().iter().map(String::len).sum();
        assert!(cookies < 1024, "{cookies} bytes for {path:.60}");
        assert_eq!(end_of(&app, &mut browser, &start).await, "/", "for {path:.60}");
    }
}

/// A14, A19, A20.
#[tokio::test]
async fn a_good_path_comes_back_byte_for_byte_from_both_sinks() {
    let app = App::start().await;
    let longest = format!("/{}", "a".repeat(1023));
    for path in [
        "/a/b?x=1&y=%2F%20&y=2",
        "/a//b",
        "/a:b@c?d=https://evil.example/",
        "/gr%C3%BC%C3%9Fe?q=%E2%82%AC+",
        "/me?code=1&state=2",
        "/loginx",
        &longest,
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        for start_at in [path.to_owned(), format!("/login?return_to={encoded}")] {
            let mut browser = Browser::new(&app);
            let start = browser.navigate(&start_at).await;
            let end = end_of(&app, &mut browser, &start).await;
            assert_eq!(end, path, "from {start_at:.60}");
        }
    }
}

/// A17, A18.
#[tokio::test]
async fn no_request_target_leads_off_our_origin() {
    let app = App::start().await;
    let ours = Url::parse(&app.url).unwrap();
    for target in [
        "//google.com",
        "///google.com/x",
        "/\\google.com",
        "/%09/google.com",
        "/%5cgoogle.com",
        "/.//google.com",
        "/x/..//google.com",
        "/%2e//google.com",
        "http://google.com/",
        "http://google.com//evil.example",
    ] {
        let mut browser = Browser::new(&app);
        let start = raw_get(&app, target, &NAVIGATE).await;
        // The optional path `/` needs no login.
        if start.status == 200 {
            assert_eq!(start.body.lines().last(), Some("hello stranger"), "{target}: {start:?}");
            continue;
        }
        for line in start.set_cookies() {
            browser.jar.set(&line);
        }
        let end = end_of(&app, &mut browser, &start).await;
        let resolved = ours.join(&end).unwrap();
        assert_eq!(resolved.origin(), ours.origin(), "{target} ends at {end}");
    }
}

/// A21, A22, A23, A24.
#[tokio::test]
async fn the_authorize_url_is_the_configurations_whatever_the_request_says() {
    let app = App::start().await;
    let callback = app.url("/callback");
    let host: &[(&str, &str)] = &[("host", "evil.example")];
    let forwarded: &[(&str, &str)] = &[
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/evil"),
        ("x-original-url", "/evil"),
        ("forwarded", "host=evil.example;proto=https"),
    ];
    for (path, headers) in [
        ("/login", &[][..]),
        (
            "/login?scope=admin&prompt=none&redirect_uri=https://evil.example&client_id=x&state=x\
             &acr_values=1&request_uri=x&response_mode=fragment&resource=x&v=9",
            &[],
        ),
        ("/login?return_to=/a&prompt=none&scope=admin", &[]),
        ("/login?return_to=/a%26scope%3Dadmin", &[]),
        ("/me?scope=admin&redirect_uri=https://evil.example", &[]),
        ("/me", host),
        ("/login", host),
        ("/me", forwarded),
    ] {
        let mut browser = Browser::new(&app);
        let sent: Vec<_> = NAVIGATE.iter().chain(headers).copied().collect();
        let start = browser.send(Method::GET, path, &sent, None).await;
        start.assert_login();
        let state = parameter(&start, "state");
        assert_eq!(state.len(), 43, "{path}");
        let expected = [
            ("v", "1.0"),
            ("response_type", "code"),
            ("client_id", app.sentinel.client_id()),
            ("redirect_uri", &callback),
            ("state", &state),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parameters(&start), expected, "{path} with {headers:?}");
        let authority = app.sentinel.url();
        assert!(start.location().unwrap().starts_with(&authority), "{path} with {headers:?}");
    }
}

/// A24.
#[tokio::test]
async fn every_login_has_a_state_and_a_challenge_of_its_own() {
    let app = App::builder().layer(|layer| layer.pkce(true)).start().await;
    let (mut states, mut challenges) = (HashSet::new(), HashSet::new());
    for _ in 0..500 {
        let start = Browser::new(&app).navigate("/me").await;
        assert_eq!(parameter(&start, "code_challenge_method"), "S256");
        let challenge = parameter(&start, "code_challenge");
        assert_eq!(challenge.len(), 43, "{challenge}");
        assert!(states.insert(parameter(&start, "state")), "a state came twice");
        assert!(challenges.insert(challenge), "a challenge came twice");
    }
}

/// A26.
#[tokio::test]
async fn a_head_learns_where_a_login_is_and_starts_none() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let head = browser.send(Method::HEAD, "/me?a=1", &NAVIGATE, None).await;
    assert_eq!(head.status, 303, "{head:?}");
    assert_eq!(head.location().as_deref(), Some("/login?return_to=%2Fme%3Fa%3D1"));
    assert!(head.set_cookies().is_empty() && head.body.is_empty(), "{head:?}");
    let head = browser.send(Method::HEAD, "/login", &NAVIGATE, None).await;
    assert_eq!(head.status, 303, "{head:?}");
    assert!(head.location().unwrap().starts_with(&app.sentinel.url()), "{head:?}");
    assert!(head.set_cookies().is_empty() && head.body.is_empty(), "{head:?}");
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(app.calls(), 0);
}

/// A28, jar rule 1.
#[tokio::test]
async fn a_login_beside_a_session_leaves_it_alone_until_it_succeeds() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let session = browser.jar.session().map(|(_, value)| value.to_owned());
    let start = browser.navigate("/login?return_to=/token").await;
    assert!(start.session_cookies().is_empty(), "{start:?}");
    assert_eq!(browser.fetch("/me").await.status, 200);
    assert_eq!(end_of(&app, &mut browser, &start).await, "/token");
    assert_ne!(browser.jar.session().map(|(_, value)| value.to_owned()), session);
    assert_eq!(browser.fetch("/me").await.status, 200);
}

/// A29.
#[tokio::test]
async fn login_cookies_that_are_stale_or_do_not_open_are_deleted_and_hinder_nothing() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    browser.navigate("/me").await.assert_login();
    let stale = browser.jar.logins()[0].0.to_owned();
    app.advance(601);
    let broken = format!("{}{}", &stale[..stale.len() - 16], "0".repeat(16));
    browser.jar.insert(&broken, "AAAA");
    let start = browser.navigate("/me").await;
    let end = end_of(&app, &mut browser, &start).await;
    assert_eq!(end, "/me");
    let deleted: Vec<_> =
        start.login_cookies().into_iter().filter(|line| line.contains("Max-Age=0")).collect();
    for name in [stale, broken] {
        assert!(deleted.iter().any(|line| line.starts_with(&format!("{name}="))), "{name}");
    }
    assert_eq!(browser.jar.logins(), []);
}

/// B14, B15.
#[tokio::test]
async fn eight_tabs_log_in_in_any_order_and_each_ends_where_it_began() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let mut callbacks = Vec::new();
    for tab in 0..8 {
        callbacks.push(browser.reach_callback(&app, &format!("/me?tab={tab}")).await);
    }
    assert_eq!(browser.jar.logins().len(), 8);
    for (tab, callback) in callbacks.iter().enumerate().rev() {
        let end = browser.navigate(callback).await;
        assert_eq!(end.location(), Some(format!("/me?tab={tab}")), "{end:?}");
        assert_eq!(end.session_cookies().len(), 1, "{end:?}");
    }
    assert_eq!(browser.jar.logins(), []);
    assert_eq!(app.sentinel.counts().exchanges, 8);
}

/// B16.
#[tokio::test]
async fn pending_logins_are_capped_in_number_and_bytes_and_the_oldest_gives_way() {
    let app = App::start().await;
    for (path, most) in [("/me".to_owned(), 8), (format!("/me?{}", "x".repeat(1000)), 2)] {
        let mut browser = Browser::new(&app);
        let (mut callbacks, mut names) = (Vec::new(), Vec::<String>::new());
        for _ in 0..20 {
            app.advance(1);
            callbacks.push(browser.reach_callback(&app, &path).await);
            let now: Vec<String> =
                browser.jar.logins().iter().map(|(name, _)| (*name).to_owned()).collect();
            let new = now.iter().find(|name| !names.contains(name)).expect("a new login").clone();
            names.push(new);
            let kept = &names[names.len().saturating_sub(most)..];
            assert_eq!(now, kept, "not the latest {most}");
            let bytes: usize = browser.jar.header().map_or(0, |header| header.len());
            assert!(bytes <= 3072, "{bytes} bytes");
        }
        browser.navigate(&callbacks[19 - most]).await.assert_refused();
        let end = browser.navigate(&callbacks[20 - most]).await;
        assert_eq!(end.location().as_deref(), Some(&*path), "{end:?}");
    }
}

/// B16, B17: logins that are refused for the moment leave no cookie either.
#[tokio::test]
async fn what_is_no_navigation_never_gets_a_login_cookie() {
    let app = App::start().await;
    let image = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    let frame = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    let prefetch: Vec<_> = NAVIGATE.into_iter().chain([("sec-purpose", "prefetch")]).collect();
    let ajax = [("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")];
    let json = [("accept", "application/json")];
    let grpc = [("content-type", "application/grpc")];
    let mut browser = Browser::new(&app);
    for (what, headers) in [
        ("fetch", &FETCH[..]),
        ("image", &image),
        ("frame", &frame),
        ("prefetch", &prefetch),
        ("ajax", &ajax),
        ("json", &json),
        ("gRPC", &grpc),
        ("nothing said", &[]),
    ] {
        for path in ["/me", "/me?a=1", "/elsewhere", "/admin"] {
            for _ in 0..16 {
                let page = browser.send(Method::GET, path, headers, None).await;
                assert!(page.set_cookies().is_empty(), "{what} of {path}: {page:?}");
                assert!(page.location().is_none(), "{what} of {path}: {page:?}");
            }
        }
    }
    let counts = app.sentinel.counts();
    assert_eq!((app.calls(), counts.domain, counts.authorize), (0, 0, 0));
}

/// J09: a top-level navigation starts a login on the login path, and whoever does not say.
#[tokio::test]
async fn the_login_path_starts_a_login_unless_the_browser_says_it_is_no_navigation() {
    let app = App::start().await;
    let top = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let cross = [top[0], top[1], ("sec-fetch-site", "cross-site")];
    for headers in [
        &NAVIGATE[..],
        &cross,
        &[],
        &[("accept", "application/json")],
        &[("accept", "*/*")],
        &[("accept", "text/html;q=0")],
    ] {
        let start = Browser::new(&app).send(Method::GET, "/login", headers, None).await;
        start.assert_login();
    }
    let frame = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    let image = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    for headers in [&FETCH[..], &frame, &image] {
        let page = Browser::new(&app).send(Method::GET, "/login", headers, None).await;
        page.assert_closed_page(401);
        assert_eq!(page.header("www-authenticate"), Some("Bearer"));
        assert!(page.set_cookies().is_empty(), "{page:?}");
    }
    for (name, value) in
        [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")]
    {
        for path in ["/login", "/callback?code=a&state=b", "/logout"] {
            let headers: Vec<_> = NAVIGATE.into_iter().chain([(name, value)]).collect();
            let page = Browser::new(&app).send(Method::GET, path, &headers, None).await;
            page.assert_closed_page(503);
            assert!(page.set_cookies().is_empty(), "{name} of {path}: {page:?}");
        }
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let page = Browser::new(&app).send(method.clone(), "/login", &NAVIGATE, None).await;
        page.assert_closed_page(405);
        assert_eq!(page.header("allow"), Some("GET, HEAD"), "{method}");
        assert!(page.set_cookies().is_empty(), "{method}: {page:?}");
    }
}

/// A23, A19: a proxy strips `/app`, and https has the names and attributes of a real deployment.
#[tokio::test]
async fn behind_a_proxy_that_strips_a_prefix_everything_leads_back_through_it() {
    const OUTSIDE: &str = "https://rp.example/app";
    let settings = |layer: tower_lp_auth::Builder| {
        layer.redirect_uri(format!("{OUTSIDE}/callback")).external_prefix("/app")
    };
    let app = App::builder().layer(settings).start().await;
    let inside = |url: &str| url.strip_prefix(OUTSIDE).expect("a URL of ours").to_owned();
    for (path, end) in [
        ("/me?a=1", "/app/me?a=1"),
        ("/login?return_to=/app/token", "/app/token"),
        ("/login", "/app/"),
        ("/login?return_to=/app/login", "/app/"),
    ] {
        let mut browser = Browser::new(&app);
        let start = browser.navigate(path).await;
        start.assert_login();
        assert_eq!(parameter(&start, "redirect_uri"), format!("{OUTSIDE}/callback"));
        let line = start.login_cookies().remove(0);
        assert!(line.starts_with("__Host-lp_login_"), "{line}");
        for attribute in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"] {
            assert!(line.contains(attribute), "no {attribute} in {line}");
        }
        let callback = browser.through_sentinel(&app, &start, AGENT).await;
        let done = browser.navigate(&inside(&callback)).await;
        assert_eq!(done.location().as_deref(), Some(end), "from {path}: {done:?}");
        assert_eq!(browser.fetch("/me").await.status, 200);
        let replay = browser.navigate(&inside(&callback)).await;
        assert_eq!(replay.location().as_deref(), Some("/app/"), "{replay:?}");
    }
    let mut browser = Browser::new(&app);
    let callback = inside(&browser.reach_callback(&app, "/me").await);
    app.sentinel.inject(Endpoint::Token, Fault::throttled(1));
    let busy = browser.navigate(&callback).await;
    busy.assert_closed_page(503);
    assert!(
        busy.body.contains("class=\"action\" href=\"\""),
        "the browser's own address: {busy:?}"
    );
    let head = Browser::new(&app).send(Method::HEAD, "/me", &NAVIGATE, None).await;
    assert_eq!(head.location().as_deref(), Some("/app/login?return_to=%2Fapp%2Fme"));
    let refused = Browser::new(&app).navigate("/callback").await;
    refused.assert_refused();
    assert_eq!(refused.way_forward(), "/app/login");
    assert_eq!(app.auth.login_url("/app/me"), "/app/login?return_to=%2Fapp%2Fme");
}

/// Settings that move a login: its paths, where it ends by itself, how long it may take.
#[tokio::test]
async fn a_login_follows_the_paths_and_the_lifetime_that_are_configured() {
    let app = App::builder()
        .layer(|layer| {
            layer
                .login_path("/auth/in")
                .logout_path("/auth/out")
                .landing("/home?from=login")
                .login_lifetime(Duration::from_secs(60))
        })
        .start()
        .await;
    for (path, end) in [
        ("/auth/in", "/home?from=login"),
        ("/auth/in?return_to=/auth/in", "/home?from=login"),
        ("/auth/in?return_to=/Auth/Out/", "/home?from=login"),
        ("/auth/in?return_to=/login", "/login"),
        ("/login", "/login"),
    ] {
        let mut browser = Browser::new(&app);
        let start = browser.navigate(path).await;
        assert!(start.login_cookies()[0].contains("; Max-Age=60"), "{start:?}");
        assert_eq!(end_of(&app, &mut browser, &start).await, end, "from {path}");
    }
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    app.advance(61);
    let page = browser.navigate(&callback).await;
    page.assert_refused();
    assert_eq!(page.way_forward(), "/auth/in?return_to=%2Fme");
}

/// Jar rules 1 and 2.
#[tokio::test]
async fn a_login_deletes_a_session_cookie_only_if_it_is_worthless_for_good() {
    let app = App::start().await;
    let signed_in = Browser::signed_in(&app).await;
    let (name, live) = signed_in.jar.session().expect("a session");
    let mut logged_out = Browser::signed_in(&app).await;
    let ended = logged_out.jar.session().expect("a session").1.to_owned();
    logged_out.post("/logout").await;
    let stranger = App::start().await;
    let foreign = Browser::signed_in(&stranger).await;
    let foreign = foreign.jar.session().expect("a session").1;
    let mut newer = live.as_bytes().to_vec();
    newer[0] = b'_';
    let newer = String::from_utf8(newer).unwrap();
    let mut broken = live.to_owned();
    let last = broken.pop().expect("a value");
    broken.push(if last == 'A' { 'Q' } else { 'A' });
    for (case, value, deleted) in [
        ("live", live, false),
        ("another key's", foreign, false),
        ("a newer version's", &newer, false),
        ("broken", &broken, true),
        ("ended", &ended, true),
    ] {
        for path in ["/login", "/me"] {
            if case == "live" && path == "/me" {
                continue;
            }
            let mut browser = Browser::new(&app);
            browser.jar.insert(name, value);
            let fetched = browser.fetch(path).await;
            assert!(fetched.set_cookies().is_empty(), "{case}: {fetched:?}");
            let start = browser.navigate(path).await;
            start.assert_login();
            let lines = start.session_cookies();
            assert_eq!(lines.len(), usize::from(deleted), "{case} at {path}: {lines:?}");
            assert!(lines.iter().all(|line| line.contains("Max-Age=0")), "{case}: {lines:?}");
        }
    }
    app.advance(24 * 3600 + 1);
    for path in ["/login", "/me"] {
        let start = signed_in.clone().navigate(path).await;
        start.assert_login();
        assert_eq!(start.session_cookies().len(), 1, "past its end at {path}: {start:?}");
    }
}

/// A01, A19: what handlers build their links with.
#[tokio::test]
async fn a_link_to_the_login_comes_back_where_it_says_and_never_elsewhere() {
    let app = App::start().await;
    for (path, end) in [
        ("/token?a=1&b=%26", "/token?a=1&b=%26"),
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/logout", "/"),
        ("me", "/"),
        ("", "/"),
    ] {
        let mut browser = Browser::new(&app);
        let start = browser.navigate(&app.auth.login_url(path)).await;
        assert_eq!(end_of(&app, &mut browser, &start).await, end, "for {path:?}");
    }
}

/// X01: nobody can be sent to Sentinel before its host is known.
#[tokio::test]
async fn a_login_that_cannot_start_says_so_and_its_link_works_later() {
    let app = App::start().await;
    app.sentinel.inject_always(Endpoint::Domain, Fault::status(503));
    for path in ["/me?a=1", "/login?return_to=/me?a%3D1"] {
        let mut browser = Browser::new(&app);
        let page = browser.navigate(path).await;
        page.assert_unavailable();
        page.assert_closed_page(503);
        assert_eq!(page.way_forward(), "/login?return_to=%2Fme%3Fa%3D1", "{path}");
    }
    assert_eq!(Browser::new(&app).fetch("/public").await.status, 200);
    app.sentinel.clear_faults();
    app.advance(5);
    app.sentinel.auto_login(Some(AGENT));
    let page = Browser::new(&app).open("/login?return_to=%2Fme%3Fa%3D1").await;
    assert_eq!(page.json()["user_id"], AGENT);
}
