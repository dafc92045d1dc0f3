//! Where the store connects to: one server, or a cluster.

use std::{fmt, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ProtocolVersion, PushInfo,
    PushKind, RedisError, TlsCertificates,
    cluster::{ClusterClient, ClusterClientBuilder},
};

use super::{
    address::{RedisConfigError, tcp_settings},
    link::Connection,
};

/// Commands that wait to be written; further ones wait with their callers.
const WRITE_QUEUE: usize = 1_024;

/// How long an answer may take, for callers without a deadline of their own; then the connection is
/// given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a node of a cluster may take for one attempt: no caller waits longer.
const NODE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a command may take in a cluster, redirections and further attempts included.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(2);

/// Further attempts and the pauses between them, in milliseconds, of a command in a cluster.
const CLUSTER_RETRIES: u32 = 5;
const CLUSTER_PAUSES: (u64, u64) = (10, 160);

pub(super) struct Server {
    kind: Kind,
    /// Hosts, ports and databases, without credentials.
    names: Vec<String>,
    connect_timeout: Duration,
}

enum Kind {
    Single(Client),
    Cluster { nodes: Vec<ConnectionInfo>, ca_certificate: Option<Vec<u8>> },
}

impl Server {
    pub(super) fn single(
        server: ConnectionInfo,
        ca_certificate: Option<Vec<u8>>,
        connect_timeout: Duration,
    ) -> Result<Self, RedisConfigError> {
        let names = vec![name(&server)];
        let client = match ca_certificate {
            None => Client::open(server),
            Some(pem) => Client::build_with_tls(server, trust(pem)),
        };
        let client = client.map_err(|_| RedisConfigError::CaCertificate)?;
        Ok(Self { kind: Kind::Single(client), names, connect_timeout })
    }

    pub(super) fn cluster(
        nodes: Vec<ConnectionInfo>,
        ca_certificate: Option<Vec<u8>>,
        connect_timeout: Duration,
    ) -> Result<Self, RedisConfigError> {
        if !nodes.windows(2).all(|pair| is_alike(&pair[0], &pair[1])) {
            return Err(RedisConfigError::MixedCluster);
        }
        let names = nodes.iter().map(name).collect();
        let kind = Kind::Cluster { nodes, ca_certificate };
        let server = Self { kind, names, connect_timeout };
        // What is left for the library to refuse are certificates.
        if let Kind::Cluster { nodes, ca_certificate } = &server.kind {
            server
                .cluster_client(nodes, ca_certificate.as_ref(), |_| {})
                .map_err(|_| RedisConfigError::CaCertificate)?;
        }
        Ok(server)
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster { .. })
    }

    /// How long an attempt to connect may take. A cluster is asked for its nodes before they are
    /// connected to, and one that does not answer must not keep the others from it.
    pub(super) const fn connect_timeout(&self) -> Duration {
        match self.kind {
            Kind::Single(_) => self.connect_timeout,
            Kind::Cluster { .. } => self.connect_timeout.saturating_mul(3),
        }
    }

    /// Connects; `on_loss` is called whenever a connection, or one to a node of the cluster, ends.
    pub(super) async fn connect(
        &self,
        on_loss: impl Fn() + Send + Sync + 'static,
    ) -> Result<Connection, RedisError> {
        let on_push = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                on_loss();
            }
        };
        match &self.kind {
            Kind::Single(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None) // the supervisor's, over the role check too
                    .set_response_timeout(Some(ANSWER_TIMEOUT))
                    .set_pipeline_buffer_size(WRITE_QUEUE)
                    .set_push_sender(move |push| -> Result<(), ()> {
                        on_push(push);
                        Ok(())
                    });
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
                    .map(Connection::Single)
            }
            Kind::Cluster { nodes, ca_certificate } => self
                .cluster_client(nodes, ca_certificate.as_ref(), on_push)?
                .get_async_connection()
                .await
                .map(Connection::Cluster),
        }
    }

    fn cluster_client(
        &self,
        nodes: &[ConnectionInfo],
        ca_certificate: Option<&Vec<u8>>,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<ClusterClient, RedisError> {
        let (shortest_pause, longest_pause) = CLUSTER_PAUSES;
        let mut builder = ClusterClientBuilder::new(nodes.iter().cloned())
            .use_protocol(ProtocolVersion::RESP3)
            .tcp_settings(tcp_settings())
            .connection_timeout(self.connect_timeout.min(NODE_TIMEOUT))
            .response_timeout(NODE_TIMEOUT)
            .overall_response_timeout(Some(CLUSTER_TIMEOUT))
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(shortest_pause)
            .max_retry_wait(longest_pause)
            .push_sender(move |push| -> Result<(), ()> {
                on_push(push);
                Ok(())
            });
        if let Some(pem) = ca_certificate {
            builder = builder.certs(trust(pem.clone()));
        }
        builder.build()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.names).finish()
    }
}

/// The library presents the first node's credentials to all of them.
fn is_alike(one: &ConnectionInfo, other: &ConnectionInfo) -> bool {
    let is_tls = |info: &ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    let (a, b) = (one.redis_settings(), other.redis_settings());
    is_tls(one) == is_tls(other)
        && (a.username(), a.password(), a.db()) == (b.username(), b.password(), b.db())
}

const fn trust(pem: Vec<u8>) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(pem) }
}

fn name(info: &ConnectionInfo) -> String {
    let scheme = match info.addr() {
        ConnectionAddr::TcpTls { .. } => "rediss",
        _ => "redis",
    };
    format!("{scheme}://{}/{}", info.addr(), info.redis_settings().db())
}
