//! Users for the unit tests of handlers.

use std::time::Duration;

use crate::{
    account::{AccountId, InvalidAccountId},
    clock::{Clock, SystemClock, Timestamp},
    refresh::{Lifetimes, Schedule},
    secret::AccessToken,
    session::{Held, Identity, Opened, Pair, Session, SessionId, Times, Tokens},
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

    /// Makes the user.
    #[must_use]
    pub fn build(self) -> LpUser {
        const EIGHT_HOURS: Duration = Duration::from_secs(8 * 60 * 60);
        let now = Timestamp::from(SystemClock::default().now());
        let session = Session {
            id: SessionId::random(),
            pair: Pair::default(),
            account: self.account,
            identity: Identity {
                subject: self.id.into(),
                issuer: "Sentinel".into(),
                is_admin: self.is_admin,
                is_lpa: self.is_lpa,
            },
            tokens: Tokens {
                access: self.access_token,
                refresh: None,
                scope: self.scope.map(Into::into),
            },
            times: Times {
                authenticated_at: now,
                refreshed_at: now,
                access_expires_at: now.plus(EIGHT_HOURS),
                last_seen: now,
                absolute_end: now.plus(EIGHT_HOURS),
            },
            login: [0; 8],
        };
        let lifetimes =
            Lifetimes { idle: EIGHT_HOURS, absolute: EIGHT_HOURS, refresh_after: EIGHT_HOURS };
        let schedule = Schedule::new(&session, &lifetimes);
        LpUser::detached(Held::detached(Opened { session, schedule, current_key: true }))
    }
}
