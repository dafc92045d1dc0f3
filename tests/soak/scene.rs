//! Servers and instances, and what befalls them.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};
use tower_lp_auth::{
    Builder, LpAuthLayer, RedisStore, SessionKey, SystemClock,
    test_kit::{self, Endpoint, MockSentinel, MockUser},
};

use crate::{
    USERS,
    counts::Counts,
    instance::{Balancer, Instance},
    support::redis::{Pair, RedisServer},
    timeline::{Fault, Timeline, now},
    user::{PATIENCE, World, user_id},
};

const INSTANCES: usize = 3;

/// Sessions are refreshed this often, and an access token lives long enough to be served through
/// any of the faults: what is answered with 503 meanwhile has another reason. Whoever meets Sentinel's
/// outage, is quiet (27 s) and comes back in the next one (26 s later) has a token of before the first,
/// and is held back for 10 s more, or by the lease of an instance that is gone (12 s).
const REFRESH_AFTER: Duration = Duration::from_secs(2);
const ACCESS_TOKEN: Duration = Duration::from_secs(90);

/// Sentinel works at once and answers after this: some refreshes are always under way.
const SENTINEL_TAKES: Duration = Duration::from_millis(100);

/// How long Sentinel is down.
const OUTAGE: Duration = Duration::from_secs(1);

/// What is written survives the process that has written it, which is all that is killed: a slow disk
/// is waited for by nobody.
const ON_DISK: &[&str] = &["--appendonly", "yes", "--appendfsync", "no"];

/// Everything but the users.
pub struct Scene {
    pub world: Arc<World>,
    pub sentinel: MockSentinel,
    pair: Pair,
    key: SessionKey,
}

impl Scene {
    pub async fn set() -> Self {
        let users =
            (0..USERS).map(|number| MockUser::new(user_id(number), format!("User {number}")));
        let sentinel = MockSentinel::builder().users(users).access_token_lifetime(ACCESS_TOKEN);
        let sentinel = sentinel.start().await.expect("a free port on loopback");
        answers_late(&sentinel);
        let world = Arc::new(World {
            balancer: Balancer::new(Vec::new()),
            timeline: Timeline::default(),
            pulse: Arc::default(),
            counts: Counts::default(),
            sentinel: client(),
            clock: SystemClock::default(),
        });
        let pair = Pair::with(ON_DISK).await;
        let scene = Self { world, sentinel, pair, key: SessionKey::random() };
        for _ in 0..INSTANCES {
            scene.put_in();
        }
        scene
    }

    /// Makes this happen; returns when it is over.
    pub async fn suffer(&mut self, fault: Fault) {
        let balancer = &self.world.balancer;
        match fault {
            Fault::Rolling => {
                let old = balancer.take_out();
                self.put_in();
                old.stop().await;
            }
            Fault::Restart => {
                has_everything_on_disk(&self.pair.primary).await;
                self.pair.primary.restart().await;
            }
            Fault::Crash => {
                balancer.take_out().crash();
                self.put_in();
            }
            Fault::Sentinel => {
                self.sentinel.inject_always(Endpoint::Refresh, test_kit::Fault::status(503));
                sleep(OUTAGE).await;
                answers_late(&self.sentinel);
            }
            Fault::FailOver => {
                self.pair.follow().await;
                self.pair.fail_over().await;
            }
        }
    }

    /// Stops all instances.
    pub async fn stop(&self) {
        let mut stopping = JoinSet::new();
        for instance in self.world.balancer.all() {
            stopping.spawn(async move { instance.stop().await });
        }
        stopping.join_all().await;
    }

    /// Counts what there is when all have stopped.
    pub async fn count(&self) {
        let counts = &self.world.counts;
        counts.set("refreshes", self.sentinel.counts().refreshes);
        counts.set("refreshes: spent tokens presented (reuse)", self.sentinel.counts().reuses);
        let late = self.world.pulse.late_in_all().as_millis();
        counts.set("machine: beats late, in ms", u64::try_from(late).expect("less than an age"));
        let instances = self.world.balancer.all();
        let evicted = instances.iter().map(|instance| instance.auth.health().evicted_entries).sum();
        counts.set("ledger: entries that gave way", evicted);
        for kind in ["session", "lease", "user", "login"] {
            let keys = self.pair.primary.ask(&["KEYS", &format!("*:{kind}:*")]).await;
            let keys: Vec<String> = redis::from_redis_value(keys).expect("names");
            counts.set(format!("records: {kind}s at the end"), keys.len() as u64);
        }
    }

    /// Starts an instance, and has it take requests.
    fn put_in(&self) {
        let url = self.pair.url();
        let bystander = Arc::clone(&self.world.pulse).beat(url.clone());
        let instance = Instance::start(|| self.layer(url), bystander);
        self.world.balancer.put_in(instance);
    }

    /// An instance's layer; its store has connections of its own.
    fn layer(&self, url: String) -> LpAuthLayer {
        let sentinel = &self.sentinel;
        let builder: Builder = LpAuthLayer::builder()
            .account(sentinel.account_id())
            .client_id(sentinel.client_id())
            .client_secret(sentinel.client_secret())
            .redirect_uri("https://app.example/callback")
            .sentinel_url(sentinel.url())
            .session_key(self.key.clone())
            .store(RedisStore::new(url).expect("a URL"))
            .refresh_after(REFRESH_AFTER)
            .public("/public")
            .optional("/");
        let world = Arc::downgrade(&self.world);
        let builder = builder.on_session_end(move |end| {
            if let Some(world) = world.upgrade() {
                world.counts.session_ended(end.user_id(), end.reason().as_str(), now());
                world.counts.add(format!("sessions: ended as {}", end.reason()));
            }
            std::future::ready(())
        });
        builder.build().expect("a configuration that works")
    }
}

fn answers_late(sentinel: &MockSentinel) {
    sentinel.inject_always(Endpoint::Refresh, test_kit::Fault::Late(SENTINEL_TAKES));
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .expect("a client without TLS")
}

/// A server that has just become the primary writes its log anew first.
async fn has_everything_on_disk(server: &RedisServer) {
    loop {
        let info = server.text(&["INFO", "persistence"]).await;
        let rests = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_enabled:1"];
        if rests.iter().all(|state| info.contains(state)) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}
