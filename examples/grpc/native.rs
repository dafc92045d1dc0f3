//! Lets a program on the user's own machine in (RFC 8252 §7.3): the program opens this page in the
//! browser, where the login comes first, and the user's yes takes a session token to the port at which
//! the program listens.
//!
//! The token is in no address, and so in no history, log or referrer: it travels in a page that nobody
//! stores, and in the body of a form. It goes to this machine alone, and no sooner than the user says so:
//! any page on the web can open this one, and any program can listen.

use std::ops::RangeInclusive;

use axum::{
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tower_lp_auth::LpUser;

use super::pages::{escape, page};

/// 128 bits of base64url are what no other page guesses.
const STATE_CHARS: RangeInclusive<usize> = 22..=128;

/// Below listen the machine's services, not programs of its user.
const FIRST_PORT: u16 = 1024;

/// The program that asks.
#[derive(Deserialize)]
#[serde(try_from = "Asked")]
pub(crate) struct Program {
    port: u16,
    /// By which it knows the answer as its own.
    state: String,
}

/// What stands in the query.
#[derive(Deserialize)]
struct Asked {
    port: u16,
    state: String,
}

impl TryFrom<Asked> for Program {
    type Error = &'static str;

    fn try_from(Asked { port, state }: Asked) -> Result<Self, Self::Error> {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if port < FIRST_PORT {
            return Err("the port is none of a user's program");
        }
        if !STATE_CHARS.contains(&state.len()) || !state.bytes().all(is_base64url) {
            return Err("the state is none: 22 to 128 characters of base64url");
        }
        Ok(Self { port, state })
    }
}

/// Asks the user.
pub(crate) async fn consent(user: LpUser, Query(program): Query<Program>) -> Response {
    let token = match user.session_token() {
        Ok(token) => token,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    // Not a name: what that leads to is for others to say.
    let address = format!("http://127.0.0.1:{}/", program.port);
    let body = format!(
        "<p class=\"lead\">It can act as you, user {}, until you sign out. Allow it only if you have \
         just started it.</p>\
         <form method=\"post\" action=\"{address}\" autocomplete=\"off\">\
         <input type=\"hidden\" name=\"state\" value=\"{}\">\
         <input type=\"hidden\" name=\"session_token\" value=\"{}\">\
         <button class=\"button\" id=\"allow\">Allow</button> \
         <a class=\"button quiet\" id=\"deny\" href=\"/\">No</a></form>",
        escape(user.id()),
        program.state,
        token.expose_secret(),
    );
    page("Allow “grpc-client” on this machine?", &body, &address)
}
