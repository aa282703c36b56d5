//! Connections of clients: so many at a time and of one address, and none that takes no bytes for long.

use std::future::{Ready, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready as done};
use std::time::Duration;

use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, from_tcp};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Either, select};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::front::{Front, HEAD_BYTES};
use super::rates::Payer;
use super::seats::{Seat, Seats};
use super::section::CONNECTIONS;

/// Time for a request's head to arrive, also on a connection that stood idle.
const HEAD: Duration = Duration::from_secs(10);
/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time in which a client takes some bytes of its answer.
const STALLED: Duration = Duration::from_secs(30);
/// Time for requests under way to end, where the gateway does.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until `stop` is ready.
pub(super) async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    tls: Option<Arc<ServerConfig>>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let handle = Handle::new();
    let mut server = from_tcp(listener)?.handle(handle.clone()).http1_only();
    server.http_builder().http1().header_read_timeout(HEAD).max_buf_size(HEAD_BYTES);
    let bounded = Bounded { room: Seats::new(CONNECTIONS), of_one: front.connections };
    let endpoints = front.router().into_make_service_with_connect_info::<SocketAddr>();
    let serving: BoxFuture<'static, io::Result<()>> = match tls {
        None => server.acceptor(bounded).serve(endpoints).boxed(),
        Some(config) => {
            let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(config));
            let acceptor = acceptor.handshake_timeout(HANDSHAKE).acceptor(bounded);
            server.acceptor(acceptor).serve(endpoints).boxed()
        }
    };
    match select(serving, pin!(stop)).await {
        Either::Left((served, _)) => served,
        Either::Right(((), serving)) => {
            handle.graceful_shutdown(Some(GRACE));
            serving.await
        }
    }
}

/// Takes connections while there is room, also for their address.
#[derive(Clone)]
struct Bounded {
    room: Arc<Seats>,
    /// Of one address.
    of_one: usize,
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Connection;
    type Service = S;
    type Future = Ready<io::Result<(Connection, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let taken = stream.peer_addr().and_then(|from| {
            let seat = self.room.take(Payer::address(from.ip()), self.of_one);
            seat.map_err(|_| io::Error::other("as many connections as may be"))
        });
        ready(taken.map(|seat| (Connection { stream, stalled: None, _seat: seat }, service)))
    }
}

/// A connection that is given up where its other end takes nothing.
struct Connection {
    stream: TcpStream,
    /// Runs while bytes wait to be taken.
    stalled: Option<Pin<Box<Sleep>>>,
    _seat: Seat,
}

impl Connection {
    /// The result of a write; an error where it has waited for too long.
    fn taken<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        done!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.taken(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.taken(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.taken(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
