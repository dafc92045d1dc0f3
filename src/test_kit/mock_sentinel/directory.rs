//! What is looked up: hosts (the Domain API), public keys, and the bearer of a token.

use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{
    reply::{Reply, json as answer, with_header},
    request::Asked,
    state::Shared,
};

/// The services that this server plays.
const SERVICES: &[&str] = &["sentinel", "accountConfigReadOnly", "accountConfigReadWrite"];

pub(super) fn all_services(shared: &Shared, asked: &Asked, account: &str) -> Reply {
    if let Some(refusal) = refuse(shared, asked, account) {
        return refusal;
    }
    let services = SERVICES.iter().map(|service| entry(shared, account, service));
    let body = json!({ "baseURIs": services.collect::<Vec<_>>() });
    answer(StatusCode::OK, &body)
}

pub(super) fn one_service(shared: &Shared, asked: &Asked, account: &str, service: &str) -> Reply {
    if let Some(refusal) = refuse(shared, asked, account) {
        return refusal;
    }
    if !SERVICES.contains(&service) {
        return error(StatusCode::NOT_FOUND, "no such service");
    }
    answer(StatusCode::OK, &entry(shared, account, service))
}

pub(super) fn jwks(shared: &Shared) -> Reply {
    let state = shared.lock();
    if let Some(body) = &state.settings.jwks_body {
        let mut reply = Reply::new(Bytes::from(body.clone()));
        with_header(&mut reply, header::CONTENT_TYPE, "application/json");
        return reply;
    }
    if state.settings.publish_keys {
        answer(StatusCode::OK, &state.keys.published())
    } else {
        answer(StatusCode::OK, &json!({ "keys": [] }))
    }
}

/// The signed-in user, as the account configuration API would show them.
pub(super) fn me(shared: &Shared, asked: &Asked, account: &str) -> Reply {
    let state = shared.lock();
    let grant = asked
        .bearer_token()
        .and_then(|token| state.tokens.bearer(token, shared.now()))
        .filter(|grant| shared.clients[grant.client].account == account);
    let Some(user) = grant.and_then(|grant| state.user(&grant.user)) else {
        let mut refusal = error(StatusCode::UNAUTHORIZED, "the access token is not valid");
        with_header(&mut refusal, header::WWW_AUTHENTICATE, "Bearer");
        return refusal;
    };
    let body = json!({
        "id": user.id(),
        "fullName": user.name(),
        "accountId": account,
        "isAdmin": user.is_admin(),
        "isLpa": user.is_lpa(),
    });
    answer(StatusCode::OK, &body)
}

fn refuse(shared: &Shared, asked: &Asked, account: &str) -> Option<Reply> {
    if asked.query.one("version") != Some("1.0") {
        return Some(error(StatusCode::BAD_REQUEST, "version must be 1.0"));
    }
    let known = shared.knows_account(account);
    (!known).then(|| error(StatusCode::UNAUTHORIZED, "invalid site or agent"))
}

fn entry(shared: &Shared, account: &str, service: &str) -> Value {
    json!({ "service": service, "account": account, "baseURI": shared.authority })
}

fn error(status: StatusCode, message: &str) -> Reply {
    answer(status, &json!({ "error": message }))
}
