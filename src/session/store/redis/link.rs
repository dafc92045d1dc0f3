//! One connection that is up, shared by all calls.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ::redis::{
    Cmd, RedisError, Value, aio::ConnectionLike, aio::MultiplexedConnection,
    cluster_async::ClusterConnection, cmd,
};
use tokio::sync::mpsc;

use super::fault::Fault;

/// What the one who watches a link is told.
pub(super) enum Event {
    /// It is used, for the first time since the last look.
    Used,
    /// It is of no use any more.
    Lost,
}

#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

pub(super) struct Link {
    connection: Connection,
    watcher: Watcher,
    used: AtomicBool,
}

/// Tells the one who watches.
#[derive(Clone)]
pub(super) struct Watcher(mpsc::Sender<Event>);

impl Watcher {
    /// Enough for one `Used` and a `Lost`: where there is no room, both are there already.
    const ROOM: usize = 8;

    pub(super) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel(Self::ROOM);
        (Self(sender), events)
    }

    pub(super) fn lost(&self) {
        let _ = self.0.try_send(Event::Lost);
    }
}

impl Link {
    pub(super) fn new(connection: Connection, watcher: Watcher) -> Arc<Self> {
        Arc::new(Self { connection, watcher, used: AtomicBool::new(false) })
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.connection, Connection::Cluster(_))
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Cancel safety
    ///
    /// The answer to a command whose future is dropped is read and discarded by the connection.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        if !self.used.load(Ordering::Relaxed) && !self.used.swap(true, Ordering::Relaxed) {
            let _ = self.watcher.0.try_send(Event::Used);
        }
        self.connection.ask(command).await
    }

    /// Whether this error says that nobody serves the cluster's connection any more, such as after
    /// the end of the runtime that it was made on.
    pub(super) fn has_ended(&self, error: &RedisError) -> bool {
        self.is_cluster() && error.is_io_error() && error.to_string().starts_with("redis_cluster:")
    }

    /// Has the connection replaced; calls that wait for its answers end with their time-out.
    pub(super) fn give_up(&self) {
        self.watcher.lost();
    }

    /// From now on the next call is news again.
    pub(super) fn look_again(&self) {
        self.used.store(false, Ordering::Relaxed);
    }

    /// Asks the server who it is: an answer proves that it is there.
    pub(super) async fn probe(&self) -> Result<(), Fault> {
        self.connection.check_role().await
    }
}

impl Connection {
    async fn ask(&self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = match self {
            // Unlike the trait's, this future is in no box of its own.
            Self::Single(connection) => connection.clone().send_packed_command(command).await,
            Self::Cluster(connection) => connection.clone().req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }

    /// A single server has to be the primary: a replica knows less than was acknowledged. In a
    /// cluster the nodes redirect to it.
    pub(super) async fn check_role(&self) -> Result<(), Fault> {
        if matches!(self, Self::Cluster(_)) {
            return Ok(());
        }
        let mut hello = cmd("HELLO");
        hello.arg(3);
        let greeting = self.ask(&hello).await.map_err(|error| Fault::of_connecting(&error))?;
        if says_replica(&greeting) { Err(Fault::replica()) } else { Ok(()) }
    }
}

fn says_replica(greeting: &Value) -> bool {
    let is = |value: &Value, expected: &[&[u8]]| match value {
        Value::BulkString(bytes) => expected.contains(&&bytes[..]),
        Value::SimpleString(text) => expected.contains(&text.as_bytes()),
        _ => false,
    };
    let Value::Map(fields) = greeting else { return false };
    fields.iter().any(|(name, value)| is(name, &[b"role"]) && is(value, &[b"replica", b"slave"]))
}
