//! What a session in Redis cannot cost less than: the bare router, and one `GET` a request over a
//! connection that all requests share.

use axum::{Router, extract::State, http::HeaderMap, routing::get};
use redis::{Value, aio::MultiplexedConnection};

use super::Contender;
use crate::{session::USER, surroundings::Surroundings};

const KEY: &str = "record";

/// About what a record of ours takes.
const LENGTH: usize = 600;

pub async fn start(around: &Surroundings) -> Contender {
    let mut connection = around.redis().await.connect().await;
    let stored: redis::RedisResult<()> = redis::cmd("SET")
        .arg(KEY)
        .arg([7_u8; LENGTH].as_slice())
        .query_async(&mut connection)
        .await;
    stored.expect("room for a value");
    let app = Router::new().route("/me", get(me)).with_state(connection);
    Contender::new("GET from Redis", app, vec![HeaderMap::new()]).over("GET from Redis").noted(
        "the bare router with one `GET` of 600 bytes a request, pipelined over one connection",
    )
}

async fn me(State(mut connection): State<MultiplexedConnection>) -> String {
    let mut get = redis::cmd("GET");
    let value = connection.send_packed_command(get.arg(KEY)).await;
    assert!(matches!(value, Ok(Value::BulkString(_))), "{value:?}");
    USER.to_owned()
}
