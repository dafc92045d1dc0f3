//! The endpoint of App-JWTs (version 2).

use http::StatusCode;

use super::{
    app_jwt,
    grants::{self, UNSUPPORTED_GRANT_TYPE, authenticate, check_form, invalid_request},
    keys,
    reply::{Reply, json as answer},
    request::Asked,
    state::Shared,
};

/// Gives an application a token of its own (RFC 6749 §4.4).
pub(super) fn app_token(shared: &Shared, asked: &Asked, account: &str) -> Reply {
    let client =
        check_form(asked).and_then(|()| authenticate(shared, asked, account)).and_then(|client| {
            match asked.form.one("grant_type") {
                Some("client_credentials") => Ok(client),
                Some(_) => Err(UNSUPPORTED_GRANT_TYPE),
                None => Err(invalid_request("grant_type is missing")),
            }
        });
    let client = match client {
        Ok(client) => &shared.clients[client],
        Err(error) => return error.reply(),
    };
    let settings = &shared.lock().settings;
    let claims = app_jwt::claims(client, settings, shared.now());
    let token = keys::jwt(keys::APP_KEY_ID, &claims.into(), keys::sign_as_sentinel);
    let members = [
        ("access_token", Some(token.into())),
        ("token_type", settings.stated_type()),
        ("expires_in", settings.stated_lifetime(settings.app_token_lifetime)),
    ];
    answer(StatusCode::OK, &grants::present(members))
}
