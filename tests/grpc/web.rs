//! grpc-web: tonic-web within the layer and around it, binary and as text.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use prost::Message;
use tonic_web::GrpcWebLayer;
use tower::Layer;

use super::{
    HOUR,
    echo::{
        Echoes,
        proto::{Heard, Repetition, Words},
        words,
    },
    support::{AGENT, App, AppBuilder, Browser},
};

/// What a page's script sends.
const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";

/// tonic-web within the layer: around the gRPC routes alone, beside the pages.
fn within(echoes: &Echoes) -> AppBuilder {
    let service = echoes.clone();
    App::builder().routes(move |router, auth| {
        let guarded = service.router().layer(auth.require_admin());
        let guarded = axum::Router::new().nest("/admin.v1", guarded);
        router.merge(service.router().merge(guarded).layer(GrpcWebLayer::new()))
    })
}

/// An answer taken apart.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    messages: Vec<Heard>,
    /// In the body.
    trailers: Option<String>,
}

impl Answer {
    /// The status, wherever it stands.
    fn grpc_status(&self) -> &str {
        let in_body = self.trailers.as_deref().and_then(|trailers| {
            trailers.lines().find_map(|line| line.strip_prefix("grpc-status:"))
        });
        let in_head = || self.headers.get("grpc-status")?.to_str().ok();
        in_body.or_else(in_head).expect("a status").trim()
    }
}

/// A message in its frame.
fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).expect("a short message").to_be_bytes();
    [&[0][..], &length, &bytes].concat()
}

/// One call as a page's script makes it.
fn calling(
    browser: &Browser,
    media_type: &str,
    path: &str,
    message: &impl Message,
) -> reqwest::RequestBuilder {
    let headers = [
        ("content-type", media_type),
        ("accept", media_type),
        ("x-grpc-web", "1"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
    ];
    let bytes = framed(message);
    let body = match media_type {
        TEXT => base64_simd::STANDARD.encode_to_string(bytes).into_bytes(),
        _ => bytes,
    };
    browser.request(Method::POST, path, &headers, None).body(body)
}

async fn call(browser: &Browser, media_type: &str, path: &str, message: &impl Message) -> Answer {
    let response = calling(browser, media_type, path, message).send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    assert_eq!(headers["content-type"], media_type);
    let body = response.bytes().await.expect("a whole body");
    let body = if media_type == TEXT { from_text(&body) } else { body };
    let (messages, trailers) = taken_apart(body);
    Answer { status, headers, messages, trailers }
}

/// Each piece is encoded by itself, with its own padding.
fn from_text(text: &[u8]) -> Bytes {
    let quads = text.chunks(4).map(|quad| base64_simd::STANDARD.decode_to_vec(quad));
    quads.flat_map(|bytes| bytes.expect("base64")).collect()
}

fn taken_apart(mut body: Bytes) -> (Vec<Heard>, Option<String>) {
    let (mut messages, mut trailers) = (Vec::new(), None);
    while !body.is_empty() {
        assert!(trailers.is_none(), "something follows the trailers: {body:?}");
        let head = body.split_to(5);
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let content = body.split_to(length);
        match head[0] {
            0 => messages.push(Heard::decode(content).expect("a message")),
            0x80 => trailers = Some(String::from_utf8(content.to_vec()).expect("text")),
            flags => panic!("a frame with {flags:#x}"),
        }
    }
    (messages, trailers)
}

const SAY: &str = "/echo.v1.Echo/Say";

/// I01, I03, O06: with tonic-web within the layer the user is found, others are refused in the head,
/// and so they are by `require_*` beneath tonic-web, in the caller's own media type.
#[tokio::test]
async fn tonic_web_within_the_layer_works() {
    let echoes = Echoes::new();
    let app = within(&echoes).start().await;
    let (nobody, agent) = (Browser::new(&app), Browser::signed_in(&app).await);
    for media_type in [BINARY, TEXT] {
        let answer = call(&agent, media_type, SAY, &words("hello")).await;
        assert_eq!((answer.status, answer.grpc_status()), (StatusCode::OK, "0"));
        assert_eq!(answer.messages[0].user_id, AGENT);
        let repetition = Repetition { text: "again".into(), times: 5 };
        let answer = call(&agent, media_type, "/echo.v1.Echo/Repeat", &repetition).await;
        assert_eq!((answer.messages.len(), answer.grpc_status()), (5, "0"));
        let calls = echoes.calls();
        let answer = call(&nobody, media_type, SAY, &words("hello")).await;
        assert_eq!((answer.headers["grpc-status"].as_bytes(), answer.trailers), (&b"16"[..], None));
        let answer = call(&agent, media_type, "/admin.v1/echo.v1.Echo/Say", &words("x")).await;
        assert_eq!((answer.headers["grpc-status"].as_bytes(), answer.trailers), (&b"7"[..], None));
        assert_eq!(echoes.calls(), calls);
    }
}

/// tonic-web around the layer, with whatever else it stands before.
async fn around(echoes: &Echoes) -> (App, axum::Router) {
    let app = App::start().await;
    let layered = GrpcWebLayer::new().layer(app.auth.layer(echoes.router()));
    let router = axum::Router::new().fallback_service(layered);
    (app, router)
}

/// O06: tonic-web around the layer works too, for grpc-web alone: over HTTP/1.1 it lets no page
/// through, the login neither.
#[tokio::test]
async fn tonic_web_around_the_layer_works_for_grpc_web_alone() {
    let echoes = Echoes::new();
    let (app, router) = around(&echoes).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let agent = Browser::signed_in(&app).await;
    let mut there = Browser::at(&url);
    for media_type in [BINARY, TEXT] {
        let answer = call(&there, media_type, SAY, &words("hello")).await;
        assert_eq!((answer.grpc_status(), answer.messages.len()), ("16", 0));
        assert_eq!(echoes.calls(), 0);
    }
    assert_eq!(there.navigate("/login").await.status, StatusCode::BAD_REQUEST);
    there.jar = agent.jar.clone();
    for media_type in [BINARY, TEXT] {
        let answer = call(&there, media_type, SAY, &words("hello")).await;
        assert_eq!((answer.grpc_status(), &*answer.messages[0].user_id), ("0", AGENT));
    }
    server.abort();
}

/// I07, I08: streams of grpc-web end with the session, with their status in the last frame.
#[tokio::test]
async fn a_web_stream_ends_with_the_session() {
    for media_type in [BINARY, TEXT] {
        let app = within(&Echoes::with_pace(2)).start().await;
        let mut agent = Browser::signed_in(&app).await;
        let repetition = Repetition { text: "again".into(), times: 0 };
        let call = calling(&agent, media_type, "/echo.v1.Echo/Repeat", &repetition);
        let mut response = call.send().await.expect("an answer");
        let mut body = Vec::new();
        let message =
            framed(&Heard { text: "again".into(), user_id: AGENT.into(), messages: 3, bytes: 5 });
        let plain = |body: &[u8]| match media_type {
            TEXT => from_text(&body[..body.len() / 4 * 4]),
            _ => Bytes::copy_from_slice(body),
        };
        while plain(&body).len() < 3 * message.len() {
            body.extend(response.chunk().await.expect("no broken body").expect("more"));
        }
        agent.post("/logout").await;
        let rest = tokio::time::timeout(Duration::from_secs(15), response.bytes());
        body.extend(rest.await.expect("an end in time").expect("no broken body"));
        let (messages, trailers) = taken_apart(plain(&body));
        assert_eq!(messages.len(), 3, "{media_type}");
        let expected = "grpc-status:16\r\ngrpc-message:Your session has ended\r\n";
        assert_eq!(trailers.as_deref(), Some(expected), "{media_type}");
    }
}

/// I14: an expiring session is refreshed once, and the head brings its new cookie.
#[tokio::test]
async fn an_expiring_session_is_refreshed_and_the_head_brings_the_cookie() {
    let app = within(&Echoes::new())
        .sentinel(|it| it.access_token_lifetime(Duration::from_secs(HOUR)))
        .start()
        .await;
    let agent = Browser::signed_in(&app).await;
    app.advance(HOUR);
    let hello: Words = words("hello");
    let calls = (0..20).map(|_| call(&agent, BINARY, SAY, &hello));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!((answer.grpc_status(), &*answer.messages[0].user_id), ("0", AGENT));
        let cookie = answer.headers["set-cookie"].to_str().expect("text");
        assert!(cookie.contains("lp_session_"), "{cookie}");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    assert_eq!(app.sentinel.counts().refreshes, 1);
}
