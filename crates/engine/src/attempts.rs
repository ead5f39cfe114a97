//! From an admitted call to the first byte of an answer: targets in order, within one retry budget.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_domain::{AttemptId, ErrorKind, Money, Provenance, TerminalState, Usage};
use tollgate_ledger::{AttemptDraft, Outcome, PricedModel, Reservation};
use tollgate_providers::{UpstreamAnswer, UpstreamError, UpstreamRequest};
use tollgate_resilience::RetryBudget;
use tollgate_routing::{Candidate, plan};
use uuid::Uuid;

use crate::admission::Admission;
use crate::catalog::{Model, Target};
use crate::clock::now;
use crate::error::EngineError;
use crate::opened::{Failure, First, Retry, open};
use crate::record::{AttemptRecord, Progress, micros};
use crate::worker::Worker;

/// A target that may be tried, and the name that its model is asked for by.
struct Destination {
    name: Arc<str>,
    model: Arc<Model>,
    target: usize,
}

/// A destination, and the time before which it must not be tried again, if it was tried.
type Queued = (Destination, Option<tokio::time::Instant>);

/// What became of trying a target.
enum Tried {
    Answered(Box<First>),
    Failed(Box<(Unbooked, Failure)>),
    /// The target takes no calls right now; none was made.
    Closed(EngineError),
}

/// A failed attempt that is not in the books yet: it is not known whether another follows. Dropped,
/// it was the last of its request.
struct Unbooked {
    reservation: Option<Reservation>,
    outcome: Outcome,
}

impl Unbooked {
    fn new(mut reservation: Reservation, failure: &Failure, began: Instant) -> Self {
        reservation.release();
        Self {
            reservation: Some(reservation),
            outcome: Outcome {
                usage: Usage::default(),
                provenance: Provenance::Missing,
                state: TerminalState::UpstreamError,
                upstream_status: failure.status,
                latency_us: micros(began.elapsed()),
                first_token_us: None,
                is_final: true,
            },
        }
    }

    /// Another attempt has begun.
    fn precede(mut self) {
        self.outcome.is_final = false;
    }
}

impl Drop for Unbooked {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            reservation.settle(self.outcome);
        }
    }
}

impl Worker {
    pub(crate) async fn first_answer(
        &self,
        admission: &Admission,
        progress: &mut Progress,
    ) -> Result<Box<First>, EngineError> {
        let engine = self.engine();
        let seed = seed_of(progress);
        let destinations = self.destinations(admission, seed);
        let targets = destinations
            .iter()
            .filter_map(|(to, _)| to.model.targets.get(to.target));
        let longest = targets
            .map(|target| target.total_timeout)
            .max()
            .unwrap_or_default();
        let mut budget = RetryBudget::new(&engine.config().retry, Instant::now() + longest);
        engine.retries().first_attempt();
        let mut error = no_targets();
        let mut failed: Option<Unbooked> = None;
        // Each with the time before which it must not be tried again, if it was tried.
        let mut queue = VecDeque::from(destinations);
        while let Some((to, again_at)) = queue.pop_front() {
            if failed.is_some() {
                let target = to.model.targets.get(to.target);
                if target.is_some_and(|target| !target.breaker.lets_through()) {
                    continue;
                }
                let asked_for =
                    again_at.map(|at| at.saturating_duration_since(tokio::time::Instant::now()));
                let delay = budget.next_delay(seed.rotate_left(7), asked_for);
                match delay.filter(|_| engine.retries().try_retry()) {
                    None => break,
                    Some(delay) if again_at.is_some() => tokio::time::sleep(delay).await,
                    Some(_) => {}
                }
            }
            match self.attempt(admission, &to, &mut failed, progress).await? {
                Tried::Answered(first) => return Ok(first),
                Tried::Closed(closed) if failed.is_none() => error = closed,
                Tried::Closed(_) => {}
                Tried::Failed(tried) => {
                    let (unbooked, failure) = *tried;
                    progress.end_attempt(TerminalState::UpstreamError, failure.status);
                    if failure.retry == Retry::Anywhere {
                        let wait = failure.retry_after.unwrap_or_default();
                        queue.push_back((to, Some(tokio::time::Instant::now() + wait)));
                    }
                    failed = Some(unbooked);
                    error = failure.error;
                }
            }
        }
        Err(error)
    }

    /// The targets of the model, then those of its fallbacks that the key may use.
    fn destinations(&self, admission: &Admission, seed: u64) -> Vec<Queued> {
        let catalog = self.engine().catalog();
        let fallbacks = admission
            .model
            .fallbacks
            .iter()
            .filter(|name| admission.caller.key.may_use(name))
            .filter_map(|name| catalog.find(name));
        let asked = (Arc::clone(&admission.name), Arc::clone(&admission.model));
        let mut destinations = Vec::with_capacity(admission.model.targets.len());
        for (name, model) in std::iter::once(asked).chain(fallbacks) {
            let options: Vec<Candidate> = model
                .targets
                .iter()
                .enumerate()
                .map(|(index, target)| Candidate {
                    index,
                    weight: target.weight,
                    order: target.order,
                    is_available: target.breaker.lets_through(),
                })
                .collect();
            let order = plan(&options, seed);
            destinations.extend(order.into_iter().map(|target| {
                let (name, model) = (Arc::clone(&name), Arc::clone(&model));
                let to = Destination {
                    name,
                    model,
                    target,
                };
                (to, None)
            }));
        }
        destinations
    }

    async fn attempt(
        &self,
        admission: &Admission,
        to: &Destination,
        failed: &mut Option<Unbooked>,
        progress: &mut Progress,
    ) -> Result<Tried, EngineError> {
        let target = to.model.targets.get(to.target).ok_or_else(no_targets)?;
        let pass = match target.breaker.try_pass() {
            Ok(pass) => pass,
            Err(open) => return Ok(Tried::Closed(breaker_open(target, open.retry_after))),
        };
        let bulkhead = match &target.bulkhead {
            None => None,
            Some(bulkhead) => match bulkhead.try_enter() {
                Some(permit) => Some(permit),
                None => return Ok(Tried::Closed(bulkhead_full(target))),
            },
        };
        let upstream_model = target.upstream_model(&to.name);
        let priced = self
            .engine()
            .catalog()
            .price(target, &upstream_model)
            .ok_or_else(|| unknown_price(&upstream_model))?;
        let (bound, inject) = self.output_bound(admission, &priced);
        let amount = reserve_amount(admission, &priced, bound)?;
        let began = Instant::now();
        let deadline = tokio::time::Instant::from_std(began) + target.total_timeout;
        let draft = draft(admission, progress, target, (&upstream_model, &priced));
        let caller = &admission.caller;
        let reservation =
            self.journal()
                .reserve(draft, &caller.org_account, &caller.key_account, amount)?;
        if let Some(failed) = failed.take() {
            failed.precede();
        }
        progress.record.attempts.push(AttemptRecord {
            provider: Arc::clone(&target.provider),
            upstream_model: Arc::clone(&upstream_model),
            status: None,
            state: TerminalState::ClientGone,
            started: began,
            duration: Duration::ZERO,
        });
        let request = UpstreamRequest {
            endpoint: admission.asked.endpoint(),
            body: admission
                .asked
                .upstream_body(&admission.body, &upstream_model, inject),
            is_stream: admission.asked.is_stream(),
            trace_parent: admission.trace_parent.clone(),
            deadline,
        };
        let opened = match self.call(target, request).await {
            Ok(answer) => open(answer, admission, deadline).await,
            Err(error) => Err(Failure::from_upstream(&error, target)),
        };
        let took = began.elapsed();
        progress.record.upstream += took;
        let tried = match opened {
            Ok(opened) => {
                pass.success();
                Tried::Answered(Box::new(opened.into_first(
                    (&to.model, to.target),
                    bulkhead,
                    reservation,
                    (began, took),
                )))
            }
            Err(failure) => {
                failure.tell(pass);
                let unbooked = Unbooked::new(reservation, &failure, began);
                Tried::Failed(Box::new((unbooked, failure)))
            }
        };
        Ok(tried)
    }

    async fn call(
        &self,
        target: &Target,
        request: UpstreamRequest,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        let admitted = self.gate().admit();
        self.providers()
            .call(&admitted, target.provider_index, request)
            .ok_or_else(|| UpstreamError::NotReady {
                advice: "the provider is not configured".to_owned(),
            })?
            .await
    }

    /// The most answer tokens per choice, and the bound to set upstream if the client set none.
    fn output_bound(&self, admission: &Admission, priced: &PricedModel) -> (u64, Option<u64>) {
        match (
            admission.asked.output_tokens_max(),
            priced.max_output_tokens,
        ) {
            (Some(asked), Some(most)) => (asked.min(most), None),
            (Some(bound), None) | (None, Some(bound)) => (bound, None),
            (None, None) if admission.caller.has_budget() => {
                let bound = self.engine().config().output_tokens_default;
                (bound, Some(bound))
            }
            (None, None) => (0, None),
        }
    }
}

/// What goes into the journal before the call.
fn draft(
    admission: &Admission,
    progress: &Progress,
    target: &Target,
    (upstream_model, priced): (&Arc<str>, &PricedModel),
) -> AttemptDraft {
    AttemptDraft {
        attempt_id: AttemptId::new(Uuid::now_v7()),
        request_id: progress.record.request_id,
        attempt: u16::try_from(progress.record.attempts.len() + 1).unwrap_or(u16::MAX),
        org_id: admission.caller.key.org_id,
        key_id: admission.caller.key.id,
        surface: progress.record.surface,
        model: Arc::clone(&admission.name),
        provider: Arc::clone(&target.provider),
        upstream_model: Arc::clone(upstream_model),
        started_at: now(),
        price: priced.price,
        long_context: priced.long_context,
        price_version: Arc::clone(&priced.version),
        prompt_tokens_known: admission.asked.prompt_tokens_estimate(),
    }
}

fn reserve_amount(
    admission: &Admission,
    priced: &PricedModel,
    output_tokens: u64,
) -> Result<Money, EngineError> {
    if !admission.caller.has_budget() {
        return Ok(Money::ZERO);
    }
    let answer = output_tokens.saturating_mul(admission.asked.choices());
    priced
        .worst_cost(admission.asked.prompt_tokens_bound(), answer)
        .map_err(|_| {
            EngineError::new(
                ErrorKind::BudgetExceeded,
                "budget_exceeded",
                "the request could cost more than any budget holds; lower max_completion_tokens",
            )
        })
}

fn seed_of(progress: &Progress) -> u64 {
    let [_, _, _, _, _, _, _, _, random @ ..] = progress.record.request_id.as_bytes();
    u64::from_le_bytes(*random)
}

fn no_targets() -> EngineError {
    EngineError::new(
        ErrorKind::Unavailable,
        "service_unavailable",
        "no target can take the call",
    )
    .with_retry_after(Duration::from_secs(5))
}

fn unknown_price(model: &str) -> EngineError {
    EngineError::new(
        ErrorKind::Forbidden,
        "unknown_price",
        format!(
            "no price is known for \"{model}\"; set `price` on the model, or \
             ledger.unknown_price = \"allow_flagged\""
        ),
    )
}

fn breaker_open(target: &Target, retry_after: Duration) -> EngineError {
    EngineError::new(
        ErrorKind::Unavailable,
        "provider_unavailable",
        format!(
            "the provider {} has failed too often and is being left alone",
            target.provider
        ),
    )
    .with_retry_after(retry_after)
}

fn bulkhead_full(target: &Target) -> EngineError {
    EngineError::new(
        ErrorKind::Unavailable,
        "provider_busy",
        format!(
            "the provider {} has as many calls under way as it may have",
            target.provider
        ),
    )
    .with_retry_after(Duration::from_secs(1))
}
