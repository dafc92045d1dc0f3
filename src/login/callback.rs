//! Takes the browser back from Sentinel (RFC 6749 §4.1.2).
//!
//! Nothing is asked of anybody before the `state` is verified, nothing of the request is shown.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use super::{
    LoginDecision, LoginDesk, Refusal, Reply,
    exchange::{Entrance, Running},
    hook,
    pending::{Pending, State, StateHash},
};
use crate::{
    caller::is_prefetch,
    jwt::{IdTokenError, TokenSource},
    refresh::{EndReason, Found},
    respond::RejectionReason,
    secret::AuthorizationCode,
    sentinel::{TokenError, TokenSet},
    session::{Held, Identity, Pair, Session, SessionId, Tokens},
    user::LpUser,
};

/// Longer queries are nobody's: Sentinel's code and our state are a few hundred bytes.
const MAX_QUERY: usize = 8 * 1024;

/// When a failed attempt may fare better.
const RETRY_AFTER: u64 = 5;

/// The parameters of a callback, each at most once.
pub(super) struct Parameters {
    pub(super) state: State,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Code(AuthorizationCode),
    /// `error`, by class: its text is never shown.
    Denied,
    Unavailable,
    Failed,
    /// Neither a code nor an error.
    Nothing,
}

/// What an exchange brought.
pub(crate) enum Arrival {
    /// A session, ready to be set.
    Session(Box<NewSession>),
    /// The application denied the user.
    Denied(Option<Box<Response<Bytes>>>),
    /// No session.
    Failed { reason: RejectionReason, retry_after: Option<u64>, unspent: bool },
}

/// A session that no browser has yet.
pub(crate) struct NewSession {
    held: Held,
    set_cookie: http::HeaderValue,
}

impl LoginDesk {
    /// `GET` on the callback path.
    pub(crate) async fn callback(
        self: &Arc<Self>,
        method: &Method,
        headers: &HeaderMap,
        query: &str,
    ) -> Reply {
        if method != Method::GET {
            return Refusal::method("GET").into();
        }
        if is_prefetch(headers) {
            return Refusal::new(RejectionReason::Prefetch).into();
        }
        let reply = match Parameters::parse(query) {
            Some(parameters) => self.admit(headers, query, parameters).await,
            None => Refusal::new(RejectionReason::InvalidCallback).into(),
        };
        if let Reply::Reject(refusal) = &reply {
            self.keeper.telemetry.login_failed(refusal.reason);
        }
        reply
    }

    async fn admit(
        self: &Arc<Self>,
        headers: &HeaderMap,
        query: &str,
        parameters: Parameters,
    ) -> Reply {
        let hash = parameters.state.hash();
        let name = self.keeper.mint.names().login(&hash.to_text());
        let Some(pending) = self.pending(headers, &name, &parameters.state) else {
            return self.without_pending(headers, hash);
        };
        let refusal = |reason| Refusal {
            set_cookies: vec![self.keeper.mint.names().delete(&name)],
            return_to: pending.return_path.as_ref().map(|path| path.as_str().to_owned()),
            ..Refusal::new(reason)
        };
        if pending.is_over(self.keeper.now(), self.patience) {
            return refusal(RejectionReason::LoginExpired).into();
        }
        let code = match parameters.outcome {
            Outcome::Code(code) => code,
            Outcome::Denied => return refusal(RejectionReason::AccessDenied).into(),
            Outcome::Failed => return refusal(RejectionReason::AuthorizationFailed).into(),
            Outcome::Nothing => return refusal(RejectionReason::InvalidCallback).into(),
            Outcome::Unavailable => {
                let refusal = refusal(RejectionReason::SentinelUnavailable);
                return Refusal { retry_after: Some(RETRY_AFTER), ..refusal }.into();
            }
        };
        let again = || Some(self.site.external(&format!("{}?{query}", self.site.callback_path)));
        let ticket = match self.exchanges.enter(hash, self.keeper.clock.monotonic()) {
            Entrance::First(ticket, running) => {
                let (desk, pending) = (Arc::clone(self), pending.clone());
                self.keeper.tasks.spawn(desk.exchange(running, pending, code, hash));
                ticket
            }
            Entrance::Again(ticket) => ticket,
            Entrance::Spent => return self.without_pending(headers, hash),
            Entrance::Busy => {
                let refusal = Refusal::new(RejectionReason::LoginBusy);
                return Refusal { retry_after: Some(1), again: again(), ..refusal }.into();
            }
        };
        let Some(arrival) = ticket.outcome().await else {
            return self.to_landing();
        };
        let delete = self.keeper.mint.names().delete(&name);
        match arrival {
            Arrival::Session(new) => self.welcome(headers, &pending, *new, delete),
            Arrival::Denied(Some(page)) => {
                self.keeper.telemetry.login_failed(RejectionReason::LoginDenied);
                Reply::Page { response: *page, set_cookies: vec![delete] }
            }
            Arrival::Denied(None) => refusal(RejectionReason::LoginDenied).into(),
            Arrival::Failed { reason, retry_after, unspent: true } => {
                Refusal { retry_after, again: again(), ..Refusal::new(reason) }.into()
            }
            Arrival::Failed { reason, retry_after, unspent: false } => {
                Refusal { retry_after, ..refusal(reason) }.into()
            }
        }
    }

    /// The login that this browser started with this state.
    fn pending(&self, headers: &HeaderMap, name: &str, state: &State) -> Option<Pending> {
        let names = self.keeper.mint.names();
        names
            .login_cookies(headers)
            .filter(|(found, _)| *found == name)
            .take(crate::session::MAX_CANDIDATES)
            .filter_map(|(_, value)| Pending::open(&self.sealer, &self.guard, name, value))
            .find(|pending| pending.has_state(state))
    }

    /// No login of this browser waits for this callback: it came before, or is somebody else's.
    fn without_pending(&self, headers: &HeaderMap, hash: StateHash) -> Reply {
        let names = self.keeper.mint.names();
        if let Some(held) = self.live_session(headers) {
            let same = held.opened.session.login == hash.mark();
            if same || self.exchanges.knows(hash) {
                return self.to_landing();
            }
        }
        let sends_cookies = names.login_cookies(headers).next().is_some()
            || !names.session_candidates(headers).is_empty()
            || self.exchanges.knows(hash);
        let reason = if sends_cookies {
            RejectionReason::UnknownLogin
        } else {
            RejectionReason::CookiesMissing
        };
        let name = names.login(&hash.to_text());
        let mut refusal = Refusal::new(reason);
        if names.login_cookies(headers).any(|(found, _)| found == name) {
            refusal.set_cookies.push(names.delete(&name));
        }
        refusal.into()
    }

    fn to_landing(&self) -> Reply {
        Reply::Redirect { location: self.site.landing.to_string(), set_cookies: Vec::new() }
    }

    /// The session of a request, if it is live; never refreshed for this.
    fn live_session(&self, headers: &HeaderMap) -> Option<Held> {
        let now = self.keeper.now();
        match self.keeper.find(&self.keeper.mint.names().session_candidates(headers), now) {
            Found::Session(held) if !self.keeper.is_dead(&held, now) => Some(held),
            _ => None,
        }
    }

    /// Hands a new session to the browser, and ends the one it brought.
    fn welcome(
        &self,
        headers: &HeaderMap,
        pending: &Pending,
        new: NewSession,
        delete: http::HeaderValue,
    ) -> Reply {
        let now = self.keeper.now();
        let candidates = self.keeper.mint.names().session_candidates(headers);
        match self.keeper.find(&candidates, now) {
            Found::Session(old) if old.track.id != new.held.track.id => {
                self.keeper.end(&old, EndReason::Replaced);
            }
            Found::Ambiguous => {
                // Setting ours replaces one of the two at most: the browser would come straight
                // back here, over and over.
                self.keeper.discard(&new.held);
                let refusal = Refusal::new(RejectionReason::ConflictingCookies);
                return Refusal { set_cookies: vec![delete], ..refusal }.into();
            }
            _ => {}
        }
        self.keeper.telemetry.logged_in();
        tracing::info!("signed in");
        let path = pending.return_path.as_ref().map_or(&*self.site.landing, |path| path.as_str());
        Reply::Redirect { location: path.to_owned(), set_cookies: vec![delete, new.set_cookie] }
    }

    /// The task of one exchange: presents the code once, whoever goes away meanwhile.
    async fn exchange(
        self: Arc<Self>,
        running: Running<Arrival>,
        pending: Pending,
        code: AuthorizationCode,
        hash: StateHash,
    ) {
        let arrival = self.arrive(&pending, &code, hash).await.unwrap_or_else(|failed| failed);
        let unspent = matches!(arrival, Arrival::Failed { unspent: true, .. });
        running.finish(arrival, unspent);
    }

    async fn arrive(
        self: &Arc<Self>,
        pending: &Pending,
        code: &AuthorizationCode,
        hash: StateHash,
    ) -> Result<Arrival, Arrival> {
        let sent_at = self.keeper.now();
        let tokens = self
            .keeper
            .sentinel
            .exchange(&pending.account, code, pending.verifier.as_ref())
            .await
            .map_err(|error| exchange_failed(&error))?;
        let identity = self.identify(pending, &tokens).await?;
        let session = Session {
            id: SessionId::random(),
            pair: Pair::default(),
            account: pending.account.clone(),
            identity,
            times: self.keeper.times_at_login(sent_at, tokens.expires_in),
            tokens: Tokens {
                access: tokens.access_token,
                refresh: tokens.refresh_token,
                scope: tokens.scope.map(Into::into),
            },
            login: hash.mark(),
        };
        let set_cookie = self.keeper.mint.set_cookie(&session, sent_at).map_err(|error| {
            tracing::error!(%error, "login failed: a session store has room for such a session");
            failed(RejectionReason::SessionTooLarge)
        })?;
        let held = self.keeper.take_up(self.keeper.mint.opened(session), sent_at);
        if let Some(on_login) = &self.on_login {
            let user = LpUser::new(held.clone(), Arc::clone(&self.keeper));
            match tokio::time::timeout(hook::PATIENCE, on_login(user)).await {
                Ok(Ok(LoginDecision::Allow)) => {}
                Ok(Ok(LoginDecision::Deny(page))) => {
                    tracing::info!(reason = "login_denied", "login denied by the application");
                    self.keeper.discard(&held);
                    return Ok(Arrival::Denied(page));
                }
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "login failed in the application's hook");
                    self.keeper.discard(&held);
                    return Err(failed_for_now(RejectionReason::HookFailed));
                }
                Err(_) => {
                    tracing::error!("login failed: the application's hook took too long");
                    self.keeper.discard(&held);
                    return Err(failed_for_now(RejectionReason::HookFailed));
                }
            }
        }
        Ok(Arrival::Session(Box::new(NewSession { held, set_cookie })))
    }

    /// Who the id_token says it is.
    async fn identify(&self, pending: &Pending, tokens: &TokenSet) -> Result<Identity, Arrival> {
        let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
        if !tokens.token_type.as_ref().is_some_and(is_bearer) {
            tracing::error!("login refused: the token_type of Sentinel's answer is not Bearer");
            return Err(failed(RejectionReason::LoginRefused));
        }
        let Some(id_token) = &tokens.id_token else {
            tracing::error!(
                "login refused: Sentinel's answer has no id_token; the other version of its token \
                 API may return one: set LP_TOKEN_API_VERSION (or `token_api_version`)"
            );
            return Err(failed(RejectionReason::LoginRefused));
        };
        let host = self.keeper.sentinel.host(&pending.account).await.map_err(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "login failed: sentinel's host is not known");
            failed_for_now(RejectionReason::SentinelUnavailable)
        })?;
        let access = Some(tokens.access_token.expose_secret());
        let verdict = self
            .keeper
            .verifier
            .verify(host.as_str(), id_token, TokenSource::TokenEndpoint, access)
            .await;
        match verdict {
            Ok(claims) => {
                if !claims.signature_checked {
                    self.keeper.telemetry.unsigned_id_token();
                }
                Ok(Identity {
                    subject: claims.subject,
                    issuer: claims.issuer,
                    is_admin: claims.is_admin,
                    is_lpa: claims.is_lpa,
                })
            }
            Err(IdTokenError::Refused(refusal)) => {
                tracing::error!(reason = refusal.as_str(), "login refused: id_token: {refusal}");
                Err(failed(if refusal.is_clock_skew() {
                    RejectionReason::ClockSkew
                } else {
                    RejectionReason::LoginRefused
                }))
            }
            Err(error @ IdTokenError::KeysUnavailable(_)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "login failed: sentinel's keys cannot be had");
                Err(failed_for_now(RejectionReason::SentinelUnavailable))
            }
        }
    }
}

fn failed(reason: RejectionReason) -> Arrival {
    Arrival::Failed { reason, retry_after: None, unspent: false }
}

/// The code is spent, but a new login may fare better in a moment.
fn failed_for_now(reason: RejectionReason) -> Arrival {
    Arrival::Failed { reason, retry_after: Some(RETRY_AFTER), unspent: false }
}

/// What a failed exchange means for the login.
fn exchange_failed(error: &TokenError) -> Arrival {
    let shown = error as &dyn std::error::Error;
    tracing::warn!(error = shown, class = error.class(), "login failed: code not exchanged");
    match error {
        TokenError::Throttled { retry_after } => Arrival::Failed {
            reason: RejectionReason::LoginBusy,
            retry_after: Some(crate::refresh::whole_seconds(*retry_after)),
            unspent: true,
        },
        TokenError::NotSent(_) => Arrival::Failed {
            reason: RejectionReason::SentinelUnavailable,
            retry_after: Some(RETRY_AFTER),
            unspent: true,
        },
        TokenError::Server { .. } | TokenError::Unknown(_) => {
            failed_for_now(RejectionReason::SentinelUnavailable)
        }
        TokenError::Refused { .. } | TokenError::Malformed(_) => {
            failed(RejectionReason::LoginRefused)
        }
    }
}

impl Parameters {
    /// `None` if anything is missing, repeated, too long or not what we or Sentinel write.
    pub(super) fn parse(query: &str) -> Option<Self> {
        if query.len() > MAX_QUERY {
            return None;
        }
        let (mut state, mut code, mut error, mut issuer) = (None, None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "iss" => &mut issuer,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let state = State::parse(&state?)?;
        let outcome = match (code, error) {
            (_, Some(error)) => match &*error {
                "access_denied" => Outcome::Denied,
                "temporarily_unavailable" | "server_error" => Outcome::Unavailable,
                _ => Outcome::Failed,
            },
            (Some(code), None) if is_code(&code) => {
                Outcome::Code(AuthorizationCode::new(code.into_owned()))
            }
            (Some(_) | None, None) => Outcome::Nothing,
        };
        Some(Self { state, outcome })
    }
}

/// Visible ASCII (RFC 6749 Appendix A.11), so that broken escapes are no code.
fn is_code(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|b| (0x20..0x7f).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B01, B02, B05, B06.
    #[test]
    fn a_callback_with_anything_missing_or_repeated_is_invalid() {
        let state = State::random().to_text();
        let long = "c".repeat(64 * 1024);
        for query in [
            String::new(),
            "code=abc".into(),
            "code=abc&state=".into(),
            "code=abc&state=short".into(),
            format!("code=abc&state={state}&state={state}"),
            format!("code=abc&code=abc&state={state}"),
            format!("iss=a&code=abc&iss=b&state={state}"),
            format!("error=a&error=b&state={state}"),
            format!("code=abc&state[]={state}"),
            format!("code={long}&state={state}"),
            format!("code=abc&state={state}%00"),
            format!("code=abc&state=%ff{state}"),
        ] {
            assert!(Parameters::parse(&query).is_none(), "accepted {query:.80}");
        }
    }

    #[test]
    fn a_callback_brings_a_code_or_an_error_of_some_class() {
        let state = State::random().to_text();
        let outcome =
            |rest: &str| match Parameters::parse(&format!("state={state}&{rest}")).unwrap().outcome
            {
                Outcome::Code(_) => "code",
                Outcome::Denied => "denied",
                Outcome::Unavailable => "unavailable",
                Outcome::Failed => "failed",
                Outcome::Nothing => "nothing",
            };
        for (rest, expected) in [
            ("code=a%2Fb", "code"),
            ("code=a&x=1&x=2", "code"),
            ("code=", "nothing"),
            ("code=%ff", "nothing"),
            ("x=1", "nothing"),
            ("error=access_denied", "denied"),
            ("code=a&error=access_denied", "denied"),
            ("error=server_error&error_description=%3Cscript%3E", "unavailable"),
            ("error=anything", "failed"),
            ("error=", "failed"),
        ] {
            assert_eq!(outcome(rest), expected, "{rest}");
        }
    }
}
