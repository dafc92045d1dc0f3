//! How the mock behaves, changeable while it runs.

use std::time::Duration;

use serde_json::Value;

use super::{MockSentinel, MockUser, id_token::Edits};

/// Eight hours, the lifetime that LivePerson has stated.
const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// Between the shortest and the longest refresh token published.
const REFRESH_TOKEN_DIGITS: usize = 288;

/// As in both published examples of an App-JWT.
const APP_TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// How a token answer states the lifetime of its access token or App-JWT.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::test_kit::{ExpiresIn, MockSentinel};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let sentinel = MockSentinel::start().await?;
/// sentinel.set_expires_in(ExpiresIn::Text); // "28800"
/// sentinel.set_expires_in(ExpiresIn::Literal((-1).into()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum ExpiresIn {
    /// A number of seconds.
    #[default]
    Number,
    /// The same number as a string.
    Text,
    /// This value, true or not.
    Literal(Value),
    /// Not at all.
    Absent,
}

/// The switches, as they stand.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) rotation: bool,
    pub(super) reuse_detection: bool,
    pub(super) old_access_token_dies: bool,
    pub(super) access_token_lifetime: Duration,
    pub(super) app_token_lifetime: Duration,
    pub(super) app_token_scopes: Vec<String>,
    pub(super) expires_in: ExpiresIn,
    pub(super) refresh_token_digits: usize,
    pub(super) login_refresh_token: bool,
    pub(super) refresh_returns_token: bool,
    pub(super) token_type: Option<String>,
    pub(super) id_token: bool,
    pub(super) refresh_id_token: bool,
    pub(super) issuer: String,
    pub(super) id_claims: Edits,
    pub(super) publish_keys: bool,
    pub(super) jwks_body: Option<Vec<u8>>,
    pub(super) auto_login: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rotation: true,
            reuse_detection: true,
            old_access_token_dies: false,
            access_token_lifetime: ACCESS_TOKEN_LIFETIME,
            app_token_lifetime: APP_TOKEN_LIFETIME,
            app_token_scopes: vec!["users.read".to_owned(), "faas.lambda.invoke".to_owned()],
            expires_in: ExpiresIn::Number,
            refresh_token_digits: REFRESH_TOKEN_DIGITS,
            login_refresh_token: true,
            refresh_returns_token: true,
            token_type: Some("Bearer".to_owned()),
            id_token: true,
            refresh_id_token: false,
            issuer: "Sentinel".to_owned(),
            id_claims: Edits::new(),
            publish_keys: true,
            jwks_body: None,
            auto_login: None,
        }
    }
}

impl Settings {
    /// The `expires_in` of an answer.
    pub(super) fn stated_lifetime(&self, lifetime: Duration) -> Option<Value> {
        match &self.expires_in {
            ExpiresIn::Number => Some(lifetime.as_secs().into()),
            ExpiresIn::Text => Some(lifetime.as_secs().to_string().into()),
            ExpiresIn::Literal(value) => Some(value.clone()),
            ExpiresIn::Absent => None,
        }
    }

    /// The `token_type` of an answer.
    pub(super) fn stated_type(&self) -> Option<Value> {
        self.token_type.as_deref().map(Value::from)
    }
}

/// Tokens.
impl MockSentinel {
    /// Whether a refresh spends its refresh token and returns another (on at first). Off, the same
    /// token comes back and stays good.
    pub fn set_rotation(&self, on: bool) {
        self.set(|settings| settings.rotation = on);
    }

    /// Whether a spent refresh token that is presented again ends all tokens of its login (on at
    /// first). It is refused and counted either way.
    pub fn set_reuse_detection(&self, on: bool) {
        self.set(|settings| settings.reuse_detection = on);
    }

    /// Whether a refresh ends the access tokens issued before (off at first).
    pub fn set_old_access_token_dies(&self, on: bool) {
        self.set(|settings| settings.old_access_token_dies = on);
    }

    /// How long access tokens issued from now on live (eight hours at first).
    pub fn set_access_token_lifetime(&self, lifetime: Duration) {
        self.set(|settings| settings.access_token_lifetime = lifetime);
    }

    /// How long App-JWTs issued from now on live (an hour at first).
    pub fn set_app_token_lifetime(&self, lifetime: Duration) {
        self.set(|settings| settings.app_token_lifetime = lifetime);
    }

    /// How both lifetimes are stated (as a number at first).
    pub fn set_expires_in(&self, form: ExpiresIn) {
        self.set(|settings| settings.expires_in = form);
    }

    /// How many hexadecimal digits new refresh tokens have (288 at first).
    pub fn set_refresh_token_digits(&self, digits: usize) {
        self.set(|settings| settings.refresh_token_digits = digits);
    }

    /// Whether a login yields a refresh token (on at first).
    pub fn set_login_refresh_token(&self, on: bool) {
        self.set(|settings| settings.login_refresh_token = on);
    }

    /// Whether a refresh yields a refresh token (on at first). Off, the one presented stays good.
    pub fn set_refresh_returns_token(&self, on: bool) {
        self.set(|settings| settings.refresh_returns_token = on);
    }

    /// The `token_type` of answers (`Bearer` at first), or none.
    pub fn set_token_type(&self, token_type: Option<&str>) {
        self.set(|settings| settings.token_type = token_type.map(str::to_owned));
    }
}

/// The id_token and its keys.
impl MockSentinel {
    /// Whether a login yields an id_token (on at first).
    pub fn set_id_token(&self, on: bool) {
        self.set(|settings| settings.id_token = on);
    }

    /// Whether a refresh yields an id_token, as LivePerson's does not (off at first).
    pub fn set_refresh_id_token(&self, on: bool) {
        self.set(|settings| settings.refresh_id_token = on);
    }

    /// The claim `iss` (`Sentinel` at first; `sentinel` is documented too).
    pub fn set_issuer(&self, issuer: &str) {
        self.set(|settings| settings.issuer = issuer.to_owned());
    }

    /// Puts a value of your choice into a claim of new id_tokens, right or wrong.
    pub fn set_id_claim(&self, name: &str, value: impl Into<Value>) {
        let value = Some(value.into());
        self.set(|settings| settings.id_claims.insert(name.to_owned(), value));
    }

    /// Leaves a claim out of new id_tokens.
    pub fn remove_id_claim(&self, name: &str) {
        self.set(|settings| settings.id_claims.insert(name.to_owned(), None));
    }

    /// Undoes [`set_id_claim`](Self::set_id_claim) and
    /// [`remove_id_claim`](Self::remove_id_claim).
    pub fn reset_id_claims(&self) {
        self.set(|settings| settings.id_claims.clear());
    }

    /// Signs with a new key from now on; the old one stays listed.
    ///
    /// All mocks of a process use the same keys in the same order, since each takes a while to
    /// generate.
    pub fn rotate_signing_key(&self) {
        self.shared.lock().keys.rotate();
    }

    /// Lists the current key alone.
    pub fn withdraw_old_keys(&self) {
        self.shared.lock().keys.withdraw_old();
    }

    /// Whether keys are listed (on at first); off, the set is empty.
    pub fn set_publish_keys(&self, on: bool) {
        self.set(|settings| settings.publish_keys = on);
    }

    /// Whether the key that signs is listed (on at first); off, the set holds only the keys before
    /// it, as where LivePerson signs id_tokens with a key that it does not publish.
    pub fn set_publish_signing_key(&self, on: bool) {
        self.shared.lock().keys.hide_current(!on);
    }

    /// Adds a key to the set as long as keys are listed, right or wrong, such as one of 1024 bits for
    /// [`AppTokenBuilder::signed_with`](super::AppTokenBuilder::signed_with).
    pub fn add_key(&self, jwk: Value) {
        self.shared.lock().keys.add_guest(jwk);
    }

    /// Serves these bytes in place of the key set; `None` brings the set back.
    pub fn set_jwks_body(&self, body: Option<Vec<u8>>) {
        self.set(|settings| settings.jwks_body = body);
    }
}

/// The login.
impl MockSentinel {
    /// Signs this user in without a page whenever a browser comes to authorize; `None` brings the
    /// page back.
    ///
    /// An id that no user has becomes a plain agent.
    pub fn auto_login(&self, user_id: Option<&str>) {
        let state = &mut *self.shared.lock();
        state.settings.auto_login = user_id.map(str::to_owned);
        if let Some(id) = user_id.filter(|id| state.user(id).is_none()) {
            state.users.push(MockUser::new(id, format!("Agent {id}")));
        }
    }

    fn set<T>(&self, change: impl FnOnce(&mut Settings) -> T) {
        change(&mut self.shared.lock().settings);
    }
}
