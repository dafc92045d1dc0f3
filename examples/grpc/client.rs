//! A native gRPC client: its user signs in in the browser, and it calls with their session token.
//!
//! ```sh
//! cargo run --example grpc-server
//! cargo run --example grpc-client -- http://127.0.0.1:3000     # in another terminal
//! ```
//!
//! [`loopback`] is how it gets the token; from then on `LpSessionTokenLayer` does the rest.

mod loopback;
mod proto;

use std::{env, error::Error};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tonic::{Status, Streaming, transport::Channel};
use tower::{Layer, ServiceExt};
use tower_lp_auth::{LpSessionToken, LpSessionTokenLayer};

use self::{
    loopback::Loopback,
    proto::{Heard, Repetition, Words, echo_client::EchoClient},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = env::args().nth(1);
    let server = server.as_deref().unwrap_or("http://127.0.0.1:3000").trim_end_matches('/');
    // First, so that nobody signs in for a server that is not there.
    let channel = Channel::from_shared(server.to_owned())?.connect().await?;

    let loopback = Loopback::open().await?;
    eprintln!("Open this address in a browser:");
    println!("{}", loopback.address(server)?);
    let signed_in = LpSessionTokenLayer::new(loopback.token().await?).origin(server)?;

    // With its origin each request says where it goes, and the layer sees whether the token may.
    let mut echo = EchoClient::with_origin(signed_in.layer(channel), server.parse()?);
    call_in_all_ways(&mut echo).await?;

    let mut open = echo.repeat(repetition("still here", 0)).await?.into_inner();
    open.message().await?;
    println!("logout: {}", log_out(server, &signed_in).await?);
    println!("the open stream: {}", told(end_of(open).await));
    println!("the next call: {}", told(echo.say(words("anybody?")).await));
    Ok(())
}

async fn call_in_all_ways(
    echo: &mut EchoClient<LpSessionToken<Channel>>,
) -> Result<(), Box<dyn Error>> {
    let said = echo.say(words("hello")).await?.into_inner();
    println!("unary: {} is heard from {}", said.text, said.user_id);

    let spoken = stream::iter(["one", "two", "three"].map(words));
    let all = echo.collect(spoken.clone()).await?.into_inner();
    println!("client stream: {} messages, {} bytes", all.messages, all.bytes);

    let repeated = echo.repeat(repetition("again", 3)).await?.into_inner();
    println!("server stream: {}", texts(repeated).await?);

    let chat = echo.chat(spoken).await?.into_inner();
    println!("both: {}", texts(chat).await?);
    Ok(())
}

/// Ends the session, for the browser too.
async fn log_out(
    server: &str,
    signed_in: &LpSessionTokenLayer,
) -> Result<StatusCode, Box<dyn Error>> {
    let client = signed_in.layer(Client::builder(TokioExecutor::new()).build_http());
    let request = Request::post(format!("{server}/logout")).body(Empty::<Bytes>::new())?;
    Ok(client.oneshot(request).await?.status())
}

fn words(text: &str) -> Words {
    Words { text: text.to_owned() }
}

fn repetition(text: &str, times: u32) -> Repetition {
    Repetition { text: text.to_owned(), times }
}

async fn texts(said: Streaming<Heard>) -> Result<String, Status> {
    let texts: Vec<String> = said.map_ok(|heard| heard.text).try_collect().await?;
    Ok(texts.join(", "))
}

async fn end_of(mut said: Streaming<Heard>) -> Result<(), Status> {
    while said.next().await.transpose()?.is_some() {}
    Ok(())
}

/// How a call has ended, in one line.
fn told<T>(outcome: Result<T, Status>) -> String {
    match outcome {
        Ok(_) => "all is well".to_owned(),
        Err(status) => format!("{}, {}", status.code() as i32, status.message()),
    }
}
