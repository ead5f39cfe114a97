//! A pool of connections that notices lost ones without asking before each use.

use std::fmt;
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use diesel::r2d2::{HandleError, ManageConnection, Pool, R2D2Connection};
use tollgate_store::StoreError;

use crate::error::Failure;
use crate::open::PoolState;

/// Makes connections. Its `Debug` shows nothing, as an address may hold a password.
struct Manager<C> {
    connect: Box<dyn Fn() -> Result<C, ConnectionError> + Send + Sync>,
}

struct Pooled<C> {
    connection: C,
    made_at: Instant,
    is_gone: bool,
}

impl<C: R2D2Connection + Send + 'static> ManageConnection for Manager<C> {
    type Connection = Pooled<C>;
    type Error = ConnectionError;

    fn connect(&self) -> Result<Pooled<C>, ConnectionError> {
        Ok(Pooled {
            connection: (self.connect)()?,
            made_at: Instant::now(),
            is_gone: false,
        })
    }

    fn is_valid(&self, _: &mut Pooled<C>) -> Result<(), ConnectionError> {
        Ok(())
    }

    fn has_broken(&self, pooled: &mut Pooled<C>) -> bool {
        std::thread::panicking() || pooled.is_gone || pooled.connection.is_broken()
    }
}

#[derive(Debug)]
struct LogError;

impl HandleError<ConnectionError> for LogError {
    fn handle_error(&self, error: ConnectionError) {
        // The call that waits for the connection reports the failure.
        tracing::debug!(%error, "no database connection");
    }
}

/// What a failed unit of work has done before it failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Nothing,
    Something,
}

/// A bounded pool.
pub(crate) struct Connections<C: R2D2Connection + Send + 'static> {
    name: &'static str,
    pool: Pool<Manager<C>>,
}

impl<C: R2D2Connection + Send + 'static> fmt::Debug for Connections<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}

impl<C: R2D2Connection + Send + 'static> Connections<C> {
    /// Makes a pool; its first connection is made in the background.
    pub(crate) fn new(
        name: &'static str,
        connections_max: u32,
        acquire_timeout: Duration,
        connect: impl Fn() -> Result<C, ConnectionError> + Send + Sync + 'static,
    ) -> Self {
        let pool = Pool::builder()
            .max_size(connections_max.max(1))
            .min_idle(Some(1))
            .connection_timeout(acquire_timeout)
            .test_on_check_out(false)
            .error_handler(Box::new(LogError))
            .build_unchecked(Manager {
                connect: Box::new(connect),
            });
        Self { name, pool }
    }

    pub(crate) fn state(&self) -> PoolState {
        let state = self.pool.state();
        PoolState {
            name: self.name,
            size: state.connections,
            idle: state.idle_connections,
            max: self.pool.max_size(),
        }
    }

    /// Runs a unit of work. A connection that turns out to be lost is dropped, and the work, if it
    /// has done nothing yet, is run again on another: after a restart of the server all pooled
    /// connections are lost, so that only the failure of one made since says that there is no server.
    pub(crate) fn run<T>(
        &self,
        work: impl Fn(&mut C) -> Result<T, (Failure, Done)>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        loop {
            let mut pooled = self
                .pool
                .get()
                .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
            let (failure, done) = match work(&mut pooled.connection) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            pooled.is_gone = failure.is_connection_gone();
            if !pooled.is_gone || pooled.made_at >= started || done == Done::Something {
                return Err(failure.into());
            }
        }
    }
}
