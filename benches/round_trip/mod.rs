//! What a session in Redis costs: a bare `GET`, the store's `load`, and a whole request, all asked of
//! one server; and what one in a `MemoryStore` costs over no session at all.

#![allow(dead_code, unreachable_pub, reason = "each target uses a part of it")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header::COOKIE};
use redis::{Value, aio::MultiplexedConnection};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_lp_auth::{
    Clock, LpAuth, LpAuthLayer, LpUser, MemoryStore, RedisStore, SystemClock,
    store::{Lease, Leased, SessionStore},
};

use crate::{contenders::Logins, support::redis::RedisServer};

/// A service that answers at once, whoever asks.
type Floor = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The value of the session's record, from Redis.
    Get,
    /// The record, from the store.
    Load,
    /// The application, with a session in Redis.
    Stored,
    /// The application, with a session in memory.
    Remembered,
    /// The application without a layer.
    Floor,
}

/// Somebody with a session in Redis and one in memory; clones share all connections.
#[derive(Clone)]
pub struct Client {
    connection: MultiplexedConnection,
    store: RedisStore,
    /// Of the session's record.
    key: Arc<str>,
    stored: Signed<LpAuth<Floor>>,
    remembered: Signed<LpAuth<Floor>>,
    floor: Signed<Floor>,
}

/// A service, and the cookie that it is sent.
#[derive(Clone)]
struct Signed<S> {
    service: S,
    cookie: HeaderValue,
}

impl Client {
    /// Signs in with each kind of store. What is asked of `server` goes to `url`.
    pub async fn start(server: &RedisServer, url: &str) -> Self {
        let logins = Logins::start().await;
        let floor = Floor::new(service_fn(hello));
        let store = RedisStore::new(url).expect("a URL");
        let stored = signed_in(&logins, logins.stored(store.clone()), &floor).await;
        let remembered = signed_in(&logins, logins.stored(MemoryStore::default()), &floor).await;
        let keys = server.ask(&["KEYS", "*:session:*"]).await;
        let keys: Vec<String> = redis::from_redis_value(keys).expect("names");
        let [key] = &keys[..] else { panic!("not one record: {keys:?}") };
        let client = redis::Client::open(format!("{url}?protocol=resp3")).expect("a URL");
        let connection = client.get_multiplexed_async_connection().await.expect("a server");
        let floor = Signed { service: floor, cookie: stored.cookie.clone() };
        Self { connection, store, key: key.as_str().into(), stored, remembered, floor }
    }

    /// Asks once, and checks the answer.
    pub async fn ask(&mut self, asked: Asked) {
        match asked {
            Asked::Get => {
                let mut get = redis::cmd("GET");
                let value = self.connection.send_packed_command(get.arg(&*self.key)).await;
                assert!(matches!(value, Ok(Value::BulkString(_))), "{value:?}");
            }
            Asked::Load => {
                let record = self.store.load(&self.key).await;
                assert!(matches!(record, Ok(Some(_))), "{record:?}");
            }
            Asked::Stored => self.stored.ask().await,
            Asked::Remembered => self.remembered.ask().await,
            Asked::Floor => self.floor.ask().await,
        }
    }
}

impl<S> Signed<S>
where
    S: Service<Request<Body>, Response: Answer, Error = Infallible>,
{
    async fn ask(&mut self) {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static("/user");
        request.headers_mut().insert(COOKIE, self.cookie.clone());
        let response = match self.service.ready().await {
            Ok(ready) => ready.call(request).await,
            Err(never) => match never {},
        };
        assert_eq!(response.map(|response| response.code()), Ok(StatusCode::OK));
    }
}

/// A response, whatever its body.
pub trait Answer {
    fn code(&self) -> StatusCode;
}

impl<B> Answer for Response<B> {
    fn code(&self) -> StatusCode {
        self.status()
    }
}

async fn hello(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let user = request.extensions().get::<LpUser>();
    Ok(Response::new(Body::from(if user.is_some() { "hello" } else { "who is it" })))
}

async fn signed_in(logins: &Logins, layer: LpAuthLayer, floor: &Floor) -> Signed<LpAuth<Floor>> {
    let cookie = logins.sign_in(&layer).await;
    let cookie = HeaderValue::from_maybe_shared(bytes::Bytes::from(cookie)).expect("visible ASCII");
    Signed { service: layer.layer(floor.clone()), cookie }
}

/// How long the answers of some time took, sorted, and how many there were per second.
pub struct Sample {
    latencies: Vec<Duration>,
    pub per_second: f64,
}

impl Sample {
    /// Asks the same from so many tasks at a time, for so long.
    pub async fn take(client: &Client, asked: Asked, at_once: usize, length: Duration) -> Self {
        let clock = SystemClock::default();
        let begun = clock.monotonic();
        let mut tasks = JoinSet::new();
        for _ in 0..at_once {
            let (mut client, clock) = (client.clone(), clock);
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                let mut before = clock.monotonic();
                while before.saturating_sub(begun) < length {
                    client.ask(asked).await;
                    let after = clock.monotonic();
                    latencies.push(after.saturating_sub(before));
                    before = after;
                    // What answers at once lets the others have their turn all the same.
                    tokio::task::consume_budget().await;
                }
                latencies
            });
        }
        let mut latencies: Vec<Duration> = tasks.join_all().await.concat();
        let per_second = latencies.len() as f64 / (clock.monotonic() - begun).as_secs_f64();
        latencies.sort_unstable();
        Self { latencies, per_second }
    }

    pub fn mean(&self) -> Duration {
        let sum: Duration = self.latencies.iter().sum();
        sum.div_f64(self.latencies.len() as f64)
    }

    /// The latency that this part of the answers does not exceed.
    pub fn quantile(&self, part: f64) -> Duration {
        let at = (self.latencies.len() as f64 * part) as usize;
        self.latencies[at.min(self.latencies.len() - 1)]
    }
}

/// What Redis says that each kind of key takes, its share of the key table included, after one login
/// and in the middle of a refresh.
pub async fn sizes(server: &RedisServer, client: &Client) -> Vec<(&'static str, u64)> {
    let lease = Lease { owner: [1; 16], note: 0 };
    let key = client.key.replace(":session:", ":lease:");
    let leased = client.store.lease(&key, lease, Duration::from_secs(12)).await;
    assert!(matches!(leased, Ok(Leased::Held)), "{leased:?}");
    let mut sizes = Vec::new();
    for kind in ["session", "user", "login", "lease"] {
        let keys = server.ask(&["KEYS", &format!("*:{kind}:*")]).await;
        let keys: Vec<String> = redis::from_redis_value(keys).expect("names");
        let key = keys.first().unwrap_or_else(|| panic!("no key of the kind {kind}"));
        let size = server.ask(&["MEMORY", "USAGE", key]).await;
        sizes.push((kind, redis::from_redis_value(size).expect("a number")));
    }
    sizes
}
