//! The same application over hyper on three ports: without the layer, with a sealed session, and with
//! one in a `MemoryStore`.

use axum::{Router, routing::get};
use tokio::{io::AsyncReadExt, net::TcpListener};
use tower_lp_auth::{LpAuthLayer, MemoryStore};

use crate::{contenders::app, session::USER, shared::Logins};

/// Prints a line for each server, its name, its URL and the cookie to send; ends with the standard
/// input, so that it does not outlive who has started it.
pub async fn serve() {
    let logins = Logins::start().await;
    let sealed = logins.layer(10_000);
    let stored = logins.stored(MemoryStore::default());
    announce("bare", bare(), &sign_in(&logins, &sealed).await).await;
    announce("sealed", app(&sealed), &sign_in(&logins, &sealed).await).await;
    announce("MemoryStore", app(&stored), &sign_in(&logins, &stored).await).await;
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
}

fn bare() -> Router {
    Router::new().route("/me", get(async || USER.to_owned()))
}

async fn sign_in(logins: &Logins, layer: &LpAuthLayer) -> String {
    logins.sign_in(layer).await
}

async fn announce(name: &str, app: Router, cookie: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let address = listener.local_addr().expect("a bound socket");
    tokio::spawn(async move { axum::serve(listener, app).await });
    println!("{name} http://{address}/me {cookie}");
}
