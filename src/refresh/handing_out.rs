//! Hands a session out as a token.

use super::keeper::Keeper;
use crate::{
    secret::SessionToken,
    session::{Held, Phase},
};

/// There is no session token; see [`LpUser::session_token`](crate::LpUser::session_token).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionTokenError {
    /// [`Builder::session_tokens`](crate::Builder::session_tokens) is switched off.
    #[error("session tokens are switched off: see `session_tokens` of the builder")]
    Disabled,
    /// The user is not known by a session of a layer.
    #[error("this user is not known by a session, so there is no session token to hand out")]
    NoSession,
    /// The session has ended.
    #[error("the session has ended")]
    Ended,
    /// The session is larger than any that is opened again: a session store has room for it.
    #[error("the session is too large for a session token: set a session store with `store`")]
    TooLarge,
}

impl Keeper {
    /// The newest that is known of a session, as a token.
    pub(crate) fn session_token(&self, held: &Held) -> Result<SessionToken, SessionTokenError> {
        if !self.session_tokens {
            return Err(SessionTokenError::Disabled);
        }
        let known = held.track.lock();
        if held.track.phase() == Phase::Ended {
            return Err(SessionTokenError::Ended);
        }
        if let Some(stored) = &held.opened.stored {
            return Ok(self.mint.voucher_token(&stored.voucher));
        }
        let newer = known.result.as_ref().filter(|it| it.opened.session.pair > held.pair());
        let newest = newer.map_or(&held.opened, |it| &it.opened);
        self.mint.token(&newest.session).ok_or(SessionTokenError::TooLarge)
    }
}
