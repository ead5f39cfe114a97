//! Closes connections that hold a place and send nothing.
//!
//! The HTTP library bounds the time for the head of a connection's first request only: a client that
//! sends one whole request and then one byte of a second could stay for ever. Here every connection is
//! known with what it is doing since when, and one that waits too long is shut down.

use std::any::Any;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use parking_lot::Mutex;
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;

use crate::client::Proxies;
use crate::strangers::{Doors, Full, Place};

const WAITING: u8 = 0;
const HANDLING: u8 = 1;
const STREAMING: u8 = 2;

/// A connection: what it is doing, since when, and a handle to end it.
#[derive(Debug)]
pub(crate) struct Connection {
    doing: AtomicU8,
    since_ms: AtomicU64,
    is_closing: AtomicBool,
    socket: Socket,
    clock: Arc<Clock>,
    _place: Option<Place>,
}

impl Connection {
    fn set(&self, doing: u8) {
        self.since_ms.store(self.clock.now_ms(), Ordering::Relaxed);
        self.doing.store(doing, Ordering::Release);
    }

    /// Notes that the request under way is the last one of this connection.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    /// Whether a request was the last one already.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Ends the connection. What was written to it still arrives.
    pub(crate) fn end(&self) {
        // The other side may be gone already; then there is nothing left to end.
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

/// The time as it was at the last sweep: to look at it costs one load.
#[derive(Debug)]
struct Clock {
    started: Instant,
    swept_ms: AtomicU64,
}

impl Clock {
    fn new() -> Arc<Self> {
        let (started, swept_ms) = (Instant::now(), AtomicU64::new(0));
        Arc::new(Self { started, swept_ms })
    }

    fn now_ms(&self) -> u64 {
        self.swept_ms.load(Ordering::Relaxed)
    }

    /// Sets the clock; returns the time, and what it was before.
    fn tick(&self) -> (u64, u64) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        (now, self.swept_ms.swap(now, Ordering::Relaxed))
    }
}

/// A request is being handled: from its whole head until its answer is handed over.
#[derive(Debug)]
pub(crate) struct Handling(Arc<Connection>);

impl Handling {
    pub(crate) fn begin(connection: &Arc<Connection>) -> Self {
        connection.set(HANDLING);
        Self(Arc::clone(connection))
    }

    /// See [`Connection::close`].
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        // An answer that is a stream goes on, and ends the connection's work itself.
        if self.0.doing.load(Ordering::Acquire) == HANDLING {
            self.0.set(WAITING);
        }
    }
}

/// An answer is streamed, of which the client must read something from time to time.
#[derive(Debug)]
pub(crate) struct Streaming(Arc<Connection>);

impl Streaming {
    pub(crate) fn begin(connection: &Arc<Connection>) -> Self {
        connection.set(STREAMING);
        Self(Arc::clone(connection))
    }

    /// The client gets something of the stream.
    pub(crate) fn spoke(&self) {
        let now_ms = self.0.clock.now_ms();
        self.0.since_ms.store(now_ms, Ordering::Relaxed);
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.set(WAITING);
    }
}

/// The TCP connection below what the server reads from, with TLS or without.
fn stream_of(io: &dyn Any) -> Option<&TcpStream> {
    let over_tls = || {
        let stream = io.downcast_ref::<TlsStream<TcpStream>>()?;
        Some(stream.get_ref().0)
    };
    io.downcast_ref::<TcpStream>().or_else(over_tls)
}

/// Every connection, and how long it may wait.
#[derive(Debug)]
pub(crate) struct Sweeper {
    connections: Mutex<Vec<Weak<Connection>>>,
    wait_max: Duration,
    unread_max: Duration,
    doors: Doors,
    proxies: Proxies,
    clock: Arc<Clock>,
}

impl Sweeper {
    /// Connections may wait `wait_max` for the next whole request head, and leave a stream unread
    /// for `unread_max`. Those of trusted proxies, which are many clients', are not counted at the doors.
    pub(crate) fn new(
        [wait_max, unread_max]: [Duration; 2],
        doors: Doors,
        proxies: Proxies,
    ) -> Arc<Self> {
        let connections = Mutex::new(Vec::new());
        Arc::new(Self {
            connections,
            wait_max,
            unread_max,
            doors,
            proxies,
            clock: Clock::new(),
        })
    }

    /// Takes a new connection in; called by the server for each one.
    pub(crate) fn connected(&self, io: &dyn Any, extensions: &mut Extensions) {
        let Some(stream) = stream_of(io) else {
            return;
        };
        let Ok(socket) = SockRef::from(stream).try_clone() else {
            return;
        };
        let Ok(place) = self.place(stream) else {
            // The server reads the end of it at once, and serves nothing on it.
            drop(socket.shutdown(Shutdown::Both));
            return;
        };
        let clock = Arc::clone(&self.clock);
        let connection = Arc::new(Connection {
            doing: AtomicU8::new(WAITING),
            since_ms: AtomicU64::new(0),
            is_closing: AtomicBool::new(false),
            socket,
            clock,
            _place: place,
        });
        connection.set(WAITING);
        self.connections.lock().push(Arc::downgrade(&connection));
        extensions.insert(connection);
    }

    /// Takes the place that a connection needs, if it needs one.
    fn place(&self, stream: &TcpStream) -> Result<Option<Place>, Full> {
        if !self.doors.is_bounded() {
            return Ok(None);
        }
        // A client that has left already is ended by reading from it.
        let Ok(peer) = stream.peer_addr() else {
            return Ok(None);
        };
        if self.proxies.has(peer.ip()) {
            return Ok(None);
        }
        self.doors.enter(peer.ip()).map(Some)
    }

    /// Ends the connections that have waited too long, and forgets those that are gone. Returns how many are open.
    pub(crate) fn sweep(&self) -> usize {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, before) = self.clock.tick();
        // What has begun since the sweep before has the time of that one.
        let uncertain = now.saturating_sub(before);
        let mut connections = self.connections.lock();
        connections.retain(|weak| {
            let Some(connection) = weak.upgrade() else {
                return false;
            };
            let since = connection.since_ms.load(Ordering::Relaxed);
            let waited = now.saturating_sub(since).saturating_sub(uncertain);
            let is_over = match connection.doing.load(Ordering::Acquire) {
                WAITING => waited > millis(self.wait_max),
                STREAMING => waited > millis(self.unread_max),
                _ => false,
            };
            if is_over {
                connection.end();
            }
            true
        });
        connections.len()
    }
}
