//! The browser's half of a login.

use http::{Method, StatusCode, header};
use url::{Url, form_urlencoded};

use crate::loopback::is_loopback;

use super::{
    pages, random,
    reply::{Reply, found, with_header},
    request::{Asked, Params},
    state::{Shared, SsoSession, State},
    tokens::{Authorization, Grant},
};

/// Remembers the user between two authorization requests.
const SSO_COOKIE: &str = "lp_mock_sso";

const SSO_COOKIE_DIGITS: usize = 32;

/// An authorization request (RFC 6749 §4.1.1) that is in order.
#[derive(Debug)]
struct AuthorizationRequest<'a> {
    client: usize,
    redirect_uri: &'a str,
    redirect_uri_named: bool,
    callback: Url,
    state: Option<&'a str>,
    code_challenge: Option<&'a str>,
}

/// Something is wrong that only the user gets to see: there is nowhere safe to redirect to.
#[derive(Debug, Clone, Copy)]
struct Unusable(StatusCode, &'static str);

const fn bad(why: &'static str) -> Unusable {
    Unusable(StatusCode::BAD_REQUEST, why)
}

/// Redirects back with a code at once where the user is known, to the login page otherwise.
pub(super) fn authorize(shared: &Shared, asked: &Asked, account: &str) -> Reply {
    let request = match AuthorizationRequest::read(shared, account, &asked.query) {
        Ok(request) => request,
        Err(Unusable(status, why)) => return pages::problem(status, why),
    };
    let state = &mut *shared.lock();
    match signed_in(state, asked, account) {
        Some(user) => request.grant(shared, state, user),
        None => found(&login_url(account, &asked.raw_query)),
    }
}

/// Shows the login page, or takes its form.
pub(super) fn login(shared: &Shared, asked: &Asked) -> Reply {
    let account = asked.query.one("account").unwrap_or_default();
    let request = match AuthorizationRequest::read(shared, account, &asked.query) {
        Ok(request) => request,
        Err(Unusable(status, why)) => return pages::problem(status, why),
    };
    let state = &mut *shared.lock();
    if asked.method == Method::GET {
        return pages::login(account, &request.callback, &state.users);
    }
    if asked.form.has("deny") {
        return request.deny();
    }
    let user = asked.form.one("user").and_then(|id| state.user(id));
    let Some(user) = user.map(|user| user.id().to_owned()) else {
        return pages::problem(StatusCode::BAD_REQUEST, "There is no such user.");
    };
    let cookie = begin_sso(state, account, &user);
    let mut reply = request.grant(shared, state, user);
    with_header(&mut reply, header::SET_COOKIE, &cookie);
    reply
}

/// Forgets who is signed in with this browser, and sends it to `back`, an address on this machine.
pub(super) fn forget(shared: &Shared, asked: &Asked) -> Reply {
    let back = asked.query.one("back").and_then(|back| Url::parse(back).ok());
    let Some(back) = back.filter(|url| url.host().is_some_and(is_loopback)) else {
        return pages::problem(StatusCode::BAD_REQUEST, "The address to go back to is not here.");
    };
    if let Some(value) = asked.cookie(SSO_COOKIE) {
        shared.lock().sso.remove(value);
    }
    let mut reply = found(back.as_str());
    let cookie = format!("{SSO_COOKIE}=; Path=/sentinel; HttpOnly; SameSite=Lax; Max-Age=0");
    with_header(&mut reply, header::SET_COOKIE, &cookie);
    reply
}

fn signed_in(state: &State, asked: &Asked, account: &str) -> Option<String> {
    let sso = asked
        .cookie(SSO_COOKIE)
        .and_then(|value| state.sso.get(value))
        .filter(|session| session.account == account)
        .map(|session| session.user.clone());
    state.settings.auto_login.clone().or(sso)
}

/// The path spares applications on this host a cookie that is not theirs (ports do not divide
/// cookies).
fn begin_sso(state: &mut State, account: &str, user: &str) -> String {
    let value = random::hex(SSO_COOKIE_DIGITS);
    let session = SsoSession { account: account.to_owned(), user: user.to_owned() };
    state.sso.insert(value.clone(), session);
    format!("{SSO_COOKIE}={value}; Path=/sentinel; HttpOnly; SameSite=Lax")
}

fn login_url(account: &str, query: &str) -> String {
    let mut account_field = form_urlencoded::Serializer::new(String::new());
    account_field.append_pair("account", account);
    format!("/login?{}&{query}", account_field.finish())
}

impl<'a> AuthorizationRequest<'a> {
    fn read(shared: &'a Shared, account: &str, query: &'a Params) -> Result<Self, Unusable> {
        if query.repeat() {
            return Err(bad("A parameter comes twice."));
        }
        if query.one("v") != Some("1.0") {
            return Err(bad("The parameter v must be 1.0."));
        }
        if query.one("response_type") != Some("code") {
            return Err(bad("The parameter response_type must be code."));
        }
        let id = query.one("client_id").ok_or(bad("The parameter client_id is missing."))?;
        let client = shared.client(account, id).ok_or(Unusable(
            StatusCode::UNAUTHORIZED,
            "The account or the client id is unknown.",
        ))?;
        let (redirect_uri, callback) = redirect_uri(shared, query)?;
        Ok(Self {
            client,
            redirect_uri,
            redirect_uri_named: query.one("redirect_uri").is_some(),
            callback,
            state: query.one("state"),
            code_challenge: code_challenge(query)?,
        })
    }

    /// RFC 6749 §4.1.2.
    fn grant(self, shared: &Shared, state: &mut State, user: String) -> Reply {
        let authorization = Authorization {
            grant: Grant { client: self.client, user },
            redirect_uri: self.redirect_uri.to_owned(),
            redirect_uri_named: self.redirect_uri_named,
            code_challenge: self.code_challenge.map(str::to_owned),
        };
        let code = state.tokens.issue_code(authorization, shared.now());
        self.redirect(&[("code", &code)])
    }

    /// RFC 6749 §4.1.2.1.
    fn deny(self) -> Reply {
        let description = "The user has declined to sign in.";
        self.redirect(&[("error", "access_denied"), ("error_description", description)])
    }

    fn redirect(mut self, answer: &[(&str, &str)]) -> Reply {
        let state = self.state.map(|state| ("state", state));
        self.callback.query_pairs_mut().extend_pairs(answer).extend_pairs(state);
        found(self.callback.as_str())
    }
}

/// May be left out where exactly one is registered.
fn redirect_uri<'a>(shared: &'a Shared, query: &'a Params) -> Result<(&'a str, Url), Unusable> {
    let registered = &shared.redirect_uris;
    let uri = match (query.one("redirect_uri"), &registered[..]) {
        (Some(uri), []) => uri,
        (Some(uri), _) if registered.iter().any(|other| other == uri) => uri,
        (Some(_), _) => return Err(bad("The redirect_uri is not registered.")),
        (None, [only]) => only,
        (None, _) => return Err(bad("The parameter redirect_uri is missing.")),
    };
    match Url::parse(uri) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok((uri, url)),
        _ => Err(bad("The redirect_uri is not an http or https URL.")),
    }
}

/// S256 alone: `plain`, which RFC 7636 §4.3 makes the default, hides nothing.
fn code_challenge(query: &Params) -> Result<Option<&str>, Unusable> {
    match (query.one("code_challenge"), query.one("code_challenge_method")) {
        (None, None) => Ok(None),
        (Some(challenge), Some("S256")) if challenge.len() == 43 => Ok(Some(challenge)),
        _ => Err(bad("The code_challenge is not one of the method S256.")),
    }
}
