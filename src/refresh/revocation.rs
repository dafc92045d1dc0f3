//! Gives a session's refresh token back to Sentinel (RFC 7009), where that is switched on.
//!
//! At Sentinel this logs the user out of every LivePerson application, so it is a choice. A
//! revocation is a task of its own: what fails is tried again, as [`next_try`] says, until it is
//! done, its time is over, or the process ends.

use std::{error::Error as StdError, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{SemaphorePermit, watch},
    time::timeout,
};

use super::{
    flight::jitter,
    keeper::Keeper,
    outbox::Place,
    retry::{GIVE_UP_AFTER, Next, Progress, next_try},
    tasks::first_of,
};
use crate::{
    account::AccountId, secret::RefreshToken, sentinel::TokenError, session::Session,
    telemetry::Revocation,
};

/// How long the answer to a logout waits for Sentinel.
const WAIT_AT_MOST: Duration = Duration::from_secs(2);

/// The clock is looked at this often at least: the runtime's timers do not follow it.
const STEP: Duration = Duration::from_secs(1);

impl Keeper {
    /// Revokes the refresh token of an ended session, if that is switched on, in a task of its own.
    ///
    /// The channel closes when Sentinel has been asked once.
    pub(crate) fn revoke_if_chosen(
        self: &Arc<Self>,
        session: &Session,
    ) -> Option<watch::Receiver<()>> {
        if !self.revoke_on_logout {
            return None;
        }
        let errand = Errand {
            keeper: Arc::clone(self),
            account: session.account.clone(),
            token: session.tokens.refresh()?,
            began: self.clock.monotonic(),
            tries: 0,
        };
        let (asking, asked) = watch::channel(());
        self.tasks.spawn(errand.run(asking));
        Some(asked)
    }

    /// Waits a little for a revocation; it goes on by itself.
    pub(crate) async fn await_revocation(&self, mut asked: watch::Receiver<()>) {
        // Out of patience or asked: the answer is the same.
        let _ = timeout(WAIT_AT_MOST, asked.changed()).await;
    }

    /// Lets what is under way finish, revocations that wait for another try among it.
    ///
    /// Returns whether everything has.
    pub(crate) async fn shutdown(&self, deadline: Duration) -> bool {
        self.outbox.drain();
        let finished = self.tasks.shutdown(deadline).await;
        self.give_up_revocations();
        finished && !self.outbox.has_lost()
    }

    /// The time is over for all revocations.
    fn give_up_revocations(&self) {
        let left = self.outbox.close();
        if left > 0 {
            self.telemetry.revoked(Revocation::GaveUp, left);
            let outcome = Revocation::GaveUp.as_str();
            tracing::warn!(
                outcome,
                revocations = left,
                "refresh tokens not revoked: the process ends before sentinel has confirmed it"
            );
        }
    }
}

/// A revocation under way.
struct Errand {
    keeper: Arc<Keeper>,
    account: AccountId,
    token: RefreshToken,
    /// Monotonic.
    began: Duration,
    tries: u32,
}

/// What has become of a revocation.
struct Ended {
    outcome: Revocation,
    /// The latest error.
    error: Option<TokenError>,
    /// Why it was given up.
    reason: Option<&'static str>,
}

impl Errand {
    async fn run(mut self, asking: watch::Sender<()>) {
        let outbox = Arc::clone(&self.keeper.outbox);
        let Some(mut place) = outbox.enter() else {
            let ended = self.deliver(None, asking).await;
            return self.record(&ended);
        };
        let mut ended = None;
        let delivery = async { ended = Some(self.deliver(Some(&mut place), asking).await) };
        first_of(delivery, outbox.closed()).await;
        if let Some(ended) = ended
            && place.leave()
        {
            self.record(&ended);
        }
    }

    /// Asks Sentinel until this has come to an end.
    async fn deliver(&mut self, mut place: Option<&mut Place>, asking: watch::Sender<()>) -> Ended {
        let keeper = Arc::clone(&self.keeper);
        let mut asking = Some(asking);
        let mut turn = None;
        loop {
            let answer = keeper.sentinel.revoke(&self.account, &self.token).await;
            // Whoever waits has waited for this; others may have their turn.
            drop((asking.take(), turn.take()));
            self.tries = self.tries.saturating_add(1);
            let progress = Progress {
                tries: self.tries,
                elapsed: self.elapsed(),
                stopping: keeper.outbox.is_stopping(),
            };
            let given_up =
                |error, reason| Ended { outcome: Revocation::GaveUp, error, reason: Some(reason) };
            match (next_try(&answer, progress, jitter()), &mut place) {
                (Next::Done(Revocation::GaveUp), _) => return given_up(answer.err(), TIME_OVER),
                (Next::Done(outcome), _) => {
                    return Ended { outcome, error: answer.err(), reason: None };
                }
                (Next::Retry { .. }, None) => return given_up(answer.err(), STOPPING),
                (Next::Retry { pause, asked }, Some(place)) => {
                    if !place.wait() {
                        return given_up(answer.err(), FULL);
                    }
                    keeper.telemetry.revocation_retried();
                    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                    tracing::debug!(tries = self.tries, pause_ms, "a revocation is tried again");
                    match self.turn(&keeper, pause, asked).await {
                        Ok(permit) => turn = Some(permit),
                        Err(reason) => return given_up(answer.err(), reason),
                    }
                }
            }
        }
    }

    /// Waits for the next try: until the pause is over or, unless Sentinel asked for it, a shutdown
    /// begins; then for a place among those that are tried again at once.
    ///
    /// # Errors
    ///
    /// Why there is no next try.
    async fn turn<'a>(
        &self,
        keeper: &'a Keeper,
        pause: Duration,
        asked: bool,
    ) -> Result<SemaphorePermit<'a>, &'static str> {
        let due = keeper.clock.monotonic().saturating_add(pause);
        let mut phase = keeper.outbox.phase();
        let cut_short = !asked && !keeper.outbox.is_stopping();
        loop {
            self.check_time(keeper)?;
            let left = due.saturating_sub(keeper.clock.monotonic());
            if left.is_zero() || (cut_short && keeper.outbox.is_stopping()) {
                break;
            }
            // A new phase or a look at the clock: the loop weighs both.
            let _ = timeout(left.min(STEP), phase.changed()).await;
        }
        let mut permit = pin!(keeper.outbox.retries.acquire());
        loop {
            match timeout(STEP, permit.as_mut()).await {
                Ok(permit) => return permit.map_err(|_| STOPPING),
                Err(_) => self.check_time(keeper)?,
            }
        }
    }

    fn check_time(&self, keeper: &Keeper) -> Result<(), &'static str> {
        if keeper.tasks.is_past_deadline() {
            // The shutdown that would say so may have been cancelled.
            keeper.give_up_revocations();
            return Err(STOPPING);
        }
        if self.elapsed() > GIVE_UP_AFTER { Err(TIME_OVER) } else { Ok(()) }
    }

    fn elapsed(&self) -> Duration {
        self.keeper.clock.monotonic().saturating_sub(self.began)
    }

    fn record(&self, ended: &Ended) {
        self.keeper.telemetry.revoked(ended.outcome, 1);
        let (outcome, tries, reason) = (ended.outcome.as_str(), self.tries, ended.reason);
        let error = ended.error.as_ref().map(|error| error as &dyn StdError);
        match ended.outcome {
            Revocation::Success => tracing::info!(outcome, tries, "refresh token revoked"),
            Revocation::Misconfigured => tracing::error!(
                outcome,
                tries,
                "refresh token not revoked: sentinel refuses this application's credentials: \
                 check client_id and client_secret"
            ),
            Revocation::Unsupported | Revocation::Refused | Revocation::GaveUp => {
                tracing::warn!(outcome, reason, tries, error, "refresh token not revoked");
            }
        }
    }
}

/// Why a revocation is given up.
const TIME_OVER: &str = "time_over";
const FULL: &str = "outbox_full";
const STOPPING: &str = "shutting_down";
