//! What an answer of Sentinel's brings: a token, or a failure and a pause.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use super::expiry::life;
use crate::{
    clock::Timestamp,
    secret::{AppToken, app_token},
    sentinel::{TokenError, TokenSet},
};

/// After a failure nobody asks again for this long, and up to a tenth longer: many instances do not
/// ask in step.
const FAILURE_MEMORY: Duration = Duration::from_secs(10);

/// A shorter life is none: every call would ask for another token.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// What a fetch has come to.
#[derive(Debug)]
pub(super) enum Yield {
    /// A token that lives this long, counted from when it was asked for.
    Token(AppToken, Duration),
    /// None, and no other call for this long.
    Failure(Fault, Duration),
}

/// Why there is no token; shared, since one fetch has many waiters.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// Whether Sentinel refuses the application.
    pub(super) is_refusal: bool,
    pub(super) source: Arc<dyn StdError + Send + Sync>,
}

/// Why a token is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the app token's type is not Bearer")]
    Type,
    #[error("the app token is over when it comes: does a clock go wrong?")]
    Over,
}

/// Judges the answer to a call sent at `sent_at`; `jitter` is between 0 and 1.
pub(super) fn weigh(
    answer: Result<TokenSet, TokenError>,
    sent_at: Timestamp,
    jitter: f64,
) -> Yield {
    let usual = FAILURE_MEMORY.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 10.0);
    match answer {
        Ok(tokens) => match usable(tokens, sent_at) {
            Ok((token, life)) => Yield::Token(token, life),
            Err(unusable) => Yield::Failure(Fault::other(unusable), usual),
        },
        Err(error) => {
            let pause = match &error {
                // As long as Sentinel says, which is at most a minute.
                TokenError::Throttled { retry_after } => *retry_after,
                _ => error.retry_after().unwrap_or_default().max(usual),
            };
            let is_refusal = matches!(error, TokenError::Refused { .. });
            Yield::Failure(Fault { is_refusal, source: Arc::new(error) }, pause)
        }
    }
}

impl Fault {
    pub(super) fn other(error: impl StdError + Send + Sync + 'static) -> Self {
        Self { is_refusal: false, source: Arc::new(error) }
    }
}

/// A missing `token_type` counts as Bearer: the documentation knows no other.
fn usable(tokens: TokenSet, sent_at: Timestamp) -> Result<(AppToken, Duration), Unusable> {
    let kind = tokens.token_type.as_deref();
    if !kind.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(Unusable::Type);
    }
    let life = life(tokens.expires_in, tokens.access_token.expose_secret(), sent_at);
    if life < SHORTEST_LIFE {
        return Err(Unusable::Over);
    }
    Ok((app_token(tokens.access_token), life))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::{error::BoxError, secret::AccessToken, sentinel::OAuthErrorCode};

    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

    fn tokens(token_type: Option<&str>, expires_in: Option<f64>) -> TokenSet {
        TokenSet {
            access_token: AccessToken::new("opaque"),
            token_type: token_type.map(Into::into),
            refresh_token: None,
            id_token: None,
            expires_in: expires_in.map(Duration::from_secs_f64),
            scope: None,
        }
    }

    #[test]
    fn a_bearer_token_that_lives_is_a_token() {
        for (token_type, expires_in, expected) in [
            (Some("Bearer"), Some(3600.0), Some(3600)),
            (Some("bearer"), Some(1.0), Some(1)),
            (None, Some(3600.0), Some(3600)),
            (None, None, Some(300)),
            (Some("mac"), Some(3600.0), None),
            (None, Some(0.0), None),
            (None, Some(0.9), None),
        ] {
            let found = match weigh(Ok(tokens(token_type, expires_in)), NOW, 0.0) {
                Yield::Token(_, life) => Some(life),
                Yield::Failure(fault, pause) => {
                    assert!(!fault.is_refusal && pause == FAILURE_MEMORY, "{fault:?}");
                    None
                }
            };
            let expected = expected.map(Duration::from_secs);
            assert_eq!(found, expected, "{token_type:?} {expires_in:?}");
        }
    }

    /// X05 to X09: each failure has its pause, never longer than a minute or so.
    #[test]
    fn a_failure_is_remembered_for_ten_seconds_or_as_long_as_sentinel_says() {
        let cause = || Arc::from(BoxError::from("reset"));
        let secs = Duration::from_secs;
        let server = |retry_after: Option<u64>| TokenError::Server {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after: retry_after.map(secs),
        };
        let refused = |error| TokenError::Refused { error, status: StatusCode::UNAUTHORIZED };
        let throttled = |seconds| TokenError::Throttled { retry_after: secs(seconds) };
        for (error, is_refusal, least, most) in [
            (TokenError::NotSent(cause()), false, 10, 11),
            (TokenError::Unknown(cause()), false, 10, 11),
            (server(None), false, 10, 11),
            (server(Some(3)), false, 10, 11),
            (server(Some(30)), false, 30, 30),
            (refused(OAuthErrorCode::InvalidClient), true, 10, 11),
            (refused(OAuthErrorCode::Missing), true, 10, 11),
            (throttled(1), false, 1, 1),
            (throttled(60), false, 60, 60),
        ] {
            for (jitter, expected) in [(0.0, least), (1.0, most)] {
                let Yield::Failure(fault, pause) = weigh(Err(error.clone()), NOW, jitter) else {
                    panic!("a token of {error:?}");
                };
                assert_eq!((fault.is_refusal, pause), (is_refusal, secs(expected)), "{error:?}");
            }
        }
    }
}
