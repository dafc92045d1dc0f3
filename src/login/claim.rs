//! One code, one token call in the whole cluster: a login is claimed in the session store.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::sleep;

use super::{LoginDesk, Refusal, arrival::Arrival, pending::StateHash};
use crate::{refresh::STORE_RETRY_AFTER, respond::RejectionReason, session::Version};

/// A claim that could not be given back is given back a little later.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// At most so many claims wait to be given back.
pub(crate) const MAX_UNCLAIMING: usize = 1000;

/// The answer of one of our own paths whose store cannot be asked: the same request may fare better.
pub(super) fn store_unavailable() -> Refusal {
    let refusal = Refusal::new(RejectionReason::StoreUnavailable);
    Refusal { retry_after: Some(STORE_RETRY_AFTER), again: true, ..refusal }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoginDesk {
    /// Claims a login before its code is presented.
    ///
    /// # Errors
    ///
    /// What the callback comes to instead: another instance has the login, or the store cannot say.
    pub(super) async fn claim(self: &Arc<Self>, hash: StateHash) -> Result<Version, Arrival> {
        let own = Version::random();
        let Some(depot) = &self.keeper.depot else { return Ok(own) };
        match depot.vault.claim(&hash.mark(), own, self.patience).await {
            Ok(true) => Ok(own),
            Ok(false) => match self.earlier_claim(hash) {
                Some(earlier)
                    if depot
                        .vault
                        .reclaim(&hash.mark(), earlier, own, self.patience)
                        .await
                        .unwrap_or(false) =>
                {
                    Ok(own)
                }
                _ => Err(Arrival::Elsewhere),
            },
            Err(_) => {
                // The claim may stand all the same.
                self.unclaim_later(hash, own);
                Err(Arrival::Failed {
                    reason: RejectionReason::StoreUnavailable,
                    retry_after: Some(STORE_RETRY_AFTER),
                    unspent: true,
                })
            }
        }
    }

    /// Gives a login back whose code is unspent, so that it can be finished at any instance.
    pub(super) async fn unclaim(self: &Arc<Self>, hash: StateHash, own: Version) {
        let Some(depot) = &self.keeper.depot else { return };
        if depot.vault.unclaim(&hash.mark(), own).await.is_err() {
            self.unclaim_later(hash, own);
        }
    }

    fn unclaim_later(self: &Arc<Self>, hash: StateHash, own: Version) {
        // Without a permit the claim stands until its end: that login has to start anew.
        let Ok(permit) = Arc::clone(&self.unclaiming).try_acquire_owned() else { return };
        let desk = Arc::clone(self);
        let until = self.keeper.clock.monotonic().saturating_add(self.patience);
        lock(&self.doubtful_claims).insert(hash, own);
        self.keeper.tasks.spawn(async move {
            let _permit = permit;
            let Some(depot) = &desk.keeper.depot else { return };
            // A claim that another callback has made since is not taken away.
            while depot.vault.unclaim(&hash.mark(), own).await.is_err() {
                let over = desk.keeper.clock.monotonic() >= until;
                if over || desk.keeper.tasks.is_shutting_down() {
                    break;
                }
                sleep(RETRY_EVERY).await;
            }
            let mut doubtful = lock(&desk.doubtful_claims);
            if doubtful.get(&hash) == Some(&own) {
                doubtful.remove(&hash);
            }
        });
    }

    /// A claim of this instance that may stand although its answer was lost.
    fn earlier_claim(&self, hash: StateHash) -> Option<Version> {
        lock(&self.doubtful_claims).get(&hash).copied()
    }
}
