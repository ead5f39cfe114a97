//! A bound on computations at once, and on those that wait for their turn.

use parking_lot::{Condvar, Mutex};

/// Lets a few threads pass at once and a bounded number wait, first come, first served.
#[derive(Debug)]
pub(crate) struct Turnstile {
    inside_max: usize,
    waiting_max: usize,
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    waiting: usize,
    /// Places that were handed to waiting threads which have not woken up yet: they count as inside, so
    /// that nobody overtakes those who wait.
    handed_over: usize,
}

/// The right to be inside, given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass<'a>(&'a Turnstile);

impl Turnstile {
    pub(crate) fn new(inside_max: usize, waiting_max: usize) -> Self {
        Self {
            inside_max,
            waiting_max,
            state: Mutex::default(),
            turn: Condvar::new(),
        }
    }

    /// Waits for a place; `None` at once when as many as may wait do so already.
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        let mut state = self.state.lock();
        if state.inside < self.inside_max {
            state.inside += 1;
            return Some(Pass(self));
        }
        if state.waiting >= self.waiting_max {
            return None;
        }
        state.waiting += 1;
        self.turn
            .wait_while(&mut state, |state| state.handed_over == 0);
        state.handed_over -= 1;
        Some(Pass(self))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if state.waiting > 0 {
            state.waiting -= 1;
            state.handed_over += 1;
            self.0.turn.notify_one();
        } else {
            state.inside -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    /// Waits until this many threads wait in the turnstile.
    fn until_waiting(turnstile: &Turnstile, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while turnstile.state.lock().waiting != count {
            assert!(Instant::now() < deadline, "{count} threads should wait");
            std::thread::yield_now();
        }
    }

    #[test]
    fn two_are_inside_and_thirty_two_wait_and_the_next_is_turned_away() {
        let turnstile = Turnstile::new(2, 32);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let passes = [turnstile.enter().unwrap(), turnstile.enter().unwrap()];
            for _ in 0..32 {
                scope.spawn(|| {
                    let _pass = turnstile.enter().unwrap();
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
            until_waiting(&turnstile, 32);
            assert!(turnstile.enter().is_none());
            drop(passes);
        });
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        let state = turnstile.state.lock();
        assert_eq!((state.inside, state.waiting, state.handed_over), (0, 0, 0));
    }

    #[test]
    fn nobody_overtakes_those_who_wait() {
        let turnstile = &Turnstile::new(1, 1);
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            let first = turnstile.enter().unwrap();
            scope.spawn(move || {
                let pass = turnstile.enter().unwrap();
                receiver.recv().unwrap();
                drop(pass);
            });
            until_waiting(turnstile, 1);
            drop(first);
            // The place belongs to the one that waited, whether it has woken up or not.
            assert_eq!(turnstile.state.lock().inside, 1);
            scope.spawn(|| drop(turnstile.enter().unwrap()));
            until_waiting(turnstile, 1);
            assert!(turnstile.enter().is_none());
            sender.send(()).unwrap();
        });
        assert!(turnstile.enter().is_some());
    }
}
