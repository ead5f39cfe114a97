//! How many calls may be under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A bound on calls under way at once. It never waits: a call gets a place or is refused.
#[derive(Debug)]
pub struct Parallel {
    max: u32,
    inside: AtomicU32,
}

/// A place; dropping it gives it back.
#[derive(Debug)]
pub struct ParallelPermit(Arc<Parallel>);

impl Parallel {
    /// Allows this many at once.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self {
            max,
            inside: AtomicU32::new(0),
        }
    }

    /// Takes a place, if one is free.
    #[must_use]
    pub fn try_enter(self: &Arc<Self>) -> Option<ParallelPermit> {
        let enter = |inside| (inside < self.max).then_some(inside + 1);
        self.inside
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, enter)
            .ok()?;
        Some(ParallelPermit(Arc::clone(self)))
    }

    /// Returns how many places are taken.
    #[must_use]
    pub fn inside(&self) -> u32 {
        self.inside.load(Ordering::Acquire)
    }
}

impl Drop for ParallelPermit {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_when_permits_are_dropped() {
        let places = Arc::new(Parallel::new(2));
        let (one, two) = (places.try_enter(), places.try_enter());
        assert!(one.is_some() && two.is_some());
        assert!(places.try_enter().is_none());
        drop(one);
        assert_eq!(places.inside(), 1);
        assert!(places.try_enter().is_some());
    }

    #[test]
    fn threads_never_hold_more_places_than_there_are() {
        let places = Arc::new(Parallel::new(3));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let permit = places.try_enter();
                        assert!(places.inside() <= 3);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(places.inside(), 0);
    }
}
