//! Idle connections to one origin, the most recently used first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;

/// The half of a connection that sends requests.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// A bounded stack of idle connections. Each server worker has its own, so that a connection is
/// always driven by the thread that uses it and the lock is never contended.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<VecDeque<(Sender, Instant)>>,
    idle_max: usize,
    idle_for: Duration,
}

impl Pool {
    pub(crate) fn new(idle_max: usize, idle_for: Duration) -> Self {
        Self {
            idle: Mutex::new(VecDeque::new()),
            idle_max,
            idle_for,
        }
    }

    /// Returns the connection that was used last, if one is open.
    pub(crate) fn take(&self) -> Option<Sender> {
        let mut idle = self.idle.lock();
        while let Some((sender, since)) = idle.pop_back() {
            if since.elapsed() > self.idle_for {
                // All that lie below have been idle for longer still.
                idle.clear();
                return None;
            }
            if !sender.is_closed() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(crate) fn put(&self, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let now = Instant::now();
        let mut idle = self.idle.lock();
        while idle.len() >= self.idle_max
            || idle
                .front()
                .is_some_and(|(_, since)| now.duration_since(*since) > self.idle_for)
        {
            idle.pop_front();
        }
        idle.push_back((sender, now));
    }
}
