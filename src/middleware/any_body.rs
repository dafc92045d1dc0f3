//! Response bodies that can hold any other.

use bytes::Bytes;
use http_body::Body;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};

use super::body::ResponseBody;

/// A response body that can hold any other with the same error, such as axum's.
///
/// Behind [`LpAuthLayer::keep_body`](crate::LpAuthLayer::keep_body) responses keep a body of this type:
/// the inner service's passes as it is, and an answer of the layer's, or a stream that it ends with its
/// caller's session, is put into one.
///
/// `axum::body::Body` is one with the feature `axum`, and so are http-body-util's `BoxBody` and
/// `UnsyncBoxBody`. tonic's is none here: a layer on its `Server` wraps.
///
/// # Examples
///
/// A body of your own is one if it has a box for others:
///
/// ```
/// use std::{pin::Pin, task::{Context, Poll}};
///
/// use bytes::Bytes;
/// use http_body::{Body, Frame};
/// use http_body_util::{BodyExt, combinators::BoxBody};
/// use tower_lp_auth::{AnyBody, ResponseBody};
///
/// enum Mine {
///     Text(&'static str),
///     Other(BoxBody<Bytes, std::io::Error>),
/// }
///
/// impl Body for Mine {
///     # type Data = Bytes;
///     # type Error = std::io::Error;
///     # fn poll_frame(
///     #     mut self: Pin<&mut Self>,
///     #     cx: &mut Context<'_>,
///     # ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
///     #     match &mut *self {
///     #         Self::Text(text) => Poll::Ready(match std::mem::take(text) {
///     #             "" => None,
///     #             text => Some(Ok(Frame::data(text.into()))),
///     #         }),
///     #         Self::Other(body) => Pin::new(body).poll_frame(cx),
///     #     }
///     # }
///     // …
/// }
///
/// impl AnyBody for Mine {
///     fn holding(body: ResponseBody<Self>) -> Self {
///         Self::Other(body.boxed())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no body that can hold any other",
    note = "`axum::body::Body` is one with the feature `axum`",
    note = "without `keep_body()` the layer takes every body, and returns a `ResponseBody` of it"
)]
pub trait AnyBody: Body<Data = Bytes> + Send + Sized + 'static {
    /// A body of this type with the frames, trailers, size and error of `body`.
    fn holding(body: ResponseBody<Self>) -> Self;
}

impl<E: 'static> AnyBody for BoxBody<Bytes, E> {
    fn holding(body: ResponseBody<Self>) -> Self {
        Self::new(body)
    }
}

impl<E: 'static> AnyBody for UnsyncBoxBody<Bytes, E> {
    fn holding(body: ResponseBody<Self>) -> Self {
        Self::new(body)
    }
}

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
impl AnyBody for axum_core::body::Body {
    fn holding(body: ResponseBody<Self>) -> Self {
        use http_body_util::BodyExt;
        // Its constructor makes an error of its own of each: what is in that of the inner body stays the same.
        Self::new(body.map_err(axum_core::Error::into_inner))
    }
}
