//! A connection to a provider: sends a request, reads the answer to it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::timer::Timer;
use super::{BodyDecoder, Head, Piece, parse_head};
use crate::upstream::{Phase, UpstreamError};

/// How much room there is for one read.
const READ_BYTES: usize = 8 << 10;

/// How much room is made ahead for a body whose length is known.
const READ_AHEAD_BYTES_MAX: usize = 256 << 10;

/// By when something must have happened, and what is said when it has not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) phase: Phase,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// Not one byte of the request was taken: it can be sent again elsewhere.
    Unsent(io::Error),
    /// The call may have been processed.
    Failed(UpstreamError),
}

/// Bytes to and from a provider, encrypted or not.
#[derive(Debug)]
pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection, with what has arrived on it and was not taken yet.
#[derive(Debug)]
pub(crate) struct Connection {
    io: Io,
    arrived: BytesMut,
    timer: Timer,
}

impl Connection {
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io,
            arrived: BytesMut::new(),
            timer: Timer::default(),
        }
    }

    /// Returns whether it is open and nothing has arrived that nobody asked for.
    pub(crate) fn is_idle(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.io).poll_read(&mut cx, &mut ReadBuf::new(&mut byte));
        self.arrived.is_empty() && read.is_pending()
    }

    /// Lets go of the memory that only a call under way needs.
    pub(crate) fn rest(&mut self) {
        if self.arrived.is_empty() {
            self.arrived = BytesMut::new();
        }
    }

    /// Sends a request, head and body, and returns the head of its answer. A provider may answer
    /// before it has taken all of the request; the connection is of no use after that.
    pub(crate) async fn exchange(
        &mut self,
        head: &[u8],
        body: &Bytes,
        deadline: Deadline,
    ) -> Result<Head, ExchangeError> {
        let mut unsent = Unsent {
            bytes: head.chain(&**body),
            has_begun: false,
            is_flushed: false,
            failed: None,
        };
        poll_fn(|cx| self.poll_exchange(cx, &mut unsent, deadline)).await
    }

    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        unsent: &mut Unsent<impl Buf>,
        deadline: Deadline,
    ) -> Poll<Result<Head, ExchangeError>> {
        unsent
            .poll(cx, &mut self.io)
            .map_err(ExchangeError::Unsent)?;
        loop {
            let is_open = match ready!(self.poll_fill(cx, READ_BYTES, deadline)) {
                Ok(is_open) => is_open,
                Err(error) => return Poll::Ready(Err(unsent.explain(error))),
            };
            let head = parse_head(&mut self.arrived)
                .map_err(|error| ExchangeError::Failed(UpstreamError::Broken(Box::new(error))))?;
            if let Some(mut head) = head {
                head.is_reusable &= unsent.is_flushed;
                return Poll::Ready(Ok(head));
            }
            if !is_open {
                return Poll::Ready(Err(unsent.explain(ended())));
            }
        }
    }

    /// Returns the next bytes of a body, or `None` at its end.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        decoder: &mut BodyDecoder,
        deadline: Deadline,
    ) -> Poll<Result<Option<Bytes>, UpstreamError>> {
        let broken = |error| UpstreamError::Broken(Box::new(error));
        loop {
            match decoder.next(&mut self.arrived).map_err(broken)? {
                Piece::Data(data) => return Poll::Ready(Ok(Some(data))),
                Piece::End => return Poll::Ready(Ok(None)),
                Piece::More => {}
            }
            if !ready!(self.poll_fill(cx, READ_BYTES, deadline))? {
                decoder.close().map_err(broken)?;
            }
        }
    }

    /// Reads until so many bytes have arrived, and returns them in one piece.
    pub(crate) async fn take(
        &mut self,
        length: usize,
        deadline: impl Fn() -> Deadline,
    ) -> Result<Bytes, UpstreamError> {
        while self.arrived.len() < length {
            let missing = length - self.arrived.len();
            let room = missing.clamp(READ_BYTES, READ_AHEAD_BYTES_MAX);
            let deadline = deadline();
            if !poll_fn(|cx| self.poll_fill(cx, room, deadline)).await? {
                return Err(ended());
            }
        }
        Ok(self.arrived.split_to(length).freeze())
    }

    /// Waits until more has arrived; returns whether there will be more.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        deadline: Deadline,
    ) -> Poll<Result<bool, UpstreamError>> {
        self.arrived.reserve(room);
        match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.arrived) {
            Poll::Ready(Ok(bytes)) => Poll::Ready(Ok(bytes > 0)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(UpstreamError::Broken(Box::new(error)))),
            Poll::Pending => {
                ready!(self.timer.poll(cx, deadline.at));
                Poll::Ready(Err(UpstreamError::Timeout(deadline.phase)))
            }
        }
    }
}

fn ended() -> UpstreamError {
    UpstreamError::Broken("the connection ended before the answer did".into())
}

/// A request on its way out.
struct Unsent<B> {
    bytes: B,
    has_begun: bool,
    is_flushed: bool,
    /// What kept it from being sent to its end; an answer may be there all the same.
    failed: Option<io::Error>,
}

impl<B: Buf> Unsent<B> {
    /// Sends what there is room for. Fails only when not one byte has gone out.
    fn poll(&mut self, cx: &mut Context<'_>, io: &mut Io) -> io::Result<()> {
        while !self.is_flushed && self.failed.is_none() {
            let sent = if self.bytes.has_remaining() {
                poll_write_buf(Pin::new(&mut *io), cx, &mut self.bytes)
            } else {
                Pin::new(&mut *io).poll_flush(cx).map_ok(|()| {
                    self.is_flushed = true;
                    1
                })
            };
            match sent {
                Poll::Pending => break,
                Poll::Ready(Ok(bytes)) if bytes > 0 => self.has_begun = true,
                Poll::Ready(Ok(_)) => self.failed = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Err(error)) if self.has_begun => self.failed = Some(error),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn explain(&mut self, error: UpstreamError) -> ExchangeError {
        let failed = self.failed.take();
        ExchangeError::Failed(match failed {
            Some(failed) => UpstreamError::Broken(Box::new(failed)),
            None => error,
        })
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
