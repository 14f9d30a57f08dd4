//! [`Arrivals`]: connections that have to ask something in time, and of which nobody opens too many.
//!
//! The timers of HTTP begin with its first bytes, and HTTP/2 asks only whether anybody is there: a client that sends
//! nothing, half a preface, or no request after it, would keep its connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tower::Service;

use crate::pace::{Place, Places};

/// Takes connections.
#[derive(Clone)]
pub(super) struct Arrivals<A> {
    /// What makes TLS of them, or leaves them as they are.
    pub(super) inner: A,
    /// The time from a connection to its first request.
    pub(super) within: Duration,
    /// How many a client may have; `None` where all come from a proxy.
    pub(super) places: Option<Places>,
}

impl<A> Arrivals<A> {
    fn place(&self, stream: &TcpStream) -> io::Result<Option<Place>> {
        let Some(places) = &self.places else { return Ok(None) };
        let place = places.take(stream.peer_addr()?.ip());
        place.map(Some).ok_or_else(|| io::Error::other("this client has too many connections"))
    }
}

impl<A, S> Accept<TcpStream, S> for Arrivals<A>
where
    A: Accept<TcpStream, S> + 'static,
    A::Stream: 'static,
    A::Service: 'static,
    A::Future: Send + 'static,
    S: 'static,
{
    type Stream = Awaited<A::Stream>;
    type Service = Noting<A::Service>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = self.place(&stream);
        let late = Box::pin(sleep(self.within));
        let accepted = timeout(self.within, self.inner.accept(stream, service));
        Box::pin(async move {
            let place = place?;
            let (stream, service) = accepted.await??;
            let asked = Arc::new(AtomicBool::new(false));
            let noting = Noting { service, asked: asked.clone() };
            Ok::<_, io::Error>((Awaited { stream, asked, late: Some(late), _place: place }, noting))
        })
    }
}

/// A connection that breaks off where its first request is late.
pub(super) struct Awaited<S> {
    stream: S,
    asked: Arc<AtomicBool>,
    /// `None` once something was asked.
    late: Option<Pin<Box<Sleep>>>,
    _place: Option<Place>,
}

impl<S> Awaited<S> {
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        if self.late.is_some() && self.asked.load(Ordering::Relaxed) {
            self.late = None;
        }
        self.late.as_mut().is_some_and(|late| late.as_mut().poll(cx).is_ready())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Awaited<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_late(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Awaited<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Notes that something was asked.
#[derive(Clone)]
pub(super) struct Noting<S> {
    service: S,
    asked: Arc<AtomicBool>,
}

impl<S: Service<R>, R> Service<R> for Noting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.asked.store(true, Ordering::Relaxed);
        self.service.call(request)
    }
}
