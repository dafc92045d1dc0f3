//! Response bodies that can hold any other.

use bytes::Bytes;
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;

/// A response body that can hold any other with the same error, such as axum's.
///
/// Behind [`LpAuthLayer::keep_body`](crate::LpAuthLayer::keep_body) a response keeps a body of this
/// type, and what is not the inner service's alone is put into one: an answer of the layer's, or a
/// stream that ends with its caller's session.
///
/// `axum::body::Body` is one (feature `axum`), and so is
/// [`UnsyncBoxBody`]; implement it for a type of your own that has such a constructor.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no body that can hold any other",
    note = "without `keep_body()` the layer takes every body, and returns a `ResponseBody` of it"
)]
pub trait AnyBody: Body<Data = Bytes> + Sized {
    /// A body of this type with the frames, trailers, size and error of `body`.
    fn holding<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = Self::Error> + Send + 'static;
}

impl<E> AnyBody for UnsyncBoxBody<Bytes, E> {
    fn holding<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = E> + Send + 'static,
    {
        Self::new(body)
    }
}

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
impl AnyBody for axum_core::body::Body {
    fn holding<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = Self::Error> + Send + 'static,
    {
        Self::new(body)
    }
}
