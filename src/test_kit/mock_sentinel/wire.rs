//! The connection, and the ways to break it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How a connection shall end, where it is broken off.
#[derive(Debug, Default)]
pub(super) struct Cut {
    reset: AtomicBool,
    after_flush: AtomicBool,
}

impl Cut {
    /// Lets the connection end with an RST in place of a FIN.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    /// Ends the connection with an RST as soon as all that was written has left.
    pub(super) fn reset_after_flush(&self) {
        self.reset();
        self.after_flush.store(true, Ordering::Relaxed);
    }
}

/// A TCP connection that ends as its [`Cut`] says.
#[derive(Debug)]
pub(super) struct Wire {
    io: TokioIo<TcpStream>,
    cut: Arc<Cut>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, cut: Arc<Cut>) -> Self {
        Self { io: TokioIo::new(stream), cut }
    }

    fn is_reset(&self) -> bool {
        self.cut.reset.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.is_reset() {
            // A socket closed with a linger time of zero sends an RST.
            #[allow(deprecated, reason = "its successor is younger than our oldest tokio")]
            let _ = self.io.inner().set_linger(Some(Duration::ZERO));
        }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    /// hyper flushes when its own buffer is empty: then the kernel has everything.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.after_flush.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_reset() {
            return Poll::Ready(Ok(())); // no FIN: the RST comes when this is dropped
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
