//! Layers for single routes: a user, an admin, whoever a condition lets in, or an application.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode, header::RETRY_AFTER};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    kind::RequestKind,
    presence::{Passed, SessionUnavailable},
};
use crate::{
    clock::Timestamp,
    refresh::Keeper,
    respond::{Mark, MarkReason},
    user::{LpApp, LpUser},
};

/// Lets only some callers through to a route; made by `LpAuthLayer::require_user`, `require_admin`,
/// `require_if` and `require_app`.
///
/// It stands beneath an `LpAuthLayer` and answers others with an empty body and a private mark,
/// which that layer turns into the caller's language. A request that has not passed a layer is answered
/// with 500.
///
/// # Examples
///
/// Around single routes of axum. A tonic service gets it by tonic's `LayerExt::named_layer`, which keeps
/// the service's name.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::get};
/// use tower_lp_auth::LpAuthLayer;
///
/// fn app(auth: LpAuthLayer) -> Router {
///     let admin_of_late = auth.require_admin().max_age(Duration::from_secs(15 * 60));
///     Router::new()
///         .route("/report", get(async || "a report").layer(auth.require_admin()))
///         .route("/users", get(async || "all users").layer(admin_of_late))
///         .layer(auth)
/// }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RequireLayer {
    keeper: Arc<Keeper>,
    condition: Condition,
    max_age: Option<Duration>,
}

#[derive(Clone)]
enum Condition {
    User,
    Admin,
    If(Arc<dyn Fn(&LpUser) -> bool + Send + Sync>),
    /// An application with this scope.
    App(Arc<str>),
}

impl RequireLayer {
    pub(crate) fn user(keeper: Arc<Keeper>) -> Self {
        Self { keeper, condition: Condition::User, max_age: None }
    }

    pub(crate) fn admin(keeper: Arc<Keeper>) -> Self {
        Self { keeper, condition: Condition::Admin, max_age: None }
    }

    pub(crate) fn only_if(
        keeper: Arc<Keeper>,
        condition: impl Fn(&LpUser) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { keeper, condition: Condition::If(Arc::new(condition)), max_age: None }
    }

    pub(crate) fn app(keeper: Arc<Keeper>, scope: &str) -> Self {
        Self { keeper, condition: Condition::App(scope.into()), max_age: None }
    }

    /// Asks for a login that is at most this old: whoever's is older logs in afresh (at Sentinel
    /// without a page, as long as their session there lives), which renews `is_admin`.
    ///
    /// Without effect on `require_app`: an App-JWT has an end of its own. For a user known by an id_token
    /// it counts from its issue; such a user is answered 401 and needs a newer one.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// `None` lets the request through.
    fn refusal(&self, extensions: &http::Extensions) -> Option<Refusal> {
        let user = extensions.get::<LpUser>().filter(|user| user.counts_for(&self.keeper));
        let app = || extensions.get::<LpApp>().filter(|app| app.counts_for(&self.keeper));
        let refusal = match (&self.condition, user) {
            (Condition::App(scope), None) => match app() {
                Some(app) => self.refusal_of_app(app, scope)?,
                None => nobody(extensions, MarkReason::NotAnApp),
            },
            (Condition::App(_), Some(_)) => Refusal::Marked(MarkReason::Forbidden),
            (_, Some(user)) => self.refusal_of_user(user)?,
            (_, None) if app().is_some() => Refusal::Marked(MarkReason::Forbidden),
            (_, None) => nobody(extensions, MarkReason::NotSignedIn),
        };
        Some(refusal)
    }

    fn refusal_of_user(&self, user: &LpUser) -> Option<Refusal> {
        if let Some(max_age) = self.max_age {
            let now = Timestamp::from(self.keeper.clock.now());
            if now.since(user.authenticated_at().into()) > max_age {
                return Some(Refusal::Marked(MarkReason::LoginTooOld));
            }
        }
        let allowed = match &self.condition {
            Condition::User => true,
            Condition::Admin => user.is_admin(),
            Condition::If(condition) => condition(user),
            Condition::App(_) => false,
        };
        (!allowed).then_some(Refusal::Marked(MarkReason::Forbidden))
    }

    fn refusal_of_app(&self, app: &LpApp, scope: &Arc<str>) -> Option<Refusal> {
        let missing = || Refusal::Marked(MarkReason::InsufficientScope(Arc::clone(scope)));
        (!app.has_scope(scope)).then(missing)
    }
}

/// Neither a user nor an application.
fn nobody(extensions: &http::Extensions, reason: MarkReason) -> Refusal {
    match extensions.get::<SessionUnavailable>() {
        Some(unavailable) => {
            Refusal::Marked(MarkReason::Unavailable(unavailable.retry_after_secs()))
        }
        None if Passed::by_any(extensions) => Refusal::Marked(reason),
        None => Refusal::MissingLayer,
    }
}

impl fmt::Debug for RequireLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = match self.condition {
            Condition::User => "user",
            Condition::Admin => "admin",
            Condition::If(_) => "if",
            Condition::App(_) => "app",
        };
        f.debug_struct("RequireLayer")
            .field("condition", &condition)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Require { inner, layer: self.clone() }
    }
}

/// The service of [`RequireLayer`].
#[derive(Clone, Debug)]
pub struct Require<S> {
    inner: S,
    layer: RequireLayer,
}

enum Refusal {
    Marked(MarkReason),
    MissingLayer,
}

impl<S, B, R> Service<Request<B>> for Require<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RequireFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(refusal) = self.layer.refusal(request.extensions()) else {
            return RequireFuture { state: State::Forward { response: self.inner.call(request) } };
        };
        // Gives back what `poll_ready` has reserved.
        self.inner = self.inner.clone();
        let kind = RequestKind::of(request.method(), request.headers());
        RequireFuture { state: State::Answer { response: Some(answer(refusal, kind)) } }
    }
}

fn answer<R: Default>(refusal: Refusal, kind: RequestKind) -> Response<R> {
    let mut response = Response::new(R::default());
    match refusal {
        Refusal::Marked(reason) => {
            *response.status_mut() = reason.status();
            if let MarkReason::Unavailable(seconds) = reason {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            response.extensions_mut().insert(Mark::new(reason, kind));
        }
        Refusal::MissingLayer => {
            tracing::error!(
                "`require_*` ran without `LpAuthLayer` above it: add the layer last, after all routes"
            );
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    response
}

pin_project! {
    /// The response future of [`Require`].
    #[derive(Debug)]
    pub struct RequireFuture<F, R> {
        #[pin]
        state: State<F, R>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F, R> {
        Forward { #[pin] response: F },
        Answer { response: Option<Response<R>> },
    }
}

impl<F, R, E> Future for RequireFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Forward { response } => Poll::Ready(ready!(response.poll(cx))),
            StateProj::Answer { response } => {
                Poll::Ready(Ok(response.take().expect("a future is not polled after its end")))
            }
        }
    }
}
