//! What can go wrong on demand.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::counters::Endpoint;

/// Something that goes wrong with a call.
///
/// "The work" is what the endpoint does: a code is spent, a refresh token rotated, a key listed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_lp_auth::test_kit::{Endpoint, Fault, MockSentinel};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let sentinel = MockSentinel::start().await?;
/// // The next refresh rotates the token, and nobody ever learns the new one.
/// sentinel.inject(Endpoint::Refresh, Fault::LostResponse);
/// // Every fetch of the keys is refused after a second, until `clear_faults`.
/// sentinel.inject_always(
///     Endpoint::Jwks,
///     Fault::after(Duration::from_secs(1), Fault::status(503)),
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// Waits, then does the work and answers. A client that gives up first has the work undone.
    Delay(Duration),
    /// Does the work at once and answers late: a client that gives up first misses the result.
    Late(Duration),
    /// Answers with this, and does no work.
    Status {
        /// The status code.
        status: u16,
        /// Header fields, in order.
        headers: Vec<(String, String)>,
        /// The body, as it is.
        body: Vec<u8>,
    },
    /// Answers 200 with this body, called `application/json`, and does no work.
    Body(Vec<u8>),
    /// Does the work, promises the whole answer, sends half of its body and ends the connection
    /// (FIN).
    HalfBody,
    /// Resets the connection (RST) before any byte of an answer, and does no work.
    Reset,
    /// Does the work, then resets the connection (RST) before any byte of an answer.
    LostResponse,
    /// Does the work, sends the whole answer, then resets the connection (RST). An answer too large
    /// for the socket's buffers may lose its end.
    ResetAfterBody,
    /// Never answers, and does no work.
    Hang,
    /// Does the work, then sends the body at one byte per second.
    Drip,
    /// Waits, then fails in another way.
    After(Duration, Box<Fault>),
}

impl Fault {
    /// Answers with a bare status code.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Answers 400 with an OAuth error (RFC 6749 §5.2), such as `invalid_grant`.
    #[must_use]
    pub fn oauth_error(error: &str) -> Self {
        let body = serde_json::json!({ "error": error });
        Self::Status {
            status: 400,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    /// Answers 429 with a `Retry-After` in seconds.
    #[must_use]
    pub fn throttled(seconds: u64) -> Self {
        Self::Status {
            status: 429,
            headers: vec![("retry-after".to_owned(), seconds.to_string())],
            body: Vec::new(),
        }
    }

    /// Waits, then fails as `fault` says.
    #[must_use]
    pub fn after(delay: Duration, fault: Self) -> Self {
        Self::After(delay, Box::new(fault))
    }
}

/// The faults in wait, by endpoint.
#[derive(Debug, Default)]
pub(super) struct Faults {
    queued: HashMap<Endpoint, VecDeque<Fault>>,
    standing: HashMap<Endpoint, Fault>,
}

impl Faults {
    pub(super) fn queue(&mut self, endpoint: Endpoint, fault: Fault) {
        self.queued.entry(endpoint).or_default().push_back(fault);
    }

    pub(super) fn stand(&mut self, endpoint: Endpoint, fault: Fault) {
        self.standing.insert(endpoint, fault);
    }

    /// The fault of the next call: what is queued goes before what stands.
    pub(super) fn next(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let queued = self.queued.get_mut(&endpoint).and_then(VecDeque::pop_front);
        queued.or_else(|| self.standing.get(&endpoint).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_queued_goes_before_what_stands() {
        let mut faults = Faults::default();
        faults.stand(Endpoint::Jwks, Fault::Hang);
        faults.queue(Endpoint::Jwks, Fault::Reset);
        faults.queue(Endpoint::Jwks, Fault::Drip);
        assert!(matches!(faults.next(Endpoint::Jwks), Some(Fault::Reset)));
        assert!(matches!(faults.next(Endpoint::Jwks), Some(Fault::Drip)));
        assert!(matches!(faults.next(Endpoint::Jwks), Some(Fault::Hang)));
        assert!(matches!(faults.next(Endpoint::Jwks), Some(Fault::Hang)));
        assert!(faults.next(Endpoint::Token).is_none());
    }
}
