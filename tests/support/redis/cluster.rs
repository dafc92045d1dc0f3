//! A cluster of three primaries.

use super::{super::free_port, RedisServer, server::until_says};

/// The slots of a cluster, in three parts.
const SLOTS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];

pub struct Cluster {
    pub nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Starts three nodes, gives each its slots, and waits until all agree.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for (first, last) in SLOTS {
            let bus = free_port().to_string();
            let node = RedisServer::with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "1000",
            ])
            .await;
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]).await;
            nodes.push(node);
            buses.push(bus);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            let port = node.port().to_string();
            nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await;
        }
        let cluster = Self { nodes };
        cluster.agree().await;
        cluster
    }

    /// The URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// Waits until every node sees all slots served.
    pub async fn agree(&self) {
        for node in &self.nodes {
            until_says(node, &["CLUSTER", "INFO"], "cluster_state:ok").await;
            until_says(node, &["CLUSTER", "INFO"], "cluster_size:3").await;
        }
    }

    /// The slot of a key.
    pub async fn slot(&self, key: &str) -> u16 {
        let answer = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]).await;
        redis::from_redis_value(answer).expect("an answer of this type")
    }

    /// The node that owns a key, as long as no slot has been moved.
    pub async fn owner(&self, key: &str) -> usize {
        let slot = self.slot(key).await;
        SLOTS.iter().position(|(first, last)| (*first..=*last).contains(&slot)).expect("a slot")
    }

    /// Moves the slot of this key, and the key itself, from one node to another.
    pub async fn move_key(&self, key: &str, from: usize, to: usize) {
        let slot = self.slot(key).await.to_string();
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let (source, target) =
            (from.text(&["CLUSTER", "MYID"]).await, to.text(&["CLUSTER", "MYID"]).await);
        to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]).await;
        from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]).await;
        from.ask(&["MIGRATE", "127.0.0.1", &to.port().to_string(), key, "0", "5000"]).await;
        for node in [to, from] {
            node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]).await;
        }
    }
}
