//! Private marks in a request's extensions: what a layer has found out about its caller.
//!
//! A client cannot make them: they are no headers.

use std::sync::Arc;

use http::Extensions;

use super::kind::RequestKind;
use crate::{
    refresh::Keeper,
    user::{LpApp, LpUser},
};

/// A layer has looked at this request. Without a size, so that it costs no allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presence;

/// Which layer has looked at this request and let it pass without a user.
#[derive(Clone, Debug)]
pub(crate) struct Passed(Arc<Keeper>);

/// In the extensions of a request on an optional route: whether the caller is signed in cannot be
/// said now, because Sentinel (or a session store) cannot be asked, or a token's keys cannot be had.
///
/// The request has passed without an [`LpUser`], and its cookie is untouched. Handlers that can do
/// without go on; the extractor of `LpUser` and `require_*` answer 503.
#[derive(Clone, Debug)]
pub struct SessionUnavailable {
    retry_after_secs: u64,
    kind: RequestKind,
}

impl SessionUnavailable {
    pub(crate) fn new(retry_after_secs: u64, kind: RequestKind) -> Self {
        Self { retry_after_secs, kind }
    }

    /// After how many seconds another request may fare better, at least 1.
    #[must_use]
    pub fn retry_after_secs(&self) -> u64 {
        self.retry_after_secs
    }

    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "for the extractors"))]
    pub(crate) fn kind(&self) -> RequestKind {
        self.kind
    }
}

impl Passed {
    pub(crate) fn new(keeper: Arc<Keeper>) -> Self {
        Self(keeper)
    }
}

/// Who has looked at a request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A layer of the same configuration (the same sessions): it has decided.
    Here,
    /// Another layer, which knows its user by a session token and has taken that out. The header has
    /// decided: no cookie makes up for it, and nothing is redirected.
    ElsewhereByToken,
    /// Nobody whose word counts.
    Nowhere,
}

impl Seen {
    /// Reads the marks of the layers above. Whatever another one has left is removed: it counts for
    /// nothing here.
    #[inline]
    pub(crate) fn by(extensions: &mut Extensions, keeper: &Arc<Keeper>) -> Self {
        if extensions.is_empty() {
            return Self::Nowhere;
        }
        let mut seen = Self::Nowhere;
        if let Some(user) = extensions.get::<LpUser>() {
            if user.is_of(keeper) {
                return Self::Here;
            }
            if user.came_by_token() {
                seen = Self::ElsewhereByToken;
            }
            extensions.remove::<LpUser>();
        }
        if extensions.get::<Passed>().is_some_and(|Passed(by)| Arc::ptr_eq(by, keeper)) {
            return Self::Here;
        }
        extensions.remove::<Presence>();
        extensions.remove::<Passed>();
        extensions.remove::<SessionUnavailable>();
        extensions.remove::<LpApp>();
        seen
    }
}
