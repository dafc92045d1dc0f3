//! Turns a code into a session, in a task of its own.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;

use super::{
    LoginDecision, LoginDesk, RETRY_AFTER,
    exchange::Running,
    hook,
    pending::{Pending, StateHash},
};
use crate::{
    jwt::IdTokenError,
    refresh::NewSession,
    respond::RejectionReason,
    secret::AuthorizationCode,
    sentinel::{TokenError, TokenSet},
    session::{Carrier, Identity, Pair, Session, SessionId, Tokens, issuer},
    user::LpUser,
};

/// What an exchange brought.
pub(crate) enum Arrival {
    /// A session, ready to be set.
    Session(Box<NewSession>),
    /// The application denied the user.
    Denied(Option<Box<Response<Bytes>>>),
    /// Another instance presents the code.
    Elsewhere,
    /// No session.
    Failed { reason: RejectionReason, retry_after: Option<u64>, unspent: bool },
}

impl Arrival {
    fn leaves_code_unspent(&self) -> bool {
        matches!(self, Self::Failed { unspent: true, .. })
    }
}

impl LoginDesk {
    /// The task of one exchange: presents the code once, whoever goes away meanwhile.
    pub(super) async fn exchange(
        self: Arc<Self>,
        running: Running<Arrival>,
        pending: Pending,
        code: AuthorizationCode,
        hash: StateHash,
        user_agent: Option<Arc<str>>,
    ) {
        let arrival = match self.claim(hash).await {
            Ok(own) => {
                let arrived = self.arrive(&pending, &code, hash, user_agent).await;
                let arrival = arrived.unwrap_or_else(|failed| failed);
                if arrival.leaves_code_unspent() {
                    self.unclaim(hash, own).await;
                }
                arrival
            }
            Err(arrival) => arrival,
        };
        // Where another instance has the login, the store says what becomes of it.
        let unspent = arrival.leaves_code_unspent() || matches!(arrival, Arrival::Elsewhere);
        running.finish(arrival, unspent);
    }

    async fn arrive(
        self: &Arc<Self>,
        pending: &Pending,
        code: &AuthorizationCode,
        hash: StateHash,
        user_agent: Option<Arc<str>>,
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
            tokens: Tokens::new(
                tokens.access_token,
                tokens.refresh_token.as_ref(),
                tokens.scope.as_deref(),
            ),
            login: hash.mark(),
        };
        let new = self.keeper.begin(session, user_agent, sent_at).map_err(|error| {
            tracing::error!(
                reason = "session_too_large",
                %error,
                "login failed: a session store has room for such a session"
            );
            failed(RejectionReason::SessionTooLarge)
        })?;
        // Before the hook: it may use the session.
        if let Err(error) = self.keeper.deposit(&new.held).await {
            tracing::error!(
                reason = "not_stored",
                error = &error as &dyn std::error::Error,
                "login failed: the session store has not taken the session"
            );
            self.keeper.discard(&new.held).await;
            return Err(failed_for_now(RejectionReason::StoreUnavailable));
        }
        if let Some(on_login) = &self.on_login {
            let user = LpUser::new(new.held.clone(), Carrier::Cookie, Arc::clone(&self.keeper));
            match hook::ask(on_login, user).await {
                Ok(LoginDecision::Allow) => {}
                Ok(LoginDecision::Deny(page)) => {
                    tracing::info!(reason = "login_denied", "login denied by the application");
                    self.keeper.discard(&new.held).await;
                    return Ok(Arrival::Denied(page));
                }
                Err(undecided) => {
                    tracing::error!(
                        reason = "hook_failed",
                        error = &undecided as &dyn std::error::Error,
                        "login failed in the application's hook"
                    );
                    self.keeper.discard(&new.held).await;
                    return Err(failed_for_now(RejectionReason::HookFailed));
                }
            }
        }
        Ok(Arrival::Session(Box::new(new)))
    }

    /// Who the id_token says it is.
    async fn identify(&self, pending: &Pending, tokens: &TokenSet) -> Result<Identity, Arrival> {
        let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
        if !tokens.token_type.as_ref().is_some_and(is_bearer) {
            tracing::error!(
                reason = "token_type",
                "login refused: the token_type of Sentinel's answer is not Bearer"
            );
            return Err(failed(RejectionReason::LoginRefused));
        }
        let Some(id_token) = &tokens.id_token else {
            tracing::error!(
                reason = "no_id_token",
                "login refused: Sentinel's answer has no id_token; the other version of its token \
                 API may return one: set LP_TOKEN_API_VERSION (or `token_api_version`)"
            );
            return Err(failed(RejectionReason::LoginRefused));
        };
        let verdict = self.keeper.verify(&pending.account, id_token, &tokens.access_token).await;
        match verdict {
            Ok(claims) => {
                if !claims.signature_checked {
                    self.keeper.telemetry.unsigned_id_token();
                }
                Ok(Identity {
                    subject: (*claims.subject).into(),
                    issuer: issuer(&claims.issuer),
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
                tracing::warn!(
                    reason = "no_keys",
                    error,
                    "login failed: sentinel's keys cannot be had"
                );
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
    if error.is_misconfiguration() {
        tracing::error!(
            reason = "misconfigured",
            "login failed: sentinel refuses this application's credentials: check client_id and \
             client_secret (LP_CLIENT_ID, LP_CLIENT_SECRET)"
        );
    } else {
        tracing::warn!(reason = error.class(), error = shown, "login failed: code not exchanged");
    }
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
