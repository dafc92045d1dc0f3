//! A tonic service beside pages: one port, one layer, the same users.
//!
//! MockSentinel plays LivePerson, so that nothing else is needed:
//!
//! ```sh
//! cargo run --example grpc-server
//! cargo run --example grpc-client     # in another terminal
//! ```
//!
//! [`echo`] is the service, [`pages`] are what people see, and [`native`] lets a program on the user's
//! machine in. Pages come by HTTP/1.1 and calls by HTTP/2: `axum::serve` takes both with axum's feature
//! `http2`.

mod echo;
mod native;
mod pages;
mod proto;

use std::{env, error::Error};

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tonic::service::{LayerExt, Routes};
use tower_lp_auth::{LpAuthLayer, test_kit::MockSentinel};

use self::{echo::Echoes, proto::echo_server::EchoServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::var("LISTEN_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("LISTEN_ADDR: cannot listen on {address:?}: {error}"))?;
    let mock = MockSentinel::start().await?;
    let callback = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
    // Whoever watches over the service asks after its health; all other methods need a user.
    let auth = mock
        .layer_builder(callback)
        .optional("/")
        .public("/style.css")
        .public("/grpc.health.v1.Health/Check")
        .build()?;
    let app = app(&auth)?;

    eprintln!("Call it: cargo run --example grpc-client -- {}", auth.origin());
    println!("{}/", auth.origin());
    Ok(axum::serve(listener, app).await?)
}

/// The pages, the services among them, and the layer last.
fn app(auth: &LpAuthLayer) -> Result<Router, Box<dyn Error>> {
    let pages = Router::new()
        .route("/", get(pages::index))
        .route("/style.css", get(pages::style))
        .route("/me", get(pages::me))
        .route("/native", get(native::consent))
        .with_state(pages::Links::of(auth));
    let (_, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(Routes::from(pages)
        .add_service(EchoServer::new(Echoes))
        .add_service(health)
        .add_service(auth.require_admin().named_layer(reflection))
        .into_axum_router()
        .layer(auth.clone()))
}
