//! Answers, and bodies that arrive in odd ways.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use serde_json::Value;
use tokio::time::{Sleep, sleep};

use super::wire::Cut;

/// What an endpoint answers.
pub(super) type Reply = Response<Bytes>;

/// The pace of a body that drips.
const DRIP: Duration = Duration::from_secs(1);

/// An answer in JSON that no cache keeps (RFC 6749 §5.1).
pub(super) fn json(status: StatusCode, body: &Value) -> Reply {
    let mut reply = Response::new(Bytes::from(body.to_string()));
    *reply.status_mut() = status;
    with_header(&mut reply, header::CONTENT_TYPE, "application/json");
    with_header(&mut reply, header::CACHE_CONTROL, "no-store");
    reply
}

/// Sends a browser elsewhere.
pub(super) fn found(location: &str) -> Reply {
    let mut reply = Response::new(Bytes::new());
    *reply.status_mut() = StatusCode::FOUND;
    with_header(&mut reply, header::LOCATION, location);
    with_header(&mut reply, header::CACHE_CONTROL, "no-store");
    reply
}

/// Sets a header field; a value that cannot stand in one is left out.
pub(super) fn with_header(reply: &mut Reply, name: header::HeaderName, value: &str) {
    if let Ok(value) = value.parse() {
        reply.headers_mut().append(name, value);
    }
}

/// A body, and how it gets onto the wire.
#[derive(Debug)]
pub(super) struct ReplyBody {
    rest: Bytes,
    manner: Manner,
}

#[derive(Debug)]
enum Manner {
    Whole,
    /// Half of the body is sent, then what is still buffered, then nothing more.
    Half {
        promised: u64,
        stage: HalfStage,
    },
    Drip(Pin<Box<Sleep>>),
    ThenReset(Arc<Cut>),
}

#[derive(Debug, Clone, Copy)]
enum HalfStage {
    Send,
    Flush,
    Break,
}

impl ReplyBody {
    pub(super) fn whole(body: Bytes) -> Self {
        Self { rest: body, manner: Manner::Whole }
    }

    pub(super) fn half(body: Bytes) -> Self {
        // An empty body has no half: one byte is promised that never comes.
        let promised = body.len().max(1) as u64;
        let stage = HalfStage::Send;
        Self { rest: body.slice(..body.len() / 2), manner: Manner::Half { promised, stage } }
    }

    pub(super) fn drip(body: Bytes) -> Self {
        Self { rest: body, manner: Manner::Drip(Box::pin(sleep(DRIP))) }
    }

    pub(super) fn then_reset(body: Bytes, cut: Arc<Cut>) -> Self {
        if body.is_empty() {
            cut.reset_after_flush(); // nobody will poll for it
        }
        Self { rest: body, manner: Manner::ThenReset(cut) }
    }

    fn take_rest(&mut self) -> Option<Frame<Bytes>> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| Frame::data(rest))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        match &mut this.manner {
            Manner::Whole => Poll::Ready(this.take_rest().map(Ok)),
            Manner::ThenReset(cut) => {
                cut.reset_after_flush();
                Poll::Ready(this.take_rest().map(Ok))
            }
            Manner::Half { stage, .. } => match *stage {
                HalfStage::Send if !this.rest.is_empty() => {
                    *stage = HalfStage::Flush;
                    Poll::Ready(this.take_rest().map(Ok))
                }
                HalfStage::Send | HalfStage::Flush => {
                    *stage = HalfStage::Break;
                    cx.waker().wake_by_ref(); // hyper flushes while a body is pending
                    Poll::Pending
                }
                HalfStage::Break => Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into()))),
            },
            Manner::Drip(pause) => {
                if this.rest.is_empty() {
                    return Poll::Ready(None);
                }
                ready!(pause.as_mut().poll(cx));
                *pause = Box::pin(sleep(DRIP));
                Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(1)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && !matches!(self.manner, Manner::Half { .. })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.manner {
            Manner::Half { promised, .. } => SizeHint::with_exact(*promised),
            _ => SizeHint::with_exact(self.rest.len() as u64),
        }
    }
}

/// The connection is to be broken off without an answer.
#[derive(Debug, thiserror::Error)]
#[error("broken off on demand")]
pub(super) struct Severed;
