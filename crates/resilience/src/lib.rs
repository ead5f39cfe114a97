//! Guards any call: breakers, rate limits, concurrency, retries.
//!
//! It must not know providers, money or HTTP. Every guard is a struct with its state; whoever
//! composes them decides their order.
//!
//! ```
//! use tollgate_resilience::{Breaker, BreakerConfig, BreakerState};
//!
//! let breaker = Breaker::new(&BreakerConfig { failures_min: 2, ..BreakerConfig::default() });
//! for _ in 0..2 {
//!     let pass = breaker.try_pass()?; // then make the call
//!     pass.failure();
//! }
//! assert_eq!(breaker.state(), BreakerState::Open);
//! assert!(breaker.try_pass().is_err());
//! # Ok::<(), tollgate_resilience::BreakerOpen>(())
//! ```

mod breaker;
mod parallel;
mod rate_limit;
mod retry;

pub use self::breaker::{Breaker, BreakerConfig, BreakerOpen, BreakerPass, BreakerState};
pub use self::parallel::{Parallel, ParallelPermit};
pub use self::rate_limit::{RateLimit, RateLimited, RateState};
pub use self::retry::{RetryBudget, RetryPolicy, RetryQuota};
