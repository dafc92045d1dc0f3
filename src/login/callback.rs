//! Takes the browser back from Sentinel (RFC 6749 §4.1.2).
//!
//! Nothing is asked of anybody before the `state` is verified, nothing of the request is shown.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header::USER_AGENT};

use super::{
    LoginDesk, RETRY_AFTER, Refusal, Reply,
    arrival::Arrival,
    claim::store_unavailable,
    exchange::{Entrance, NoOutcome},
    pending::{Pending, State, StateHash},
};
use crate::{
    caller::is_prefetch,
    refresh::{Brings, NewSession},
    respond::RejectionReason,
    secret::AuthorizationCode,
    session::MAX_CANDIDATES,
};

/// Longer queries are nobody's: Sentinel's code and our state are a few hundred bytes.
const MAX_QUERY: usize = 8 * 1024;

/// What is recorded of a browser's name: all that current ones say, and more.
const MAX_USER_AGENT: usize = 256;

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
    /// Neither one code nor one error.
    Nothing,
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
            Some(parameters) => self.admit(headers, parameters).await,
            None => Refusal::new(RejectionReason::InvalidCallback).into(),
        };
        if let Reply::Reject(refusal) = &reply {
            self.keeper.telemetry.login_failed(refusal.reason);
        }
        reply
    }

    async fn admit(self: &Arc<Self>, headers: &HeaderMap, parameters: Parameters) -> Reply {
        let hash = parameters.state.hash();
        let name = self.keeper.mint.names().login(&hash.to_text());
        let Some(pending) = self.pending(headers, &name, &parameters.state) else {
            return self.without_pending(headers, hash).await;
        };
        let monotonic = self.keeper.clock.monotonic();
        // The login ends here, whatever becomes of its cookie.
        let refusal = |reason| {
            self.exchanges.spend(hash, monotonic);
            Refusal {
                set_cookies: vec![self.keeper.mint.names().delete(&name)],
                return_to: pending.return_path.as_ref().map(|path| path.as_str().to_owned()),
                ..Refusal::new(reason)
            }
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
        let ticket = match self.exchanges.enter(hash, monotonic) {
            Entrance::First(ticket, running) => {
                let (desk, pending) = (Arc::clone(self), pending.clone());
                let user_agent = self.user_agent(headers);
                self.keeper.tasks.spawn(desk.exchange(running, pending, code, hash, user_agent));
                ticket
            }
            Entrance::Again(ticket) => ticket,
            Entrance::Spent => return self.without_pending(headers, hash).await,
            Entrance::Busy => {
                let refusal = Refusal::new(RejectionReason::LoginBusy);
                return Refusal { retry_after: Some(1), again: true, ..refusal }.into();
            }
        };
        let arrival = match ticket.outcome().await {
            Ok(arrival) => arrival,
            Err(NoOutcome::Overtaken) => return self.to_landing(),
            // Redirected, it would start all over again where the landing page is protected.
            Err(NoOutcome::Lost) => return refusal(RejectionReason::LoginRefused).into(),
        };
        let delete = self.keeper.mint.names().delete(&name);
        match arrival {
            Arrival::Session(new) => self.welcome(headers, &pending, *new, delete),
            Arrival::Elsewhere => self.to_landing(),
            Arrival::Denied(Some(page)) => {
                self.keeper.telemetry.login_failed(RejectionReason::LoginDenied);
                Reply::Page { response: *page, set_cookies: vec![delete] }
            }
            Arrival::Denied(None) => refusal(RejectionReason::LoginDenied).into(),
            Arrival::Failed { reason, retry_after, unspent: true } => {
                Refusal { retry_after, again: true, ..Refusal::new(reason) }.into()
            }
            Arrival::Failed { reason, retry_after, unspent: false } => {
                Refusal { retry_after, ..refusal(reason) }.into()
            }
        }
    }

    /// The login that this browser started with this state.
    fn pending(&self, headers: &HeaderMap, name: &str, state: &State) -> Option<Pending> {
        let names = self.keeper.mint.names();
        let candidates: Vec<_> =
            names.login_cookies(headers).filter(|(found, _)| *found == name).collect();
        if candidates.len() > MAX_CANDIDATES {
            return None;
        }
        candidates
            .into_iter()
            .filter_map(|(_, value)| Pending::open(&self.sealer, &self.guard, name, value))
            // A login that began before the configured account was changed is not ours to finish.
            .find(|pending| pending.account == self.account && pending.has_state(state))
    }

    /// No login of this browser waits for this callback: it came before, or is somebody else's.
    async fn without_pending(&self, headers: &HeaderMap, hash: StateHash) -> Reply {
        let names = self.keeper.mint.names();
        match self.keeper.survey(headers).await {
            Ok(Brings::Session(held)) => {
                let same = held.opened.session.login == hash.mark();
                if same || self.exchanges.knows(hash) {
                    return self.to_landing();
                }
            }
            Ok(Brings::Nobody { .. } | Brings::Ambiguous) => {}
            Err(_) => return store_unavailable().into(),
        }
        let sends_cookies = names.login_cookies(headers).next().is_some()
            || !names.session_candidates(headers).is_empty()
            || self.exchanges.knows(hash);
        let reason = if sends_cookies {
            RejectionReason::UnknownLogin
        } else {
            tracing::info!(
                origin = &*self.site.origin,
                "the browser sent no cookie of its login: it is kept only if the login is started \
                 at this origin, the redirect URI's"
            );
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

    fn user_agent(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        if !self.record_user_agent {
            return None;
        }
        let text = headers.get(USER_AGENT)?.to_str().ok()?;
        // Visible ASCII: every byte is a character.
        Some(text[..text.len().min(MAX_USER_AGENT)].into())
    }

    /// Hands a new session to the browser, and ends the one it brought.
    fn welcome(
        &self,
        headers: &HeaderMap,
        pending: &Pending,
        new: NewSession,
        delete: HeaderValue,
    ) -> Reply {
        if self.keeper.replace(headers, &new.held).is_err() {
            // Setting ours replaces one of the two at most: the browser would come straight back
            // here, over and over.
            // Nobody waits for it: a reload must find this answer.
            drop(self.keeper.discard(&new.held));
            let refusal = Refusal::new(RejectionReason::ConflictingCookies);
            return Refusal { set_cookies: vec![delete], ..refusal }.into();
        }
        self.keeper.telemetry.logged_in();
        tracing::info!("signed in");
        let path = pending.return_path.as_ref().map_or(&*self.site.landing, |path| path.as_str());
        Reply::Redirect { location: path.to_owned(), set_cookies: vec![delete, new.set_cookie] }
    }
}

impl Parameters {
    /// `None` if there is not one `state` of ours, or the query is too long. Anything else that is
    /// repeated or malformed ends the login that the state names.
    pub(super) fn parse(query: &str) -> Option<Self> {
        if query.len() > MAX_QUERY {
            return None;
        }
        let (mut states, mut code, mut error, mut issuer) = (Vec::new(), None, None, None);
        let mut repeated = false;
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "state" => {
                    states.push(value);
                    continue;
                }
                "code" => &mut code,
                "error" => &mut error,
                "iss" => &mut issuer,
                _ => continue,
            };
            repeated |= slot.replace(value).is_some();
        }
        let [state] = &states[..] else { return None };
        let state = State::parse(state)?;
        let outcome = match (code, error) {
            _ if repeated => Outcome::Nothing,
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
    fn a_callback_without_one_state_of_ours_is_invalid() {
        let state = State::random().to_text();
        let long = "c".repeat(64 * 1024);
        for query in [
            String::new(),
            "code=abc".into(),
            "code=abc&state=".into(),
            "code=abc&state=short".into(),
            format!("code=abc&state={state}&state={state}"),
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
            ("code=a&code=a", "nothing"),
            ("iss=a&code=a&iss=b", "nothing"),
            ("error=a&error=b", "nothing"),
            ("code=a&code=a&error=access_denied", "nothing"),
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
