//! What the browser's jar holds while a session is refreshed, re-sealed, shared and ended.

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use support::{App, AppBuilder, Browser, Ends, FETCH, FORM, NAVIGATE, Page, fetch_token, until};
use tower_lp_auth::{
    EndReason, SessionKey,
    test_kit::{Endpoint, Fault},
};

const HOUR: u64 = 3600;

/// Tokens live an hour and are due after 100 s and a tenth, before activity is re-sealed: a cookie
/// that comes then is a refresh's.
fn soon_due() -> AppBuilder {
    App::builder()
        .sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(HOUR)))
        .layer(|layer| layer.refresh_after(Duration::from_secs(100)))
}

/// Tokens live for days, so that cookies change by re-seals alone.
fn never_due() -> AppBuilder {
    let days = Duration::from_secs(30 * 24 * HOUR);
    App::builder()
        .sentinel(move |sentinel| sentinel.access_token_lifetime(days))
        .layer(move |layer| layer.refresh_after(days))
}

/// Another instance of the same application, behind the same name; `builder` is set up as the first
/// one's was.
async fn twin(app: &App, builder: AppBuilder) -> App {
    let callback = format!("{}/callback", app.url);
    builder.layer(|layer| layer.redirect_uri(callback)).beside(app).start().await
}

/// The same browser, sent to another instance.
fn moved(browser: &Browser, to: &App) -> Browser {
    let mut there = Browser::new(to);
    there.jar = browser.jar.clone();
    there
}

/// The one line that sets the session cookie.
#[track_caller]
fn cookie_line(page: &Page) -> String {
    let lines = page.session_cookies();
    assert_eq!(lines.len(), 1, "{page:?}");
    assert!(!lines[0].contains("Max-Age=0"), "{page:?}");
    lines[0].clone()
}

/// The name and value of a session, as a `Cookie` header has them.
fn pair(browser: &Browser) -> String {
    let (name, value) = browser.jar.session().expect("a session");
    format!("{name}={value}")
}

/// F17, F18, sealed rules 1 and 3: whenever the cookie of before comes, it is served by the newest
/// result and answered with the very same cookie.
#[tokio::test]
async fn an_older_cookie_is_answered_with_the_same_bytes() {
    let app = soon_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    let old = browser.clone();
    app.advance(120);
    let line = cookie_line(&browser.fetch("/token").await);
    let new = browser.fetch("/token").await;
    assert!(new.session_cookies().is_empty(), "{new:?}");
    for (method, path, headers) in [
        (Method::GET, "/token", FETCH),
        (Method::GET, "/token", NAVIGATE),
        (Method::GET, "/", NAVIGATE),
        (Method::POST, "/token", FORM),
        (Method::GET, "/missing", FETCH),
        (Method::GET, "/sleep", FETCH),
    ] {
        let page = old.clone().send(method.clone(), path, &headers, None).await;
        assert_eq!(cookie_line(&page), line, "{method} {path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{method} {path}");
        if path == "/token" {
            assert_eq!(page.body, new.body, "{method} {path}");
        }
    }
    // Seven more generations and an hour later nothing is different.
    for _ in 0..7 {
        app.advance(500);
        browser.fetch("/token").await;
    }
    let refreshes = app.sentinel.counts().refreshes;
    assert_eq!(refreshes, 8);
    let newest = browser.fetch("/token").await.body;
    let late = old.clone().fetch("/token").await;
    assert_eq!(late.body, newest);
    assert!(cookie_line(&late).starts_with(&format!("{};", pair(&browser))), "{late:?}");
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (refreshes, 0));
}

/// Sealed rule 1, C13: of several cookies of one session the highest pair counts.
#[tokio::test]
async fn of_several_cookies_of_one_session_the_highest_counts() {
    let app = soon_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    let old = pair(&browser);
    app.advance(120);
    browser.fetch("/token").await;
    let new = pair(&browser);
    let token = browser.fetch("/token").await.body;
    let garbage = format!("{}=AAAA", new.split('=').next().expect("a name"));
    for (cookies, answered) in [
        (format!("{old}; {new}"), false),
        (format!("{new}; {old}"), false),
        (format!("{garbage}; {old}; {new}"), false),
        (format!("{old}; {garbage}; {old}"), true),
    ] {
        let page = fetch_token(&app.auth, &cookies).await;
        assert_eq!((page.status.as_u16(), &page.body), (200, &token), "{cookies}");
        assert_eq!(!page.session_cookies().is_empty(), answered, "{cookies}");
    }
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// Sealed rules 1 and 2: a lower pair whose result is lost is served by its own token while that
/// lives, never refreshed, then refused, and its cookie is never deleted.
#[tokio::test]
async fn an_overtaken_cookie_is_served_by_its_own_token_and_never_refreshed() {
    let app = soon_due().layer(|layer| layer.ledger_results(1)).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let mut other = Browser::signed_in(&app).await;
    let old = browser.clone();
    let old_token = browser.fetch("/token").await.body;
    app.advance(120);
    browser.fetch("/token").await;
    browser.fetch("/token").await;
    // There is room for one result, and this browser's has been delivered.
    other.fetch("/token").await;
    assert_eq!(app.auth.health().evicted_results, 1);
    assert_overtaken(&app, &old, &old_token, HOUR - 120).await;
    let page = browser.fetch("/token").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(app.sentinel.is_live_access_token(&page.body));
    assert_eq!(app.sentinel.counts().reuses, 0);
}

/// The ledger's limits: a result that has reached its browser gives way before an older one that has
/// not.
#[tokio::test]
async fn a_delivered_result_gives_way_first() {
    let app = soon_due().layer(|layer| layer.ledger_results(2)).start().await;
    let waiting = Browser::signed_in(&app).await;
    let mut served = Browser::signed_in(&app).await;
    let mut last = Browser::signed_in(&app).await;
    app.advance(120);
    let line = cookie_line(&waiting.clone().fetch("/token").await);
    cookie_line(&served.fetch("/token").await);
    served.fetch("/token").await;
    cookie_line(&last.fetch("/token").await);
    assert_eq!(app.auth.health().evicted_results, 1);
    assert_eq!(cookie_line(&waiting.clone().fetch("/token").await), line);
    assert_eq!(app.sentinel.counts().refreshes, 3);
}

/// The ledger's limits: what gives way beyond `ledger_entries` is counted, and is not the newest.
#[tokio::test]
async fn beyond_its_limit_a_logout_gives_way_to_newer_ones() {
    let app = App::builder().layer(|layer| layer.ledger_entries(2)).start().await;
    let mut copies = Vec::new();
    for evicted in [0, 0, 1] {
        let mut browser = Browser::signed_in(&app).await;
        copies.push(browser.clone());
        browser.post("/logout").await;
        assert_eq!(app.auth.health().evicted_entries, evicted, "logout {}", copies.len());
        app.advance(1); // so that it is clear which one is the oldest
    }
    for copy in &mut copies[1..] {
        copy.fetch("/me").await.assert_unauthorized();
    }
}

/// Sealed rule 1: the same where a re-seal has overtaken it.
#[tokio::test]
async fn a_cookie_overtaken_by_a_reseal_is_never_refreshed() {
    let app = soon_due()
        .layer(|layer| layer.ledger_results(1).refresh_after(Duration::from_secs(400)))
        .start()
        .await;
    let mut browser = Browser::signed_in(&app).await;
    let mut other = Browser::signed_in(&app).await;
    let old = browser.clone();
    let token = browser.fetch("/token").await.body;
    app.advance(300);
    browser.fetch("/token").await;
    browser.fetch("/token").await;
    other.fetch("/token").await;
    assert_eq!(app.auth.health().evicted_results, 1);
    assert_overtaken(&app, &old, &token, HOUR - 300).await;
}

/// Asserts what becomes of a cookie that is known to be overtaken, up to the end of its access token
/// in `left` seconds and beyond.
async fn assert_overtaken(app: &App, old: &Browser, token: &str, left: u64) {
    let refreshes = app.sentinel.counts().refreshes;
    app.advance(left - 1);
    for path in ["/token", "/token"] {
        let page = old.clone().fetch(path).await;
        assert_eq!((page.status.as_u16(), page.body.as_str()), (200, token), "{page:?}");
        assert!(page.session_cookies().is_empty(), "{page:?}");
    }
    app.advance(1);
    old.clone().fetch("/token").await.assert_unauthorized();
    assert_eq!(old.clone().fetch("/").await.body, "hello stranger");
    for path in ["/token", "/login"] {
        let login = old.clone().navigate(path).await;
        login.assert_login();
        assert!(login.session_cookies().is_empty(), "{path} deletes: {login:?}");
    }
    assert_eq!(app.sentinel.counts().refreshes, refreshes, "an overtaken token was presented");
}

/// Sealed rule 1 with two instances: whoever has seen the newer cookie never goes back.
#[tokio::test]
async fn an_instance_that_has_seen_a_newer_cookie_never_goes_back() {
    let app = soon_due().start().await;
    let second = twin(&app, soon_due()).await;
    let mut browser = Browser::signed_in(&app).await;
    let old = moved(&browser, &second);
    let old_token = browser.fetch("/token").await.body;
    app.advance(120);
    browser.fetch("/token").await;
    let token = browser.fetch("/token").await.body;
    let page = moved(&browser, &second).fetch("/token").await;
    assert_eq!(page.body, token);
    assert!(page.session_cookies().is_empty(), "{page:?}");
    assert_overtaken(&second, &old, &old_token, HOUR - 120).await;
    assert_eq!(app.sentinel.counts().reuses, 0);
}

/// Sealed rule 6: `invalid_grant` spends a generation, not the session: a newer one that comes in
/// later is served, and the spent cookie, being overtaken, is not deleted any more.
#[tokio::test]
async fn a_generation_that_another_instance_has_spent_is_not_the_session() {
    let (mut ends, hook) = Ends::new();
    let app = soon_due().start().await;
    let second = twin(&app, soon_due().layer(hook)).await;
    app.sentinel.set_reuse_detection(false);
    let mut browser = Browser::signed_in(&app).await;
    let mut old = moved(&browser, &second);
    app.advance(120);
    browser.fetch("/token").await;
    let token = browser.fetch("/token").await.body;
    old.fetch("/token").await;
    assert_eq!(ends.next().await, EndReason::RefreshRefused);
    old.fetch("/token").await.assert_unauthorized();
    assert_eq!(app.sentinel.counts().reuses, 1, "without a store a second instance cannot know");

    let page = moved(&browser, &second).fetch("/token").await;
    assert_eq!((page.status.as_u16(), page.body), (200, token));
    for path in ["/login", "/token"] {
        let page = old.clone().navigate(path).await;
        assert!(page.session_cookies().is_empty(), "{path} deletes: {page:?}");
    }
    app.advance(120);
    let mut browser = moved(&browser, &second);
    browser.fetch("/token").await;
    let page = browser.fetch("/token").await;
    assert!(app.sentinel.is_live_access_token(&page.body), "{page:?}");
    assert_eq!(app.sentinel.counts().reuses, 1);
    assert!(ends.is_quiet());
}

/// F26: a generation that fails after a newer one has come in leaves that one no failure memory.
#[tokio::test]
async fn a_failure_of_an_overtaken_generation_holds_up_nobody() {
    let app = soon_due().start().await;
    let second = twin(&app, soon_due()).await;
    let mut browser = Browser::signed_in(&app).await;
    let mut old = moved(&browser, &second);
    app.advance(120);
    browser.fetch("/token").await;
    let mut new = moved(&browser, &second);
    app.advance(120);
    let failure = Fault::after(Duration::from_millis(200), Fault::Reset);
    app.sentinel.inject(Endpoint::Refresh, failure);
    let failing = tokio::spawn(async move { old.fetch("/token").await });
    until(|| app.sentinel.counts().refreshes == 2).await;
    let before = new.fetch("/token").await;
    assert_eq!(before.status, 200, "{before:?}");
    // This head waits for its flight, which has ended then.
    failing.await.expect("no panic");
    new.fetch("/token").await;
    assert_eq!(app.sentinel.counts().refreshes, 3, "the newer generation is held up");
    assert_eq!(app.sentinel.counts().reuses, 0);
}

/// Sealed rule 1: two processes have refreshed one generation; either cookie is served as it is.
#[tokio::test]
async fn equal_pairs_of_two_instances_are_both_served() {
    let app = soon_due().start().await;
    let second = twin(&app, soon_due()).await;
    app.sentinel.set_rotation(false);
    let mut here = Browser::signed_in(&app).await;
    let mut there = moved(&here, &second);
    app.advance(120);
    here.fetch("/token").await;
    there.fetch("/token").await;
    assert_ne!(pair(&here), pair(&there));
    for browser in [&here, &there] {
        let token = fetch_token(&app.auth, &pair(browser)).await;
        for auth in [&app.auth, &second.auth] {
            let page = fetch_token(auth, &pair(browser)).await;
            assert_eq!((page.status.as_u16(), &page.body), (200, &token.body));
            assert!(page.session_cookies().is_empty(), "{page:?}");
        }
    }
    let tokens = join_all(
        [&here, &there].map(|browser| async { fetch_token(&app.auth, &pair(browser)).await.body }),
    );
    let tokens = tokens.await;
    assert_ne!(tokens[0], tokens[1]);
}

/// Sealed rule 8, the documented limits: without a store another process knows nothing of a logout
/// and nothing of a result that was not delivered.
#[tokio::test]
async fn what_a_process_alone_knows_ends_with_it() {
    let app = soon_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    let copy = browser.clone();
    browser.post("/logout").await;
    copy.clone().fetch("/token").await.assert_unauthorized();
    let restarted = twin(&app, soon_due()).await;
    assert_eq!(moved(&copy, &restarted).fetch("/token").await.status, 200);

    let (mut ends, hook) = Ends::new();
    let browser = Browser::signed_in(&app).await;
    app.advance(120);
    let undelivered = browser.clone().fetch("/token").await;
    cookie_line(&undelivered);
    let restarted = twin(&app, soon_due().layer(hook)).await;
    let mut browser = moved(&browser, &restarted);
    browser.fetch("/token").await;
    assert_eq!(ends.next().await, EndReason::RefreshRefused);
    browser.fetch("/token").await.assert_unauthorized();
}

/// F19: whatever order the responses of parallel requests reach the browser in, the jar holds a
/// working session afterwards.
#[tokio::test]
async fn a_thousand_orders_of_responses_leave_a_working_session() {
    const LONG: Duration = Duration::from_secs(100 * 24 * HOUR);
    let app = soon_due().layer(|layer| layer.absolute_lifetime(LONG)).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let mut dice = Dice(0x5eed);
    let mut late: Vec<Page> = Vec::new();
    for order in 0..1000 {
        app.advance([120, 120, 310, 3590, 3601][dice.below(5)]);
        let cookies = pair(&browser);
        let mut pages = join_all((0..4).map(|_| fetch_token(&app.auth, &cookies))).await;
        for page in &pages {
            assert_eq!(page.status, 200, "order {order}: {page:?}");
        }
        // Some responses of an earlier round are still on their way.
        pages.append(&mut late);
        while !pages.is_empty() {
            let page = pages.swap_remove(dice.below(pages.len()));
            if dice.below(8) == 0 {
                late.push(page);
                continue;
            }
            for line in page.session_cookies() {
                browser.jar.set(&line);
            }
        }
        late.truncate(6);
        let page = fetch_token(&app.auth, &pair(&browser)).await;
        assert_eq!(page.status, 200, "order {order}: {page:?}");
        assert!(app.sentinel.is_live_access_token(&page.body), "order {order}");
    }
    let counts = app.sentinel.counts();
    assert_eq!(counts.reuses, 0);
    assert!(counts.refreshes >= 990, "only {} refreshes", counts.refreshes);
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).expect("below a usize")
    }
}

/// Sealed rule 5, C29: activity is written at most every five minutes, once for all requests.
#[tokio::test]
async fn activity_is_resealed_every_five_minutes() {
    let app = never_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    for round in 0..3 {
        app.advance(299);
        let page = browser.fetch("/token").await;
        assert!(page.session_cookies().is_empty(), "round {round}: {page:?}");
        app.advance(1);
        let before = browser.clone();
        let line = cookie_line(&browser.fetch("/token").await);
        let left = 24 * HOUR - (round + 1) * 300;
        assert!(line.ends_with(&format!("; Max-Age={left}")), "round {round}: {line}");
        for _ in 0..3 {
            assert_eq!(cookie_line(&before.clone().fetch("/token").await), line);
        }
    }
    assert_eq!(app.sentinel.counts().refreshes, 0);
}

/// The limit of results holds for those of re-seals too.
#[tokio::test]
async fn results_of_reseals_are_bounded() {
    let app = never_due().layer(|layer| layer.ledger_results(2)).start().await;
    let mut browsers = Vec::new();
    for _ in 0..6 {
        browsers.push(Browser::signed_in(&app).await);
    }
    app.advance(300);
    for browser in &mut browsers {
        cookie_line(&browser.fetch("/token").await);
    }
    assert_eq!(app.auth.health().evicted_results, 4);
    for browser in &mut browsers {
        assert_eq!(browser.fetch("/token").await.status, 200);
    }
}

/// Sealed rule 5, C02, C30: the idle end is judged on the highest pair known, and is the end; the
/// absolute end is moved by nothing.
#[tokio::test]
async fn idle_ends_are_judged_on_the_highest_pair() {
    let app = never_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    let first = browser.clone();
    app.advance(7 * HOUR);
    browser.fetch("/token").await;
    // By its own reckoning the first cookie has idled for eight hours at nine.
    app.advance(2 * HOUR);
    assert_eq!(first.clone().fetch("/token").await.status, 200);
    let beside = format!("{}; {}=AAAA", pair(&first), first.jar.session().expect("a session").0);
    let page = fetch_token(&app.auth, &beside).await;
    assert_eq!(page.status, 200, "beside garbage: {page:?}");
    app.advance(8 * HOUR - 1);
    assert_eq!(browser.clone().fetch("/").await.status, 200);
    app.advance(8 * HOUR);
    browser.fetch("/token").await.assert_unauthorized();
    first.clone().fetch("/token").await.assert_unauthorized();

    let mut busy = Browser::signed_in(&app).await;
    for _ in 0..23 {
        app.advance(HOUR);
        assert_eq!(busy.fetch("/token").await.status, 200);
    }
    app.advance(HOUR - 1);
    assert_eq!(busy.fetch("/token").await.status, 200);
    app.advance(1);
    busy.fetch("/token").await.assert_unauthorized();
}

/// C22, C23, jar rule 2: a cookie of the old key is re-sealed within one request; where the old key
/// is unknown it counts as not logged in, and stays in the jar.
#[tokio::test]
async fn a_new_key_takes_over_within_one_request() {
    let mut app = never_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    let old_key = std::mem::replace(&mut app.key, SessionKey::random());
    let both = twin(&app, never_due().layer(|layer| layer.session_key(old_key))).await;
    let new_alone = twin(&app, never_due()).await;

    let mut stranger = moved(&browser, &new_alone);
    stranger.fetch("/token").await.assert_unauthorized();
    for path in ["/token", "/login"] {
        let login = stranger.navigate(path).await;
        login.assert_login();
        assert!(login.session_cookies().is_empty(), "{path} deletes: {login:?}");
    }

    let token = browser.fetch("/token").await.body;
    let mut browser = moved(&browser, &both);
    let old = browser.clone();
    let page = browser.fetch("/token").await;
    let line = cookie_line(&page);
    assert_eq!(page.body, token);
    assert_eq!(cookie_line(&old.clone().fetch("/token").await), line);
    let page = moved(&browser, &new_alone).fetch("/token").await;
    assert_eq!((page.status.as_u16(), &page.body), (200, &token));
    assert!(page.session_cookies().is_empty());
}

/// Jar rules 1 and 2: only a logout, and a navigation that starts a login with a cookie that is
/// finally dead, delete the session cookie.
#[tokio::test]
async fn only_a_logout_or_a_login_in_its_place_deletes_a_session() {
    let mut app =
        never_due().layer(|layer| layer.idle_lifetime(Duration::from_secs(HOUR))).start().await;
    let third = Duration::from_secs(HOUR / 3);
    let short = never_due().layer(move |layer| layer.absolute_lifetime(third).idle_lifetime(third));
    let short = twin(&app, short).await;
    let idle = Browser::signed_in(&app).await;
    app.advance(HOUR / 2);
    // A callback comes back to the name that both instances share.
    let mut absolute = Browser::new(&short);
    app.sentinel.auto_login(Some(support::AGENT));
    let callback = {
        let login = absolute.navigate("/me").await;
        let code = absolute.navigate(&login.location().expect("a redirect")).await;
        code.location().expect("a redirect").replace(&app.url, &short.url)
    };
    absolute.navigate(&callback).await;
    app.advance(HOUR / 2);
    let live = Browser::signed_in(&app).await;
    let another = Browser::signed_in(&app).await;
    let ended = Browser::signed_in(&app).await;
    ended.clone().post("/logout").await;
    let known_key = std::mem::replace(&mut app.key, SessionKey::random());
    let other_key = twin(&app, never_due()).await;
    app.key = known_key;
    let foreign = {
        let mut browser = Browser::new(&other_key);
        let login = browser.navigate("/me").await;
        let code = browser.navigate(&login.location().expect("a redirect")).await;
        let callback = code.location().expect("a redirect").replace(&app.url, &other_key.url);
        browser.navigate(&callback).await;
        browser
    };
    let (name, value) = live.jar.session().expect("a session");
    let named = |value: &str| format!("{name}={value}");
    let newer = {
        let codec = base64_simd::URL_SAFE_NO_PAD;
        let mut bytes = codec.decode_to_vec(value).expect("base64url");
        bytes[0] += 1;
        codec.encode_to_string(bytes)
    };

    let rows = [
        ("garbage", named("AAAA"), true),
        ("not even base64", named("*"), true),
        ("nothing", named(""), true),
        ("cut off", named(&value[..value.len() - 4]), true),
        ("ended here", pair(&ended), true),
        ("idle for too long", pair(&idle), true),
        ("past its absolute end", pair(&absolute), true),
        ("of an unknown key", pair(&foreign), false),
        ("of a newer version", named(&newer), false),
        (
            "garbage beside one of a newer version",
            named(&format!("AAAA; {}", named(&newer))),
            false,
        ),
        ("live", pair(&live), false),
        ("live beside garbage", format!("{}; {}", pair(&another), named("AAAA")), false),
        (
            "too many",
            [named("AAAA"), named("B"), named("C"), named("D"), named("E")].join("; "),
            false,
        ),
    ];
    let cross = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let requests: [Asked<'_>; 14] = [
        (Method::GET, "/token", &NAVIGATE, Deletes::Dead),
        (Method::GET, "/login", &NAVIGATE, Deletes::Dead),
        (Method::GET, "/login?return_to=%2Fme", &[], Deletes::Dead),
        (Method::GET, "/login", &FETCH, Deletes::Never),
        (Method::HEAD, "/login", &NAVIGATE, Deletes::Never),
        (Method::GET, "/token", &FETCH, Deletes::Never),
        (Method::HEAD, "/token", &NAVIGATE, Deletes::Never),
        (Method::POST, "/token", &FORM, Deletes::Never),
        (Method::GET, "/", &NAVIGATE, Deletes::Never),
        (Method::GET, "/public", &NAVIGATE, Deletes::Never),
        (Method::GET, "/callback?code=c&state=s", &NAVIGATE, Deletes::Never),
        (Method::GET, "/logout", &NAVIGATE, Deletes::Never),
        (Method::POST, "/logout", &cross, Deletes::Never),
        (Method::POST, "/logout", &FORM, Deletes::Always),
    ];
    for (cookie, cookies, dead) in rows {
        for (method, path, headers, deletes) in &requests {
            let mut headers = headers.to_vec();
            headers.push(("cookie", &cookies));
            let mut browser = Browser::new(&app);
            let page = browser.send(method.clone(), path, &headers, None).await;
            let expected = match deletes {
                Deletes::Always => true,
                Deletes::Dead => dead,
                Deletes::Never => false,
            };
            let lines = page.session_cookies();
            let row = format!("a cookie {cookie:?}, {method} {path} {headers:?}: {page:?}");
            if expected {
                let line = format!("{name}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
                assert_eq!(lines, [line], "{row}");
            } else {
                assert!(lines.is_empty(), "{row}");
            }
        }
    }
}

/// Method, path and headers of a request, and what its response deletes.
type Asked<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], Deletes);

/// Which session cookies a response deletes.
#[derive(Clone, Copy)]
enum Deletes {
    Never,
    Dead,
    Always,
}

/// Jar rule 3.
#[tokio::test]
async fn a_new_login_ends_the_session_that_the_browser_brought() {
    let (mut ends, hook) = Ends::new();
    let app = App::builder().layer(hook).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let old = browser.clone();
    let page = browser.open("/login?return_to=%2Fme").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(ends.next().await, EndReason::Replaced);
    assert_ne!(pair(&browser), pair(&old));
    old.clone().fetch("/me").await.assert_unauthorized();
    assert_eq!(browser.fetch("/me").await.status, 200);
}

/// F22, G20, sealed rule 7: a logout wins over a refresh in flight. No response sets the cookie any
/// more, and what the refresh brings is discarded, and revoked only where that was chosen.
#[tokio::test]
async fn a_logout_during_a_refresh_stays_a_logout() {
    for (after, name) in [(120, "due"), (HOUR, "expired")] {
        for revoke in [false, true] {
            let row = format!("{name}, revocation {revoke}");
            let (mut ends, hook) = Ends::new();
            let app =
                soon_due().layer(move |layer| hook(layer).revoke_on_logout(revoke)).start().await;
            let mut browser = Browser::signed_in(&app).await;
            let copy = browser.clone();
            // The token is rotated at once, and the answer is long on its way.
            app.sentinel.inject(Endpoint::Refresh, Fault::Late(Duration::from_millis(200)));
            app.advance(after);
            let mut refreshing = browser.clone();
            let refreshing = tokio::spawn(async move { refreshing.fetch("/token").await });
            until(|| app.sentinel.counts().refreshes == 1).await;
            let logout = browser.post("/logout").await;
            assert_eq!(logout.status, 303, "{row}: {logout:?}");
            assert_eq!(browser.jar.session(), None, "{row}");
            assert!(!refreshing.is_finished(), "{row}: the logout has waited for the refresh");
            let page = refreshing.await.expect("no panic");
            if after == HOUR {
                page.assert_unauthorized();
            } else {
                assert_eq!(page.status, 200, "{row}: {page:?}");
            }
            assert!(page.session_cookies().is_empty(), "{row}: {page:?}");
            assert!(app.auth.shutdown(Duration::from_secs(5)).await, "{row}");
            copy.clone().fetch("/token").await.assert_unauthorized();
            assert_eq!(ends.next().await, EndReason::Logout, "{row}");
            assert!(ends.is_quiet(), "{row}");

            let calls = app.sentinel.calls();
            let field = |endpoint, name: &str| -> Vec<String> {
                let calls = calls.iter().filter(|call| call.endpoint == endpoint);
                calls.filter_map(|call| call.field(name).map(str::to_owned)).collect()
            };
            let presented = field(Endpoint::Refresh, "refresh_token");
            let revoked = field(Endpoint::Revoke, "token");
            if revoke {
                assert_eq!(revoked.len(), 2, "{row}");
                assert_eq!(revoked[0], presented[0], "{row}");
                assert_ne!(revoked[1], presented[0], "{row}: the new token is not revoked");
            } else {
                assert!(revoked.is_empty(), "{row}");
            }
        }
    }
}

/// Sealed rule 7: a logout with the cookie of before ends the session in its newest state too.
#[tokio::test]
async fn a_logout_with_an_older_cookie_ends_the_newest() {
    let app = soon_due().layer(|layer| layer.revoke_on_logout(true)).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let mut old = browser.clone();
    app.advance(120);
    browser.fetch("/token").await;
    let token = browser.fetch("/token").await.body;
    old.post("/logout").await;
    browser.fetch("/token").await.assert_unauthorized();
    assert!(!app.sentinel.is_live_access_token(&token), "an older token was revoked");
    assert_eq!(app.sentinel.counts().revocations, 1);
}
