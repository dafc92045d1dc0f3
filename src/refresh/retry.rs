//! Whether a revocation is tried again, and when: from what has come of it so far.

use std::time::Duration;

use crate::{
    sentinel::{OAuthErrorCode, TokenError},
    telemetry::Revocation,
};

/// No try starts later than this after the first. A user who has logged out expects it to have
/// happened, and the token ends by itself some hours later.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(10 * 60);

/// The pause after the first try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Pauses double up to this: so soon after a Sentinel is back everything is delivered.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What follows a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: this has become of it.
    Done(Revocation),
    /// Another try.
    Retry {
        pause: Duration,
        /// Sentinel has asked for at least this pause, so that not even a shutdown cuts it short.
        asked: bool,
    },
}

/// How far a revocation has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// How often it was tried, at least once.
    pub(super) tries: u32,
    /// Since the first try began.
    pub(super) elapsed: Duration,
    /// The process stops: there is no time for long pauses.
    pub(super) stopping: bool,
}

/// Judges the answer to the latest try; `jitter` is between 0 and 1.
///
/// A refusal is final. Whatever leaves it open whether Sentinel has revoked the token is tried
/// again: to revoke twice is to revoke once (RFC 7009 §2.2).
pub(super) fn next_try(answer: &Result<(), TokenError>, progress: Progress, jitter: f64) -> Next {
    let error = match answer {
        Ok(()) => return Next::Done(Revocation::Success),
        Err(error) if error.is_misconfiguration() => {
            return Next::Done(Revocation::Misconfigured);
        }
        Err(TokenError::Refused { error: OAuthErrorCode::UnsupportedTokenType, .. }) => {
            return Next::Done(Revocation::Unsupported);
        }
        Err(TokenError::Refused { .. }) => return Next::Done(Revocation::Refused),
        Err(error) => error,
    };
    let doubled = if progress.stopping { 1 } else { 2_u32.saturating_pow(progress.tries - 1) };
    let own = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
    let asked = error.retry_after();
    let pause = own.max(asked.unwrap_or_default()).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0);
    if progress.elapsed.saturating_add(pause) > GIVE_UP_AFTER {
        return Next::Done(Revocation::GaveUp);
    }
    Next::Retry { pause, asked: asked.is_some() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;

    use super::*;
    use crate::error::BoxError;

    const SECOND: Duration = Duration::from_secs(1);

    fn progress(tries: u32, elapsed: u64) -> Progress {
        Progress { tries, elapsed: Duration::from_secs(elapsed), stopping: false }
    }

    fn refused(error: OAuthErrorCode) -> TokenError {
        TokenError::Refused { error, status: StatusCode::BAD_REQUEST }
    }

    fn server(retry_after: Option<u64>) -> TokenError {
        let retry_after = retry_after.map(Duration::from_secs);
        TokenError::Server { status: StatusCode::SERVICE_UNAVAILABLE, retry_after }
    }

    fn throttled(seconds: u64) -> TokenError {
        TokenError::Throttled { retry_after: Duration::from_secs(seconds) }
    }

    fn cause() -> Arc<dyn std::error::Error + Send + Sync> {
        Arc::from(BoxError::from("the connection was reset"))
    }

    /// G07, G08, G09: an answer that is clear is final.
    #[test]
    fn a_success_and_a_refusal_are_final() {
        for (answer, expected) in [
            (Ok(()), Revocation::Success),
            (Err(refused(OAuthErrorCode::UnsupportedTokenType)), Revocation::Unsupported),
            (Err(refused(OAuthErrorCode::InvalidClient)), Revocation::Misconfigured),
            (Err(refused(OAuthErrorCode::UnauthorizedClient)), Revocation::Misconfigured),
            (Err(refused(OAuthErrorCode::InvalidRequest)), Revocation::Refused),
            (Err(refused(OAuthErrorCode::Missing)), Revocation::Refused),
        ] {
            for stopping in [false, true] {
                let next = next_try(&answer, Progress { stopping, ..progress(1, 0) }, 0.5);
                assert_eq!(next, Next::Done(expected), "{answer:?}, stopping: {stopping}");
            }
        }
    }

    /// G06: what may fare better is tried again, no sooner than Sentinel asks.
    #[test]
    fn a_try_without_a_clear_answer_is_followed_by_another() {
        for (error, seconds, asked) in [
            (TokenError::NotSent(cause()), 1, false),
            (TokenError::Unknown(cause()), 1, false),
            (server(None), 1, false),
            (server(Some(30)), 30, true),
            (throttled(1), 1, true),
            (throttled(60), 60, true),
        ] {
            let answer = Err(error);
            let pause = Duration::from_secs(seconds);
            let expected = Next::Retry { pause, asked };
            assert_eq!(next_try(&answer, progress(1, 0), 0.0), expected, "{answer:?}");
        }
    }

    /// G06: pauses double to a minute, jitter only lengthens them, and there is an end.
    #[test]
    fn pauses_double_until_the_time_is_over() {
        let down = Err(server(None));
        let (mut elapsed, mut pauses) = (Duration::ZERO, Vec::new());
        let given_up = loop {
            let tries = 1 + u32::try_from(pauses.len()).unwrap();
            match next_try(&down, Progress { elapsed, ..progress(tries, 0) }, 0.0) {
                Next::Retry { pause, .. } => pauses.push(pause.as_secs()),
                Next::Done(outcome) => break outcome,
            }
            elapsed += Duration::from_secs(*pauses.last().unwrap());
        };
        assert_eq!(given_up, Revocation::GaveUp);
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60, 60]);
        let jittered = next_try(&down, progress(1, 0), 1.0);
        assert_eq!(jittered, Next::Retry { pause: SECOND.mul_f64(1.5), asked: false });
        for (tries, elapsed) in [(u32::MAX, 541), (1, 600), (1, u64::MAX)] {
            let next = next_try(&down, progress(tries, elapsed), 0.0);
            assert_eq!(next, Next::Done(Revocation::GaveUp), "{tries} tries, {elapsed} s");
        }
        assert!(matches!(next_try(&down, progress(u32::MAX, 540), 0.0), Next::Retry { .. }));
    }

    /// G06, O12: a process that stops tries every second, unless Sentinel has asked for more.
    #[test]
    fn pauses_are_short_while_the_process_stops() {
        for (error, seconds) in [(server(None), 1), (throttled(7), 7)] {
            let answer = Err(error);
            let stopping = Progress { stopping: true, ..progress(9, 100) };
            let next = next_try(&answer, stopping, 0.0);
            let asked = seconds > 1;
            assert_eq!(next, Next::Retry { pause: Duration::from_secs(seconds), asked });
        }
    }
}
