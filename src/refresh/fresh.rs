//! A live access token for work that outlives its request.

use std::sync::Arc;

use super::{
    depot::STORE_RETRY_AFTER,
    flight::{Awaited, Departure, whole_seconds},
    forced::{Forced, forced},
    keeper::{Considered, Keeper},
};
use crate::{secret::AccessToken, session::Held};

/// What asking for a live token comes to.
#[derive(Debug)]
pub(crate) enum Fresh {
    /// The session with it.
    Here(Held),
    /// The session is over.
    Ended,
    /// Not now; whole seconds until another try may fare better.
    Unavailable(u64),
    /// The token that was refused is too new for another to fare better.
    TooNew,
}

impl Keeper {
    /// The newest of a session, with an access token that lives; refreshed first where it has
    /// expired, and beside where that is due.
    pub(crate) async fn fresh(self: &Arc<Self>, held: &Held) -> Fresh {
        let held = match self.look_again(held).await {
            Ok(Some(held)) => held,
            Ok(None) => return Fresh::Ended,
            Err(_) => return Fresh::Unavailable(STORE_RETRY_AFTER),
        };
        let considered = self.consider_quietly(&held, self.now());
        self.settle(&held, considered).await.into()
    }

    /// The same after `refused` did not work: refreshed at once if that is the newest token, and old
    /// enough for a refresh to be of use.
    pub(crate) async fn replace_token(
        self: &Arc<Self>,
        held: &Held,
        refused: &AccessToken,
    ) -> Fresh {
        let newest = match self.fresh(held).await {
            Fresh::Here(newest) => newest,
            other => return other,
        };
        let session = &newest.opened.session;
        let generation = session.pair.generation;
        let failed = if *session.tokens.access() == *refused {
            generation
        } else if *held.opened.session.tokens.access() == *refused {
            held.pair().generation
        } else {
            return Fresh::Here(newest);
        };
        match forced(failed, generation, self.now().since(session.times.refreshed_at)) {
            Forced::UseNewest => Fresh::Here(newest),
            Forced::TooYoung => Fresh::TooNew,
            Forced::Send => self.refresh_now(newest).await,
        }
    }

    async fn refresh_now(self: &Arc<Self>, held: Held) -> Fresh {
        match self.refresh(&held) {
            Departure::Started(mut landing) | Departure::Joined(mut landing) => {
                self.await_landing(&mut landing).await;
            }
            Departure::Blocked(left) => return Fresh::Unavailable(whole_seconds(left)),
            Departure::Moved => {}
        }
        match self.consider_quietly(&held, self.now()) {
            Considered::Serve { served, .. } | Considered::Wait { served }
                if served.pair().generation > held.pair().generation =>
            {
                Fresh::Here(served)
            }
            Considered::Over { .. } => Fresh::Ended,
            _ => Fresh::Unavailable(STORE_RETRY_AFTER),
        }
    }
}

impl From<Awaited> for Fresh {
    fn from(awaited: Awaited) -> Self {
        match awaited {
            Awaited::Serve(held) => Self::Here(held),
            Awaited::Over { .. } => Self::Ended,
            Awaited::Unavailable(seconds) => Self::Unavailable(seconds),
        }
    }
}
