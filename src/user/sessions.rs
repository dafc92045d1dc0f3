//! All sessions of a user: listed, and ended from elsewhere.

use std::{fmt, sync::Arc, time::SystemTime};

use super::LpUser;
use crate::{
    account::AccountId,
    clock::Timestamp,
    refresh::{Depot, Keeper},
    session::{IndexedSession, StoreError},
};

/// Lists the sessions of users and ends them, on whatever instance and device they are.
///
/// Made by [`LpAuthLayer::sessions`](crate::LpAuthLayer::sessions). It works with a session store:
/// without one, sessions are in their browsers, and nobody has a list.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::{LpUser, Sessions, SessionsError};
///
/// /// Signs a user out on all devices but this one.
/// async fn sign_out_elsewhere(user: &LpUser, sessions: &Sessions) -> Result<usize, SessionsError> {
///     sessions.end_others(user).await
/// }
/// ```
#[derive(Clone)]
pub struct Sessions {
    keeper: Arc<Keeper>,
}

/// A session of a user, as the store's index has it.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionInfo {
    key: Box<str>,
    entry: IndexedSession,
}

/// The sessions of a user cannot be listed or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionsError {
    /// The layer has no session store.
    #[error("without a session store nobody knows a user's sessions: set one with `store`")]
    NoStore,
    /// The store could not be asked. Sessions may have ended, or not: try again.
    #[error("the session store could not be asked")]
    Store(#[from] StoreError),
}

impl Sessions {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        Self { keeper }
    }

    /// The live sessions of a user, the latest login first.
    ///
    /// # Errors
    ///
    /// [`SessionsError`]; nothing has changed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it ends nothing, and tidies up what has ended by itself.
    pub async fn of(
        &self,
        account: &AccountId,
        user_id: &str,
    ) -> Result<Vec<SessionInfo>, SessionsError> {
        let live = self.keeper.sessions_of(self.depot()?, account, user_id).await?;
        let mut live: Vec<_> =
            live.into_iter().map(|(key, entry)| SessionInfo { key: key.into(), entry }).collect();
        live.sort_by_key(|session| std::cmp::Reverse(session.entry.created));
        Ok(live)
    }

    /// Ends the session of a user that has this [`SessionInfo::id`]; returns whether there was one.
    /// Somebody else's id ends nothing.
    ///
    /// As after a logout nothing of it is served any more: by this process at once, by others from
    /// their next look at the store (each request is one; streams look every few seconds). Its tokens
    /// are not revoked: only the cookie of that session can open them.
    ///
    /// # Errors
    ///
    /// [`SessionsError`]; the session may have ended or not.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the session may have ended or not; call again.
    pub async fn end(
        &self,
        account: &AccountId,
        user_id: &str,
        id: &str,
    ) -> Result<bool, SessionsError> {
        let depot = self.depot()?;
        let all = self.of(account, user_id).await?;
        let Some(session) = all.iter().find(|session| session.id() == id) else {
            return Ok(false);
        };
        self.keeper.end_record(depot, account, user_id, &session.key).await?;
        Ok(true)
    }

    /// Ends all sessions of a user, as [`Sessions::end`] does; returns how many.
    ///
    /// # Errors
    ///
    /// [`SessionsError`]; some may have ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, some sessions may have ended; call again.
    pub async fn end_all(
        &self,
        account: &AccountId,
        user_id: &str,
    ) -> Result<usize, SessionsError> {
        self.end_where(account, user_id, |_| true).await
    }

    /// Ends all sessions of this user but the one that `user` is signed in with; returns how many.
    ///
    /// # Errors
    ///
    /// [`SessionsError`]; some may have ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, some sessions may have ended; call again.
    pub async fn end_others(&self, user: &LpUser) -> Result<usize, SessionsError> {
        self.end_where(user.account_id(), user.id(), |session| !session.is_of(user)).await
    }

    async fn end_where(
        &self,
        account: &AccountId,
        user_id: &str,
        chosen: impl Fn(&SessionInfo) -> bool,
    ) -> Result<usize, SessionsError> {
        let depot = self.depot()?;
        let mut ended = 0;
        // Again and again: a login may have come to its end meanwhile.
        loop {
            let all = self.of(account, user_id).await?;
            let chosen: Vec<_> = all.into_iter().filter(|session| chosen(session)).collect();
            if chosen.is_empty() {
                return Ok(ended);
            }
            for session in chosen {
                self.keeper.end_record(depot, account, user_id, &session.key).await?;
                ended += 1;
            }
        }
    }

    fn depot(&self) -> Result<&Depot, SessionsError> {
        self.keeper.depot.as_ref().ok_or(SessionsError::NoStore)
    }
}

impl SessionInfo {
    /// Names the session among its user's. It signs nobody in, so it may stand in pages and URLs.
    #[must_use]
    pub fn id(&self) -> &str {
        self.key.rsplit(':').next().unwrap_or_default()
    }

    /// When the user logged in.
    #[must_use]
    pub fn created(&self) -> SystemTime {
        Timestamp::from_millis(self.entry.created).into()
    }

    /// When the session was last used, exact to some minutes.
    #[must_use]
    pub fn last_seen(&self) -> SystemTime {
        Timestamp::from_millis(self.entry.last_seen).into()
    }

    /// What the browser said of itself at login (`User-Agent`, cut at 256 characters), where
    /// `record_user_agent` is switched on. Anybody can say anything: escape it.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.entry.user_agent.as_deref()
    }

    /// Whether `user` is signed in with this session.
    #[must_use]
    pub fn is_of(&self, user: &LpUser) -> bool {
        let stored = user.held().ok().and_then(|held| held.opened.stored.as_ref());
        stored.is_some_and(|stored| stored.voucher.key == self.key)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("created", &self.created())
            .field("last_seen", &self.last_seen())
            .finish_non_exhaustive()
    }
}
