//! The claims of an id_token.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};

use super::{MockSentinel, users::MockUser};

/// Ten minutes, as in LivePerson's published example.
const LIFETIME: Duration = Duration::from_secs(600);

/// What a test wants different: a claim's value, or its absence.
pub(super) type Edits = BTreeMap<String, Option<Value>>;

impl MockSentinel {
    /// An id_token as the token endpoint would give it to the application now, had this user just signed
    /// in; claims and key are as the switches say. An id that no user has is a plain agent's.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_lp_auth::test_kit::MockSentinel;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let sentinel = MockSentinel::start().await?;
    /// let bearer = format!("Bearer {}", sentinel.id_token("3552833710"));
    /// # assert_eq!(bearer.split('.').count(), 3);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn id_token(&self, user_id: &str) -> String {
        let state = &*self.shared.lock();
        let nobody = MockUser::new(user_id, "");
        let user = state.user(user_id).unwrap_or(&nobody);
        let settings = &state.settings;
        let now = self.shared.now();
        let claims = claims(&settings.issuer, self.client_id(), user, now, &settings.id_claims);
        state.keys.sign(&claims)
    }
}

/// The claims that Sentinel documents, then the edits.
pub(super) fn claims(
    issuer: &str,
    client_id: &str,
    user: &MockUser,
    now: SystemTime,
    edits: &Edits,
) -> Value {
    let mut claims = Map::from_iter([
        ("iss".to_owned(), json!(issuer)),
        ("sub".to_owned(), json!(user.id())),
        ("aud".to_owned(), json!(client_id)),
        ("iat".to_owned(), json!(seconds(now))),
        ("exp".to_owned(), json!(seconds(now + LIFETIME))),
        ("is_admin".to_owned(), json!(user.is_admin())),
        ("is_lpa".to_owned(), json!(user.is_lpa())),
    ]);
    edit(&mut claims, edits);
    Value::Object(claims)
}

pub(super) fn edit(claims: &mut Map<String, Value>, edits: &Edits) {
    for (name, edit) in edits {
        match edit {
            Some(value) => claims.insert(name.clone(), value.clone()),
            None => claims.remove(name),
        };
    }
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_replace_and_remove_claims() {
        let user = MockUser::new("7", "Sam").admin(true);
        let edits = Edits::from([
            ("iss".to_owned(), Some(json!("elsewhere"))),
            ("is_lpa".to_owned(), None),
        ]);
        let made = claims("Sentinel", "app", &user, UNIX_EPOCH, &edits);
        let expected = json!({
            "iss": "elsewhere", "sub": "7", "aud": "app", "iat": 0, "exp": 600, "is_admin": true,
        });
        assert_eq!(made, expected);
    }
}
