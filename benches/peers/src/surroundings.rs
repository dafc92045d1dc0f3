//! What contenders need around them; each thing starts when the first asks for it.

use tokio::sync::OnceCell;

use crate::{keys::Keys, redis_server::RedisServer, shared::Logins};

/// MockSentinel, a Redis server, and the keys of a token issuer. All end when this is dropped.
#[derive(Default)]
pub struct Surroundings {
    /// How many sessions each contender is to have.
    pub sessions: usize,
    logins: OnceCell<Logins>,
    redis: OnceCell<RedisServer>,
    keys: OnceCell<Keys>,
}

impl Surroundings {
    pub fn with_sessions(sessions: usize) -> Self {
        Self { sessions, ..Self::default() }
    }

    pub async fn logins(&self) -> &Logins {
        self.logins.get_or_init(Logins::start).await
    }

    pub async fn redis(&self) -> &RedisServer {
        self.redis.get_or_init(RedisServer::start).await
    }

    pub async fn keys(&self) -> &Keys {
        self.keys.get_or_init(async || Keys::generate()).await
    }
}
