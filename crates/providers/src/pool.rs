//! Idle connections to one origin, the most recently used first.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::h1::Connection;

/// How often connections are looked for that have been idle too long or were closed meanwhile.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// A bounded stack of idle connections. Each server worker has its own, so that a connection is
/// always driven by the thread that uses it and the lock is never contended.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<VecDeque<(Connection, Instant)>>,
    idle_max: usize,
    idle_for: Duration,
    tasks: TaskTracker,
    /// Ends the sweeping when the pool is dropped; there is none before the first connection.
    sweeper: Mutex<Option<watch::Sender<()>>>,
}

impl Pool {
    pub(crate) fn new(idle_max: usize, idle_for: Duration, tasks: TaskTracker) -> Self {
        Self {
            idle: Mutex::new(VecDeque::new()),
            idle_max,
            idle_for,
            tasks,
            sweeper: Mutex::new(None),
        }
    }

    /// Returns the connection that was used last, if one is open.
    pub(crate) fn take(&self, now: Instant) -> Option<Connection> {
        let mut idle = self.idle.lock();
        while let Some((mut connection, since)) = idle.pop_back() {
            if now.saturating_duration_since(since) > self.idle_for {
                // All that lie below have been idle for longer still.
                idle.clear();
                return None;
            }
            if connection.is_idle() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(crate) fn put(self: &Arc<Self>, mut connection: Connection, now: Instant) {
        connection.rest();
        let mut idle = self.idle.lock();
        while idle.len() >= self.idle_max {
            if idle.pop_front().is_none() {
                return;
            }
        }
        idle.push_back((connection, now));
        if idle.len() == 1 {
            self.keep_swept();
        }
    }

    fn keep_swept(self: &Arc<Self>) {
        let mut sweeper = self.sweeper.lock();
        if sweeper.is_none() {
            let (alive, dropped) = watch::channel(());
            self.tasks.spawn(sweep(Arc::downgrade(self), dropped));
            *sweeper = Some(alive);
        }
    }

    fn close_stale(&self) {
        let is_fresh = |(connection, since): &mut (Connection, Instant)| {
            since.elapsed() <= self.idle_for && connection.is_idle()
        };
        self.idle.lock().retain_mut(is_fresh);
    }
}

async fn sweep(pool: Weak<Pool>, mut dropped: watch::Receiver<()>) {
    while tokio::time::timeout(SWEEP_INTERVAL, dropped.changed())
        .await
        .is_err()
    {
        let Some(pool) = pool.upgrade() else { return };
        pool.close_stale();
    }
}
