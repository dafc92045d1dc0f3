//! Several instances of one application, each with a connection of its own to one rigged store.

use std::time::Duration;

use tower_lp_auth::{
    Builder, LpUser,
    test_kit::{ManualClock, MockSentinel},
};

use super::{App, AppBuilder, Browser, Counters, RiggedStore};

/// Instances that share Sentinel, clock, session key and redirect URI. A browser that is at one of
/// them is at all: cookies ignore ports.
pub struct Cluster {
    pub instances: Vec<App>,
    /// The connection of each instance.
    pub stores: Vec<RiggedStore>,
    pub counters: Vec<Counters>,
}

pub struct ClusterBuilder {
    instances: usize,
    real_leases: bool,
    access_token: Duration,
    change: Vec<fn(Builder) -> Builder>,
}

impl Cluster {
    /// As many instances as asked for. Access tokens live 250 s and are due after 100 s (and a
    /// tenth): activity, which is noted after 300 s, does not interfere. Leases and records run out
    /// by the instances' clock, which stands still until it is moved.
    pub fn of(instances: usize) -> ClusterBuilder {
        ClusterBuilder {
            instances,
            real_leases: false,
            access_token: Duration::from_secs(250),
            change: vec![|builder| builder.refresh_after(Duration::from_secs(100))],
        }
    }

    /// Moves everybody's time.
    pub fn advance(&self, seconds: u64) {
        self.instances[0].advance(seconds);
    }

    pub fn sentinel(&self) -> &MockSentinel {
        &self.instances[0].sentinel
    }

    /// How often Sentinel has got a refresh token, and how often a spent one.
    pub fn presented(&self) -> (u64, u64) {
        let counts = self.sentinel().counts();
        (counts.refreshes, counts.reuses)
    }

    /// A browser for each instance with the same cookies, signed in at the first.
    pub async fn signed_in(&self) -> Vec<Browser> {
        let browser = Browser::signed_in(&self.instances[0]).await;
        self.instances.iter().map(|app| browser.moved_to(app)).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        for store in &self.stores {
            store.take_calls();
        }
    }
}

impl ClusterBuilder {
    /// The store's time is the machine's: leases run out by themselves, and records hardly.
    pub fn real_leases(mut self) -> Self {
        self.real_leases = true;
        self
    }

    pub fn access_token_lifetime(mut self, seconds: u64) -> Self {
        self.access_token = Duration::from_secs(seconds);
        self
    }

    /// Changes the settings of each layer.
    pub fn layer(mut self, change: fn(Builder) -> Builder) -> Self {
        self.change.push(change);
        self
    }

    pub async fn start(self) -> Cluster {
        let clock = ManualClock::new();
        let sentinel = MockSentinel::builder()
            .clock(clock.clone())
            .access_token_lifetime(self.access_token)
            .start()
            .await
            .expect("a free port on loopback");
        let store = if self.real_leases {
            RiggedStore::new()
        } else {
            RiggedStore::with_clock(clock.clone())
        };
        let mut cluster =
            Cluster { instances: Vec::new(), stores: Vec::new(), counters: Vec::new() };
        for _ in 0..self.instances {
            let connection = store.another_connection();
            let builder = match cluster.instances.first() {
                None => AppBuilder::on(sentinel.clone(), clock.clone()),
                Some(first) => {
                    let redirect_uri = first.url("/callback");
                    App::builder()
                        .beside(first)
                        .layer(move |builder| builder.redirect_uri(redirect_uri))
                }
            };
            let (own, change) = (connection.clone(), self.change.clone());
            let builder = builder
                .routes(|router, _| router.route("/ends", axum::routing::get(ends)))
                .layer(move |builder| {
                    let builder = builder.store(own);
                    change.into_iter().fold(builder, |builder, change| change(builder))
                });
            let (app, counters) = Counters::of(builder).await;
            cluster.instances.push(app);
            cluster.stores.push(connection);
            cluster.counters.push(counters);
        }
        cluster
    }
}

/// When the session ends if nothing more happens, in seconds.
async fn ends(user: LpUser) -> String {
    let end = user.session_expires_at().duration_since(std::time::UNIX_EPOCH);
    end.expect("after 1970").as_secs().to_string()
}
