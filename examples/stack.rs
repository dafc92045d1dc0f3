//! A plain tower stack on hyper, without a web framework.
//!
//! MockSentinel plays LivePerson, so that nothing else is needed:
//!
//! ```sh
//! cargo run --example stack
//! ```

use std::{convert::Infallible, env, error::Error, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_lp_auth::{LpAuthLayer, LpUser, test_kit::MockSentinel};

/// At most so many requests are handled at a time; others wait for their turn.
const CONCURRENT: usize = 256;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::var("LISTEN_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("LISTEN_ADDR: cannot listen on {address:?}: {error}"))?;
    let mock = MockSentinel::start().await?;
    let callback = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    // Everything needs a user but the start page.
    let auth = mock.layer_builder(callback).public("/").build()?;

    eprintln!("Open this address in a browser:");
    println!("{}/", auth.origin());
    tokio::select! {
        served = serve(listener, auth.clone()) => served?,
        _ = tokio::signal::ctrl_c() => {
            // Refreshes under way finish, so that no session is lost.
            auth.shutdown(Duration::from_secs(5)).await;
        }
    }
    Ok(())
}

/// A connection, a task: each with a clone of the stack.
async fn serve(listener: TcpListener, auth: LpAuthLayer) -> Result<(), Box<dyn Error>> {
    let logout = auth.logout_url();
    // The first layer is the outermost. What stands inside `auth` sees signed-in users.
    let stack = ServiceBuilder::new()
        .layer(auth)
        .concurrency_limit(CONCURRENT)
        .service(service_fn(move |request| handle(request, logout.clone())));
    loop {
        let (stream, _) = listener.accept().await?;
        let stack = TowerToHyperService::new(stack.clone());
        tokio::spawn(async move {
            let connection = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), stack).await {
                eprintln!("connection ended: {error}");
            }
        });
    }
}

/// The application: a public page, and one for users.
async fn handle(
    request: Request<Incoming>,
    logout: String,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let user = request.extensions().get::<LpUser>();
    let (status, html) = match (request.uri().path(), user) {
        ("/", _) => (StatusCode::OK, "<h1>Welcome</h1><p><a href=\"/desk\">Your desk</a>".into()),
        // The layer has seen to it that there is a user.
        ("/desk", Some(user)) => {
            // An id of LivePerson's is letters and digits, but it comes from outside.
            let id = user.id().replace('&', "&amp;").replace('<', "&lt;");
            let form =
                format!("<form method=\"post\" action=\"{logout}\"><button>Sign out</button>");
            (StatusCode::OK, format!("<h1>Hello, {id}</h1>{form}"))
        }
        _ => (StatusCode::NOT_FOUND, "<h1>Not here</h1>".into()),
    };
    let html = format!("<!doctype html><title>tower-lp-auth stack</title>{html}\n");
    let mut response = Response::new(Full::new(html.into()));
    *response.status_mut() = status;
    let html = http::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    Ok(response)
}
