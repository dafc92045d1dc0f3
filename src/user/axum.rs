//! `LpUser` as an extractor of axum 0.8.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER, request::Parts};

use super::LpUser;
use crate::{
    caller::{Presence, RequestKind, SessionUnavailable},
    respond::{Mark, MarkReason},
};

/// Why there is no [`LpUser`] to extract.
///
/// The answer made of it has an empty body; the layer turns it into the caller's language: a
/// redirect to the login, a page, a problem or a gRPC status.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LpUserRejection {
    /// The caller is not signed in: 401.
    #[error("the caller is not signed in")]
    NotSignedIn(NotSignedIn),
    /// Whether the caller is signed in cannot be said now: 503.
    #[error("whether the caller is signed in cannot be said now")]
    Unavailable(SessionUnavailable),
    /// The request has not passed the layer: 500.
    #[error(transparent)]
    MissingLayer(#[from] MissingLayer),
}

/// The request has not passed an `LpAuthLayer`: 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("add `LpAuthLayer` to this route, after all routes and fallbacks")]
pub struct MissingLayer(());

/// The caller is not signed in, and how they have asked: the layer answers accordingly.
#[derive(Debug, Clone)]
pub struct NotSignedIn(RequestKind);

impl IntoResponse for LpUserRejection {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        match self {
            Self::NotSignedIn(NotSignedIn(kind)) => {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                response.extensions_mut().insert(Mark::new(MarkReason::NotSignedIn, kind));
            }
            Self::Unavailable(unavailable) => {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(unavailable.retry_after_secs()));
                let kind = unavailable.kind();
                response.extensions_mut().insert(Mark::new(
                    MarkReason::Unavailable(unavailable.retry_after_secs()),
                    kind,
                ));
            }
            Self::MissingLayer(missing) => return missing.into_response(),
        }
        response
    }
}

impl IntoResponse for MissingLayer {
    fn into_response(self) -> Response {
        tracing::error!("an extractor of `LpUser` ran without the layer: {self}");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

impl<S: Sync> FromRequestParts<S> for LpUser {
    type Rejection = LpUserRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        if let Some(user) = parts.extensions.get::<Self>() {
            return Ok(user.clone());
        }
        if let Some(unavailable) = parts.extensions.get::<SessionUnavailable>() {
            return Err(LpUserRejection::Unavailable(unavailable.clone()));
        }
        if parts.extensions.get::<Presence>().is_none() {
            return Err(MissingLayer(()).into());
        }
        let kind = RequestKind::of(&parts.method, &parts.headers);
        Err(LpUserRejection::NotSignedIn(NotSignedIn(kind)))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for LpUser {
    type Rejection = MissingLayer;

    /// `None` for an anonymous caller, and where it cannot be said who calls.
    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(user) => Ok(Some(user)),
            Err(LpUserRejection::MissingLayer(missing)) => Err(missing),
            Err(_) => Ok(None),
        }
    }
}
