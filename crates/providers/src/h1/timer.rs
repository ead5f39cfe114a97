//! A deadline that costs nothing while it keeps being met.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Fires at a deadline that moves. A deadline that moves later, which it does with every read, leaves
/// the runtime's timer where it is; that is moved when it fires.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Returns ready when the deadline has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_fires_at_the_last_deadline_that_was_set_and_not_at_an_earlier_one() {
        let mut timer = Timer::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        for deadlines in [[10, 20], [60, 30], [31, 40]] {
            let [first, then] = deadlines.map(after);
            poll_fn(|cx| {
                assert!(timer.poll(cx, first).is_pending());
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| timer.poll(cx, then)).await;
            assert_eq!(Instant::now(), then);
        }
    }
}
