//! Requests, tokens and concurrency per scope.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tollgate_domain::{BudgetScope, ErrorKind, Limits};
use tollgate_resilience::{Parallel, ParallelPermit, RateLimit, RateLimited, RateState};

use crate::error::EngineError;

/// The live counters of one scope. They outlive the cached caller, so that reloading a key does
/// not refill its limits.
#[derive(Debug)]
pub(crate) struct ScopeLimits {
    limits: Limits,
    requests: Option<RateLimit>,
    tokens: Option<RateLimit>,
    parallel: Option<Arc<Parallel>>,
}

impl ScopeLimits {
    fn new(limits: Limits) -> Self {
        let rate = |limit: Option<u32>| limit.and_then(NonZeroU32::new).map(RateLimit::per_minute);
        Self {
            limits,
            requests: rate(limits.rpm_limit),
            tokens: rate(limits.tpm_limit),
            parallel: limits
                .max_parallel_requests
                .map(|max| Arc::new(Parallel::new(max))),
        }
    }
}

/// The counters of every scope that was seen lately.
#[derive(Debug)]
pub(crate) struct LimitTable {
    scopes: Cache<BudgetScope, Arc<ScopeLimits>>,
}

impl LimitTable {
    pub(crate) fn new(scopes_max: u64) -> Self {
        // Every window is a minute: what has not been used for ten has nothing left to remember.
        let scopes = Cache::builder()
            .max_capacity(scopes_max)
            .time_to_idle(Duration::from_secs(600))
            .build();
        Self { scopes }
    }

    /// Returns the counters of a scope; new ones when its limits have changed.
    pub(crate) fn scope(&self, scope: BudgetScope, limits: Limits) -> Arc<ScopeLimits> {
        match self.scopes.get(&scope) {
            Some(counters) if counters.limits == limits => counters,
            _ => {
                let counters = Arc::new(ScopeLimits::new(limits));
                self.scopes.insert(scope, Arc::clone(&counters));
                counters
            }
        }
    }
}

/// What is left of a limit, for the headers of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Per minute.
    pub limit: u32,
    /// Left now.
    pub remaining: u32,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// What is left of the caller's limits: of the tightest scope that has one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests per minute.
    pub requests: Option<Rate>,
    /// Tokens per minute.
    pub tokens: Option<Rate>,
}

fn tightest(one: Option<Rate>, state: &RateState) -> Option<Rate> {
    let other = Rate {
        limit: state.limit,
        remaining: state.remaining,
        reset: state.reset,
    };
    match one {
        Some(rate) if rate.remaining <= other.remaining => Some(rate),
        _ => Some(other),
    }
}

/// A place within every limit of the caller. Tokens are held until the true count is known; the
/// places in the concurrency limits are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    scopes: [Arc<ScopeLimits>; 2],
    _permits: [Option<ParallelPermit>; 2],
    reserved: u32,
    used: u32,
}

impl Place {
    /// Takes a place in every limit of both scopes, or none; says in `rates` what is left of them.
    pub(crate) fn take(
        scopes: [Arc<ScopeLimits>; 2],
        tokens: u64,
        rates: &mut Rates,
    ) -> Result<Self, EngineError> {
        let mut permits = [None, None];
        for (permit, scope) in permits.iter_mut().zip(&scopes) {
            if let Some(parallel) = &scope.parallel {
                *permit = Some(parallel.try_enter().ok_or_else(too_many_at_once)?);
            }
        }
        let mut place = Self {
            scopes,
            _permits: permits,
            reserved: 0,
            used: 0,
        };
        place.count_request(&mut rates.requests)?;
        place.hold_tokens(u32::try_from(tokens).unwrap_or(u32::MAX), &mut rates.tokens)?;
        Ok(place)
    }

    /// Says how many tokens were really used.
    pub(crate) fn used_tokens(&mut self, tokens: u64) {
        self.used = u32::try_from(tokens).unwrap_or(u32::MAX);
    }

    fn count_request(&self, rate: &mut Option<Rate>) -> Result<(), EngineError> {
        for (at, scope) in self.scopes.iter().enumerate() {
            let Some(limit) = &scope.requests else {
                continue;
            };
            match limit.check(1) {
                Ok(state) => *rate = tightest(*rate, &state),
                Err(limited) => {
                    self.scopes
                        .iter()
                        .take(at)
                        .filter_map(|scope| scope.requests.as_ref())
                        .for_each(|limit| limit.correct(1, 0));
                    *rate = tightest(*rate, &limited.state);
                    return Err(rate_limited("requests", &limited));
                }
            }
        }
        Ok(())
    }

    /// Holds an estimate in every token limit. An estimate above a whole limit holds the whole limit: what is
    /// truly used is charged afterwards, also beyond it.
    fn hold_tokens(&mut self, tokens: u32, rate: &mut Option<Rate>) -> Result<(), EngineError> {
        let limits = self
            .scopes
            .iter()
            .filter_map(|scope| scope.limits.tpm_limit);
        let Some(smallest) = limits.min() else {
            return Ok(());
        };
        let tokens = tokens.clamp(1, smallest.max(1));
        for (at, scope) in self.scopes.iter().enumerate() {
            let Some(limit) = &scope.tokens else { continue };
            match limit.check(tokens) {
                Ok(state) => *rate = tightest(*rate, &state),
                Err(limited) => {
                    self.scopes
                        .iter()
                        .take(at)
                        .filter_map(|scope| scope.tokens.as_ref())
                        .for_each(|limit| limit.correct(tokens, 0));
                    *rate = tightest(*rate, &limited.state);
                    return Err(rate_limited("tokens", &limited));
                }
            }
        }
        self.reserved = tokens;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.reserved > 0 {
            for limit in self.scopes.iter().filter_map(|scope| scope.tokens.as_ref()) {
                limit.correct(self.reserved, self.used);
            }
        }
    }
}

fn too_many_at_once() -> EngineError {
    EngineError::new(
        ErrorKind::RateLimited,
        "too_many_parallel_requests",
        "too many requests are under way at once for this API key or its organization",
    )
    .with_retry_after(Duration::from_secs(1))
}

fn rate_limited(what: &str, limited: &RateLimited) -> EngineError {
    EngineError::new(
        ErrorKind::RateLimited,
        "rate_limit_exceeded",
        format!(
            "the limit of {} {what} per minute is reached",
            limited.state.limit
        ),
    )
    .with_retry_after(limited.retry_after.unwrap_or(Duration::from_secs(60)))
}
