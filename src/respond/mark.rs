//! Carries a refusal from an extractor or `require_*` up to the layer.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::RejectionReason;
use crate::caller::{RequestKind, grpc_flavor};

/// In the extensions of a response that the layer turns into the caller's language.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) reason: MarkReason,
    pub(crate) kind: RequestKind,
}

/// Why a route has refused its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MarkReason {
    NotSignedIn,
    LoginTooOld,
    Forbidden,
    /// Nobody, where an application is asked for.
    NotAnApp,
    /// An application whose token lacks this scope.
    InsufficientScope(Arc<str>),
    /// Seconds for `Retry-After`.
    Unavailable(u64),
}

impl Mark {
    pub(crate) fn new(reason: MarkReason, kind: RequestKind) -> Self {
        Self { reason, kind }
    }

    /// The same as the layer sees it, from the marked response's headers: what translates grpc-web
    /// between the two has shown the route a native call, and gives the response its own type.
    pub(crate) fn seen_outside(self, headers: &HeaderMap) -> Self {
        match (self.kind, grpc_flavor(headers)) {
            (RequestKind::Grpc(_), Some(flavor)) => {
                Self { kind: RequestKind::Grpc(flavor), ..self }
            }
            _ => self,
        }
    }
}

impl MarkReason {
    pub(crate) fn rejection(&self) -> RejectionReason {
        match self {
            Self::NotSignedIn => RejectionReason::NotSignedIn,
            Self::LoginTooOld => RejectionReason::LoginTooOld,
            Self::Forbidden => RejectionReason::Forbidden,
            Self::NotAnApp => RejectionReason::NotAnApp,
            Self::InsufficientScope(_) => RejectionReason::InsufficientScope,
            Self::Unavailable(_) => RejectionReason::Unavailable,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.rejection().status()
    }

    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Unavailable(seconds) => Some(*seconds),
            _ => None,
        }
    }
}
