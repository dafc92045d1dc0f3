//! Sessions in Redis or Valkey.
//!
//! [`config`] reads the URLs and [`server`] connects to what they name; [`supervisor`] keeps one
//! multiplexed [`link`] to it and replaces it when it breaks; [`script`] holds the verbs that need
//! more than one command, [`together`] the loads that share one; [`fault`] tells errors apart and [`health`]
//! reports them once.

mod address;
mod config;
mod fault;
mod health;
mod link;
mod script;
mod server;
mod shaken;
mod supervisor;
mod together;
mod ttl;

pub use self::{address::RedisConfigError, config::RedisStoreBuilder};

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{Cmd, FromRedisValue, Value};
use bytes::Bytes;

use self::{
    fault::Fault,
    health::Verb,
    script::Script,
    server::Server,
    supervisor::Supervisor,
    together::{Errand, Together, Way, after_those_who_can_go_on},
    ttl::millis,
};
use super::{
    IndexEntry, Lease, LeaseOwner, Leased, SessionStore, StoreError, StoredRecord, Swap, Version,
};
use crate::error::BoxFuture;

/// Keeps sessions in Redis or Valkey: one server (6.2 or newer), or a cluster.
///
/// All instances of an application share the sessions, one login and one logout. Making a store does
/// no I/O and needs no server: it connects when it is first used, and whenever the connection is
/// lost it connects again by itself, for ever, with pauses of 20 to 500 ms. Meanwhile calls fail; they
/// do not queue. One connection (one per node of a cluster) serves all calls, pipelined.
///
/// Only primaries are asked: a server that says it is a replica counts as unavailable until its name
/// leads to the primary. A server that has not answered for a second or so while it was asked is
/// given up and connected to anew. What the server says is logged once when it stops working and once
/// when it works again, never with the URL's password.
///
/// The server should not evict (`maxmemory-policy noeviction`): an evicted session is a lost login. An
/// ACL user needs `+@connection +get +set +exists +del +eval +evalsha` and what the scripts
/// call: `+getrange +pttl +time +type +hgetall +hset +hdel +pexpireat`; in a cluster also
/// `+cluster|slots`. With `+mget` loads that come at once share a command, on one server; without,
/// each is a command of its own.
///
/// `rediss://` works with the trust store of the system, or with
/// [`RedisStoreBuilder::ca_certificate`]. TLS comes from rustls, whose crypto provider is one per
/// process: where none has been installed, making a store with a `rediss://` URL installs aws-lc-rs.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::RedisStore;
///
/// let store = RedisStore::new("redis://sessions:secret@redis.example.com:6379/0")?;
/// assert!(!format!("{store:?}").contains("secret"));
/// # Ok::<(), tower_lp_auth::RedisConfigError>(())
/// ```
#[derive(Clone)]
pub struct RedisStore {
    supervisor: Arc<Supervisor>,
    together: Arc<Together>,
}

impl RedisStore {
    /// A store on one server.
    ///
    /// The URL is `redis://[[user]:password@]host[:port][/database]`, or `rediss://` for TLS; user
    /// and password are percent-encoded. `valkey://` and `valkeys://` mean the same.
    ///
    /// # Errors
    ///
    /// [`RedisConfigError`] says what is wrong with the URL, without repeating it.
    pub fn new(url: impl Into<String>) -> Result<Self, RedisConfigError> {
        Self::builder(url).build()
    }

    /// Sets up a store on the server of this URL, or on a cluster that it belongs to.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url.into())
    }

    fn from_server(server: Server) -> Self {
        let together = Together::default();
        if server.is_cluster() {
            // Keys of one command have to be at one node.
            together.turn_off();
        }
        Self { supervisor: Arc::new(Supervisor::new(server)), together: Arc::new(together) }
    }

    /// A command that changes something is sent once.
    async fn write<T: FromRedisValue>(&self, verb: Verb, command: Cmd) -> Result<T, StoreError> {
        let outcome = self.supervisor.ask(&command).await.and_then(typed);
        self.finish(verb, outcome)
    }

    /// A command that changes nothing is sent once more where the connection breaks.
    async fn read(&self, command: Cmd) -> Result<Value, Fault> {
        match self.supervisor.ask(&command).await {
            Err(fault) if fault.breaks_link() => Box::pin(self.supervisor.ask(&command)).await,
            outcome => outcome,
        }
    }

    /// What is under a key, asked for together with what others load now.
    async fn value(&self, key: &str) -> Result<Value, Fault> {
        let mut load = self.together.enter(key);
        if let Way::With { value, errand } = &mut load.way {
            if let Some(errand) = errand.take() {
                tokio::spawn(self.clone().load_together(errand));
            }
            if let Ok(bytes) = value.await {
                return Ok(Value::BulkString(bytes));
            }
        }
        // Boxed, so that those who go together move and keep less.
        Box::pin(self.read(key_command("GET", key))).await
    }

    /// Asks for all that wait by then. Where that fails each of them asks again and learns why.
    async fn load_together(self, errand: Errand) {
        if errand.is_for_one() {
            // So that they come along.
            after_those_who_can_go_on().await;
        }
        let departing = errand.leave();
        let Some(command) = departing.command() else { return };
        match self.supervisor.ask(&command).await {
            Ok(answer) => departing.arrive(answer),
            Err(fault) if fault.refuses_command() => self.together.turn_off(),
            Err(_) => {}
        }
    }

    /// A script is sent by its hash, and in full where the server does not know it (any more).
    async fn run<T: FromRedisValue>(
        &self,
        verb: Verb,
        script: &Script,
        key: &str,
        arguments: &[&[u8]],
    ) -> Result<T, StoreError> {
        let outcome = match self.supervisor.ask(&script.by_hash(key, arguments)).await {
            Err(fault) if fault.is_unknown_script() => {
                self.supervisor.ask(&script.in_full(key, arguments)).await
            }
            outcome => outcome,
        };
        self.finish(verb, outcome.and_then(typed))
    }

    fn finish<T>(&self, verb: Verb, outcome: Result<T, Fault>) -> Result<T, StoreError> {
        self.supervisor.health().note(verb, outcome.as_ref().err());
        outcome.map_err(StoreError::from)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("server", self.supervisor.server()).finish()
    }
}

impl SessionStore for RedisStore {
    fn create<'a>(
        &'a self,
        key: &'a str,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let created = match millis(ttl) {
                // Over at once: only whether the key is in use is left to say.
                0 => !self.write::<bool>(Verb::Create, key_command("EXISTS", key)).await?,
                millis => {
                    let mut set = key_command("SET", key);
                    set.arg(record.to_bytes()).arg("NX").arg("PX").arg(millis);
                    self.write::<Value>(Verb::Create, set).await? != Value::Nil
                }
            };
            if created { Ok(()) } else { Err(StoreError::Taken) }
        })
    }

    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredRecord>, StoreError>> {
        Box::pin(async move {
            let record = match self.value(key).await {
                Ok(Value::Nil) => Ok(None),
                Ok(Value::BulkString(bytes)) => Ok(Some(StoredRecord::from_bytes(bytes.into()))),
                Ok(_) => Err(Fault::unexpected_answer()),
                Err(fault) if fault.is_wrong_type() => Ok(Some(StoredRecord::unreadable())),
                Err(fault) => Err(fault),
            };
            self.finish(Verb::Load, record)
        })
    }

    fn update<'a>(
        &'a self,
        key: &'a str,
        version: Version,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            let (bytes, millis) = (record.to_bytes(), millis(ttl).to_string());
            let arguments = [version.as_bytes(), &bytes[..], millis.as_bytes()];
            self.run(Verb::Update, &script::UPDATE, key, &arguments).await.map(swap)
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.write::<u64>(Verb::Delete, key_command("DEL", key)).await.map(|_| ())
        })
    }

    fn delete_if<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move {
            self.run(Verb::DeleteIf, &script::DELETE_IF, key, &[version.as_bytes()]).await.map(swap)
        })
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        lease: Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Leased, StoreError>> {
        Box::pin(async move {
            let millis = millis(ttl).to_string();
            let arguments = [&lease.owner[..], &[lease.note], millis.as_bytes()];
            let other: Option<(u8, u64)> =
                self.run(Verb::Lease, &script::LEASE, key, &arguments).await?;
            Ok(other.map_or(Leased::Held, |(note, left)| Leased::Other {
                note,
                left: Duration::from_millis(left),
            }))
        })
    }

    fn release<'a>(
        &'a self,
        key: &'a str,
        owner: LeaseOwner,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.run(Verb::Release, &script::RELEASE, key, &[&owner]).await })
    }

    fn index_add<'a>(
        &'a self,
        user: &'a str,
        entry: IndexEntry,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let millis = millis(ttl).to_string();
            let arguments = [entry.record.as_bytes(), &entry.content, millis.as_bytes()];
            self.run(Verb::IndexAdd, &script::INDEX_ADD, user, &arguments).await
        })
    }

    fn index<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Vec<IndexEntry>, StoreError>> {
        Box::pin(async move {
            let entries: Vec<(Vec<u8>, Vec<u8>)> =
                self.run(Verb::Index, &script::INDEX, user, &[]).await?;
            let entry = |(record, content)| {
                let record = String::from_utf8(record).ok()?;
                Some(IndexEntry { record, content: Bytes::from(content) })
            };
            Ok(entries.into_iter().filter_map(entry).collect())
        })
    }

    fn index_remove<'a>(
        &'a self,
        user: &'a str,
        record: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.run(Verb::IndexRemove, &script::INDEX_REMOVE, user, &[record.as_bytes()]).await
        })
    }

    fn epoch(&self) -> u64 {
        self.supervisor.epoch()
    }
}

fn key_command(name: &str, key: &str) -> Cmd {
    // Of the size that most commands have, so that nothing has to grow.
    let mut command = Cmd::with_capacity(2, name.len() + key.len());
    command.arg(name).arg(key);
    command
}

fn typed<T: FromRedisValue>(value: Value) -> Result<T, Fault> {
    T::from_redis_value(value).map_err(|_| Fault::unexpected_answer())
}

const fn swap(answer: script::Answer) -> Swap {
    match answer {
        script::Answer::Absent => Swap::Absent,
        script::Answer::Changed => Swap::Changed,
        script::Answer::Done => Swap::Done,
    }
}
