//! The service that is called, its client, and the servers that it runs in.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::{net::TcpListener, sync::Semaphore, task::AbortHandle};
use tonic::{
    Request, Response, Status, Streaming,
    metadata::{MetadataMap, MetadataValue},
    service::{Routes, interceptor::InterceptedService},
    transport::{Channel, Error, Server, server::TcpIncoming},
};
use tower_lp_auth::LpUser;

use self::proto::{
    Heard, Repetition, Words,
    echo_client::EchoClient,
    echo_server::{Echo, EchoServer},
};
use super::support::{App, AppBuilder, Browser};

/// What `scripts/proto.sh` has made of `echo.proto`.
pub mod proto {
    #![allow(missing_docs, unused_qualifications, unreachable_pub, reason = "generated")]
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grpc/proto/echo.v1.rs"));
}

/// The service, and what a test knows of it and does to it.
#[derive(Clone)]
pub struct Echoes(Arc<Inner>);

struct Inner {
    /// Every message that is read or said takes one, except the first of [`Echo::repeat`].
    pace: Semaphore,
    calls: AtomicU64,
    /// Messages said by [`Echo::repeat`].
    said: AtomicU64,
    metadata: Mutex<Option<MetadataMap>>,
}

impl Echoes {
    /// A service that goes as fast as it can.
    pub fn new() -> Self {
        Self::with_pace(Semaphore::MAX_PERMITS)
    }

    /// One that waits after so many messages, until [`Echoes::go_on`].
    pub fn with_pace(messages: usize) -> Self {
        Self(Arc::new(Inner {
            pace: Semaphore::new(messages),
            calls: AtomicU64::new(0),
            said: AtomicU64::new(0),
            metadata: Mutex::default(),
        }))
    }

    pub fn go_on(&self, messages: usize) {
        self.0.pace.add_permits(messages);
    }

    /// How many calls have reached it.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// How many messages it has said by itself.
    pub fn said(&self) -> u64 {
        self.0.said.load(Ordering::SeqCst)
    }

    /// The metadata of the last call.
    pub fn metadata(&self) -> MetadataMap {
        let metadata = self.0.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        metadata.clone().expect("a call")
    }

    pub fn server(&self) -> EchoServer<Self> {
        EchoServer::new(self.clone())
    }

    /// The service as routes of axum, without a fallback of its own.
    pub fn router(&self) -> axum::Router {
        Routes::from(axum::Router::new()).add_service(self.server()).into_axum_router()
    }

    /// Notes a call; returns the caller's id, empty for nobody.
    fn enter<T>(&self, request: &Request<T>) -> String {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let mut metadata = self.0.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        *metadata = Some(request.metadata().clone());
        let user = request.extensions().get::<LpUser>();
        user.map(|user| user.id().to_owned()).unwrap_or_default()
    }

    async fn wait(&self) {
        self.0.pace.acquire().await.expect("it is never closed").forget();
    }
}

fn heard(words: Words, user_id: &str, messages: u64) -> Heard {
    let bytes = words.text.len() as u64;
    Heard { text: words.text, user_id: user_id.to_owned(), messages, bytes }
}

#[tonic::async_trait]
impl Echo for Echoes {
    async fn say(&self, request: Request<Words>) -> Result<Response<Heard>, Status> {
        let user_id = self.enter(&request);
        Ok(Response::new(heard(request.into_inner(), &user_id, 1)))
    }

    async fn collect(&self, request: Request<Streaming<Words>>) -> Result<Response<Heard>, Status> {
        let mut all = Heard { user_id: self.enter(&request), ..Heard::default() };
        let mut words = request.into_inner();
        loop {
            self.wait().await;
            let Some(Words { text }) = words.message().await? else { break };
            all.messages += 1;
            all.bytes += text.len() as u64;
            all.text = text;
        }
        Ok(Response::new(all))
    }

    type RepeatStream = BoxStream<'static, Result<Heard, Status>>;

    async fn repeat(
        &self,
        request: Request<Repetition>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        let user_id = self.enter(&request);
        let Repetition { text, times } = request.into_inner();
        let times = if times == 0 { u64::MAX } else { times.into() };
        let echoes = self.clone();
        let said = stream::unfold(0, move |before: u64| {
            let (echoes, text, user_id) = (echoes.clone(), text.clone(), user_id.clone());
            async move {
                if before == times {
                    return None;
                }
                if before > 0 {
                    echoes.wait().await;
                }
                echoes.0.said.fetch_add(1, Ordering::SeqCst);
                Some((Ok(heard(Words { text }, &user_id, before + 1)), before + 1))
            }
        });
        Ok(Response::new(said.boxed()))
    }

    type ChatStream = BoxStream<'static, Result<Heard, Status>>;

    async fn chat(
        &self,
        request: Request<Streaming<Words>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        let user_id = self.enter(&request);
        let mut messages = 0;
        let said = request.into_inner().map(move |words| {
            messages += 1;
            words.map(|words| heard(words, &user_id, messages))
        });
        Ok(Response::new(said.boxed()))
    }

    async fn sign_out(&self, request: Request<Words>) -> Result<Response<Heard>, Status> {
        let user_id = self.enter(&request);
        let user = request.extensions().get::<LpUser>().expect("a protected method").clone();
        user.end_session().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(heard(request.into_inner(), &user_id, 1)))
    }
}

/// A client with a browser's cookies in the metadata of each call; without, nobody's.
pub type Client = EchoClient<InterceptedService<Channel, Metadata>>;

/// Adds fields to the metadata of each call.
#[derive(Clone, Default)]
pub struct Metadata(Vec<(&'static str, String)>);

impl tonic::service::Interceptor for Metadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            let metadata = request.metadata_mut();
            if name.ends_with("-bin") {
                metadata.append_bin(*name, MetadataValue::from_bytes(value.as_bytes()));
            } else {
                metadata.append(*name, value.parse().expect("a field value"));
            }
        }
        Ok(request)
    }
}

/// A server that runs until this value is dropped.
pub struct Running {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    server: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Running {
    /// A tonic server on a free port.
    pub async fn start(
        serve: impl FnOnce(TcpIncoming) -> BoxFuture<'static, Result<(), Error>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
        let server = tokio::spawn(serve(TcpIncoming::from(listener)));
        Self { url, server: server.abort_handle() }
    }
}

/// The client of a server, nobody's.
pub async fn stranger(url: &str) -> Client {
    client_with(url, Vec::new()).await
}

/// The client of a server, of the user who is signed in with this browser.
pub async fn client_of(url: &str, browser: &Browser) -> Client {
    let cookies = browser.jar.header().expect("a session");
    client_with(url, vec![("cookie", cookies)]).await
}

pub async fn client_with(url: &str, metadata: Vec<(&'static str, String)>) -> Client {
    let channel = Channel::from_shared(url.to_owned()).expect("a URL").connect().await;
    EchoClient::with_interceptor(channel.expect("a connection"), Metadata(metadata))
}

pub fn words(text: &str) -> Words {
    Words { text: text.to_owned() }
}

/// An application with pages, whose layer stands around a tonic server too: the same users.
pub struct Scene {
    pub app: App,
    pub echoes: Echoes,
    pub server: Running,
}

impl Scene {
    pub async fn start() -> Self {
        Self::of(App::builder(), Echoes::new()).await
    }

    pub async fn of(app: AppBuilder, echoes: Echoes) -> Self {
        let app = app.start().await;
        let (auth, service) = (app.auth.clone(), echoes.server());
        let server = Running::start(|incoming| {
            let server = Server::builder().layer(auth).add_service(service);
            Box::pin(server.serve_with_incoming(incoming))
        });
        Self { server: server.await, app, echoes }
    }

    /// MockSentinel's agent: a browser, and a client with its cookies.
    pub async fn agent(&self) -> (Browser, Client) {
        let browser = Browser::signed_in(&self.app).await;
        let client = client_of(&self.server.url, &browser).await;
        (browser, client)
    }

    pub async fn stranger(&self) -> Client {
        stranger(&self.server.url).await
    }
}

/// The texts and users of a stream that ends by itself.
pub async fn read_all(stream: Streaming<Heard>) -> Result<Vec<(String, String)>, Status> {
    let mut stream = pin!(stream);
    let mut all = Vec::new();
    while let Some(heard) = stream.next().await {
        let heard = heard?;
        all.push((heard.text, heard.user_id));
    }
    Ok(all)
}

/// The generated code is what `scripts/proto.sh` makes of the present `echo.proto`.
#[test]
fn the_generated_code_is_in_step_with_the_proto() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/grpc/proto");
    let read = |file: &str| std::fs::read_to_string(format!("{folder}/{file}")).expect("a file");
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, read("echo.proto").as_bytes());
    let hash: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let first = read("echo.v1.rs").lines().next().expect("a first line").to_owned();
    assert!(first.ends_with(&hash), "run scripts/proto.sh: {first}");
}
