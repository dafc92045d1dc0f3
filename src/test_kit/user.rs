//! Users for the unit tests of handlers.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::{
    account::{AccountId, InvalidAccountId},
    clock::{Clock, SystemClock, Timestamp},
    middleware::LpAuthLayer,
    refresh::{Lifetimes, Schedule},
    secret::{AccessToken, SessionToken},
    session::{Held, Identity, Opened, Pair, Session, SessionId, StoreError, Times, Tokens},
    user::LpUser,
};

/// Starts an [`LpUser`] for a handler's unit test: an agent of the account `12345678` who has just
/// signed in.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::test_kit;
///
/// let user = test_kit::user("3552833710").admin().build();
/// assert_eq!(user.id(), "3552833710");
/// assert!(user.is_admin());
/// ```
pub fn user(id: impl Into<String>) -> UserBuilder {
    UserBuilder {
        id: id.into(),
        account: AccountId::example(),
        is_admin: false,
        is_lpa: false,
        access_token: AccessToken::new("0123456789abcdef".repeat(4)),
        scope: None,
        authenticated_at: SystemClock::default().now(),
    }
}

/// Builds an [`LpUser`] without a layer; see [`user`].
#[derive(Clone, Debug)]
#[must_use]
pub struct UserBuilder {
    id: String,
    account: AccountId,
    is_admin: bool,
    is_lpa: bool,
    access_token: AccessToken,
    scope: Option<String>,
    authenticated_at: SystemTime,
}

impl UserBuilder {
    /// Gives the user the admin role.
    pub fn admin(mut self) -> Self {
        self.is_admin = true;
        self
    }

    /// Makes the user one of LivePerson's own staff.
    pub fn lpa(mut self) -> Self {
        self.is_lpa = true;
        self
    }

    /// The account the user has signed in to.
    ///
    /// # Errors
    ///
    /// [`InvalidAccountId`] if `id` is none.
    pub fn account(mut self, id: &str) -> Result<Self, InvalidAccountId> {
        self.account = id.parse()?;
        Ok(self)
    }

    /// The access token that the handler will find.
    pub fn access_token(mut self, token: impl Into<String>) -> Self {
        self.access_token = AccessToken::new(token);
        self
    }

    /// The scope of the access token.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// When the user has logged in; by default just now.
    pub fn authenticated_at(mut self, time: SystemTime) -> Self {
        self.authenticated_at = time;
        self
    }

    /// Makes the user.
    #[must_use]
    pub fn build(self) -> LpUser {
        const EIGHT_HOURS: Duration = Duration::from_secs(8 * 60 * 60);
        let login = Timestamp::from(self.authenticated_at);
        let session = Session {
            id: SessionId::random(),
            pair: Pair::default(),
            account: self.account,
            identity: Identity {
                subject: (*self.id).into(),
                issuer: "Sentinel".into(),
                is_admin: self.is_admin,
                is_lpa: self.is_lpa,
            },
            tokens: Tokens::new(self.access_token, None, self.scope.as_deref()),
            times: Times {
                authenticated_at: login,
                refreshed_at: login,
                access_expires_at: login.plus(EIGHT_HOURS),
                last_seen: login,
                absolute_end: login.plus(EIGHT_HOURS),
            },
            login: [0; 8],
        };
        let lifetimes =
            Lifetimes { idle: EIGHT_HOURS, absolute: EIGHT_HOURS, refresh_after: EIGHT_HOURS };
        let schedule = Schedule::new(&session, &lifetimes);
        LpUser::detached(Held::detached(Opened {
            session,
            schedule,
            current_key: true,
            stored: None,
        }))
    }
}

/// The `Cookie` header of a browser in which `user` is signed in to an application behind `auth`:
/// for tests that call a router without a login.
///
/// The user counts as signed in to the layer's account. Their access token is not known to any
/// server, and there is no refresh token.
///
/// # Panics
///
/// If the user's tokens are too large for a cookie, or the layer has a session store: [`sign_in`]
/// is for that.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, routing::get};
/// use http::Request;
/// use tower::ServiceExt;
/// use tower_lp_auth::{LpAuthLayer, LpUser, SessionKey, test_kit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = LpAuthLayer::builder()
///     .account("12345678")
///     .client_id("a-client")
///     .client_secret("a-secret")
///     .redirect_uri("https://app.example.com/callback")
///     .session_key(SessionKey::random())
///     .build()?;
/// let app = Router::new()
///     .route("/me", get(|user: LpUser| async move { user.id().to_owned() }))
///     .layer(auth.clone());
///
/// let cookie = test_kit::session_cookie(&auth, &test_kit::user("3552833710").build());
/// let request = Request::get("/me").header("cookie", cookie).body(Body::empty())?;
/// assert_eq!(app.oneshot(request).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn session_cookie(auth: &LpAuthLayer, user: &LpUser) -> HeaderValue {
    let new = auth.begin_session(user).expect("a user for a test has small tokens");
    assert!(new.held.opened.stored.is_none(), "this layer has a store: use `sign_in`");
    pair(&new.set_cookie)
}

/// The same for a layer with or without a session store: the session is in the store then.
///
/// # Errors
///
/// The store's.
///
/// # Panics
///
/// If the user's tokens are too large for a cookie, where there is no store.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::{LpAuthLayer, MemoryStore, SessionKey, test_kit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = LpAuthLayer::builder()
///     .account("12345678")
///     .client_id("a-client")
///     .client_secret("a-secret")
///     .redirect_uri("https://app.example.com/callback")
///     .session_key(SessionKey::random())
///     .store(MemoryStore::default())
///     .build()?;
/// let cookie = test_kit::sign_in(&auth, &test_kit::user("3552833710").build()).await?;
/// assert!(cookie.to_str()?.starts_with("__Host-lp_session_"));
/// # Ok(())
/// # }
/// ```
pub async fn sign_in(auth: &LpAuthLayer, user: &LpUser) -> Result<HeaderValue, StoreError> {
    let new = auth.begin_session(user).expect("a user for a test has small tokens");
    auth.deposit(&new).await?;
    Ok(pair(&new.set_cookie))
}

/// A session of `user` as a token, for tests that call a router as a client without cookies: with a
/// session store or without.
///
/// What [`session_cookie`] says of the user holds here too.
///
/// # Errors
///
/// The store's.
///
/// # Panics
///
/// If the layer hands out no session tokens ([`Builder::session_tokens`](crate::Builder::session_tokens)),
/// or, where there is no store, the user's tokens are too large for a cookie.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, routing::get};
/// use http::{Request, header::AUTHORIZATION};
/// use tower::ServiceExt;
/// use tower_lp_auth::{LpAuthLayer, LpUser, SessionKey, test_kit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = LpAuthLayer::builder()
///     .account("12345678")
///     .client_id("a-client")
///     .client_secret("a-secret")
///     .redirect_uri("https://app.example.com/callback")
///     .session_key(SessionKey::random())
///     .build()?;
/// let app = Router::new()
///     .route("/me", get(|user: LpUser| async move { user.id().to_owned() }))
///     .layer(auth.clone());
///
/// let token = test_kit::session_token(&auth, &test_kit::user("3552833710").build()).await?;
/// let request = Request::get("/me").header(AUTHORIZATION, token.to_header());
/// assert_eq!(app.oneshot(request.body(Body::empty())?).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
pub async fn session_token(auth: &LpAuthLayer, user: &LpUser) -> Result<SessionToken, StoreError> {
    let new = auth.begin_session(user).expect("a user for a test has small tokens");
    auth.deposit(&new).await?;
    Ok(auth.token_of(&new).expect("the layer hands out session tokens"))
}

/// Name and value of a Set-Cookie.
fn pair(line: &HeaderValue) -> HeaderValue {
    let text = line.to_str().unwrap_or_default();
    let (pair, _) = text.split_once(';').unwrap_or((text, ""));
    let mut cookie = HeaderValue::try_from(pair).expect("a part of a header's value is one");
    cookie.set_sensitive(true);
    cookie
}
