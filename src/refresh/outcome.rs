//! What an attempt to refresh comes to: the table, as one function.

use std::time::Duration;

use crate::sentinel::{OAuthErrorCode, TokenError, TokenSet};

/// After a failed attempt nobody tries again for this long (and up to a tenth longer).
pub(crate) const FAILURE_MEMORY: Duration = Duration::from_secs(10);

/// Pauses between attempts with unknown outcome double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// What an attempt to refresh came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// New tokens.
    Refreshed(TokenSet),
    /// The refresh token is spent or revoked: the session is over.
    Refused {
        /// An earlier attempt may have spent it: its answer was lost.
        rotation_lost: bool,
    },
    /// No tokens this time; the session lives on.
    Failed {
        /// How long nobody tries again.
        pause: Duration,
        /// The token may have been spent by this attempt.
        unknown: bool,
        /// Our own credentials are refused: nothing helps but an operator.
        misconfigured: bool,
    },
}

/// Judges an answer after `unknown_before` attempts in a row whose outcome is unknown; `jitter` is
/// between 0 and 1.
pub(crate) fn weigh(
    answer: Result<TokenSet, TokenError>,
    unknown_before: u32,
    jitter: f64,
) -> Verdict {
    let failed = |pause: Duration, unknown, misconfigured| Verdict::Failed {
        pause: pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 10.0),
        unknown,
        misconfigured,
    };
    let unknown = || failed(pause_after(unknown_before), true, false);
    match answer {
        Ok(tokens) if is_bearer(&tokens) => Verdict::Refreshed(tokens),
        Ok(_) | Err(TokenError::Malformed(_) | TokenError::Unknown(_)) => unknown(),
        Err(TokenError::Refused { error: OAuthErrorCode::InvalidGrant, .. }) => {
            Verdict::Refused { rotation_lost: unknown_before > 0 }
        }
        Err(error) if error.is_misconfiguration() => failed(FAILURE_MEMORY, false, true),
        Err(TokenError::Throttled { retry_after }) => {
            Verdict::Failed { pause: retry_after, unknown: false, misconfigured: false }
        }
        Err(error @ TokenError::Server { .. }) => {
            let asked = error.retry_after().unwrap_or(FAILURE_MEMORY);
            failed(asked.max(FAILURE_MEMORY), false, false)
        }
        Err(TokenError::Refused { .. } | TokenError::NotSent(_)) => {
            failed(FAILURE_MEMORY, false, false)
        }
    }
}

/// A missing `token_type` counts as Bearer here, so that a rotated token is not lost.
fn is_bearer(tokens: &TokenSet) -> bool {
    tokens.token_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"))
}

fn pause_after(unknown_before: u32) -> Duration {
    FAILURE_MEMORY.saturating_mul(2u32.saturating_pow(unknown_before)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;

    use super::*;
    use crate::{error::BoxError, secret::AccessToken};

    fn lost() -> Arc<dyn std::error::Error + Send + Sync> {
        Arc::from(BoxError::from("the connection was reset"))
    }

    fn tokens(token_type: Option<&str>) -> TokenSet {
        TokenSet {
            access_token: AccessToken::new("a"),
            token_type: token_type.map(Into::into),
            refresh_token: None,
            id_token: None,
            expires_in: None,
            scope: None,
        }
    }

    fn refused(error: OAuthErrorCode) -> Result<TokenSet, TokenError> {
        Err(TokenError::Refused { error, status: StatusCode::BAD_REQUEST })
    }

    /// F08 to F12, and each row of the table of outcomes.
    #[test]
    fn every_outcome_has_its_row() {
        let failed = |answer| match weigh(answer, 0, 0.0) {
            Verdict::Failed { pause, unknown, misconfigured } => {
                (pause.as_secs(), unknown, misconfigured)
            }
            other => panic!("{other:?}"),
        };
        let server = |status| Err(TokenError::Server { status, retry_after: None });
        assert_eq!(failed(server(StatusCode::BAD_GATEWAY)), (10, false, false));
        assert_eq!(failed(server(StatusCode::FOUND)), (10, false, false));
        let asks = |secs| Some(Duration::from_secs(secs));
        let later = |secs| {
            Err(TokenError::Server {
                status: StatusCode::SERVICE_UNAVAILABLE,
                retry_after: asks(secs),
            })
        };
        assert_eq!(failed(later(40)), (40, false, false));
        assert_eq!(failed(later(1)), (10, false, false));
        assert_eq!(failed(Err(TokenError::NotSent(lost()))), (10, false, false));
        assert_eq!(failed(refused(OAuthErrorCode::InvalidRequest)), (10, false, false));
        assert_eq!(failed(refused(OAuthErrorCode::InvalidClient)), (10, false, true));
        assert_eq!(failed(refused(OAuthErrorCode::UnauthorizedClient)), (10, false, true));
        assert_eq!(failed(Err(TokenError::Unknown(lost()))), (10, true, false));
        assert_eq!(failed(Ok(tokens(Some("mac")))), (10, true, false));
        let retry_after = Duration::from_secs(30);
        assert_eq!(failed(Err(TokenError::Throttled { retry_after })), (30, false, false));
    }

    #[test]
    fn a_missing_or_any_spelling_of_the_token_type_is_bearer() {
        for kind in [None, Some("Bearer"), Some("bearer"), Some("BEARER")] {
            assert!(matches!(weigh(Ok(tokens(kind)), 0, 0.0), Verdict::Refreshed(_)), "{kind:?}");
        }
    }

    #[test]
    fn a_refusal_after_an_unknown_outcome_is_a_lost_rotation() {
        for (before, expected) in [(0, false), (1, true), (5, true)] {
            let verdict = weigh(refused(OAuthErrorCode::InvalidGrant), before, 0.0);
            assert!(
                matches!(verdict, Verdict::Refused { rotation_lost } if rotation_lost == expected)
            );
        }
    }

    /// F12: pauses double to five minutes, and jitter only lengthens them.
    #[test]
    fn unknown_outcomes_are_retried_ever_more_slowly() {
        let pauses =
            (0..8).map(|before| match weigh(Err(TokenError::Unknown(lost())), before, 0.0) {
                Verdict::Failed { pause, .. } => pause.as_secs(),
                other => panic!("{other:?}"),
            });
        assert_eq!(pauses.collect::<Vec<_>>(), [10, 20, 40, 80, 160, 300, 300, 300]);
        let jittered = weigh(Err(TokenError::Unknown(lost())), 0, 1.0);
        assert!(
            matches!(jittered, Verdict::Failed { pause, .. } if pause == Duration::from_secs(11))
        );
    }
}
