//! Which URL is which endpoint.

use http::{Method, StatusCode};
use serde_json::json;

use super::{
    app_token, authorize,
    counters::Endpoint,
    directory, grants,
    reply::{Reply, json as answer},
    request::Asked,
    state::Shared,
};

/// A part of the mock, with what its path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    AllServices(&'a str),
    OneService(&'a str, &'a str),
    Authorize(&'a str),
    Login,
    Forget,
    Token(&'a str),
    Revoke(&'a str),
    Jwks,
    Me(&'a str),
    AppToken(&'a str),
}

impl<'a> Route<'a> {
    pub(super) fn find(method: &Method, path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        Some(match (method.as_str(), &segments[..]) {
            ("GET", ["api", "account", account, rest @ ..]) => match rest {
                ["service", "baseURI.json"] => Self::AllServices(account),
                ["service", service, "baseURI.json"] => Self::OneService(account, service),
                ["configuration", "le-users", "users", "me"] => Self::Me(account),
                _ => return None,
            },
            (method, ["sentinel", "api", "account", account, rest @ ..]) => match (method, rest) {
                ("GET", ["authorize"]) => Self::Authorize(account),
                ("POST", ["token"]) => Self::Token(account),
                ("POST", ["token", "revoke"]) => Self::Revoke(account),
                _ => return None,
            },
            ("POST", ["sentinel", "api", "v2", "account", account, "app", "token"]) => {
                Self::AppToken(account)
            }
            ("GET", ["sentinel", "well-known", "jwks"]) => Self::Jwks,
            ("GET" | "POST", ["login"]) => Self::Login,
            ("GET", ["sentinel", "forget"]) => Self::Forget,
            _ => return None,
        })
    }

    pub(super) fn endpoint(self, asked: &Asked) -> Endpoint {
        match self {
            Self::AllServices(_) | Self::OneService(..) => Endpoint::Domain,
            Self::Authorize(_) => Endpoint::Authorize,
            Self::Login | Self::Forget => Endpoint::Login,
            Self::Token(_) if asked.form.one("grant_type") == Some("refresh_token") => {
                Endpoint::Refresh
            }
            Self::Token(_) => Endpoint::Token,
            Self::Revoke(_) => Endpoint::Revoke,
            Self::Jwks => Endpoint::Jwks,
            Self::Me(_) => Endpoint::Api,
            Self::AppToken(_) => Endpoint::AppToken,
        }
    }

    /// Does the work of the endpoint.
    pub(super) fn serve(self, shared: &Shared, asked: &Asked) -> Reply {
        match self {
            Self::AllServices(account) => directory::all_services(shared, asked, account),
            Self::OneService(account, service) => {
                directory::one_service(shared, asked, account, service)
            }
            Self::Authorize(account) => authorize::authorize(shared, asked, account),
            Self::Login => authorize::login(shared, asked),
            Self::Forget => authorize::forget(shared, asked),
            Self::Token(account) => grants::token(shared, asked, account),
            Self::Revoke(account) => grants::revoke(shared, asked, account),
            Self::Jwks => directory::jwks(shared),
            Self::Me(account) => directory::me(shared, asked, account),
            Self::AppToken(account) => app_token::app_token(shared, asked, account),
        }
    }
}

pub(super) fn not_found() -> Reply {
    answer(StatusCode::NOT_FOUND, &json!({ "error": "not found" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_documented_url_is_found() {
        let rows = [
            (
                "GET",
                "/api/account/1/service/sentinel/baseURI.json",
                Some(Route::OneService("1", "sentinel")),
            ),
            ("GET", "/api/account/1/service/baseURI.json", Some(Route::AllServices("1"))),
            ("GET", "/sentinel/api/account/1/authorize", Some(Route::Authorize("1"))),
            ("POST", "/sentinel/api/account/1/token", Some(Route::Token("1"))),
            ("POST", "/sentinel/api/account/1/token/revoke", Some(Route::Revoke("1"))),
            ("POST", "/sentinel/api/v2/account/1/app/token", Some(Route::AppToken("1"))),
            ("POST", "/sentinel/api/account/1/app/token", None),
            ("GET", "/sentinel/well-known/jwks", Some(Route::Jwks)),
            ("GET", "/api/account/1/configuration/le-users/users/me", Some(Route::Me("1"))),
            ("POST", "/login", Some(Route::Login)),
            ("GET", "/sentinel/api/account/1/token", None),
            ("GET", "/sentinel/.well-known/jwks", None),
            ("GET", "/", None),
        ];
        for (method, path, expected) in rows {
            let method = method.parse().unwrap();
            assert_eq!(Route::find(&method, path), expected, "{method} {path}");
        }
    }
}
