//! The engine, and what each thread that serves requests has of it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tollgate_auth::Pepper;
use tollgate_domain::{Surface, TerminalState};
use tollgate_ledger::{JournalWriter, Ledger, LedgerError};
use tollgate_providers::{Gate, Providers};
use tollgate_resilience::{RetryPolicy, RetryQuota};
use tollgate_store::{Store, StoreError};
use tollgate_wire::JsonLimits;

use crate::callers::Callers;
use crate::catalog::Catalog;
use crate::error::EngineError;
use crate::opened::{First, FirstBody};
use crate::record::Progress;
use crate::reply::{Inbound, Reply, ReplyBody, status_of};
use crate::stream::AnswerStream;

/// What can be set.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Bounds on a request's JSON.
    pub json: JsonLimits,
    /// Attempts and waits of one request.
    pub retry: RetryPolicy,
    /// Answer tokens per choice held in token limits when the client gives no bound.
    pub output_tokens_expected: u64,
    /// The bound on answer tokens that is set for a call under a budget when neither the client
    /// nor the price list gives one.
    pub output_tokens_default: u64,
    /// How long a stream may be silent towards the client before a comment is sent.
    pub keep_alive: Duration,
    /// Callers remembered at once.
    pub callers_max: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            json: JsonLimits::default(),
            retry: RetryPolicy::default(),
            output_tokens_expected: 256,
            output_tokens_default: 4_096,
            keep_alive: Duration::from_secs(15),
            callers_max: 100_000,
        }
    }
}

/// What all threads share.
#[derive(Debug)]
pub struct Engine {
    callers: Arc<Callers>,
    catalog: Catalog,
    config: EngineConfig,
    retries: RetryQuota,
}

impl Engine {
    /// Makes an engine over a store, a ledger and a catalog of models.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(
        store: Arc<dyn Store>,
        ledger: Ledger,
        pepper: Arc<Pepper>,
        catalog: Catalog,
        config: EngineConfig,
    ) -> Result<Self, StoreError> {
        let callers = Callers::new(store, ledger, pepper, config.callers_max)?;
        Ok(Self {
            callers: Arc::new(callers),
            catalog,
            config,
            retries: RetryQuota::default(),
        })
    }

    /// Returns who may call.
    #[must_use]
    pub const fn callers(&self) -> &Arc<Callers> {
        &self.callers
    }

    /// Returns the models.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) const fn config(&self) -> &EngineConfig {
        &self.config
    }

    pub(crate) const fn retries(&self) -> &RetryQuota {
        &self.retries
    }
}

/// The engine as one thread uses it: with connections and a journal of its own.
#[derive(Debug)]
pub struct Worker {
    engine: Arc<Engine>,
    providers: Providers,
    gate: Gate,
    journal: JournalWriter,
    tasks: TaskTracker,
}

impl Worker {
    /// Makes a worker. Its tasks belong to `tasks`; call it within the runtime of its thread.
    ///
    /// # Errors
    /// When its journal cannot be opened.
    pub fn new(
        engine: Arc<Engine>,
        providers: (Providers, Gate),
        ledger: &Ledger,
        tasks: TaskTracker,
    ) -> Result<Self, LedgerError> {
        let journal = ledger.writer()?;
        tasks.spawn(journal.flusher());
        let (providers, gate) = providers;
        Ok(Self {
            engine,
            providers,
            gate,
            journal,
            tasks,
        })
    }

    /// Returns the shared engine.
    #[must_use]
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Returns the providers, for their health.
    #[must_use]
    pub const fn providers(&self) -> &Providers {
        &self.providers
    }

    pub(crate) const fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) const fn journal(&self) -> &JournalWriter {
        &self.journal
    }

    /// Answers `POST /v1/chat/completions`.
    pub async fn chat(&self, inbound: Inbound) -> Reply {
        self.serve(Surface::ChatCompletions, inbound).await
    }

    /// Answers `POST /v1/embeddings`.
    pub async fn embeddings(&self, inbound: Inbound) -> Reply {
        self.serve(Surface::Embeddings, inbound).await
    }

    async fn serve(&self, surface: Surface, mut inbound: Inbound) -> Reply {
        let finish = inbound.finish.take();
        let mut progress = Progress::new(inbound.request_id, surface, inbound.started, finish);
        let mut admission = match self.admit(surface, inbound, &mut progress).await {
            Ok(admission) => admission,
            Err(error) => return refuse(progress, &error),
        };
        let first = match self.first_answer(&admission, &mut progress).await {
            Ok(first) => first,
            Err(error) => return refuse(progress, &error),
        };
        let First {
            status,
            headers,
            body,
            provider,
            reservation,
            outcome,
        } = *first;
        let mut reply = Reply {
            status: status.as_u16(),
            body: ReplyBody::Whole(bytes::Bytes::new()),
            upstream_headers: headers,
            rates: progress.rates,
            attempts: progress.record.attempts.len(),
            provider: Some(provider),
            cost: None,
            retry_after: None,
            should_retry: None,
            upstream: progress.record.upstream,
        };
        progress.record.status = reply.status;
        match body {
            FirstBody::Whole(body) => {
                let settled = reservation.settle(outcome);
                admission.place.used_tokens(outcome.usage.total_tokens());
                progress.end_attempt(outcome.state, outcome.upstream_status);
                progress.record.usage = outcome.usage;
                progress.record.provenance = outcome.provenance;
                progress.record.cost = settled.cost;
                reply.cost = Some(settled.cost);
                settled.durable().await;
                reply.body = ReplyBody::Whole(body);
            }
            FirstBody::Stream(started) => {
                let stream = AnswerStream::new(
                    *started,
                    reservation,
                    admission,
                    progress,
                    (self.engine.config.keep_alive, self.tasks.clone()),
                );
                reply.body = ReplyBody::Stream(Box::new(stream));
            }
        }
        reply
    }
}

fn refuse(mut progress: Progress, error: &EngineError) -> Reply {
    let attempts = progress.record.attempts.len();
    let upstream = progress.record.upstream;
    let rates = progress.rates;
    if progress.record.state.is_none() && attempts > 0 {
        progress.end_attempt(TerminalState::UpstreamError, None);
    }
    progress.fail(status_of(error.kind), error);
    Reply {
        attempts,
        upstream,
        rates,
        ..Reply::of_error(error)
    }
}
