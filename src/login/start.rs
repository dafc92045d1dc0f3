//! Sends a browser to Sentinel (RFC 6749 §4.1.1) and remembers the login.

use http::{HeaderMap, HeaderValue};

use super::{
    LoginDesk, RETRY_AFTER, Refusal, Reply,
    pending::{Pending, State, cookie_bytes, make_room, waiting},
    pkce,
    return_path::ReturnPath,
};
use crate::{
    caller::{RequestKind, is_prefetch},
    refresh::Brings,
    respond::RejectionReason,
    sentinel::SentinelHost,
};

impl LoginDesk {
    /// `GET` or `HEAD` on the login path.
    pub(crate) async fn login(
        &self,
        method: &http::Method,
        headers: &HeaderMap,
        query: &str,
    ) -> Reply {
        if is_prefetch(headers) {
            return Refusal::new(RejectionReason::Prefetch).into();
        }
        if method != http::Method::GET && method != http::Method::HEAD {
            return Refusal::method("GET, HEAD").into();
        }
        if !RequestKind::may_start_login(headers) {
            return Refusal::new(RejectionReason::NotSignedIn).into();
        }
        let return_path = self.guard.query_target(query);
        self.start(headers, return_path, method == http::Method::GET).await
    }

    /// Redirects to Sentinel. Without `remember` no cookie is set: the answer to a HEAD is never
    /// followed.
    pub(crate) async fn start(
        &self,
        headers: &HeaderMap,
        return_path: Option<ReturnPath>,
        remember: bool,
    ) -> Reply {
        let return_to = return_path.as_ref().map(|path| path.as_str().to_owned());
        match self.keeper.sentinel.host(&self.account).await {
            Ok(host) => self.redirect(&host, headers, return_path, remember).await,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    reason = "no_host",
                    error,
                    "no login can start: sentinel's host is not known"
                );
                Refusal {
                    return_to,
                    retry_after: Some(RETRY_AFTER),
                    ..Refusal::new(RejectionReason::SentinelUnavailable)
                }
                .into()
            }
        }
    }

    async fn redirect(
        &self,
        host: &SentinelHost,
        headers: &HeaderMap,
        return_path: Option<ReturnPath>,
        remember: bool,
    ) -> Reply {
        let state = State::random();
        let verifier = self.pkce.then(pkce::code_verifier);
        let challenge = verifier.as_ref().map(pkce::code_challenge);
        let location = self.keeper.sentinel.authorize_url(
            host,
            &self.account,
            &state.to_text(),
            challenge.as_deref(),
        );
        let mut set_cookies = Vec::new();
        if remember {
            let pending = Pending {
                state,
                return_path,
                account: self.account.clone(),
                verifier,
                born: self.keeper.now(),
            };
            self.remember(&pending, headers, &mut set_cookies);
            // What a store cannot say of a cookie now is no reason to delete it.
            if let Ok(Brings::Nobody { dead: true }) = self.keeper.survey(headers).await {
                set_cookies.push(self.keeper.mint.delete_cookie());
            }
        }
        tracing::debug!("login started");
        Reply::Redirect { location, set_cookies }
    }

    /// Sets the cookie of a login, and deletes those that have to give way.
    fn remember(&self, pending: &Pending, headers: &HeaderMap, set_cookies: &mut Vec<HeaderValue>) {
        let names = self.keeper.mint.names();
        let name = names.login(&pending.state.hash().to_text());
        let value = pending.seal(&self.sealer, &name);
        let waiting = waiting(headers, names, |name, value| {
            Pending::open(&self.sealer, &self.guard, name, value)
                .filter(|login| !login.is_over(pending.born, self.patience))
                .map(|login| login.born)
        });
        for gone in make_room(waiting, cookie_bytes(&name, value.len())) {
            set_cookies.push(names.delete(&gone));
        }
        set_cookies.push(names.set(&name, &value, self.patience));
    }
}
