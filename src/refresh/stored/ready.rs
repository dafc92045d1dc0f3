//! From the cookies of a request to a session that may serve it.

use std::sync::Arc;

use http::HeaderValue;

use super::recall::{Recalled, Tickets};
use crate::{
    clock::Timestamp,
    refresh::{depot::STORE_RETRY_AFTER, depot::Ticket, flight::Awaited, keeper::Keeper},
    session::{Carrier, Held},
};

/// What becomes of a request after the store was asked, or a refresh awaited.
#[derive(Debug)]
pub(crate) enum Ready {
    Serve {
        served: Held,
        /// A cookie that the response sets, since the one that came was sealed by a former key.
        renewed: Option<HeaderValue>,
    },
    /// Not now; whole seconds until another try may fare better.
    Unavailable(u64),
    /// No session.
    Nobody {
        /// There was a cookie, and it is worthless for good.
        dead: bool,
    },
    /// There is a session, and another site makes use of it.
    CrossSite,
}

impl From<Awaited> for Ready {
    fn from(awaited: Awaited) -> Self {
        match awaited {
            Awaited::Serve(served) => Self::Serve { served, renewed: None },
            Awaited::Unavailable(seconds) => Self::Unavailable(seconds),
            Awaited::Over { dead } => Self::Nobody { dead },
        }
    }
}

impl Keeper {
    /// Finds the session of a request in the store, and refreshes it first where it has expired.
    /// With `cross_site` nothing is served, but only a session is refused for it.
    pub(crate) async fn ready(
        self: &Arc<Self>,
        carrier: Carrier,
        tickets: Tickets,
        now: Timestamp,
        cross_site: bool,
    ) -> Ready {
        let Some(depot) = &self.depot else { return Ready::Nobody { dead: false } };
        let Ok(recalled) = self.recall(depot, &tickets, now, !cross_site).await else {
            return Ready::Unavailable(STORE_RETRY_AFTER);
        };
        let (held, considered, renew) = match recalled {
            Recalled::Nobody { dead } => return Ready::Nobody { dead },
            Recalled::Ambiguous => return Ready::Nobody { dead: false },
            Recalled::Session { .. } if cross_site => return Ready::CrossSite,
            Recalled::Session { held, considered, renew } => (held, considered, renew),
        };
        match self.settle(&held, considered).await {
            Awaited::Serve(served) => {
                let cookie = |ticket: Ticket| self.mint.voucher_cookie(&ticket.voucher, now);
                // A token stays as it is: a client may not look for another.
                let renew = renew.filter(|_| carrier == Carrier::Cookie);
                Ready::Serve { served, renewed: renew.map(cookie) }
            }
            other => other.into(),
        }
    }
}
