//! How many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bounds what is under way at once: the calls of one caller, or those to one dependency (then it is a
/// bulkhead). Nobody waits for a place.
#[derive(Debug)]
pub struct Parallel {
    max: u32,
    in_use: AtomicU32,
}

impl Parallel {
    /// Makes a bound; 0 lets nobody in.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self {
            max,
            in_use: AtomicU32::new(0),
        }
    }

    /// Takes a place, which is given back when the permit is dropped; `None` when all are taken.
    #[must_use]
    pub fn try_enter(self: &Arc<Self>) -> Option<ParallelPermit> {
        let one_more = |in_use| (in_use < self.max).then_some(in_use + 1);
        self.in_use
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more)
            .ok()?;
        Some(ParallelPermit(Arc::clone(self)))
    }

    /// Returns how many places are taken.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Returns how many places there are.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.max
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct ParallelPermit(Arc<Parallel>);

impl Drop for ParallelPermit {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_bound_and_no_place_is_lost(
            max in 0_u32..5,
            steps in prop::collection::vec(any::<bool>(), 0..50),
        ) {
            let parallel = Arc::new(Parallel::new(max));
            let mut permits = Vec::new();
            for enters in steps {
                if enters {
                    let had_room = parallel.in_use() < max;
                    let permit = parallel.try_enter();
                    prop_assert_eq!(permit.is_some(), had_room);
                    permits.extend(permit);
                } else {
                    permits.pop();
                }
                prop_assert_eq!(parallel.in_use() as usize, permits.len());
            }
            drop(permits);
            prop_assert_eq!(parallel.in_use(), 0);
        }
    }

    #[test]
    fn threads_share_the_bound() {
        let parallel = Arc::new(Parallel::new(3));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let permit = parallel.try_enter();
                        assert!(parallel.in_use() <= 3);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(parallel.in_use(), 0);
    }
}
