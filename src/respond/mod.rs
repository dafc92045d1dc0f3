//! The answers that are ours, in the caller's language.
//!
//! [`rejection`] says why nobody got through, [`page`], [`problem`] and [`grpc`] say it to a person,
//! a program and a gRPC client ([`grpc`] also to one whose stream has ended), and [`mark`] carries a refusal from an extractor or `require_*` up
//! to the layer.

mod grpc;
mod mark;
mod page;
mod problem;
mod rejection;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response,
    header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};

pub use self::rejection::{Audience, Rejection, RejectionReason, WayForward};
pub(crate) use self::{
    grpc::{looks_like_trailers, session_ended},
    mark::{Mark, MarkReason},
    page::{confirm_logout, signed_out},
};

/// Makes the answers to requests that do not get through: error pages, problems, gRPC statuses.
///
/// Redirects to the login are the layer's own and do not come here. Whatever is answered, the layer
/// adds `Cache-Control: no-store` and its cookies. Never show what came in the request: the callback
/// in particular is written by strangers.
///
/// For a closure take `responses_fn` of the builder. [`DefaultResponses`] is what the layer uses by
/// itself; answer what you care about and leave the rest to it.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::Response;
/// use tower_lp_auth::{Audience, DefaultResponses, Rejection, ResponseForRejection};
///
/// struct Branded;
///
/// impl ResponseForRejection for Branded {
///     fn response(&self, rejection: &Rejection) -> Response<Bytes> {
///         let mut response = DefaultResponses.response(rejection);
///         if rejection.audience() == Audience::Person {
///             *response.body_mut() = format!("<h1>{}</h1>", rejection.title()).into();
///         }
///         response
///     }
/// }
/// ```
pub trait ResponseForRejection: Send + Sync + 'static {
    /// The answer, with its status.
    fn response(&self, rejection: &Rejection) -> Response<Bytes>;
}

/// The layer's own answers: small self-contained pages for people, `application/problem+json`
/// (RFC 9457) for programs, trailers-only statuses for gRPC.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "a name for a set of functions, without state")]
pub struct DefaultResponses;

impl ResponseForRejection for DefaultResponses {
    fn response(&self, rejection: &Rejection) -> Response<Bytes> {
        match rejection.audience() {
            Audience::Person => page::rejection(rejection),
            Audience::Program => problem::rejection(rejection),
            Audience::Grpc => grpc::rejection(rejection),
        }
    }
}

/// A closure as a [`ResponseForRejection`].
pub(crate) struct ByClosure<F>(pub(crate) F);

impl<F> ResponseForRejection for ByClosure<F>
where
    F: Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static,
{
    fn response(&self, rejection: &Rejection) -> Response<Bytes> {
        (self.0)(rejection)
    }
}

/// What every answer of ours carries.
pub(crate) fn seal_off<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    forbid_storing(headers);
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
}

/// Makes a response one that nobody stores: `no-store`, and nothing that says otherwise. Caches that
/// have a field of their own would obey it before `Cache-Control` (RFC 9213 §2.2).
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let is_targeted = |name: &&HeaderName| {
        name.as_str().ends_with("cdn-cache-control") || name.as_str() == "surrogate-control"
    };
    let targeted: Vec<HeaderName> = headers.keys().filter(is_targeted).cloned().collect();
    for name in targeted {
        headers.remove(name);
    }
}
