//! Ends a session: local first and fast, by POST alone.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::{LoginDesk, Refusal, Reply, claim::store_unavailable};
use crate::{
    caller::is_prefetch,
    refresh::{Brings, LoggedOut},
    respond::{self, RejectionReason},
    session::{Candidates, Carrier},
};

/// The query of the page after a logout.
const SIGNED_OUT: &str = "signed-out";

impl LoginDesk {
    /// Any method on the logout path.
    pub(crate) async fn logout(
        self: &Arc<Self>,
        method: &Method,
        headers: &HeaderMap,
        query: &str,
    ) -> Reply {
        match *method {
            Method::POST => self.sign_out(headers, query).await,
            _ if is_prefetch(headers) => Refusal::new(RejectionReason::Prefetch).into(),
            Method::GET | Method::HEAD => self.logout_page(headers, query).await,
            _ => Refusal::method("GET, HEAD, POST").into(),
        }
    }

    async fn sign_out(self: &Arc<Self>, headers: &HeaderMap, query: &str) -> Reply {
        if !self.csrf.allows(headers) {
            return Refusal::new(RejectionReason::CrossSite).into();
        }
        let candidates = self.keeper.mint.names().session_candidates(headers);
        let revocation = match self.keeper.log_out(Carrier::Cookie, candidates).await {
            LoggedOut::Nobody => None,
            LoggedOut::Everywhere { revocation } => revocation,
            LoggedOut::HereAlone => return store_unavailable().into(),
            LoggedOut::TooMany => {
                // Which of them are sessions is not looked at, so nothing may claim that they have
                // ended.
                let set_cookies = vec![self.keeper.mint.delete_cookie()];
                let refusal = Refusal::new(RejectionReason::ConflictingCookies);
                return Refusal { set_cookies, ..refusal }.into();
            }
        };
        if let Some(done) = revocation {
            self.keeper.await_revocation(done).await;
        }
        let location = match self.guard.query_target(query) {
            Some(path) => path.as_str().to_owned(),
            None => match &self.site.after_logout {
                Some(path) => path.to_string(),
                None => format!("{}?{SIGNED_OUT}", self.site.logout_link(None)),
            },
        };
        Reply::Redirect { location, set_cookies: vec![self.keeper.mint.delete_cookie()] }
    }

    /// A client that holds a session token gives it up: no page, no redirect, no cookie. Other sites
    /// cannot make it do so, for no browser sends the token by itself.
    pub(crate) async fn log_out_bearer(self: &Arc<Self>, method: &Method, token: &[u8]) -> Reply {
        if *method != Method::POST {
            return Refusal::method("POST").into();
        }
        let candidates = Candidates::one(token);
        match self.keeper.log_out(Carrier::Token, candidates).await {
            LoggedOut::Everywhere { revocation } => {
                if let Some(done) = revocation {
                    self.keeper.await_revocation(done).await;
                }
                Reply::Done
            }
            LoggedOut::HereAlone => store_unavailable().into(),
            LoggedOut::Nobody | LoggedOut::TooMany => {
                Refusal::new(RejectionReason::CredentialRefused).into()
            }
        }
    }

    /// The question before a logout, or the page after one.
    async fn logout_page(&self, headers: &HeaderMap, query: &str) -> Reply {
        // Where a store cannot say, asking costs nothing.
        let live = !matches!(self.keeper.survey(headers).await, Ok(Brings::Nobody { .. }));
        let response = if query == SIGNED_OUT && !live {
            respond::signed_out(&self.site.login_link(None))
        } else {
            let return_path = self.guard.query_target(query);
            let action = self.site.logout_link(return_path.as_ref().map(|path| path.as_str()));
            respond::confirm_logout(&action, &self.site.landing)
        };
        Reply::Page { response, set_cookies: Vec::new() }
    }
}
