//! Streams end with the session: in tonic's own bodies, and in those of grpc-web.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tower::{Layer, ServiceExt, service_fn};
use tower_lp_auth::ResponseBody;

use super::{
    HOUR,
    echo::{
        Client, Echoes, Scene, client_of,
        proto::{Heard, Repetition, Words},
        words,
    },
    support::{App, Browser, fetch_with, until},
};

/// An end comes within a second or so; this much later it is taken for missing.
const PATIENCE: Duration = Duration::from_secs(15);

/// A stream that says one thing and then waits.
async fn repeating(client: &mut Client) -> Streaming<Heard> {
    let repetition = Repetition { text: "again".into(), times: 0 };
    let mut stream = client.repeat(repetition).await.expect("a stream").into_inner();
    assert_eq!(next(&mut stream).await.expect("a first message").expect("a message").messages, 1);
    stream
}

/// The next message; `None` at the end with status 0.
async fn next(stream: &mut Streaming<Heard>) -> Result<Option<Heard>, Status> {
    timeout(PATIENCE, stream.message()).await.expect("a message or the end in time")
}

#[track_caller]
fn assert_session_ended(status: &Status) {
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(status.message(), "Your session has ended", "{status:?}");
}

/// What ends a session.
type End = for<'a> fn(&'a Scene, &'a mut Browser) -> BoxFuture<'a, ()>;

/// I07, I08, G18, Y20: whatever ends a session ends its streams with status 16, server streams and
/// chats alike, and frees what they held.
#[tokio::test]
async fn a_grpc_stream_ends_with_the_session() {
    let table: [(&str, End); 3] = [
        ("a logout", |_, browser| {
            Box::pin(async {
                assert_eq!(browser.post("/logout").await.status, StatusCode::SEE_OTHER)
            })
        }),
        ("the idle end", |scene, _| Box::pin(async { scene.app.advance(8 * HOUR) })),
        ("a call that signs out", |scene, browser| {
            Box::pin(async move {
                let mut client = client_of(&scene.server.url, browser).await;
                client.sign_out(words("bye")).await.expect("an answer");
            })
        }),
    ];
    for (what, end) in table {
        let scene = Scene::of(App::builder(), Echoes::with_pace(0)).await;
        let (mut browser, mut client) = scene.agent().await;
        let mut repeated = repeating(&mut client).await;
        let (say, mut heard) = tokio::sync::mpsc::unbounded_channel::<Words>();
        let spoken = stream::poll_fn(move |cx| heard.poll_recv(cx));
        say.send(words("hello")).expect("a listener");
        let mut chat = client.chat(spoken).await.expect("a stream").into_inner();
        assert_eq!(next(&mut chat).await.expect("a message").expect("a message").text, "hello");
        end(&scene, &mut browser).await;
        assert_session_ended(&next(&mut repeated).await.expect_err(what));
        assert_session_ended(&next(&mut chat).await.expect_err(what));
        // The server reads what is spoken no more.
        until(|| say.send(words("still there?")).is_err()).await;
    }
}

/// I07, N09: where that is switched off, streams live on.
#[tokio::test]
async fn streams_live_on_where_their_end_is_switched_off() {
    let app = App::builder().layer(|layer| layer.end_streams(false));
    let scene = Scene::of(app, Echoes::with_pace(0)).await;
    let (mut browser, mut client) = scene.agent().await;
    let mut repeated = repeating(&mut client).await;
    browser.post("/logout").await;
    scene.echoes.go_on(1);
    assert_eq!(next(&mut repeated).await.expect("a message").expect("a message").messages, 2);
}

/// F21: a refresh is no end; the streams of another session and of nobody go on.
#[tokio::test]
async fn nothing_else_ends_a_stream() {
    let app = App::builder()
        .sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(HOUR)))
        .layer(|layer| layer.optional_under("/echo.v1.Echo"));
    let scene = Scene::of(app, Echoes::with_pace(0)).await;
    let (mut browser, mut client) = scene.agent().await;
    let (mut elsewhere, mut other) = scene.agent().await;
    let mut streams = [repeating(&mut client).await, repeating(&mut scene.stranger().await).await];
    let mut theirs = repeating(&mut other).await;
    scene.app.advance(HOUR);
    assert_eq!(browser.fetch("/me").await.status, StatusCode::OK);
    assert_eq!(scene.app.sentinel.counts().refreshes, 1);
    elsewhere.post("/logout").await;
    assert_session_ended(&next(&mut theirs).await.expect_err("an end"));
    scene.echoes.go_on(2);
    for stream in &mut streams {
        assert_eq!(next(stream).await.expect("a message").expect("a message").messages, 2);
    }
}

/// G18: the one answer of a method that ends the session arrives, with its status.
#[tokio::test]
async fn a_method_that_signs_out_still_answers() {
    let scene = Scene::start().await;
    let (_, mut client) = scene.agent().await;
    let heard = client.sign_out(words("bye")).await.expect("an answer").into_inner();
    assert_eq!(heard.text, "bye");
    let refused = client.say(words("after")).await.expect_err("a refusal");
    assert_eq!(refused.code(), Code::Unauthenticated);
}

/// I11: a message reaches the client before the next is made.
#[tokio::test]
async fn the_first_message_arrives_before_the_second_is_made() {
    let scene = Scene::of(App::builder(), Echoes::with_pace(0)).await;
    let (_, mut client) = scene.agent().await;
    let mut stream = repeating(&mut client).await;
    for messages in 2..5 {
        assert_eq!(scene.echoes.said(), messages - 1);
        scene.echoes.go_on(1);
        let heard = next(&mut stream).await.expect("a message").expect("a message");
        assert_eq!(heard.messages, messages);
    }
}

/// The body of a response with these frames, each as soon as it is asked for, to the user of this
/// browser.
async fn body_of(
    app: &App,
    browser: &Browser,
    media_type: &'static str,
    frames: &[Frame<Bytes>],
) -> ResponseBody<impl http_body::Body<Data = Bytes, Error = Infallible> + Unpin + use<>> {
    let frames: Arc<[_]> = copy_of(frames).into();
    let service = app.auth.layer(service_fn(move |_: Request<()>| {
        let body = copy_of(&frames).into_iter().map(Ok::<_, Infallible>);
        let body = StreamBody::new(stream::iter(body));
        async move {
            let response = Response::builder().header(CONTENT_TYPE, media_type);
            Ok::<_, Infallible>(response.body(body).expect("a response"))
        }
    }));
    let cookies = browser.jar.header().expect("a session");
    let response = service.oneshot(fetch_with("/stream", &cookies)).await;
    response.unwrap_or_else(|error| match error {}).into_body()
}

fn copy_of(frames: &[Frame<Bytes>]) -> Vec<Frame<Bytes>> {
    let copy = |frame: &Frame<Bytes>| match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Frame::data(data.clone()),
        (_, trailers) => Frame::trailers(trailers.expect("data or trailers").clone()),
    };
    frames.iter().map(copy).collect()
}

fn message(text: &str) -> Frame<Bytes> {
    let length = u32::try_from(text.len()).expect("a short text").to_be_bytes();
    Frame::data([&[0][..], &length, text.as_bytes()].concat().into())
}

fn status_ok() -> HeaderMap {
    [("grpc-status".parse().expect("a name"), "0".parse().expect("a value"))].into_iter().collect()
}

const WEB_OK: &[u8] = b"\x80\0\0\0\x0fgrpc-status:0\r\n";

/// I07, O11: a body that is always ready is ended too, after a whole frame, in the language of its
/// client; what has said its status already is left alone.
#[tokio::test]
async fn a_body_that_is_always_ready_is_ended_in_its_clients_language() {
    let web = b"\x80\0\0\0\x35grpc-status:16\r\ngrpc-message:Your session has ended\r\n";
    let web_text =
        "gAAAADVncnBjLXN0YXR1czoxNg0KZ3JwYy1tZXNzYWdlOllvdXIgc2Vzc2lvbiBoYXMgZW5kZWQNCg==";
    for (media_type, expected) in [
        ("application/grpc", None),
        ("application/grpc-web+proto", Some(&web[..])),
        ("application/grpc-web-text+proto", Some(web_text.as_bytes())),
    ] {
        let app = App::start().await;
        let mut browser = Browser::signed_in(&app).await;
        let endless: Vec<_> = (0..1000).map(|_| message("again")).collect();
        let mut body = body_of(&app, &browser, media_type, &endless).await;
        assert!(!body.is_end_stream());
        for _ in 0..100 {
            assert!(body.frame().await.expect("a frame").expect("no error").is_data());
        }
        browser.post("/logout").await;
        let last = body.frame().await.expect("a frame").expect("no error");
        match expected {
            Some(bytes) => assert_eq!(last.into_data().expect("data"), bytes, "{media_type}"),
            None => {
                let trailers = last.into_trailers().expect("trailers");
                assert_eq!(trailers["grpc-status"], "16");
                assert_eq!(trailers["grpc-message"], "Your session has ended");
                assert_eq!(trailers.len(), 2);
            }
        }
        assert!(body.is_end_stream() && body.frame().await.is_none(), "{media_type}");
    }
}

/// I07: the session ends while an answer is under way: its trailers pass, and nothing is added.
#[tokio::test]
async fn a_call_that_has_said_its_status_is_left_alone() {
    let text = |bytes: &[u8]| Frame::data(base64_simd::STANDARD.encode_to_string(bytes).into());
    for (media_type, frames) in [
        ("application/grpc", vec![message("one"), Frame::trailers(status_ok())]),
        (
            "application/grpc-web+proto",
            vec![message("one"), Frame::data(Bytes::from_static(WEB_OK))],
        ),
        ("application/grpc-web-text", vec![text(b"\0\0\0\0\x03one"), text(WEB_OK)]),
    ] {
        let app = App::start().await;
        let mut browser = Browser::signed_in(&app).await;
        let mut body = body_of(&app, &browser, media_type, &frames).await;
        browser.post("/logout").await;
        for expected in frames {
            let frame = body.frame().await.expect("a frame").expect("no error");
            assert_eq!(frame.data_ref(), expected.data_ref(), "{media_type}");
            assert_eq!(frame.trailers_ref(), expected.trailers_ref(), "{media_type}");
        }
        assert!(body.frame().await.is_none(), "{media_type}");
    }
}

/// I07: a call with one answer pays nothing for what may end a stream.
#[tokio::test]
async fn a_call_with_one_answer_costs_no_allocation_of_ours() {
    let app = App::start().await;
    let browser = Browser::signed_in(&app).await;
    let frames = [message("one"), Frame::trailers(status_ok())];
    let mut body = body_of(&app, &browser, "application/grpc", &frames).await;
    let mut read = 0;
    let info = allocation_counter::measure(|| {
        while let Some(frame) = body.frame().now_or_never().expect("a body that is ready") {
            assert!(frame.is_ok());
            read += 1;
        }
    });
    assert_eq!((read, info.count_total), (2, 0));
}

/// O11: what has a length, or no body at all, keeps what it says of it.
#[tokio::test]
async fn a_grpc_answer_without_a_body_stays_so() {
    let app = App::start().await;
    let browser = Browser::signed_in(&app).await;
    let service = app.auth.layer(service_fn(|_: Request<()>| async {
        let response: Response<tonic::body::Body> = Status::not_found("no such thing").into_http();
        Ok::<_, Infallible>(response)
    }));
    let cookies = browser.jar.header().expect("a session");
    let response = service.oneshot(fetch_with("/call", &cookies)).await.expect("infallible");
    assert_eq!(response.headers()["grpc-status"], "5");
    assert!(response.body().is_end_stream());
    assert_eq!(response.body().size_hint().exact(), Some(0));
}

/// I07: one logout ends a thousand calls of one session.
#[tokio::test]
async fn a_thousand_calls_of_one_session_all_end() {
    let scene = Scene::of(App::builder(), Echoes::with_pace(0)).await;
    let (mut browser, _) = scene.agent().await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        let mut client = client_of(&scene.server.url, &browser).await;
        for _ in 0..100 {
            calls.push(repeating(&mut client).await);
        }
    }
    browser.post("/logout").await;
    let ends = stream::iter(&mut calls).then(next).collect::<Vec<_>>().await;
    for end in ends {
        assert_session_ended(&end.expect_err("an end"));
    }
}

/// tonic takes the layer's body, and it goes where tonic's own goes.
const _: () = {
    const fn is_tonics<B>()
    where
        B: http_body::Body<Data = Bytes, Error: Into<tower_lp_auth::BoxError>>
            + Default
            + Send
            + 'static,
    {
    }
    is_tonics::<ResponseBody<tonic::body::Body>>();
};
