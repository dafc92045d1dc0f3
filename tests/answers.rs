//! What a caller reads who does not get through: each in its own language.

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use http_body::Body as _;
use support::{App, Browser, Direct, FETCH, FORM, NAVIGATE, Page};
use tower_lp_auth::{
    Audience, DefaultResponses, Rejection, RejectionReason, ResponseForRejection, SessionKey,
    test_kit::{Endpoint, Fault, ManualClock},
};

const GRPC: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// An application whose sessions cannot be renewed once they have expired, and one of them.
async fn unrenewable() -> (App, Browser) {
    let app = App::start().await;
    app.sentinel.set_access_token_lifetime(Duration::from_secs(3600));
    let browser = Browser::signed_in(&app).await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(3601);
    (app, browser)
}

/// RFC 9457: a program reads what has happened, and where a person can sign in.
#[tokio::test]
async fn a_program_gets_a_problem_with_all_its_members() {
    let app = App::start().await;
    let page = Browser::new(&app).fetch("/me?a=1").await;
    page.assert_unauthorized();
    let problem = page.json();
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "Please sign in");
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["reason"], "not_signed_in");
    assert_eq!(problem["login"], "/login");
    let reference = problem["reference"].as_str().expect("a reference");
    assert!(reference.len() == 8 && reference.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(problem.as_object().map(serde_json::Map::len), Some(6), "{problem}");
    let posted = Browser::new(&app).send(Method::POST, "/me", &FETCH, None).await;
    assert_eq!(posted.json()["login"], "/login", "what was posted cannot be come back to");
}

/// L06: a page is closed to scripts and frames and shows nothing of the request.
#[tokio::test]
async fn a_person_gets_a_closed_page_with_one_way_forward() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let path = "/me?q=%3Cscript%3Ealert(1)%3C/script%3E";
    let page = browser.send(Method::POST, path, &FORM, Some("a=<script>".into())).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{page:?}");
    assert_page(&page);
    assert_eq!(page.header("www-authenticate"), Some("Bearer"));
    assert_eq!(page.body.matches("<a ").count(), 1, "{page:?}");
    assert!(page.body.contains("href=\"/login\""), "{page:?}");
    let callback = browser.navigate("/callback?error=%3Cscript%3E&error_description=%3Cb%3E").await;
    assert_page(&callback);
    assert!(!callback.body.contains("alert"), "{callback:?}");
}

fn assert_page(page: &Page) {
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{page:?}");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(!page.body.contains("<script"), "{page:?}");
}

/// H04, RFC 6750 section 3: an error code only where a credential came.
#[tokio::test]
async fn a_challenge_names_an_error_only_if_a_credential_came() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let bearer = ("authorization", "Bearer x");
    let invalid = Some("Bearer error=\"invalid_token\"");
    for (path, headers, status, challenge) in [
        ("/me", &[bearer, FETCH[1]][..], 401, invalid),
        ("/", &[bearer, FETCH[1]], 401, invalid),
        ("/me", &[bearer, NAVIGATE[1], NAVIGATE[2]], 401, invalid),
        ("/admin", &FETCH, 403, None),
    ] {
        let page = browser.send(Method::GET, path, headers, None).await;
        assert_eq!(page.status.as_u16(), status, "{path} {headers:?}: {page:?}");
        assert_eq!(page.header("www-authenticate"), challenge, "{path} {headers:?}");
    }
    let (name, _) = browser.jar.session().expect("a session");
    let name = name.to_owned();
    browser.jar.insert(&name, "garbage");
    let page = browser.fetch("/me").await;
    assert_eq!(page.header("www-authenticate"), Some("Bearer"), "a cookie is no such credential");
}

/// I01: status 200, no body, the outcome in the headers; END_STREAM is on them.
#[tokio::test]
async fn a_grpc_client_gets_trailers_only() {
    let mut app = Direct::start().await;
    for (sent, answered) in [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web+proto", "application/grpc-web+proto"),
        ("application/grpc-web-text", "application/grpc-web-text+proto"),
    ] {
        let headers = [("content-type", sent), ("te", "trailers")];
        let request = app.request(Method::POST, "/pkg.Service/Method", &headers);
        let response = app.respond(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{sent}");
        assert_eq!(response.headers()["content-type"], answered);
        assert_eq!(response.headers()["grpc-status"], "16", "{sent}");
        assert_eq!(response.headers()["grpc-message"], "Please sign in");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(!response.headers().contains_key("location"), "{sent}");
        assert!(response.body().is_end_stream(), "{sent}");
    }
    let mut refused = GRPC.to_vec();
    refused.push(("authorization", "Bearer x"));
    let page = app.send(Method::POST, "/pkg.Service/Method", &refused).await;
    assert_eq!(page.header("grpc-status"), Some("16"), "{page:?}");

    app.sign_in().await;
    let mut forged = GRPC.to_vec();
    forged.push(("sec-fetch-site", "cross-site"));
    let page = app.send(Method::POST, "/pkg.Service/Method", &forged).await;
    assert_eq!(page.header("grpc-status"), Some("7"), "{page:?}");
    assert_eq!(app.calls(), 0);
    let page = app.send(Method::POST, "/pkg.Service/Method", &GRPC).await;
    assert_eq!(page.body, "fallback", "a session lets it through: {page:?}");
}

/// I01: the same while Sentinel does not answer: 14, and the cookie stays.
#[tokio::test]
async fn a_grpc_client_is_told_to_come_back_while_sentinel_is_down() {
    let (_app, mut browser) = unrenewable().await;
    let page = browser.send(Method::POST, "/pkg.Service/Method", &GRPC, None).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(page.header("grpc-status"), Some("14"), "{page:?}");
    assert!(page.set_cookies().is_empty() && browser.jar.session().is_some());
}

/// I09, J08: an upgrade is 401 whoever claims to ask.
#[tokio::test]
async fn a_websocket_upgrade_without_a_session_is_401() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    for accept in ["*/*", "text/html"] {
        let headers = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("accept", accept),
        ];
        browser.send(Method::GET, "/me", &headers, None).await.assert_unauthorized();
    }
    assert_eq!(app.calls(), 0);
}

/// F08: 503 says when to come back, and a person's page has a way to sign in.
#[tokio::test]
async fn an_unrenewable_session_is_503_in_every_language() {
    let (app, mut browser) = unrenewable().await;
    let api = browser.fetch("/me").await;
    api.assert_unavailable();
    assert_eq!(api.header("content-type"), Some("application/problem+json"));
    assert_eq!(api.json()["reason"], "unavailable");
    assert_eq!(api.header("www-authenticate"), None);
    let page = browser.navigate("/me?a=1").await;
    page.assert_unavailable();
    assert_page(&page);
    assert!(page.body.contains("href=\"/login?return_to=%2Fme%3Fa%3D1\""), "{page:?}");
    browser.navigate("/login?return_to=%2Fme%3Fa%3D1").await.assert_login();
    assert!(browser.jar.session().is_some(), "the old cookie stays until the callback");
    let form = browser.send(Method::POST, "/me", &FORM, None).await;
    form.assert_unavailable();
    assert!(form.body.contains("href=\"/login\""), "{form:?}");
    assert_eq!(app.calls(), 1, "only the sign-in reached the handler");
}

/// X01: a login that cannot start leads back to where it was meant to go.
#[tokio::test]
async fn a_login_that_cannot_start_is_503_with_a_way_to_try_again() {
    let app = App::start().await;
    app.sentinel.inject_always(Endpoint::Domain, Fault::status(503));
    let mut browser = Browser::new(&app);
    for path in ["/me", "/login?return_to=/me"] {
        let page = browser.navigate(path).await;
        page.assert_unavailable();
        assert_page(&page);
        assert!(page.body.contains("href=\"/login?return_to=%2Fme\""), "{path}: {page:?}");
    }
}

/// A 403 is a page, a problem or a status of gRPC; nobody is sent to a login that changes nothing.
#[tokio::test]
async fn forbidden_is_said_in_every_language() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let page = browser.navigate("/admin").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
    assert_page(&page);
    let problem = browser.fetch("/admin").await;
    assert_eq!(problem.status, StatusCode::FORBIDDEN, "{problem:?}");
    assert_eq!(problem.json()["reason"], "forbidden");
    assert_eq!(problem.json()["login"], serde_json::Value::Null);
    let grpc = browser.send(Method::GET, "/admin", &GRPC, None).await;
    assert_eq!(grpc.header("grpc-status"), Some("7"), "{grpc:?}");
}

struct Branded;

impl ResponseForRejection for Branded {
    fn response(&self, rejection: &Rejection) -> Response<Bytes> {
        if rejection.audience() != Audience::Person {
            return DefaultResponses.response(rejection);
        }
        let body = format!("{} -> {}", rejection.reason().as_str(), rejection.login());
        let mut response = Response::new(body.into());
        *response.status_mut() = rejection.status();
        let cached = HeaderValue::from_static("public, max-age=600");
        response.headers_mut().insert(CACHE_CONTROL, cached);
        response
    }
}

/// L01: `responses` and `responses_fn` choose the words; caching and cookies stay ours.
#[tokio::test]
async fn answers_can_be_replaced_but_never_stored() {
    for by_closure in [false, true] {
        let mut app = Direct::with(ManualClock::new(), |it| {
            let it = it.session_key(SessionKey::random());
            if by_closure {
                it.responses_fn(|rejection| Branded.response(rejection))
            } else {
                it.responses(Branded)
            }
        })
        .await;
        let page = app.send(Method::POST, "/me", &FORM).await;
        assert_eq!(
            (page.status, &*page.body),
            (StatusCode::UNAUTHORIZED, "not_signed_in -> /login")
        );
        assert_eq!(page.header("cache-control"), Some("no-store"), "closure: {by_closure}");
        app.fetch("/me").await.assert_unauthorized();
        app.navigate("/me").await.assert_login();
        let start = app.navigate("/me").await;
        app.advance(601);
        let late = app.arrive(&start).await;
        assert_eq!(late.body, "login_expired -> /login?return_to=%2Fme", "{late:?}");
        assert_eq!(late.login_cookies().len(), 1, "our deletion is added: {late:?}");
        let method = app.send(Method::POST, "/callback", &NAVIGATE).await;
        assert_eq!(method.body, "method_not_allowed -> /login");
    }
}

/// M04: a refusal from a handler's extractor comes out as the layer's own answer, with its reason.
#[tokio::test]
async fn a_rejection_tells_who_asked_and_what_helps() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&seen);
    let mut app = Direct::with(ManualClock::new(), |it| {
        it.session_key(SessionKey::random()).optional_under("/me").responses_fn(move |rejection| {
            log.lock().unwrap().push((
                rejection.reason(),
                rejection.audience(),
                rejection.status(),
            ));
            DefaultResponses.response(rejection)
        })
    })
    .await;
    app.fetch("/me").await.assert_unauthorized();
    app.navigate("/me").await.assert_login();
    app.send(Method::POST, "/me", &FORM).await;
    app.send(Method::POST, "/me", &GRPC).await;
    let (reason, status) = (RejectionReason::NotSignedIn, StatusCode::UNAUTHORIZED);
    let expected: Vec<_> = [Audience::Program, Audience::Person, Audience::Grpc]
        .into_iter()
        .map(|audience| (reason, audience, status))
        .collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// H12, K02, K04: what an outer layer sees is a plain response of ours.
#[tokio::test]
async fn an_answer_of_ours_does_not_depend_on_host_headers() {
    let app = Direct::start().await;
    let mut headers = HeaderMap::new();
    for host in ["app.example", "evil.example", "user:pw@evil.example"] {
        headers.insert("host", host.parse().unwrap());
        let mut request = Request::builder().uri("/me").body(axum::body::Body::empty()).unwrap();
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert("x-forwarded-host", "evil.example".parse().unwrap());
        request.headers_mut().insert("accept", "text/html".parse().unwrap());
        let page = app.call(request).await;
        page.assert_login();
        let location = page.location().unwrap_or_default();
        assert!(!location.contains("evil") && location.contains("app.example"), "{location}");
        assert_eq!(page.headers.get(CONTENT_TYPE), None);
    }
}
