//! What a request carries, and whether it may.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Uri};

use super::newest::{Carried, Newest};
use crate::destination::{Destination, Origin};

/// The token that all clones and services share, and where it may go.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    pub(super) newest: Arc<Newest>,
    pub(super) origin: Option<Arc<Origin>>,
}

/// What a request has carried, to which its response may bring the successor.
#[derive(Debug)]
pub(super) struct Sent {
    newest: Arc<Newest>,
    carried: Arc<Carried>,
}

impl Credential {
    /// The header for a request to `uri`, unless the token may not travel there.
    pub(super) fn for_request(&self, uri: &Uri) -> Option<(HeaderValue, Sent)> {
        if let Some(reason) = Destination::of(uri, self.origin.as_deref()).objection() {
            tracing::debug!(reason, "session token withheld");
            return None;
        }
        let sent = Sent { newest: Arc::clone(&self.newest), carried: self.newest.get() };
        Some((sent.carried.header.clone(), sent))
    }
}

impl Sent {
    pub(super) fn take_in(&self, response: &HeaderMap) {
        self.newest.take_in(&self.carried, response);
    }
}
