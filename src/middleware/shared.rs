//! What all clones of a layer have in common, and the answers they give.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode, Uri,
    header::{LOCATION, SET_COOKIE},
};

use super::{
    body::ResponseBody,
    route::{Route, Routes},
};
use crate::{
    caller::{IgnoredSchemes, RequestKind},
    error::BoxFuture,
    jwt::BearerVerifier,
    login::{LoginDesk, Refusal, Reply},
    refresh::Keeper,
    respond::{self, Rejection, RejectionReason, ResponseForRejection},
    secret::random_bytes,
};

/// The one allocation behind every clone of a layer.
pub(crate) struct Shared {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) desk: Arc<LoginDesk>,
    pub(crate) routes: Routes,
    pub(crate) ignored_schemes: IgnoredSchemes,
    /// Which JWTs let somebody in, where any do.
    pub(crate) jwts: Option<Arc<BearerVerifier>>,
    pub(crate) responder: Box<dyn ResponseForRejection>,
    /// Whether the streams of users end with their sessions.
    pub(crate) end_streams: bool,
}

/// An answer of ours, not yet of the inner service's body type.
pub(crate) type Answer = Response<Bytes>;

impl Shared {
    /// What an answer on an optional route differs by (RFC 9110 §12.5.5). A cache that an application
    /// tells to store for all would else keep the answer to a token for those who have none.
    pub(super) fn vary(&self) -> HeaderValue {
        if self.keeper.session_tokens || self.jwts.is_some() {
            HeaderValue::from_static("Cookie, Authorization")
        } else {
            HeaderValue::from_static("Cookie")
        }
    }

    /// Answers one of our own paths.
    pub(crate) fn own_route<B>(
        self: &Arc<Self>,
        route: Route,
        request: &Request<B>,
    ) -> BoxFuture<'static, Answer> {
        let shared = Arc::clone(self);
        let method = request.method().clone();
        let headers = request.headers().clone();
        let uri = request.uri().clone();
        Box::pin(async move {
            let query = uri.query().unwrap_or_default();
            let desk = &shared.desk;
            let reply = match route {
                Route::Callback => desk.callback(&method, &headers, query).await,
                Route::Login => desk.login(&method, &headers, query).await,
                _ => desk.logout(&method, &headers, query).await,
            };
            // Pages of our own paths are for people, whoever asks.
            shared.reply(reply, RequestKind::Navigation)
        })
    }

    /// Sends a navigation to Sentinel.
    pub(crate) fn start_login(
        self: &Arc<Self>,
        headers: &http::HeaderMap,
        uri: &Uri,
    ) -> BoxFuture<'static, Answer> {
        let shared = Arc::clone(self);
        let headers = headers.clone();
        let return_path = self.desk.guard.request_target(uri);
        Box::pin(async move {
            let reply = shared.desk.start(&headers, return_path, true).await;
            shared.reply(reply, RequestKind::Navigation)
        })
    }

    /// Where the head of a navigation points: at the login path, without a cookie.
    pub(crate) fn point_at_login(&self, uri: &Uri) -> Answer {
        redirect(&self.login_link(uri), Vec::new())
    }

    /// The external login link that comes back to a request's path.
    fn login_link(&self, uri: &Uri) -> String {
        let return_path = self.desk.guard.request_target(uri);
        self.desk.site.login_link(return_path.as_ref().map(|path| path.as_str()))
    }

    /// Refuses a request for a path that is not ours.
    pub(crate) fn refuse(
        &self,
        reason: RejectionReason,
        kind: RequestKind,
        uri: &Uri,
        retry_after: Option<u64>,
        scope: Option<Arc<str>>,
    ) -> Answer {
        // Only a page that was opened can be come back to.
        let login = match kind {
            RequestKind::Navigation | RequestKind::HeadNavigation => self.login_link(uri),
            _ => self.desk.site.login_link(None),
        };
        let rejection = Rejection {
            reason,
            kind,
            retry_after,
            login: login.into(),
            landing: self.desk.site.landing.clone(),
            again: false,
            reference: reference(),
            allow: None,
            scope,
        };
        self.answer(&rejection, Vec::new())
    }

    pub(super) fn reply(&self, reply: Reply, kind: RequestKind) -> Answer {
        match reply {
            Reply::Redirect { location, set_cookies } => redirect(&location, set_cookies),
            Reply::Done => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::NO_CONTENT;
                respond::seal_off(&mut response);
                response
            }
            Reply::Page { mut response, set_cookies } => {
                respond::seal_off(&mut response);
                append(&mut response, set_cookies);
                response
            }
            Reply::Reject(refusal) => self.reject(refusal, kind),
        }
    }

    fn reject(&self, refusal: Refusal, kind: RequestKind) -> Answer {
        let login = self.desk.site.login_link(refusal.return_to.as_deref());
        let rejection = Rejection {
            reason: refusal.reason,
            kind,
            retry_after: refusal.retry_after,
            login: login.into(),
            landing: self.desk.site.landing.clone(),
            again: refusal.again,
            reference: reference(),
            allow: refusal.allow,
            scope: None,
        };
        self.answer(&rejection, refusal.set_cookies)
    }

    fn answer(&self, rejection: &Rejection, set_cookies: Vec<HeaderValue>) -> Answer {
        let reason = rejection.reason();
        self.keeper.telemetry.rejected(reason);
        let (status, reference) = (reason.status().as_u16(), rejection.reference());
        let reason = reason.as_str();
        if rejection.reason().is_notable() {
            tracing::warn!(reason, status, reference, "request refused");
        } else if rejection.status() == StatusCode::FORBIDDEN {
            tracing::info!(reason, status, reference, "request refused");
        } else {
            tracing::debug!(reason, status, reference, "request refused");
        }
        let mut response = self.responder.response(rejection);
        respond::seal_off(&mut response);
        append(&mut response, set_cookies);
        response
    }
}

/// 303, so that whatever was asked becomes a GET (RFC 9110 §15.4.4).
fn redirect(location: &str, set_cookies: Vec<HeaderValue>) -> Answer {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    match HeaderValue::try_from(location) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
        }
        Err(_) => {
            // Checked paths and serialized URLs are visible ASCII.
            tracing::error!("a location of ours is no header value");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    respond::seal_off(&mut response);
    append(&mut response, set_cookies);
    response
}

fn append(response: &mut Answer, set_cookies: Vec<HeaderValue>) {
    for line in set_cookies {
        response.headers_mut().append(SET_COOKIE, line);
    }
}

/// An answer as the layer's response.
pub(crate) fn ours<B>(answer: Answer) -> Response<ResponseBody<B>> {
    answer.map(ResponseBody::ours)
}

fn reference() -> Box<str> {
    format!("{:08x}", u32::from_be_bytes(random_bytes())).into()
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
