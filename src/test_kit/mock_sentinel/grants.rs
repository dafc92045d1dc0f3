//! The token endpoint and revocation.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    id_token,
    reply::{Reply, json as answer},
    request::Asked,
    state::{Shared, State},
    tokens::{FamilyId, Redemption, Refused},
    users::MockUser,
};
use crate::clock::Timestamp;

/// An error of RFC 6749 §5.2.
#[derive(Debug, Clone, Copy)]
pub(super) struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

/// Exchanges a code (RFC 6749 §4.1.3) or refreshes (§6).
pub(super) fn token(shared: &Shared, asked: &Asked, account: &str) -> Reply {
    let version = asked.query.one("v");
    let tokens = check(asked, matches!(version, Some("1.0" | "2.0")))
        .and_then(|()| authenticate(shared, asked, account))
        .and_then(|client| match asked.form.one("grant_type") {
            Some("authorization_code") => exchange(shared, asked, client),
            Some("refresh_token") => refresh(shared, asked, client),
            Some(_) => Err(UNSUPPORTED_GRANT_TYPE),
            None => Err(invalid_request("grant_type is missing")),
        });
    match tokens {
        Ok(tokens) => answer(StatusCode::OK, &tokens),
        Err(error) => error.reply(),
    }
}

/// Ends a session at LivePerson; a token that nobody knows is fine too (RFC 7009 §2.2).
pub(super) fn revoke(shared: &Shared, asked: &Asked, account: &str) -> Reply {
    // The documentation's table says `v=1.0`, its example `?v1.0`.
    let version = asked.query.one("v") == Some("1.0") || asked.query.has("v1.0");
    let client = check(asked, version).and_then(|()| authenticate(shared, asked, account));
    let (client, token) = match (client, asked.form.one("token")) {
        (Ok(client), Some(token)) => (client, token),
        (Ok(_), None) => return invalid_request("token is missing").reply(),
        (Err(error), _) => return error.reply(),
    };
    let state = &mut *shared.lock();
    if let Ok(family) = state.tokens.refreshable(token, client) {
        let user = state.tokens.grant(family).user.clone();
        state.tokens.kill(family);
        state.end_sso(&user);
    }
    answer(StatusCode::OK, &json!({}))
}

fn exchange(shared: &Shared, asked: &Asked, client: usize) -> Result<Value, OAuthError> {
    let code = asked.form.one("code");
    let redemption = Redemption {
        code: code.ok_or(invalid_request("code is missing"))?,
        client,
        redirect_uri: asked.form.one("redirect_uri"),
        code_verifier: asked.form.one("code_verifier"),
    };
    let state = &mut *shared.lock();
    let family = state.tokens.redeem(redemption, shared.now());
    let family = family.map_err(|_| invalid_grant("the code is not valid"))?;

    let settings = &state.settings;
    let (wants_refresh, wants_id) = (settings.login_refresh_token, settings.id_token);
    let digits = settings.refresh_token_digits;
    let refresh_token = wants_refresh.then(|| state.tokens.issue_refresh(family, digits));
    let id_token = wants_id.then(|| id_token(shared, state, family));
    Ok(issue(shared, state, family, refresh_token, id_token))
}

fn refresh(shared: &Shared, asked: &Asked, client: usize) -> Result<Value, OAuthError> {
    let token = asked.form.one("refresh_token");
    let token = token.ok_or(invalid_request("refresh_token is missing"))?;
    let state = &mut *shared.lock();
    let family = match state.tokens.refreshable(token, client) {
        Ok(family) => family,
        Err(Refused::Spent) => {
            reused(state, token);
            return Err(invalid_grant("the refresh token was used before"));
        }
        Err(Refused::Invalid) => return Err(invalid_grant("the refresh token is not valid")),
    };

    if state.settings.old_access_token_dies {
        state.tokens.expire_access(family);
    }
    let refresh_token =
        state.settings.refresh_returns_token.then(|| successor(state, family, token));
    let wants_id = state.settings.refresh_id_token;
    let id_token = wants_id.then(|| id_token(shared, state, family));
    Ok(issue(shared, state, family, refresh_token, id_token))
}

/// Somebody holds a copy of a token that was rotated away (RFC 9700 §4.14.2).
fn reused(state: &mut State, token: &str) {
    state.log.record_reuse();
    if state.settings.reuse_detection
        && let Some(family) = state.tokens.family_of(token)
    {
        state.tokens.kill(family);
    }
}

/// The refresh token to send next.
fn successor(state: &mut State, family: FamilyId, token: &str) -> String {
    if !state.settings.rotation {
        return token.to_owned();
    }
    state.tokens.spend(token);
    let digits = state.settings.refresh_token_digits;
    state.tokens.issue_refresh(family, digits)
}

/// The answer of RFC 6749 §5.1, with a new access token.
fn issue(
    shared: &Shared,
    state: &mut State,
    family: FamilyId,
    refresh_token: Option<String>,
    id_token: Option<String>,
) -> Value {
    let lifetime = state.settings.access_token_lifetime;
    let end = Timestamp::from(shared.now()).plus(lifetime); // saturates
    let access_token = state.tokens.issue_access(family, end.into());
    let members = [
        ("access_token", Some(json!(access_token))),
        ("token_type", state.settings.stated_type()),
        ("refresh_token", refresh_token.map(Value::from)),
        ("id_token", id_token.map(Value::from)),
        ("expires_in", state.settings.stated_lifetime(lifetime)),
    ];
    present(members)
}

/// An answer of the members that there are.
pub(super) fn present<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let present = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(Map::from_iter(present))
}

fn id_token(shared: &Shared, state: &State, family: FamilyId) -> String {
    let grant = state.tokens.grant(family);
    let client_id = &shared.clients[grant.client].id;
    let nobody = MockUser::new(&grant.user, "");
    let user = state.user(&grant.user).unwrap_or(&nobody);
    let settings = &state.settings;
    let claims =
        id_token::claims(&settings.issuer, client_id, user, shared.now(), &settings.id_claims);
    state.keys.sign(&claims)
}

fn check(asked: &Asked, version: bool) -> Result<(), OAuthError> {
    match () {
        () if !version => Err(invalid_request("the parameter v is missing or unknown")),
        () => check_form(asked),
    }
}

/// What every form of this protocol has to be (RFC 6749 §3.2).
pub(super) fn check_form(asked: &Asked) -> Result<(), OAuthError> {
    match () {
        () if !asked.is_form() => Err(invalid_request("the body is not a form")),
        () if asked.form.repeat() => Err(invalid_request("a parameter comes twice")),
        () => Ok(()),
    }
}

/// Clients authenticate in the body and nowhere else.
pub(super) fn authenticate(
    shared: &Shared,
    asked: &Asked,
    account: &str,
) -> Result<usize, OAuthError> {
    let client =
        asked.form.one("client_id").and_then(|id| shared.client(account, id)).filter(|client| {
            asked.form.one("client_secret") == Some(shared.clients[*client].secret.as_str())
        });
    match client {
        Some(client) if !asked.has_authorization() => Ok(client),
        _ => Err(INVALID_CLIENT),
    }
}

const INVALID_CLIENT: OAuthError = OAuthError {
    status: StatusCode::UNAUTHORIZED,
    error: "invalid_client",
    description: "unknown client, wrong secret, or credentials outside the body",
};

pub(super) const UNSUPPORTED_GRANT_TYPE: OAuthError = OAuthError {
    status: StatusCode::BAD_REQUEST,
    error: "unsupported_grant_type",
    description: "this endpoint knows no such grant type",
};

pub(super) const fn invalid_request(description: &'static str) -> OAuthError {
    OAuthError { status: StatusCode::BAD_REQUEST, error: "invalid_request", description }
}

const fn invalid_grant(description: &'static str) -> OAuthError {
    OAuthError { error: "invalid_grant", ..invalid_request(description) }
}

impl OAuthError {
    pub(super) fn reply(self) -> Reply {
        let body = json!({ "error": self.error, "error_description": self.description });
        answer(self.status, &body)
    }
}
