//! The handler's side: who has called.

mod app;
#[cfg(feature = "axum")]
mod axum;
mod sessions;

use std::{fmt, sync::Arc, time::SystemTime};

#[cfg(feature = "axum")]
pub use self::axum::{LpAppRejection, LpUserRejection, MissingLayer, NotSignedIn, OfOtherKind};
pub use self::{
    app::LpApp,
    sessions::{SessionInfo, Sessions, SessionsError},
};
pub use crate::refresh::SessionTokenError;
use crate::{
    account::AccountId,
    jwt::IdClaims,
    refresh::{EndReason, Ended, EndedStored, Fresh, Keeper},
    secret::{AccessToken, SessionToken},
    session::{Carrier, Held, Session},
};

/// The signed-in user of a request.
///
/// The layer puts it into the extensions of every request it admits with a session, after any
/// refresh that had to come first. It is a snapshot: it does not change while the handler runs.
/// Cloning is cheap. Only the layer (and `test_kit::user` in tests) can make one.
///
/// With the feature `axum` it is an extractor, and so is `Option<LpUser>`; elsewhere it is found in
/// the request's extensions.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower_lp_auth::LpUser;
///
/// fn greeting<B>(request: &Request<B>) -> String {
///     match request.extensions().get::<LpUser>() {
///         Some(user) => format!("hello {}", user.id()),
///         None => "hello stranger".to_owned(),
///     }
/// }
/// # assert_eq!(greeting(&Request::new(())), "hello stranger");
/// ```
#[derive(Clone)]
pub struct LpUser {
    known: Known,
    /// Absent in a handler's unit test.
    keeper: Option<Arc<Keeper>>,
}

/// What a user is known by.
#[derive(Clone)]
enum Known {
    Session(Held, Carrier),
    /// An id_token that the caller has presented, of this account.
    IdToken(Arc<IdClaims>, AccountId),
}

/// The user has no access token: they are known by something else than a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this user is not known by a session, so there is no access token to act with")]
pub struct NoAccessToken(());

/// There is no live access token; see [`LpUser::fresh_access_token`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FreshTokenError {
    /// The session is over: there will be none.
    #[error("the session has ended")]
    Ended,
    /// Sentinel, or the session store, cannot be asked now.
    #[error("no live access token can be had now: try again in {retry_after_secs} s")]
    #[non_exhaustive]
    Unavailable {
        /// After how many seconds another try may fare better, at least 1.
        retry_after_secs: u64,
    },
    /// The refused token is less than a minute old: another would fare no better.
    #[error("the refused access token is new: it is not its age that it was refused for")]
    TooNew,
    /// The user is not known by a session.
    #[error(transparent)]
    NoAccessToken(#[from] NoAccessToken),
}

/// The session could not be ended; see [`LpUser::end_session`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndSessionError {
    /// The store could not be asked.
    #[error("the session could not be ended: try again")]
    Unavailable,
    /// The user is known by an id_token: there is no session that could end. The token ends by itself, at
    /// [`LpUser::session_expires_at`].
    #[error("this user is not known by a session, so there is none to end")]
    NoSession,
}

impl LpUser {
    pub(crate) fn new(held: Held, carrier: Carrier, keeper: Arc<Keeper>) -> Self {
        Self { known: Known::Session(held, carrier), keeper: Some(keeper) }
    }

    /// A user who is known by an id_token alone.
    pub(crate) fn by_id_token(claims: Arc<IdClaims>, keeper: Arc<Keeper>) -> Self {
        let account = keeper.mint.account().clone();
        Self { known: Known::IdToken(claims, account), keeper: Some(keeper) }
    }

    #[cfg(feature = "test-kit")]
    pub(crate) fn detached(held: Held) -> Self {
        Self { known: Known::Session(held, Carrier::Cookie), keeper: None }
    }

    /// Whether the sessions of `keeper` vouch for this user.
    pub(crate) fn is_of(&self, keeper: &Arc<Keeper>) -> bool {
        self.keeper.as_ref().is_some_and(|own| Arc::ptr_eq(own, keeper))
    }

    /// The same, or that this is a user of a unit test.
    pub(crate) fn counts_for(&self, keeper: &Arc<Keeper>) -> bool {
        self.keeper.as_ref().is_none_or(|own| Arc::ptr_eq(own, keeper))
    }

    fn held(&self) -> Result<&Held, NoAccessToken> {
        match &self.known {
            Known::Session(held, _) => Ok(held),
            Known::IdToken(..) => Err(NoAccessToken(())),
        }
    }

    /// Whether the user is known by a session token.
    pub(crate) fn came_by_token(&self) -> bool {
        matches!(self.known, Known::Session(_, Carrier::Token))
    }

    /// The session that the user is known by, if it is one.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.held().ok().map(|held| &held.opened.session)
    }

    /// The user's id at LivePerson: the `sub` of the id_token, in most accounts ten digits.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.known {
            Known::Session(held, _) => &held.opened.session.identity.subject,
            Known::IdToken(claims, _) => &claims.subject,
        }
    }

    /// The account the user signed in to.
    #[must_use]
    pub fn account_id(&self) -> &AccountId {
        match &self.known {
            Known::Session(held, _) => &held.opened.session.account,
            Known::IdToken(_, account) => account,
        }
    }

    /// Whether the user had the admin role at login (`is_admin`).
    ///
    /// As old as [`LpUser::authenticated_at`]: Sentinel returns no id_token at a refresh.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        match &self.known {
            Known::Session(held, _) => held.opened.session.identity.is_admin,
            Known::IdToken(claims, _) => claims.is_admin,
        }
    }

    /// Whether the user is an LPA (`is_lpa`): LivePerson's own staff, with no user record in the
    /// account.
    #[must_use]
    pub fn is_lpa(&self) -> bool {
        match &self.known {
            Known::Session(held, _) => held.opened.session.identity.is_lpa,
            Known::IdToken(claims, _) => claims.is_lpa,
        }
    }

    /// When the user logged in; for a user who is known by an id_token, when that was issued.
    #[must_use]
    pub fn authenticated_at(&self) -> SystemTime {
        match &self.known {
            Known::Session(held, _) => held.opened.session.times.authenticated_at.into(),
            Known::IdToken(claims, _) => claims.issued_at.into(),
        }
    }

    /// The token with which to call Conversational Cloud as this user; it was live when the request
    /// was admitted.
    ///
    /// # Errors
    ///
    /// [`NoAccessToken`] for a user who is not known by a session.
    pub fn access_token(&self) -> Result<&AccessToken, NoAccessToken> {
        Ok(self.held()?.opened.session.tokens.access())
    }

    /// This session as a bearer token, for clients that keep no cookies: native applications, gRPC
    /// clients, scripts.
    ///
    /// The client sends it as `Authorization: Bearer` (RFC 6750 §2.1), and is signed in as this user
    /// without any check of where the request comes from. It lives as long as the session and ends with
    /// it, wherever that is ended. Without a session store a new one comes in the response header
    /// `lp-session-token` whenever the session has changed; with one it stays the same. Whoever has got
    /// hold of it is this user until then: answer with it over TLS, to the user's own client, with
    /// `Cache-Control: no-store`, and never in an address.
    ///
    /// # Errors
    ///
    /// [`SessionTokenError`].
    pub fn session_token(&self) -> Result<SessionToken, SessionTokenError> {
        match (&self.keeper, self.held()) {
            (Some(keeper), Ok(held)) => keeper.session_token(held),
            _ => Err(SessionTokenError::NoSession),
        }
    }

    /// A live access token for work that outlives the request: background tasks, streams.
    ///
    /// It is the newest of the session that is known (with a session store: to any instance),
    /// refreshed first where it has expired; whoever else asks meanwhile shares that refresh. Ask
    /// each time a token is needed rather than keeping one.
    ///
    /// # Errors
    ///
    /// [`FreshTokenError`] says whether the session is over or another try may fare better.
    ///
    /// # Cancel safety
    ///
    /// A refresh that has begun goes on, and its result is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_lp_auth::{LpUser, FreshTokenError};
    /// async fn watch(user: LpUser) -> Result<(), FreshTokenError> {
    ///     let token = user.fresh_access_token().await?;
    ///     // … call Conversational Cloud, sleep, and ask again
    ///     # let _ = token;
    ///     Ok(())
    /// }
    /// ```
    pub async fn fresh_access_token(&self) -> Result<AccessToken, FreshTokenError> {
        match &self.keeper {
            Some(keeper) => token_of(keeper.fresh(self.held()?).await),
            None => Ok(self.access_token()?.clone()),
        }
    }

    /// A live access token in place of one that an API has refused (401).
    ///
    /// Sends a refresh only if `refused` is the newest token and at least 60 s old, so that an API
    /// which refuses everything does not make a loop; where there is a newer token, that is returned
    /// without a call.
    ///
    /// # Errors
    ///
    /// [`FreshTokenError`]; [`FreshTokenError::TooNew`] if a refresh would not help.
    ///
    /// # Cancel safety
    ///
    /// A refresh that has begun goes on, and its result is kept.
    pub async fn replace_access_token(
        &self,
        refused: &AccessToken,
    ) -> Result<AccessToken, FreshTokenError> {
        match &self.keeper {
            Some(keeper) => token_of(keeper.replace_token(self.held()?, refused).await),
            None => Err(FreshTokenError::TooNew),
        }
    }

    /// When the access token ends.
    ///
    /// # Errors
    ///
    /// [`NoAccessToken`] for a user who is not known by a session.
    pub fn access_token_expires_at(&self) -> Result<SystemTime, NoAccessToken> {
        Ok(self.held()?.opened.session.times.access_expires_at.into())
    }

    /// When the session ends if nothing more happens: the earlier of its idle and its absolute end;
    /// without a refresh token the access token's end counts too. For a user who is known by an
    /// id_token it is that token's end.
    #[must_use]
    pub fn session_expires_at(&self) -> SystemTime {
        match &self.known {
            Known::Session(held, _) => held.opened.schedule.ends_at.into(),
            Known::IdToken(claims, _) => claims.expires_at.into(),
        }
    }

    /// The scope of the access token, where Sentinel has named one (RFC 6749 §3.3).
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.session()?.tokens.scope()
    }

    /// Ends this session, as a logout does: nothing of it is served any more by this process, the
    /// response to this request deletes the cookie, and the refresh token is revoked in the
    /// background if `revoke_on_logout` is switched on.
    ///
    /// Ending a session twice is no error. In sealed mode a copy of the cookie opens again in
    /// another process, or after a restart, until the session's end.
    ///
    /// # Errors
    ///
    /// [`EndSessionError::Unavailable`] if a session store cannot be asked: the session has ended in
    /// this process alone, and the store is asked again in the background until it can be. A sealed
    /// session always ends. [`EndSessionError::NoSession`] for a user who is known by an id_token: it ends
    /// by itself at [`session_expires_at`](Self::session_expires_at), and not before.
    ///
    /// # Cancel safety
    ///
    /// The session ends in this process at the first poll; ending it in the store goes on.
    pub async fn end_session(&self) -> Result<(), EndSessionError> {
        let held = self.held().map_err(|_| EndSessionError::NoSession)?;
        let Some(keeper) = &self.keeper else { return Ok(()) };
        let ended = match &keeper.depot {
            None => {
                let newest = keeper.end(held, EndReason::Logout);
                newest.inspect(|newest| drop(keeper.revoke_if_chosen(&newest.session))).is_some()
            }
            Some(_) => match keeper.end_held(held, Some(EndReason::Logout)).await {
                EndedStored::Everywhere { .. } => true,
                EndedStored::HereAlone => return Err(EndSessionError::Unavailable),
            },
        };
        // Only a browser has a cookie to be deleted.
        if ended && !self.came_by_token() {
            held.track.forget_cookie(keeper.clock.monotonic());
        }
        Ok(())
    }

    /// Resolves when this session ends: for WebSockets, streams and tasks that must not outlive it.
    ///
    /// A logout, [`LpUser::end_session`], a login that replaces the session, a refresh that Sentinel
    /// refuses or that brings somebody else's identity: at once. The idle and the absolute end: within
    /// a second. Both are those of the newest that this process knows of the session, so requests
    /// extend the idle end, refreshes and re-seals end nothing, and a stream is no activity by itself.
    /// After the end it resolves at once.
    ///
    /// It knows what this process knows. With a session store that is asked every five seconds, so
    /// that an end at another instance is heard of within about six; a sealed session's does not reach
    /// this one. For a user who is known by an id_token it is that token's end. For a user of
    /// `test_kit::user`, who has no layer, it never resolves.
    ///
    /// The layer itself ends event streams and gRPC streams that way, unless
    /// [`Builder::end_streams`](crate::Builder::end_streams) is switched off.
    ///
    /// # Examples
    ///
    /// A WebSocket is closed with LivePerson's code for a session that is no more:
    ///
    /// ```
    /// # #[cfg(feature = "axum")] mod example {
    /// use std::pin::pin;
    ///
    /// use axum::{
    ///     extract::ws::{CloseFrame, Message, WebSocketUpgrade},
    ///     response::Response,
    /// };
    /// use tower_lp_auth::LpUser;
    ///
    /// async fn socket(user: LpUser, upgrade: WebSocketUpgrade) -> Response {
    ///     upgrade.on_upgrade(async move |mut socket| {
    ///         let mut ended = pin!(user.ended());
    ///         loop {
    ///             tokio::select! {
    ///                 () = &mut ended => {
    ///                     let frame = CloseFrame { code: 4401, reason: "signed out".into() };
    ///                     let _ = socket.send(Message::Close(Some(frame))).await;
    ///                     return;
    ///                 }
    ///                 message = socket.recv() => match message {
    ///                     Some(Ok(message)) => println!("{message:?}"),
    ///                     _ => return,
    ///                 },
    ///             }
    ///         }
    ///     })
    /// }
    /// # }
    /// ```
    pub fn ended(&self) -> Ended {
        let Some(keeper) = &self.keeper else { return Ended::never() };
        match &self.known {
            Known::Session(held, _) => Ended::of(Arc::clone(keeper), held.clone()),
            Known::IdToken(claims, _) => Ended::at(Arc::clone(keeper), claims.valid_until()),
        }
    }
}

fn token_of(fresh: Fresh) -> Result<AccessToken, FreshTokenError> {
    match fresh {
        Fresh::Here(held) => Ok(held.opened.session.tokens.access().clone()),
        Fresh::Ended => Err(FreshTokenError::Ended),
        Fresh::Unavailable(retry_after_secs) => {
            Err(FreshTokenError::Unavailable { retry_after_secs })
        }
        Fresh::TooNew => Err(FreshTokenError::TooNew),
    }
}

impl fmt::Debug for LpUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LpUser")
            .field("id", &self.id())
            .field("account", &self.account_id().as_str())
            .field("is_admin", &self.is_admin())
            .field("is_lpa", &self.is_lpa())
            .finish_non_exhaustive()
    }
}
