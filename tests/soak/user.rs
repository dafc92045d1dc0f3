//! A user with a browser, at whatever instance the balancer picks.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::body::Body;
use http::{Method, Request, StatusCode, header::COOKIE};
use tokio::{sync::watch, time::timeout};
use tower_lp_auth::Clock;

use crate::{
    counts::Counts,
    instance::{Balancer, Crashed},
    pulse::Pulse,
    support::{FETCH, FORM, Jar, NAVIGATE, Page},
    timeline::{RECOVERY, Timeline, now},
};

/// What all users share.
pub struct World {
    pub balancer: Balancer,
    pub timeline: Timeline,
    pub pulse: Arc<Pulse>,
    pub counts: Counts,
    pub sentinel: reqwest::Client,
    pub clock: tower_lp_auth::SystemClock,
}

/// Nothing takes so long: the layer gives up on everything before.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct User {
    id: String,
    world: Arc<World>,
    jar: Jar,
    /// When the session began, if there is one as far as the browser knows.
    since: Option<SystemTime>,
    /// A logout was answered with 503: it is asked for again until it is done.
    leaving: bool,
    random: Random,
}

impl User {
    pub fn new(number: u64, world: Arc<World>) -> Self {
        let random = Random(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let id = user_id(number);
        Self { id, world, jar: Jar::default(), since: None, leaving: false, random }
    }

    /// Uses the application until told to stop; returns whether a session is left.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> bool {
        loop {
            let pause = self.pause();
            if timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
                return self.since.is_some();
            }
            match self.since {
                None => self.sign_in().await,
                Some(_) if self.leaving || self.random.one_in(60) => self.sign_out().await,
                Some(since) => self.look(since).await,
            }
        }
    }

    /// Most requests follow each other closely; some come when the session is due, a few when its
    /// access token is about to end.
    fn pause(&mut self) -> Duration {
        let (from, to) = match self.random.below(100) {
            0..=1 => (21_000, 27_000),
            2..=11 => (2_000, 5_000),
            _ => (100, 1_500),
        };
        Duration::from_millis(from + self.random.below(to - from))
    }

    async fn look(&mut self, since: SystemTime) {
        let Some(page) = self.send(Method::GET, "/me", &FETCH).await else { return };
        let world = Arc::clone(&self.world);
        match page.status {
            StatusCode::OK if page.json()["user_id"] == self.id => {}
            StatusCode::OK => world.counts.riddle("! somebody else's session", || self.tell(&page)),
            StatusCode::UNAUTHORIZED => self.lost(since, &page),
            StatusCode::SERVICE_UNAVAILABLE => {}
            _ => world.counts.riddle("! unexpected answer", || self.tell(&page)),
        }
    }

    /// A session that nobody has ended.
    fn lost(&mut self, since: SystemTime, page: &Page) {
        let counts = &self.world.counts;
        let spent = ["rotation_lost", "refresh_refused"];
        if self.world.timeline.explains_lost_record(since) {
            counts.add("sessions: lost, made just before a fail-over");
        } else if counts.end_since(&self.id, since).is_some_and(|reason| spent.contains(&reason)) {
            counts.add("sessions: lost, sentinel refused the token");
        } else {
            counts.riddle("! sessions: lost without explanation", || self.tell(page));
        }
        self.since = None;
        self.jar.clear();
    }

    async fn sign_out(&mut self) {
        self.world.counts.add("sessions: logouts asked for");
        let copy = self.jar.clone();
        let Some(page) = self.send(Method::POST, "/logout", &FORM).await else {
            self.leaving = true;
            return;
        };
        match page.status {
            StatusCode::SEE_OTHER => {}
            StatusCode::SERVICE_UNAVAILABLE => {
                self.leaving = true;
                return;
            }
            _ => self.world.counts.riddle("! unexpected answer", || self.tell(&page)),
        }
        self.world.counts.add("sessions: logouts done");
        (self.since, self.leaving) = (None, false);
        // It is over at every instance at once, for a copy of the cookie too.
        self.jar = copy;
        let asked = now();
        let page = self.send(Method::GET, "/me", &FETCH).await;
        self.jar.clear();
        let Some(page) = page.filter(|page| page.status == StatusCode::OK) else { return };
        // A fail-over may bring the record back until the instance has deleted it again.
        if self.world.timeline.explains_lost_record(asked) {
            self.world.counts.add("sessions: served after the logout, by a fail-over");
        } else {
            self.world.counts.riddle("! sessions: served after the logout", || self.tell(&page));
        }
    }

    async fn sign_in(&mut self) {
        self.jar.clear();
        let started = self.send(Method::GET, "/me", &NAVIGATE).await;
        let Some(authorize) = started.and_then(|page| self.redirect(&page)) else { return };
        let form = self.at_sentinel(self.world.sentinel.get(authorize)).await;
        let choice = self.world.sentinel.post(form).body(format!("user={}", self.id));
        let choice = choice.header("content-type", "application/x-www-form-urlencoded");
        let callback = self.at_sentinel(choice).await;
        let target = callback.strip_prefix("https://app.example").expect("the redirect URI");
        let page = self.send(Method::GET, target, &NAVIGATE).await;
        if page.is_none_or(|page| self.redirect(&page).is_none()) {
            // The record may be in the store, and the cookie on the way was lost.
            self.world.counts.add("sessions: logins interrupted");
        } else if self.jar.session().is_some() {
            self.since = Some(now());
            self.world.counts.add("sessions: logins");
        } else {
            self.world.counts.riddle("! login without a session", || self.id.clone());
        }
    }

    /// Where a response of the application's leads.
    fn redirect(&self, page: &Page) -> Option<String> {
        match page.status {
            StatusCode::SEE_OTHER => page.location(),
            StatusCode::SERVICE_UNAVAILABLE => None,
            _ => {
                self.world.counts.riddle("! unexpected answer", || self.tell(page));
                None
            }
        }
    }

    /// Where Sentinel sends the browser.
    async fn at_sentinel(&self, request: reqwest::RequestBuilder) -> String {
        let response = request.send().await.expect("an answer of Sentinel's");
        let location = response.headers().get("location").expect("a redirect");
        let location = location.to_str().expect("visible ASCII");
        response.url().join(location).expect("a URL").into()
    }

    /// One request, and what it says counted; `None` if its instance was gone before the answer.
    async fn send(&mut self, method: Method, uri: &str, headers: &[(&str, &str)]) -> Option<Page> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookies) = self.jar.header() {
            request = request.header(COOKIE, cookies);
        }
        let request = request.body(Body::empty()).expect("a valid request");
        let world = &self.world;
        let (asked, began) = (now(), world.clock.monotonic());
        let instance = world.balancer.pick(self.random.next());
        let Ok(answer) = timeout(PATIENCE, instance.ask(request)).await else {
            world.counts.riddle("! requests: never answered", || format!("{} {uri}", self.id));
            return None;
        };
        let answered = now();
        let page = match answer {
            Ok(page) => page,
            Err(Crashed) => {
                world.counts.add("requests: cut by a crash");
                return None;
            }
        };
        let troubled = world.timeline.is_troubled(asked) || world.timeline.is_troubled(answered);
        world.counts.took(world.clock.monotonic().saturating_sub(began), troubled);
        world.counts.add("requests");
        world.counts.add(format!("requests: {}", page.status.as_u16()));
        if page.status == StatusCode::SERVICE_UNAVAILABLE {
            match world.timeline.explains_unavailable(asked, answered) {
                Some(fault) => world.counts.add(format!("requests: 503 after {fault}")),
                None if world.pulse.was_late(asked, answered, RECOVERY) => {
                    world.counts.add("requests: 503 on a machine that does not keep up");
                }
                None => {
                    world.counts.riddle("! requests: 503 without explanation", || self.tell(&page))
                }
            }
        }
        page.set_cookies().iter().for_each(|line| self.jar.set(line));
        Some(page)
    }

    fn tell(&self, page: &Page) -> String {
        let end = self.world.counts.end_since(&self.id, self.since.unwrap_or(now()));
        let retry_after = page.headers.get(http::header::RETRY_AFTER);
        let (status, id, body) = (page.status, &self.id, &page.body);
        format!(
            "{:?}: {status} of {id}, retry-after {retry_after:?}, session ended as {end:?}: {body}",
            self.world.clock.monotonic()
        )
    }
}

/// The id of a user.
pub fn user_id(number: u64) -> String {
    format!("soak-{number}")
}

/// Marsaglia's xorshift: the same users do the same things in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}
