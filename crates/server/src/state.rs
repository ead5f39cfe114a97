//! What handlers reach: this thread's worker, and what all threads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tollgate_control::Control;
use tollgate_engine::Worker;
use tollgate_ledger::Ledger;

use crate::body::BodyLimits;
use crate::client::Proxies;
use crate::cors::Cors;
use crate::observe::Observer;
use crate::people::People;
use crate::settings::ServerSettings;
use crate::strangers::Strangers;

/// Who is let in, and from where.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) proxies: Proxies,
    pub(crate) strangers: Strangers,
    pub(crate) cors: Cors,
}

impl Gate {
    pub(crate) fn new(server: &ServerSettings) -> Self {
        Self {
            allowed_hosts: server.allowed_hosts.clone(),
            proxies: Proxies::new(server),
            strangers: Strangers::new(server.unauthenticated_per_minute_max),
            cors: Cors::new(&server.cors_origins),
        }
    }
}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) control: Control,
    pub(crate) people: People,
    pub(crate) ledger: Ledger,
    pub(crate) gate: Gate,
    pub(crate) inference_body: BodyLimits,
    pub(crate) admin_body: BodyLimits,
    pub(crate) provider_names: Vec<String>,
    draining: AtomicBool,
    database_latency_us: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        (control, people): (Control, People),
        ledger: Ledger,
        gate: Gate,
        [inference_body, admin_body]: [BodyLimits; 2],
        provider_names: Vec<String>,
    ) -> Self {
        let draining = AtomicBool::new(false);
        let database_latency_us = AtomicU64::new(0);
        Self {
            database_latency_us,
            control,
            people,
            ledger,
            gate,
            inference_body,
            admin_body,
            provider_names,
            draining,
        }
    }

    /// From now on the server says that it is not ready.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Notes how long the database took to answer; `None` when it did not.
    pub(crate) fn note_database(&self, latency: Option<Duration>) {
        let micros = latency.map_or(u64::MAX, |latency| {
            u64::try_from(latency.as_micros()).unwrap_or(u64::MAX - 1)
        });
        self.database_latency_us.store(micros, Ordering::Relaxed);
    }

    /// Returns how long the database took when it was last asked; `None` when it did not answer.
    pub(crate) fn database_latency(&self) -> Option<Duration> {
        let micros = self.database_latency_us.load(Ordering::Relaxed);
        (micros != u64::MAX).then(|| Duration::from_micros(micros))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// What one thread has.
#[derive(Debug)]
pub(crate) struct WorkerState {
    worker: Worker,
    shared: Arc<Shared>,
    observer: Arc<Observer>,
}

impl WorkerState {
    pub(crate) const fn new(worker: Worker, shared: Arc<Shared>, observer: Arc<Observer>) -> Self {
        Self {
            worker,
            shared,
            observer,
        }
    }

    pub(crate) const fn worker(&self) -> &Worker {
        &self.worker
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn shared_arc(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    pub(crate) const fn observer(&self) -> &Arc<Observer> {
        &self.observer
    }
}
