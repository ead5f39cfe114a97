//! What each guard costs a call, in nanoseconds: `cargo run --release --example cost`.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_resilience::{
    Breaker, BreakerConfig, Parallel, RateLimit, RetryBudget, RetryPolicy, RetryQuota,
};

const ROUNDS: u32 = 1_000_000;

fn measure(name: &str, mut call: impl FnMut()) {
    let best = (0..5)
        .map(|_| {
            let began = Instant::now();
            (0..ROUNDS).for_each(|_| call());
            began.elapsed()
        })
        .min();
    println!(
        "{:6.1} ns  {name}",
        best.unwrap_or_default().as_secs_f64() * 1e9 / f64::from(ROUNDS)
    );
}

fn main() {
    let breaker = Breaker::new(&BreakerConfig::default());
    measure("breaker: pass and success", || {
        if let Ok(pass) = black_box(&breaker).try_pass() {
            pass.success();
        }
    });
    measure("breaker: state", || {
        black_box(breaker.state());
    });
    let rate = RateLimit::per_minute(NonZeroU32::MAX);
    measure("rate limit: check", || {
        let _ = black_box(rate.check(1));
    });
    measure("rate limit: correct", || rate.correct(black_box(2), 1));
    let parallel = Arc::new(Parallel::new(8));
    measure("parallel: enter and leave", || {
        drop(black_box(parallel.try_enter()))
    });
    let quota = RetryQuota::default();
    measure("retry quota: first attempt", || {
        black_box(&quota).first_attempt()
    });
    let deadline = Instant::now() + Duration::from_secs(600);
    measure("retry budget: new and one delay", || {
        let mut budget = RetryBudget::new(&RetryPolicy::default(), deadline);
        black_box(budget.next_delay(1 << 40, None));
    });
}
