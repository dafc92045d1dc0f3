//! What the server and the test's handles share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use super::{
    counters::{Call, CallLog, Endpoint},
    faults::{Fault, Faults},
    keys::SigningKeys,
    request::Asked,
    switches::Settings,
    tokens::Tokens,
    users::MockUser,
};
use crate::Clock;

/// An application as LivePerson has registered it: one install in one account.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) account: String,
    pub(super) id: String,
    pub(super) secret: String,
}

/// Fixed for the life of the mock, but for `state`.
#[derive(Debug)]
pub(super) struct Shared {
    /// `127.0.0.1` and the port.
    pub(super) authority: String,
    /// Never empty; the first is the one the handle names.
    pub(super) clients: Vec<Client>,
    /// Empty if any is accepted.
    pub(super) redirect_uris: Vec<String>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<State>,
}

/// What requests and switches change.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) users: Vec<MockUser>,
    /// Who is signed in at Sentinel itself, by the cookie's value.
    pub(super) sso: HashMap<String, SsoSession>,
    pub(super) tokens: Tokens,
    pub(super) keys: SigningKeys,
    pub(super) faults: Faults,
    pub(super) log: CallLog,
}

/// A browser that need not see the login page again.
#[derive(Debug, Clone)]
pub(super) struct SsoSession {
    pub(super) account: String,
    pub(super) user: String,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(super) fn knows_account(&self, account: &str) -> bool {
        self.clients.iter().any(|client| client.account == account)
    }

    /// The number of a client in an account.
    pub(super) fn client(&self, account: &str, id: &str) -> Option<usize> {
        let wanted = |client: &Client| client.account == account && client.id == id;
        self.clients.iter().position(wanted)
    }

    /// Notes that a request has come, and says what shall go wrong with it.
    pub(super) fn arrive(&self, endpoint: Endpoint, asked: &Asked) -> Option<Fault> {
        let call = Call {
            endpoint,
            at: self.now(),
            method: asked.method.to_string(),
            query: asked.raw_query.clone(),
            form: asked.form.pairs().to_vec(),
            had_authorization: asked.has_authorization(),
        };
        let mut state = self.lock();
        state.log.record(call);
        state.faults.next(endpoint)
    }
}

impl State {
    pub(super) fn user(&self, id: &str) -> Option<&MockUser> {
        self.users.iter().find(|user| user.id() == id)
    }

    /// Signs a user out of LivePerson: their browsers see the login page again.
    pub(super) fn end_sso(&mut self, user: &str) {
        self.sso.retain(|_, session| session.user != user);
    }
}
