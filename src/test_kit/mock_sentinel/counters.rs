//! What was asked of the mock.

use std::{collections::VecDeque, time::SystemTime};

/// How many calls are kept for [`MockSentinel::calls`](super::MockSentinel::calls).
const KEPT: usize = 10_000;

/// A part of the mock that can be counted and can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The Domain API, which names the host of a service.
    Domain,
    /// Where the browser's login begins.
    Authorize,
    /// The login page and its form.
    Login,
    /// The token endpoint with a code.
    Token,
    /// The token endpoint with a refresh token (the same URL as [`Token`](Self::Token)).
    Refresh,
    /// Where tokens are revoked.
    Revoke,
    /// The public keys.
    Jwks,
    /// The resource that access tokens open.
    Api,
    /// Where an application gets a token of its own (App-JWT, version 2).
    AppToken,
}

/// How many requests have arrived, by endpoint; those that met a fault are among them.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::test_kit::MockSentinel;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let sentinel = MockSentinel::start().await?;
/// let before = sentinel.counts();
/// // … requests that must not reach Sentinel …
/// assert_eq!(sentinel.counts(), before);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Questions to the Domain API.
    pub domain: u64,
    /// Authorization requests.
    pub authorize: u64,
    /// Login forms submitted.
    pub logins: u64,
    /// Token requests with a code (or with a grant type that does not exist).
    pub exchanges: u64,
    /// Token requests with a refresh token.
    pub refreshes: u64,
    /// Revocation requests.
    pub revocations: u64,
    /// Fetches of the public keys.
    pub jwks: u64,
    /// Uses of the resource behind the access token.
    pub api: u64,
    /// Requests for an App-JWT.
    pub app_tokens: u64,
    /// Refresh tokens presented again after they were spent.
    pub reuses: u64,
}

/// One request as it arrived.
///
/// Everything is kept as it was sent, secrets too.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// What was asked.
    pub endpoint: Endpoint,
    /// When, by the mock's clock.
    pub at: SystemTime,
    /// The HTTP method.
    pub method: String,
    /// The query string, without the question mark; empty if there was none.
    pub query: String,
    /// The fields of a form body, decoded.
    pub form: Vec<(String, String)>,
    /// Whether an `Authorization` header came with it.
    pub had_authorization: bool,
}

impl Call {
    /// The first value of a field of the form.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let named = self.form.iter().find(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// Counts all calls and keeps the last of them.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    counts: Counts,
    calls: VecDeque<Call>,
}

impl CallLog {
    pub(super) fn record(&mut self, call: Call) {
        if let Some(count) = self.counter(&call) {
            *count += 1;
        }
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(super) fn record_reuse(&mut self) {
        self.counts.reuses += 1;
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    fn counter(&mut self, call: &Call) -> Option<&mut u64> {
        let counts = &mut self.counts;
        Some(match call.endpoint {
            Endpoint::Domain => &mut counts.domain,
            Endpoint::Authorize => &mut counts.authorize,
            Endpoint::Login if call.method == "POST" => &mut counts.logins,
            Endpoint::Login => return None,
            Endpoint::Token => &mut counts.exchanges,
            Endpoint::Refresh => &mut counts.refreshes,
            Endpoint::Revoke => &mut counts.revocations,
            Endpoint::Jwks => &mut counts.jwks,
            Endpoint::Api => &mut counts.api,
            Endpoint::AppToken => &mut counts.app_tokens,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_calls_are_kept_but_all_are_counted() {
        let mut log = CallLog::default();
        for number in 0..KEPT + 3 {
            log.record(Call {
                endpoint: Endpoint::Jwks,
                at: SystemTime::UNIX_EPOCH,
                method: "GET".to_owned(),
                query: number.to_string(),
                form: Vec::new(),
                had_authorization: false,
            });
        }
        assert_eq!(log.counts().jwks, KEPT as u64 + 3);
        assert_eq!(log.calls().len(), KEPT);
        assert_eq!(log.calls()[0].query, "3");
    }
}
