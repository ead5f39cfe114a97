//! Keeps a failing or slow dependency from taking its caller down with it.
//!
//! [`Breaker`] refuses calls to what keeps failing, [`RateLimit`] bounds requests or tokens per minute,
//! [`Parallel`] bounds what is under way at once, [`RetryBudget`] and [`RetryQuota`] bound what is tried
//! again. They guard any call, async or not, and are composed by the caller in plain sight. This crate
//! must not know providers, money or HTTP. Nothing in it blocks, waits or starts a task.
//!
//! # Embedding
//!
//! ```
//! use std::num::NonZeroU32;
//! use std::sync::Arc;
//! use std::time::{Duration, Instant};
//! use tollgate_resilience::{
//!     Breaker, BreakerConfig, Parallel, RateLimit, RetryBudget, RetryPolicy,
//! };
//!
//! fn fetch() -> Result<&'static str, std::io::Error> {
//!     Ok("fresh")
//! }
//!
//! let breaker = Breaker::new(&BreakerConfig::default());
//! let rate = RateLimit::per_minute(NonZeroU32::MIN.saturating_add(59));
//! let parallel = Arc::new(Parallel::new(8));
//!
//! let state = rate.check(1)?; // 59 are left
//! let permit = parallel.try_enter().ok_or("too many at once")?;
//! let deadline = Instant::now() + Duration::from_secs(10);
//! let mut retries = RetryBudget::new(&RetryPolicy::default(), deadline);
//! let answer = loop {
//!     let pass = breaker.try_pass()?;
//!     match fetch() {
//!         Ok(answer) => {
//!             pass.success();
//!             break answer;
//!         }
//!         Err(error) => {
//!             pass.failure();
//!             let wait = retries.next_delay(4, None).ok_or(error)?; // 4: a random number
//!             std::thread::sleep(wait);
//!         }
//!     }
//! };
//! drop(permit);
//! assert_eq!((answer, state.remaining), ("fresh", 59));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod breaker;
mod breaker_policy;
mod parallel;
mod rate_limit;
mod retry;
mod retry_quota;

pub use self::breaker::{Breaker, BreakerOpen, BreakerPass, BreakerState};
pub use self::breaker_policy::BreakerConfig;
pub use self::parallel::{Parallel, ParallelPermit};
pub use self::rate_limit::{RateLimit, RateLimited, RateState};
pub use self::retry::{RetryBudget, RetryPolicy};
pub use self::retry_quota::RetryQuota;
