//! Waiting for what happens elsewhere, with an end to the patience.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};
use tower_lp_auth::{Builder, EndReason, SessionEnd};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a condition holds.
#[track_caller]
pub fn until(mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let poll = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(PATIENCE, poll).await.is_ok(), "still waiting at {caller}");
    }
}

/// The ends of sessions that a layer tells of.
pub struct Ends(mpsc::UnboundedReceiver<SessionEnd>);

impl Ends {
    /// The receiver, and the setting that feeds it.
    pub fn new() -> (Self, impl FnOnce(Builder) -> Builder + 'static) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let hook = move |builder: Builder| {
            builder.on_session_end(move |end| {
                // A test that has seen enough listens no more.
                let _ = sender.send(end);
                std::future::ready(())
            })
        };
        (Self(receiver), hook)
    }

    /// The reason of the next end.
    pub async fn next(&mut self) -> EndReason {
        self.next_end().await.reason()
    }

    /// The next end.
    pub async fn next_end(&mut self) -> SessionEnd {
        let end = timeout(PATIENCE, self.0.recv()).await.expect("a session that ends");
        end.expect("a layer that lives")
    }

    /// Whether nothing has ended that [`Ends::next`] has not told of.
    pub fn is_quiet(&self) -> bool {
        self.0.is_empty()
    }
}
