//! Why there is no token.

use std::{error::Error as StdError, sync::Arc, time::Duration};

/// There is no App-JWT now; see [`AppTokenSource::token`](crate::AppTokenSource::token).
///
/// Its text and its sources hold no secret, no URL and nothing of an answer's body.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::AppTokenError;
///
/// /// What a job does next: waits, or tells somebody.
/// fn pause(error: &AppTokenError) -> Option<u64> {
///     match error {
///         AppTokenError::Unavailable { retry_after_secs, .. } => Some(*retry_after_secs),
///         _ => None,
///     }
/// }
/// # assert_eq!(pause(&AppTokenError::TooNew), None);
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppTokenError {
    /// Sentinel refuses the application (a 4xx, mostly `invalid_client`): until its id, its secret or
    /// its installation is changed, asking again will not help.
    #[error("sentinel refuses the application: it is asked again in {retry_after_secs} s")]
    #[non_exhaustive]
    Refused {
        /// After how many seconds Sentinel is asked again, at least 1.
        retry_after_secs: u64,
        /// What Sentinel said.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// Sentinel could not be asked, or gave no token that can be used; asking again may help.
    #[error("no app token can be had now: try again in {retry_after_secs} s")]
    #[non_exhaustive]
    Unavailable {
        /// After how many seconds another try may fare better, from 1 to 60.
        retry_after_secs: u64,
        /// What went wrong.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The token that was refused upstream is less than a minute old: another would fare no better.
    #[error("the refused app token is new: it is not its age that it was refused for")]
    TooNew,
}

/// A wait in whole seconds, rounded up, at least 1.
pub(super) fn whole_seconds(left: Duration) -> u64 {
    (left.as_secs() + u64::from(left.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            let left = Duration::from_millis(millis);
            assert_eq!(whole_seconds(left), seconds, "{millis} ms");
        }
    }
}
