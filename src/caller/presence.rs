//! Private marks in a request's extensions: what a layer has found out about its caller.
//!
//! A client cannot make them: they are no headers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::Extensions;

use super::kind::RequestKind;
use crate::{
    refresh::Keeper,
    user::{LpApp, LpUser},
};

/// A layer has looked at a request and let it pass without a user. Without a size, so that it costs no
/// allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed;

/// Which layer that was, beside [`Passed`]. Absent where it is of the first configuration that the process
/// has built, mostly its only one.
#[derive(Clone, Debug)]
struct PassedBy(Arc<Keeper>);

/// Whether a configuration is the first one that this process has built.
#[derive(Debug)]
pub(crate) struct Rank {
    is_first: bool,
}

impl Rank {
    /// The rank of a new configuration.
    pub(crate) fn next() -> Self {
        static ANY_BEFORE: AtomicBool = AtomicBool::new(false);
        Self { is_first: !ANY_BEFORE.swap(true, Ordering::Relaxed) }
    }
}

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
    /// Marks a request that the layer of `keeper` lets pass.
    #[inline]
    pub(crate) fn mark(extensions: &mut Extensions, keeper: &Arc<Keeper>) {
        extensions.insert(Self);
        if !keeper.rank.is_first {
            extensions.insert(PassedBy(Arc::clone(keeper)));
        }
    }

    /// Whether any layer has let this request pass.
    pub(crate) fn by_any(extensions: &Extensions) -> bool {
        extensions.get::<Self>().is_some()
    }

    /// Whether the layer of `keeper` is the last that has, where any has.
    #[inline]
    fn by(extensions: &Extensions, keeper: &Arc<Keeper>) -> Option<bool> {
        extensions.get::<Self>()?;
        Some(match extensions.get::<PassedBy>() {
            Some(PassedBy(by)) => Arc::ptr_eq(by, keeper),
            None => keeper.rank.is_first,
        })
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
        match Passed::by(extensions, keeper) {
            Some(true) => return Self::Here,
            Some(false) => forget(extensions),
            None => {}
        }
        seen
    }
}

/// Removes whatever stands beside another layer's mark.
#[cold]
fn forget(extensions: &mut Extensions) {
    extensions.remove::<Passed>();
    extensions.remove::<PassedBy>();
    extensions.remove::<SessionUnavailable>();
    extensions.remove::<LpApp>();
}
