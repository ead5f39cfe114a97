//! From an admitted call to the first byte of an answer: targets in order, within one retry budget.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_domain::{AttemptId, ErrorKind, Money, Provenance, TerminalState, Usage};
use tollgate_ledger::{AttemptDraft, Outcome, PricedModel, Reservation};
use tollgate_providers::{Phase, UpstreamAnswer, UpstreamError, UpstreamRequest};
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

/// What became of trying a target.
enum Tried {
    Answered(Box<First>),
    Failed(Box<(Reservation, Failure)>),
    /// The target takes no calls right now; none was made.
    Closed(EngineError),
}

impl Worker {
    pub(crate) async fn first_answer(
        &self,
        admission: &Admission,
        progress: &mut Progress,
    ) -> Result<First, EngineError> {
        let engine = self.engine();
        let seed = seed_of(progress);
        let candidates = self.candidates(admission, seed);
        let timeouts = candidates
            .iter()
            .filter_map(|(model, at)| model.targets.get(*at));
        let longest = timeouts
            .map(|target| target.total_timeout)
            .max()
            .unwrap_or_default();
        let mut budget = RetryBudget::new(&engine.config().retry, Instant::now() + longest);
        engine.retries().first_attempt();
        let mut error = no_targets();
        // Each candidate, and whether it was tried before: then it is given time to recover.
        let mut queue: VecDeque<_> = candidates.into_iter().map(|one| (one, None)).collect();
        while let Some(((model, target), wait)) = queue.pop_front() {
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
            }
            let (reservation, failure) =
                match self.attempt(admission, &model, target, progress).await? {
                    Tried::Answered(first) => return Ok(*first),
                    Tried::Closed(closed) => {
                        if progress.record.attempts.is_empty() {
                            error = closed;
                        }
                        continue;
                    }
                    Tried::Failed(failed) => *failed,
                };
            if failure.retry == Retry::Anywhere {
                queue.push_back(((model, target), Some(Duration::ZERO)));
            }
            let goes_on = queue.front_mut().is_some_and(|(_, wait)| {
                let asked_for = failure.retry_after.filter(|_| wait.is_some());
                let delay = budget.next_delay(seed.rotate_left(7), asked_for);
                *wait = wait.and(delay);
                delay.is_some() && engine.retries().try_retry()
            });
            self.settle_failure(reservation, &failure, !goes_on, progress);
            error = failure.error;
            if !goes_on {
                break;
            }
        }
        Err(error)
    }

    /// The targets of the model, then those of its fallbacks that the key may use.
    fn candidates(&self, admission: &Admission, seed: u64) -> Vec<(Arc<Model>, usize)> {
        let catalog = self.engine().catalog();
        let fallbacks = admission
            .model
            .fallbacks
            .iter()
            .filter(|name| admission.caller.key.may_use(name))
            .filter_map(|name| catalog.find(name))
            .map(|(_, model)| model);
        let mut candidates = Vec::with_capacity(admission.model.targets.len());
        for model in std::iter::once(Arc::clone(&admission.model)).chain(fallbacks) {
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
            candidates.extend(order.iter().map(|index| (Arc::clone(&model), *index)));
        }
        candidates
    }

    async fn attempt(
        &self,
        admission: &Admission,
        model: &Arc<Model>,
        target_index: usize,
        progress: &mut Progress,
    ) -> Result<Tried, EngineError> {
        let target = model.targets.get(target_index).ok_or_else(no_targets)?;
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
        let upstream_model = target.upstream_model(&admission.name);
        let priced = self
            .engine()
            .catalog()
            .price(target, &upstream_model)
            .ok_or_else(|| unknown_price(&upstream_model))?;
        let (bound, inject) = self.output_bound(admission, &priced);
        let amount = reserve_amount(admission, &priced, bound)?;
        let began = Instant::now();
        let draft = draft(admission, progress, target, (&upstream_model, &priced));
        let caller = &admission.caller;
        let reservation =
            self.journal()
                .reserve(draft, &caller.org_account, &caller.key_account, amount)?;
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
        };
        let answered = self.call(target, request).await;
        let opened = match answered {
            Ok(answer) => open(answer, admission, began, target.total_timeout).await,
            Err(error) => Err(Failure::from_upstream(&error, target)),
        };
        progress.record.upstream += began.elapsed();
        let tried = match opened {
            Ok(opened) => {
                pass.success();
                Tried::Answered(Box::new(opened.into_first(
                    (model, target_index),
                    bulkhead,
                    reservation,
                    began,
                )))
            }
            Err(failure) => {
                failure.tell(pass);
                Tried::Failed(Box::new((reservation, failure)))
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
        let call = self
            .providers()
            .call(&admitted, target.provider_index, request)
            .ok_or_else(|| UpstreamError::NotReady {
                advice: "the provider is not configured".to_owned(),
            })?;
        match tokio::time::timeout(target.total_timeout, call).await {
            Ok(answer) => answer,
            Err(_) => Err(UpstreamError::Timeout(Phase::Total)),
        }
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

    fn settle_failure(
        &self,
        reservation: Reservation,
        failure: &Failure,
        is_final: bool,
        progress: &mut Progress,
    ) {
        let latency_us = progress
            .record
            .attempts
            .last()
            .map_or(0, |a| micros(a.started.elapsed()));
        reservation.settle(Outcome {
            usage: Usage::default(),
            provenance: Provenance::Missing,
            state: TerminalState::UpstreamError,
            upstream_status: failure.status,
            latency_us,
            first_token_us: None,
            is_final,
        });
        progress.end_attempt(TerminalState::UpstreamError, failure.status);
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
