//! Keeps one link up: connects at the first call, watches it, replaces it when it breaks.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{Cmd, Value};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    fault::Fault,
    health::Health,
    link::{Event, Link, Watcher},
    server::Server,
    shaken::Shaken,
};

/// The pause after the first failed attempt to connect; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// With it, and the time that connecting takes, a server that is back serves in under a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// While calls come in, the server is asked who it is so long after each of these questions.
const QUIET: Duration = Duration::from_millis(250);

/// A server that leaves the question unanswered for so long is given up: no call waits longer.
const SILENCE: Duration = Duration::from_secs(1);

pub(super) struct Supervisor {
    shared: Arc<Shared>,
}

struct Shared {
    server: Server,
    state: watch::Sender<State>,
    /// How many links there have been; in a cluster, also how often one has been shaken.
    links: AtomicU64,
    shaken: Arc<Shaken>,
    health: Health,
}

#[derive(Clone)]
enum State {
    /// Nobody connects: nothing has been asked yet, or the runtime that connected has ended.
    Idle,
    /// An attempt is under way, and the one before has not failed.
    Connecting,
    Up(Arc<Link>),
    /// The last attempt has failed; others follow.
    Down(Fault),
}

impl Supervisor {
    pub(super) fn new(server: Server) -> Self {
        let shared = Shared {
            server,
            state: watch::Sender::new(State::Idle),
            links: AtomicU64::new(0),
            shaken: Arc::default(),
            health: Health::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn server(&self) -> &Server {
        &self.shared.server
    }

    pub(super) fn health(&self) -> &Health {
        &self.shared.health
    }

    /// Grows with every link after the first, before a call over it returns.
    pub(super) fn epoch(&self) -> u64 {
        let links = self.shared.links.load(Ordering::Acquire);
        links.saturating_sub(1) + self.shared.shaken.times()
    }

    /// Sends a command and waits for its answer; fails at once while the server is known to be down.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, Fault> {
        let link = self.link().await?;
        link.ask(command).await.map_err(|error| {
            let fault = Fault::of_call(&error);
            if link.is_cluster() {
                // The library mends its connections itself, unless its task has ended.
                if fault.is_outage() {
                    self.shared.shaken.note();
                }
                if link.has_ended(&error) {
                    self.shared.replace(&link);
                }
            } else if fault.breaks_link() {
                self.shared.replace(&link);
            }
            fault
        })
    }

    async fn link(&self) -> Result<Arc<Link>, Fault> {
        if let State::Up(link) = &*self.shared.state.borrow() {
            return Ok(link.clone());
        }
        // Boxed, so that the calls that need not wait move less.
        Box::pin(self.next_link()).await
    }

    /// Waits for the attempt under way, or begins one.
    async fn next_link(&self) -> Result<Arc<Link>, Fault> {
        let mut state = self.shared.state.subscribe();
        let mut has_begun = false;
        loop {
            let now = state.borrow_and_update().clone();
            match now {
                State::Up(link) => return Ok(link),
                State::Down(fault) => return Err(fault),
                State::Connecting => {}
                // Whoever was to connect has been stopped: the next call sets another one to it.
                State::Idle if has_begun => return Err(Fault::lost()),
                State::Idle => {
                    has_begun = true;
                    self.begin();
                }
            }
            if state.changed().await.is_err() {
                return Err(Fault::lost());
            }
        }
    }

    fn begin(&self) {
        let begins = self.shared.state.send_if_modified(|state| {
            let begins = matches!(state, State::Idle);
            if begins {
                *state = State::Connecting;
            }
            begins
        });
        if begins {
            let work = Work { shared: Arc::downgrade(&self.shared) };
            tokio::spawn(work.run());
        }
    }
}

impl Shared {
    /// Takes a broken link out of use, so that the next call does not meet it.
    fn replace(&self, link: &Arc<Link>) {
        self.state.send_if_modified(|state| {
            let is_current = matches!(state, State::Up(current) if Arc::ptr_eq(current, link));
            if is_current {
                *state = State::Connecting;
            }
            is_current
        });
        link.give_up();
    }

    fn shaker(&self) -> impl Fn() + Send + Sync + 'static {
        let shaken = self.shaken.clone();
        move || {
            shaken.note();
        }
    }

    async fn connect(&self) -> Result<(Arc<Link>, mpsc::Receiver<Event>), Fault> {
        let (watcher, events) = Watcher::new();
        let attempt = async {
            let connection = match self.server.is_cluster() {
                true => self.server.connect(self.shaker()).await,
                false => {
                    let watcher = watcher.clone();
                    self.server.connect(move || watcher.lost()).await
                }
            };
            let connection = connection.map_err(|error| Fault::of_connecting(&error))?;
            connection.check_role().await?;
            Ok(connection)
        };
        let connection = timeout(self.server.connect_timeout(), attempt)
            .await
            .map_err(|_| Fault::silent())??;
        Ok((Link::new(connection, watcher), events))
    }
}

/// The task that connects. Where its runtime ends it is dropped, and another one can begin.
struct Work {
    shared: Weak<Shared>,
}

impl Work {
    async fn run(self) {
        let mut pause = FIRST_PAUSE;
        while let Some(shared) = self.shared.upgrade() {
            match shared.connect().await {
                Ok((link, events)) => {
                    pause = FIRST_PAUSE;
                    shared.links.fetch_add(1, Ordering::AcqRel);
                    let watched = Arc::downgrade(&link);
                    shared.state.send_replace(State::Up(link));
                    drop(shared);
                    watch_over(watched, events).await;
                    if let Some(shared) = self.shared.upgrade() {
                        shared.state.send_replace(State::Connecting);
                    }
                }
                Err(fault) => {
                    shared.health.outage(&fault);
                    shared.state.send_replace(State::Down(fault));
                    drop(shared);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.state.send_replace(State::Idle);
        }
    }
}

/// Returns when the link is lost, given up or not answering, or when the store is gone.
async fn watch_over(link: Weak<Link>, mut events: mpsc::Receiver<Event>) {
    while let Some(Event::Used) = events.recv().await {
        if timeout(QUIET, events.recv()).await.is_ok() {
            return; // after `Used` there is only `Lost`
        }
        let Some(link) = link.upgrade() else { return };
        link.look_again();
        match timeout(SILENCE, link.probe()).await {
            Ok(Err(fault)) if fault.breaks_link() => return,
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
