//! What the layer counts: metrics through the `metrics` facade (feature `metrics`).
//!
//! Handles are made at `build()`, so a recorder has to be installed before. Labels come from closed
//! sets. Without the feature nothing is counted and nothing costs.
//!
//! | name | labels | counts |
//! |---|---|---|
//! | `lp_auth_logins_total` | `outcome`: `success` or a rejection's reason | callbacks that ended a login |
//! | `lp_auth_rejections_total` | `reason` | answers of ours instead of the inner service's |
//! | `lp_auth_refreshes_total` | `outcome`: `success`, `discarded`, `failed`, `unknown`, `misconfigured` | calls to refresh |
//! | `lp_auth_sessions_ended_total` | `reason` | ends of sessions |
//! | `lp_auth_revocations_total` | `outcome`: `success`, `misconfigured`, `unsupported`, `refused`, `gave_up` | revocations, once each, when they end |
//! | `lp_auth_revocation_retries_total` | | tries after the first |
//! | `lp_auth_revocations_waiting` (gauge) | | revocations that have failed and will be tried again |
//! | `lp_auth_unopenable_cookies_total` | `kind`: `broken`, `foreign` | session cookies that did not open |
//! | `lp_auth_store_errors_total` | `kind`: `unavailable`, `refused`, `full` | calls to the session store that failed |
//! | `lp_auth_broken_records_total` | | records in the store that could not be read, and were removed |
//! | `lp_auth_unsigned_id_tokens_total` | | id_tokens accepted because their key is not published |

use crate::{refresh::EndReason, respond::RejectionReason, seal::Unopenable, session::StoreError};

/// What has become of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revocation {
    Success,
    /// Sentinel refuses our own credentials.
    Misconfigured,
    /// Sentinel does not revoke refresh tokens.
    Unsupported,
    /// Sentinel refuses it for another reason.
    Refused,
    /// Sentinel has not confirmed it in time.
    GaveUp,
}

impl Revocation {
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "for metrics"))]
    pub(crate) const ALL: &[Self] =
        &[Self::Success, Self::Misconfigured, Self::Unsupported, Self::Refused, Self::GaveUp];

    /// As it stands in logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Misconfigured => "misconfigured",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
            Self::GaveUp => "gave_up",
        }
    }
}

/// The counters of one layer.
#[derive(Clone)]
pub(crate) struct Telemetry {
    #[cfg(feature = "metrics")]
    prepared: std::sync::Arc<Prepared>,
}

#[cfg(feature = "metrics")]
struct Prepared {
    login_success: metrics::Counter,
    refresh_success: metrics::Counter,
    refresh_discarded: metrics::Counter,
    refresh_failed: metrics::Counter,
    refresh_unknown: metrics::Counter,
    refresh_misconfigured: metrics::Counter,
    revocations: Vec<(Revocation, metrics::Counter)>,
    revocation_retries: metrics::Counter,
    revocations_waiting: metrics::Gauge,
    broken_cookies: metrics::Counter,
    foreign_cookies: metrics::Counter,
    store_unavailable: metrics::Counter,
    store_refused: metrics::Counter,
    store_full: metrics::Counter,
    broken_records: metrics::Counter,
    unsigned: metrics::Counter,
    login_failures: Vec<(RejectionReason, metrics::Counter)>,
    rejections: Vec<(RejectionReason, metrics::Counter)>,
    ends: Vec<(EndReason, metrics::Counter)>,
}

#[cfg(feature = "metrics")]
impl Telemetry {
    pub(crate) fn new() -> Self {
        use metrics::counter;
        let refresh =
            |outcome: &'static str| counter!("lp_auth_refreshes_total", "outcome" => outcome);
        let revocation = |outcome: &Revocation| {
            (*outcome, counter!("lp_auth_revocations_total", "outcome" => outcome.as_str()))
        };
        let cookie =
            |kind: &'static str| counter!("lp_auth_unopenable_cookies_total", "kind" => kind);
        let store = |kind: &'static str| counter!("lp_auth_store_errors_total", "kind" => kind);
        let by_reason = |name: &'static str, label: &'static str| {
            let one =
                |reason: &RejectionReason| (*reason, counter!(name, label => reason.as_str()));
            RejectionReason::ALL.iter().map(one).collect()
        };
        let end = |reason: &EndReason| {
            (*reason, counter!("lp_auth_sessions_ended_total", "reason" => reason.as_str()))
        };
        Self {
            prepared: std::sync::Arc::new(Prepared {
                login_success: counter!("lp_auth_logins_total", "outcome" => "success"),
                refresh_success: refresh("success"),
                refresh_discarded: refresh("discarded"),
                refresh_failed: refresh("failed"),
                refresh_unknown: refresh("unknown"),
                refresh_misconfigured: refresh("misconfigured"),
                revocations: Revocation::ALL.iter().map(revocation).collect(),
                revocation_retries: counter!("lp_auth_revocation_retries_total"),
                revocations_waiting: metrics::gauge!("lp_auth_revocations_waiting"),
                broken_cookies: cookie("broken"),
                foreign_cookies: cookie("foreign"),
                store_unavailable: store("unavailable"),
                store_refused: store("refused"),
                store_full: store("full"),
                broken_records: counter!("lp_auth_broken_records_total"),
                unsigned: counter!("lp_auth_unsigned_id_tokens_total"),
                login_failures: by_reason("lp_auth_logins_total", "outcome"),
                rejections: by_reason("lp_auth_rejections_total", "reason"),
                ends: EndReason::ALL.iter().map(end).collect(),
            }),
        }
    }

    pub(crate) fn logged_in(&self) {
        self.prepared.login_success.increment(1);
    }

    pub(crate) fn login_failed(&self, reason: RejectionReason) {
        increment(&self.prepared.login_failures, reason);
    }

    pub(crate) fn rejected(&self, reason: RejectionReason) {
        increment(&self.prepared.rejections, reason);
    }

    pub(crate) fn refreshed(&self, discarded: bool) {
        let prepared = &self.prepared;
        let counter =
            if discarded { &prepared.refresh_discarded } else { &prepared.refresh_success };
        counter.increment(1);
    }

    pub(crate) fn refresh_failed(&self, unknown: bool, misconfigured: bool) {
        let prepared = &self.prepared;
        let counter = match (misconfigured, unknown) {
            (true, _) => &prepared.refresh_misconfigured,
            (false, true) => &prepared.refresh_unknown,
            (false, false) => &prepared.refresh_failed,
        };
        counter.increment(1);
    }

    pub(crate) fn session_ended(&self, reason: EndReason) {
        increment(&self.prepared.ends, reason);
    }

    /// Counts revocations that have ended alike.
    pub(crate) fn revoked(&self, outcome: Revocation, count: usize) {
        add(&self.prepared.revocations, outcome, count as u64);
    }

    pub(crate) fn revocation_retried(&self) {
        self.prepared.revocation_retries.increment(1);
    }

    pub(crate) fn revocation_waits(&self) {
        self.prepared.revocations_waiting.increment(1.0);
    }

    pub(crate) fn revocations_wait_no_more(&self, count: usize) {
        // At most ten thousand: exact.
        self.prepared.revocations_waiting.decrement(count as f64);
    }

    pub(crate) fn unopenable(&self, unopenable: Unopenable) {
        let counter = match unopenable {
            Unopenable::Broken => &self.prepared.broken_cookies,
            Unopenable::Foreign => &self.prepared.foreign_cookies,
        };
        counter.increment(1);
    }

    pub(crate) fn store_failed(&self, error: &StoreError) {
        let counter = match error {
            StoreError::Unavailable(_) => &self.prepared.store_unavailable,
            StoreError::Refused(_) => &self.prepared.store_refused,
            StoreError::Full => &self.prepared.store_full,
            StoreError::Taken => return,
        };
        counter.increment(1);
    }

    pub(crate) fn broken_record(&self) {
        self.prepared.broken_records.increment(1);
    }

    pub(crate) fn unsigned_id_token(&self) {
        self.prepared.unsigned.increment(1);
    }
}

#[cfg(feature = "metrics")]
fn increment<R: PartialEq>(counters: &[(R, metrics::Counter)], reason: R) {
    add(counters, reason, 1);
}

#[cfg(feature = "metrics")]
fn add<R: PartialEq>(counters: &[(R, metrics::Counter)], reason: R, count: u64) {
    if let Some((_, counter)) = counters.iter().find(|(known, _)| *known == reason) {
        counter.increment(count);
    }
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, reason = "the same verbs as with the feature")]
impl Telemetry {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) fn logged_in(&self) {}

    pub(crate) fn login_failed(&self, _: RejectionReason) {}

    pub(crate) fn rejected(&self, _: RejectionReason) {}

    pub(crate) fn refreshed(&self, _: bool) {}

    pub(crate) fn refresh_failed(&self, _: bool, _: bool) {}

    pub(crate) fn session_ended(&self, _: EndReason) {}

    pub(crate) fn revoked(&self, _: Revocation, _: usize) {}

    pub(crate) fn revocation_retried(&self) {}

    pub(crate) fn revocation_waits(&self) {}

    pub(crate) fn revocations_wait_no_more(&self, _: usize) {}

    pub(crate) fn unopenable(&self, _: Unopenable) {}

    pub(crate) fn store_failed(&self, _: &StoreError) {}

    pub(crate) fn broken_record(&self) {}

    pub(crate) fn unsigned_id_token(&self) {}
}
