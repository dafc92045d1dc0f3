//! Streams end with the session, over real sockets.

mod support;

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{
        Path,
        ws::{CloseFrame, Message, WebSocketUpgrade},
    },
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use support::{AGENT, App, AppBuilder, Browser, Ends, FETCH, fetch_with, until};
use tokio::{
    net::TcpStream,
    sync::{broadcast, mpsc},
    time::timeout,
};
use tokio_tungstenite::{client_async, tungstenite};
use tower::{Layer, ServiceExt, service_fn};
use tower_lp_auth::{
    EndReason, LpUser,
    test_kit::{Endpoint, Fault},
};

const HOUR: u64 = 3600;

/// An end comes within a second or so; this much later it is taken for missing.
const PATIENCE: Duration = Duration::from_secs(15);

/// Longer than it takes to notice an end.
const NOTICE: Duration = Duration::from_millis(2500);

/// What the application's streams say, and how many of them are open.
#[derive(Clone)]
struct Radio {
    say: broadcast::Sender<Bytes>,
    open: Arc<AtomicUsize>,
}

/// Counts a body for as long as it is there.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Radio {
    fn new() -> Self {
        Self { say: broadcast::Sender::new(16), open: Arc::default() }
    }

    /// A body that says `first`, then whatever is said, and does not end by itself.
    fn listen(&self) -> Body {
        self.open.fetch_add(1, Ordering::SeqCst);
        let state = (self.say.subscribe(), Open(Arc::clone(&self.open)));
        let said = stream::unfold(state, |(mut said, open)| async move {
            let next = said.recv().await.ok()?;
            Some((next, (said, open)))
        });
        let first = stream::iter([Bytes::from_static(b"data: first\n\n")]);
        Body::from_stream(first.chain(said).map(Ok::<_, Infallible>))
    }

    fn say(&self, text: &'static str) {
        self.say.send(Bytes::from_static(text.as_bytes())).expect("somebody listens");
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// `/events` and `/open/events` (optional) are event streams, `/as/{kind}` one of another type.
    fn routes(&self, router: Router) -> Router {
        let events = |radio: Self| {
            get(move || async move { ([(CONTENT_TYPE, "text/event-stream")], radio.listen()) })
        };
        let radio = self.clone();
        let typed = get(move |Path(kind): Path<String>| async move {
            ([(CONTENT_TYPE, kind.replace('_', "/"))], radio.listen())
        });
        router
            .route("/events", events(self.clone()))
            .route("/open/events", events(self.clone()))
            .route("/as/{kind}", typed)
    }

    /// An application with these routes.
    fn app(&self) -> AppBuilder {
        let radio = self.clone();
        App::builder()
            .routes(move |router, _| radio.routes(router))
            .layer(|layer| layer.optional_under("/open"))
            .sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(HOUR)))
    }
}

/// A response whose body is being read.
struct Listening(reqwest::Response);

impl Listening {
    /// Opens a stream and reads the first event.
    async fn to(browser: &Browser, path: &str) -> Self {
        let response = browser.request(Method::GET, path, &FETCH, None).send().await;
        let mut listening = Self(response.expect("an answer"));
        assert_eq!(listening.0.status(), StatusCode::OK, "{path}");
        assert_eq!(listening.next().await.as_deref(), Some("data: first\n\n"), "{path}");
        listening
    }

    /// The next event; `None` at the clean end.
    async fn next(&mut self) -> Option<String> {
        let chunk = timeout(PATIENCE, self.0.chunk()).await.expect("an event or the end in time");
        chunk.expect("no broken body").map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether nothing comes although there was time to notice an end.
    async fn goes_on(&mut self) -> bool {
        timeout(NOTICE, self.0.chunk()).await.is_err()
    }
}

/// What ends a session.
type End = for<'a> fn(&'a App, &'a mut Browser) -> BoxFuture<'a, ()>;

/// G18, I08, Y20, I07: whatever ends a session ends its event streams, cleanly, and frees them.
#[tokio::test]
async fn an_event_stream_ends_with_the_session() {
    let table: [(&str, Option<EndReason>, End); 7] = [
        ("a logout in another tab", Some(EndReason::Logout), |_, browser| {
            Box::pin(async move {
                let mut tab = browser.clone();
                assert_eq!(tab.post("/logout").await.status, StatusCode::SEE_OTHER);
            })
        }),
        ("a handler", Some(EndReason::Logout), |_, browser| {
            Box::pin(async move { assert_eq!(browser.fetch("/end").await.body, "ended") })
        }),
        ("a new login", Some(EndReason::Replaced), |app, browser| {
            Box::pin(async move {
                let back = browser.reach_callback(app, "/login").await;
                assert_eq!(browser.navigate(&back).await.status, StatusCode::SEE_OTHER);
            })
        }),
        ("a refresh that is refused", Some(EndReason::RefreshRefused), |app, browser| {
            Box::pin(async move {
                app.sentinel.inject(Endpoint::Refresh, Fault::oauth_error("invalid_grant"));
                app.advance(HOUR);
                browser.fetch("/me").await.assert_unauthorized();
            })
        }),
        (
            "a refresh that brings somebody else",
            Some(EndReason::IdentityChanged),
            |app, browser| {
                Box::pin(async move {
                    app.sentinel.set_refresh_id_token(true);
                    app.sentinel.set_id_claim("sub", "somebody else");
                    app.advance(HOUR);
                    browser.fetch("/me").await.assert_unauthorized();
                })
            },
        ),
        ("the idle end", None, |app, _| Box::pin(async { app.advance(8 * HOUR) })),
        ("the absolute end", None, |app, browser| {
            Box::pin(async move {
                for _ in 0..4 {
                    app.advance(6 * HOUR - 60);
                    assert_eq!(browser.fetch("/me").await.status, StatusCode::OK);
                }
                app.advance(240);
            })
        }),
    ];
    for (what, reason, end) in table {
        let radio = Radio::new();
        let (mut ends, hook) = Ends::new();
        let app = radio.app().layer(hook).start().await;
        let mut browser = Browser::signed_in(&app).await;
        let mut events = Listening::to(&browser, "/events").await;
        let mut optional = Listening::to(&browser, "/open/events").await;
        radio.say("data: second\n\n");
        assert_eq!(events.next().await.as_deref(), Some("data: second\n\n"), "{what}");
        assert_eq!(optional.next().await.as_deref(), Some("data: second\n\n"), "{what}");
        assert_eq!(radio.open(), 2, "{what}");
        end(&app, &mut browser).await;
        assert_eq!((events.next().await, optional.next().await), (None, None), "{what}");
        until(|| radio.open() == 0).await;
        if let Some(reason) = reason {
            assert_eq!(ends.next().await, reason, "{what}");
        }
        assert!(ends.is_quiet(), "{what}");
    }
}

/// G17: a logout elsewhere, of the same user, ends no stream here; nor does it one of nobody's.
#[tokio::test]
async fn other_sessions_and_anonymous_streams_go_on() {
    let radio = Radio::new();
    let app = radio.app().start().await;
    let (here, mut elsewhere) = (Browser::signed_in(&app).await, Browser::signed_in(&app).await);
    let mut streams = [
        Listening::to(&here, "/events").await,
        Listening::to(&Browser::new(&app), "/open/events").await,
    ];
    let mut theirs = Listening::to(&elsewhere, "/events").await;
    elsewhere.post("/logout").await;
    assert_eq!(theirs.next().await, None);
    for listening in &mut streams {
        assert!(listening.goes_on().await);
    }
    radio.say("data: still here\n\n");
    for listening in &mut streams {
        assert_eq!(listening.next().await.as_deref(), Some("data: still here\n\n"));
    }
}

/// F21, C30: a refresh and a re-seal are no end, and activity in another tab extends the idle one.
#[tokio::test]
async fn a_refresh_or_a_reseal_ends_no_stream() {
    let radio = Radio::new();
    let app = radio.app().start().await;
    let mut browser = Browser::signed_in(&app).await;
    let mut events = Listening::to(&browser, "/events").await;
    app.advance(400); // activity is sealed anew
    assert_eq!(browser.fetch("/me").await.session_cookies().len(), 1);
    app.advance(7 * HOUR); // the access token has ended
    assert_eq!(browser.fetch("/me").await.session_cookies().len(), 1);
    assert_eq!(app.sentinel.counts().refreshes, 1);
    app.advance(7 * HOUR); // what the stream was opened with has been idle for too long
    assert!(events.goes_on().await);
    radio.say("data: still here\n\n");
    assert_eq!(events.next().await.as_deref(), Some("data: still here\n\n"));
    app.advance(HOUR);
    assert_eq!(events.next().await, None);
}

/// What is no event stream, and every stream where that is switched off, goes on after a logout.
#[tokio::test]
async fn nothing_else_is_ended() {
    let (on, off) = (true, false);
    for (path, end_streams, ends) in [
        ("/as/text_event-stream", on, true),
        ("/as/Text_Event-Stream; charset=utf-8", on, true),
        ("/as/text_plain", on, false),
        ("/as/application_x-ndjson", on, false),
        ("/as/text_event-stream-of-mine", on, false),
        ("/as/multipart_x-mixed-replace; of=text_event-stream", on, false),
        ("/events", off, false),
    ] {
        let radio = Radio::new();
        let app = radio.app().layer(move |layer| layer.end_streams(end_streams)).start().await;
        let mut browser = Browser::signed_in(&app).await;
        let mut events = Listening::to(&browser, path).await;
        browser.post("/logout").await;
        if ends {
            assert_eq!(events.next().await, None, "{path}");
            continue;
        }
        // The session's end is known by now, and comes before what is said.
        radio.say("data: still here\n\n");
        assert_eq!(events.next().await.as_deref(), Some("data: still here\n\n"), "{path}");
    }
}

/// O11: an answer to HEAD, and an event stream of known length, keep what they say of their length.
#[tokio::test]
async fn what_has_a_length_keeps_it() {
    let radio = Radio::new();
    let app = radio.app().routes(|router, _| {
        let whole = ([(CONTENT_TYPE, "text/event-stream")], "data: all of it\n\n");
        router.route("/whole", get(move || async move { whole }))
    });
    let app = app.start().await;
    let mut browser = Browser::signed_in(&app).await;
    for (method, expected) in [(Method::GET, "data: all of it\n\n"), (Method::HEAD, "")] {
        let page = browser.send(method.clone(), "/whole", &FETCH, None).await;
        assert_eq!(page.header("content-length"), Some("17"), "{method}");
        assert_eq!(page.body, expected, "{method}");
    }
}

/// O11: until the end frames and trailers pass, and no size is promised that might not come.
#[tokio::test]
async fn until_the_end_frames_pass_as_they_are() {
    let app = App::start().await;
    let browser = Browser::signed_in(&app).await;
    let service = app.auth.layer(service_fn(|_: Request<()>| async {
        let trailers: HeaderMap = [(CONTENT_TYPE, "x/y".parse().unwrap())].into_iter().collect();
        let frames = [
            Frame::data(Bytes::from_static(b"one")),
            Frame::data(Bytes::from_static(b"two")),
            Frame::trailers(trailers),
        ];
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
        let response = Response::builder().header(CONTENT_TYPE, "text/event-stream");
        Ok::<_, Infallible>(response.body(body).expect("a response"))
    }));
    let cookies = browser.jar.header().expect("a session");
    let response = service.clone().oneshot(fetch_with("/events", &cookies)).await.unwrap();
    let mut body = response.into_body();
    assert!(!body.is_end_stream());
    assert_eq!((body.size_hint().lower(), body.size_hint().exact()), (0, None));
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers[CONTENT_TYPE], "x/y");
    assert!(body.frame().await.is_none());

    let response = service.oneshot(fetch_with("/events", &cookies)).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    browser.clone().post("/logout").await;
    assert!(body.frame().await.is_none(), "the session's end comes first");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
}

/// Y20: what a stream held is freed at the session's end, even if its body is kept.
#[tokio::test]
async fn what_a_stream_held_is_freed_with_its_end() {
    let radio = Radio::new();
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let request = fetch_with("/events", &browser.jar.header().expect("a session"));
    let service = app.auth.layer(radio.routes(Router::new()));
    let response = service.oneshot(request.map(|()| Body::empty())).await.expect("infallible");
    let mut body = response.into_body();
    assert!(body.frame().await.is_some());
    assert_eq!(radio.open(), 1);
    browser.post("/logout").await;
    assert!(body.frame().await.is_none());
    assert_eq!(radio.open(), 0);
    assert!(body.frame().await.is_none(), "an end is an end");
}

/// Whether a future has asked to be polled.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// G18: a refusal of the refresh wakes whoever waits; the next look at the clock is not needed.
#[tokio::test]
async fn a_refused_refresh_is_known_at_once() {
    let users: Arc<Mutex<Vec<LpUser>>> = Arc::default();
    let keep = Arc::clone(&users);
    let app = App::builder().routes(|router, _| {
        let keep = async move |user: LpUser| keep.lock().expect("no panic").push(user);
        router.route("/keep", get(keep))
    });
    let app = app.start().await;
    let mut browser = Browser::signed_in(&app).await;
    browser.fetch("/keep").await;
    let mut ended = users.lock().expect("no panic").remove(0).ended();
    app.sentinel.inject(Endpoint::Refresh, Fault::oauth_error("invalid_grant"));
    app.advance(8 * HOUR - 30);

    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    assert!(ended.poll_unpin(&mut context).is_pending());
    browser.fetch("/me").await.assert_unauthorized();
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(ended.poll_unpin(&mut context).is_ready());
}

/// G18: a task that works for a user learns that they have gone, long after their request.
#[tokio::test]
async fn a_background_task_ends_with_the_session() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = App::builder().routes(|router, _| {
        let start = move |user: LpUser| async move {
            let id = user.id().to_owned();
            let ended = user.ended();
            tokio::spawn(async move {
                ended.await;
                tell.send(id).expect("the test listens");
            });
            "started"
        };
        router.route("/start", get(start))
    });
    let app = app.start().await;
    let mut browser = Browser::signed_in(&app).await;
    assert_eq!(browser.fetch("/start").await.body, "started");
    assert_eq!(browser.fetch("/me").await.status, StatusCode::OK);
    assert!(told.recv().now_or_never().is_none());
    browser.post("/logout").await;
    let id = timeout(PATIENCE, told.recv()).await.expect("an end in time");
    assert_eq!(id.as_deref(), Some(AGENT));
}

/// G18: one logout ends a thousand streams, and a client that left before has left nothing.
#[tokio::test]
async fn a_thousand_streams_of_one_session_all_end() {
    const STREAMS: usize = 1000;
    let radio = Radio::new();
    let app = App::start().await;
    let browser = Browser::signed_in(&app).await;
    let cookies = browser.jar.header().expect("a session");
    let service = app.auth.layer(radio.routes(Router::new()));
    let mut bodies = Vec::new();
    for _ in 0..2 * STREAMS {
        let request = fetch_with("/events", &cookies).map(|()| Body::empty());
        let mut body = service.clone().oneshot(request).await.expect("infallible").into_body();
        body.frame().await.expect("a first event").expect("no broken body");
        assert!(body.frame().now_or_never().is_none(), "it waits for the next");
        bodies.push(body);
    }
    assert_eq!(radio.open(), 2 * STREAMS);
    bodies.truncate(STREAMS);
    assert_eq!(radio.open(), STREAMS, "who leaves is gone");
    let reading = bodies.into_iter().map(|body| tokio::spawn(body.collect())).collect::<Vec<_>>();
    browser.clone().post("/logout").await;
    for read in reading {
        let read = timeout(PATIENCE, read).await.expect("an end in time").expect("no panic");
        assert!(read.expect("no broken body").to_bytes().is_empty());
    }
    assert_eq!(radio.open(), 0);
}

/// A chat that echoes until the session ends.
async fn chat(user: LpUser, upgrade: WebSocketUpgrade) -> impl IntoResponse {
    upgrade.on_upgrade(async move |mut socket| {
        let mut ended = pin!(user.ended());
        loop {
            tokio::select! {
                () = &mut ended => {
                    let frame = CloseFrame { code: 4401, reason: "signed out".into() };
                    // The peer may have gone.
                    let _ = socket.send(Message::Close(Some(frame))).await;
                    return;
                }
                message = socket.recv() => match message {
                    Some(Ok(message)) => socket.send(message).await.expect("a peer"),
                    _ => return,
                },
            }
        }
    })
}

/// G18, I08, Y20: a WebSocket is closed by its handler, with the code that the handler chooses.
#[tokio::test]
async fn a_websocket_is_closed_when_the_session_ends() {
    let app = App::builder().routes(|router, _| router.route("/chat", get(chat))).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let authority = app.url.strip_prefix("http://").expect("plain http");
    let mut request = tungstenite::client::IntoClientRequest::into_client_request(format!(
        "ws://{authority}/chat"
    ))
    .expect("a valid request");
    let cookies = browser.jar.header().expect("a session");
    request.headers_mut().insert("cookie", cookies.parse().expect("a header value"));
    request.headers_mut().insert("origin", app.url.parse().expect("a header value"));
    let stream = TcpStream::connect(authority).await.expect("a connection");
    let (mut socket, response) = client_async(request, stream).await.expect("an upgrade");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);

    socket.send("hello".into()).await.expect("a message taken");
    let echo = timeout(PATIENCE, socket.next()).await.expect("an echo in time");
    assert_eq!(echo.expect("a message").expect("no error").into_text().unwrap(), "hello");
    browser.post("/logout").await;
    let close = timeout(PATIENCE, socket.next()).await.expect("a close in time");
    let tungstenite::Message::Close(Some(frame)) = close.expect("a frame").expect("no error")
    else {
        panic!("no close frame");
    };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4401, "signed out"));
}
