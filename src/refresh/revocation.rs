//! Gives a session's refresh token back to Sentinel (RFC 7009), where that is switched on.
//!
//! At Sentinel this logs the user out of every LivePerson application, so it is a choice.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::keeper::Keeper;
use crate::{session::Session, telemetry::Revocation};

/// How long the answer to a logout waits for Sentinel.
const WAIT_AT_MOST: Duration = Duration::from_secs(2);

impl Keeper {
    /// Revokes the refresh token of an ended session, if that is switched on, in a task of its own.
    pub(crate) fn revoke_if_chosen(
        self: &Arc<Self>,
        session: &Session,
    ) -> Option<watch::Receiver<()>> {
        if !self.revoke_on_logout {
            return None;
        }
        let token = session.tokens.refresh.clone()?;
        let account = session.account.clone();
        let keeper = Arc::clone(self);
        let (done, receiver) = watch::channel(());
        self.tasks.spawn(async move {
            let _done = done;
            let outcome = keeper.sentinel.revoke(&account, &token).await;
            match outcome {
                Ok(()) => {
                    keeper.telemetry.revoked(Revocation::Success);
                    tracing::info!(outcome = "success", "refresh token revoked");
                }
                Err(error) if error.is_misconfiguration() => {
                    keeper.telemetry.revoked(Revocation::Misconfigured);
                    tracing::error!(
                        outcome = "misconfigured",
                        "refresh token not revoked: sentinel refuses this application's \
                         credentials: check client_id and client_secret"
                    );
                }
                Err(error) => {
                    keeper.telemetry.revoked(Revocation::Failed);
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, outcome = "failed", "refresh token not revoked");
                }
            }
        });
        Some(receiver)
    }

    /// Waits a little for a revocation; it goes on by itself.
    pub(crate) async fn await_revocation(&self, mut done: watch::Receiver<()>) {
        // Out of patience or done: the answer is the same.
        let _ = timeout(WAIT_AT_MOST, done.changed()).await;
    }
}
