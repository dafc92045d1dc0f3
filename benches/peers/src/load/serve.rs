//! The quickstart's routes over hyper on three ports: without the layer, with a sealed session, and with
//! one in a `MemoryStore`.

use axum::Router;
use tokio::{io::AsyncReadExt, net::TcpListener};
use tower_lp_auth::{Builder, LpAuthLayer, MemoryStore};

use crate::shared::Logins;

#[allow(dead_code, reason = "the routes are all that is wanted of it")]
#[path = "../../../../examples/quickstart/main.rs"]
mod quickstart;

/// What needs a user, and answers without one where there is no layer.
const PATH: &str = "/echo";

/// Prints a line for each server, its name, its URL and the cookie to send; ends with the standard
/// input, so that it does not outlive who has started it.
pub async fn serve() {
    let logins = Logins::start().await;
    let sealed = layer(logins.builder());
    let stored = layer(logins.builder().store(MemoryStore::default()));
    announce("without", quickstart::routes(&sealed, None), &logins.sign_in(&sealed).await).await;
    for (name, layer) in [("sealed", &sealed), ("MemoryStore", &stored)] {
        announce(name, quickstart::app(layer, None), &logins.sign_in(layer).await).await;
    }
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
}

fn layer(builder: Builder) -> LpAuthLayer {
    quickstart::protect(builder).build().expect("a configuration that works")
}

async fn announce(name: &str, app: Router, cookie: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let address = listener.local_addr().expect("a bound socket");
    tokio::spawn(async move { axum::serve(listener, app).await });
    println!("{name} http://{address}{PATH} {cookie}");
}
