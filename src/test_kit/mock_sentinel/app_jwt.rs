//! The claims of an App-JWT, and tokens that no Sentinel would issue.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value, json};

use super::{
    MockSentinel,
    id_token::{Edits, edit, seconds},
    keys,
    state::Client,
    switches::Settings,
};

/// The claim that names whom a delegated token speaks for.
const CONSUMER_ID: &str = "https://liveperson.com/consumer_id";

/// The claims that Sentinel documents.
pub(super) fn claims(client: &Client, settings: &Settings, now: SystemTime) -> Map<String, Value> {
    Map::from_iter([
        ("iss".to_owned(), json!(settings.issuer)),
        ("aud".to_owned(), json!(client.account)),
        ("azp".to_owned(), json!(client.id)),
        ("scope".to_owned(), json!(settings.app_token_scopes.join(" "))),
        ("iat".to_owned(), json!(seconds(now))),
        (
            "exp".to_owned(),
            json!(seconds(now).saturating_add(settings.app_token_lifetime.as_secs())),
        ),
    ])
}

/// Makes an App-JWT of a test's choice; begun by [`MockSentinel::app_token`].
///
/// Unless something is changed, it is what the token endpoint would give the application now.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_lp_auth::test_kit::MockSentinel;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let sentinel = MockSentinel::start().await?;
/// let good = sentinel.app_token().client_id("a-partner").scopes(["users.read"]).build();
/// let expired = sentinel.app_token().issued_ago(Duration::from_secs(7200)).build();
/// let delegated = sentinel.app_token().delegated("a-consumer").build();
/// let unbound = sentinel.app_token().without_claim("azp").build();
/// let forged = sentinel.app_token().signed_by_stranger().build();
/// # assert_eq!(good.split('.').count(), 3);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct AppTokenBuilder {
    claims: Map<String, Value>,
    edits: Edits,
    key_id: String,
    sign: Box<dyn FnOnce(&[u8]) -> Vec<u8> + Send>,
}

impl MockSentinel {
    /// Begins an App-JWT as the token endpoint would give it to the application now.
    pub fn app_token(&self) -> AppTokenBuilder {
        let settings = &self.shared.lock().settings;
        AppTokenBuilder {
            claims: claims(self.client(), settings, self.shared.now()),
            edits: Edits::new(),
            key_id: keys::APP_KEY_ID.to_owned(),
            sign: Box::new(keys::sign_as_sentinel),
        }
    }
}

impl AppTokenBuilder {
    /// Whom the token was issued to (`azp`).
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        self.claim("azp", client_id.into())
    }

    /// The account in which it is good (`aud`).
    pub fn account(self, account: impl Into<String>) -> Self {
        self.claim("aud", account.into())
    }

    /// What it is good for (`scope`).
    pub fn scopes<'a>(self, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let scopes: Vec<&str> = scopes.into_iter().collect();
        self.claim("scope", scopes.join(" "))
    }

    /// Issued so long ago, with the same life: `iat` and `exp` move together, in whole seconds.
    pub fn issued_ago(mut self, ago: Duration) -> Self {
        for name in ["iat", "exp"] {
            let time = self.claims.get(name).and_then(Value::as_u64).unwrap_or_default();
            self.claims.insert(name.to_owned(), json!(time.saturating_sub(ago.as_secs())));
        }
        self
    }

    /// Speaks for a consumer, as delegated tokens do.
    pub fn delegated(self, consumer_id: impl Into<String>) -> Self {
        self.claim(CONSUMER_ID, consumer_id.into())
    }

    /// Puts a value of your choice into a claim, right or wrong.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.edits.insert(name.into(), Some(value.into()));
        self
    }

    /// Leaves a claim out.
    pub fn without_claim(mut self, name: impl Into<String>) -> Self {
        self.edits.insert(name.into(), None);
        self
    }

    /// Signed with a key that is not listed, under the name of the one that is.
    pub fn signed_by_stranger(mut self) -> Self {
        self.sign = Box::new(keys::sign_as_stranger);
        self
    }

    /// Signed by a key of your own, under its name (`kid`): `sign` gets what a JWS signs (RFC 7515
    /// §5.1) and returns the signature. [`MockSentinel::add_key`] lists it.
    pub fn signed_with(
        mut self,
        key_id: impl Into<String>,
        sign: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static,
    ) -> Self {
        self.key_id = key_id.into();
        self.sign = Box::new(sign);
        self
    }

    /// The token, in compact form.
    #[must_use]
    pub fn build(mut self) -> String {
        edit(&mut self.claims, &self.edits);
        keys::jwt(&self.key_id, &self.claims.into(), self.sign)
    }
}

impl fmt::Debug for AppTokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppTokenBuilder")
            .field("claims", &self.claims)
            .field("edits", &self.edits)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}
