//! A primary and its replica, behind one address.

use super::{FaultProxy, RedisServer, server::until_says};

/// What a name stands for that follows the primary: the proxy.
pub struct Pair {
    pub primary: RedisServer,
    pub replica: RedisServer,
    pub proxy: FaultProxy,
}

impl Pair {
    /// Starts both, and waits until the replica follows.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with further options for both, written as on a server's command line.
    pub async fn with(options: &[&str]) -> Self {
        let primary = RedisServer::with(options).await;
        let replica = RedisServer::with(options).await;
        // Told and not configured: restarted, it is what it then is.
        replica.ask(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).await;
        let proxy = FaultProxy::to(primary.addr()).await;
        let pair = Self { primary, replica, proxy };
        pair.follow().await;
        pair
    }

    /// The URL that leads to the primary.
    pub fn url(&self) -> String {
        self.proxy.url()
    }

    /// Makes the replica the primary and the primary its replica. New connections lead to the new
    /// primary; those that there are stay where they are.
    pub async fn fail_over(&mut self) {
        self.replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
        self.proxy.lead_to(self.replica.addr());
        let port = self.replica.port().to_string();
        self.primary.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
        std::mem::swap(&mut self.primary, &mut self.replica);
        self.follow().await;
    }

    /// Waits until the replica has every write that the primary has acknowledged: a fail-over before
    /// that loses some.
    pub async fn catch_up(&self) {
        let info = self.primary.text(&["INFO", "replication"]).await;
        let offset = info.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
        let expected = format!("slave_repl_offset:{}", offset.expect("a primary's offset"));
        until_says(&self.replica, &["INFO", "replication"], &expected).await;
    }

    /// Waits until the replica is connected to the primary.
    pub async fn follow(&self) {
        until_says(&self.replica, &["INFO", "replication"], "master_link_status:up").await;
    }
}
