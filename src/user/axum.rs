//! `LpUser` and `LpApp` as extractors of axum 0.8.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER, request::Parts};

use super::{LpApp, LpUser};
use crate::{
    caller::{Passed, RequestKind, SessionUnavailable},
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
    /// The caller is an application, not a user: 403.
    #[error("the caller is an application, not a user")]
    IsApp(OfOtherKind),
    /// Whether the caller is signed in cannot be said now: 503.
    #[error("whether the caller is signed in cannot be said now")]
    Unavailable(SessionUnavailable),
    /// The request has not passed the layer: 500.
    #[error(transparent)]
    MissingLayer(#[from] MissingLayer),
}

/// Why there is no [`LpApp`] to extract; answered as [`LpUserRejection`] is.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LpAppRejection {
    /// No application has called: 401.
    #[error("the caller is no application")]
    NotAnApp(NotSignedIn),
    /// The caller is a user: 403.
    #[error("the caller is a user, not an application")]
    IsUser(OfOtherKind),
    /// Who has called cannot be said now: 503.
    #[error("who has called cannot be said now")]
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

/// The caller is known, and of the other kind; how they have asked.
#[derive(Debug, Clone)]
pub struct OfOtherKind(RequestKind);

impl IntoResponse for LpUserRejection {
    fn into_response(self) -> Response {
        match self {
            Self::NotSignedIn(NotSignedIn(kind)) => marked(MarkReason::NotSignedIn, kind),
            Self::IsApp(OfOtherKind(kind)) => marked(MarkReason::Forbidden, kind),
            Self::Unavailable(unavailable) => unavailable_now(&unavailable),
            Self::MissingLayer(missing) => missing.into_response(),
        }
    }
}

impl IntoResponse for LpAppRejection {
    fn into_response(self) -> Response {
        match self {
            Self::NotAnApp(NotSignedIn(kind)) => marked(MarkReason::NotAnApp, kind),
            Self::IsUser(OfOtherKind(kind)) => marked(MarkReason::Forbidden, kind),
            Self::Unavailable(unavailable) => unavailable_now(&unavailable),
            Self::MissingLayer(missing) => missing.into_response(),
        }
    }
}

impl IntoResponse for MissingLayer {
    fn into_response(self) -> Response {
        tracing::error!("an extractor ran without the layer: {self}");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

/// An empty answer that the layer above turns into the caller's language.
fn marked(reason: MarkReason, kind: RequestKind) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = reason.status();
    response.extensions_mut().insert(Mark::new(reason, kind));
    response
}

fn unavailable_now(unavailable: &SessionUnavailable) -> Response {
    let seconds = unavailable.retry_after_secs();
    let mut response = marked(MarkReason::Unavailable(seconds), unavailable.kind());
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Why nobody is known.
enum Nobody {
    Anonymous,
    Unavailable(SessionUnavailable),
    MissingLayer(MissingLayer),
}

impl Nobody {
    fn of(parts: &Parts) -> Self {
        if let Some(unavailable) = parts.extensions.get::<SessionUnavailable>() {
            Self::Unavailable(unavailable.clone())
        } else if !Passed::by_any(&parts.extensions) {
            Self::MissingLayer(MissingLayer(()))
        } else {
            Self::Anonymous
        }
    }
}

impl<S: Sync> FromRequestParts<S> for LpUser {
    type Rejection = LpUserRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        if let Some(user) = parts.extensions.get::<Self>() {
            return Ok(user.clone());
        }
        let kind = RequestKind::of(&parts.method, &parts.headers);
        if parts.extensions.get::<LpApp>().is_some() {
            return Err(LpUserRejection::IsApp(OfOtherKind(kind)));
        }
        Err(match Nobody::of(parts) {
            Nobody::Anonymous => LpUserRejection::NotSignedIn(NotSignedIn(kind)),
            Nobody::Unavailable(unavailable) => LpUserRejection::Unavailable(unavailable),
            Nobody::MissingLayer(missing) => missing.into(),
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for LpUser {
    type Rejection = MissingLayer;

    /// `None` for an anonymous caller and for an application, and where it cannot be said who calls.
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

impl<S: Sync> FromRequestParts<S> for LpApp {
    type Rejection = LpAppRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        if let Some(app) = parts.extensions.get::<Self>() {
            return Ok(app.clone());
        }
        let kind = RequestKind::of(&parts.method, &parts.headers);
        if parts.extensions.get::<LpUser>().is_some() {
            return Err(LpAppRejection::IsUser(OfOtherKind(kind)));
        }
        Err(match Nobody::of(parts) {
            Nobody::Anonymous => LpAppRejection::NotAnApp(NotSignedIn(kind)),
            Nobody::Unavailable(unavailable) => LpAppRejection::Unavailable(unavailable),
            Nobody::MissingLayer(missing) => missing.into(),
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for LpApp {
    type Rejection = MissingLayer;

    /// `None` for an anonymous caller and for a user, and where it cannot be said who calls.
    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(app) => Ok(Some(app)),
            Err(LpAppRejection::MissingLayer(missing)) => Err(missing),
            Err(_) => Ok(None),
        }
    }
}
