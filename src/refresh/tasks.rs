//! Work that outlives the request that started it, and the shutdown that waits for it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

/// The tasks of one layer.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    state: Arc<watch::Sender<State>>,
    /// Whether there is a deadline, for the requests that only pass: without a lock.
    shutting_down: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    running: usize,
    /// Set once, at the call of `shutdown`.
    deadline: Option<Instant>,
}

/// Counts a task for as long as it runs, however it ends.
struct Running(Tasks);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.running -= 1);
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(State::default())),
            shutting_down: Arc::default(),
        }
    }

    /// Runs `work` to its end, whoever goes away meanwhile.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.state.send_modify(|state| state.running += 1);
        let running = Running(self.clone());
        tokio::spawn(async move {
            let _running = running;
            work.await;
        });
    }

    /// Whether `shutdown` has been called.
    #[inline]
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Acquire)
    }

    /// Whether a shutdown is over: what starts now may die with the process.
    pub(crate) fn is_past_deadline(&self) -> bool {
        self.state.borrow().deadline.is_some_and(|end| Instant::now() >= end)
    }

    /// Starts the shutdown; resolves when nothing runs any more, or at the deadline.
    ///
    /// Returns whether everything has ended.
    pub(crate) async fn shutdown(&self, deadline: Duration) -> bool {
        let end = Instant::now() + deadline.min(LONGEST_SHUTDOWN);
        self.shutting_down.store(true, Ordering::Release);
        self.state.send_modify(|state| state.deadline = Some(end));
        let mut receiver = self.state.subscribe();
        let idle = async {
            // The sender lives in `self`, so waiting fails at no time.
            let _ = receiver.wait_for(|state| state.running == 0).await;
        };
        timeout_at(end, idle).await.is_ok()
    }

    /// Resolves at the deadline of a shutdown; never without one.
    pub(crate) async fn shutdown_deadline(&self) {
        let mut receiver = self.state.subscribe();
        let deadline = match receiver.wait_for(|state| state.deadline.is_some()).await {
            Ok(state) => state.deadline,
            Err(_) => None,
        };
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

/// A deadline farther off than this is as good as none.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(24 * 3600);

/// Runs two futures until one of them is ready; returns whether that was the first.
pub(super) async fn first_of(one: impl Future, other: impl Future) -> bool {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| {
        if one.as_mut().poll(cx).is_ready() {
            Poll::Ready(true)
        } else if other.as_mut().poll(cx).is_ready() {
            Poll::Ready(false)
        } else {
            Poll::Pending
        }
    })
    .await
}
