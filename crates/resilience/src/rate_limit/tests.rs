use super::*;
use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

const S: Duration = Duration::from_secs(1);

fn limit(per_minute: u32) -> (RateLimit<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    clock.advance(S);
    let limit = NonZeroU32::new(per_minute).unwrap();
    (
        RateLimit::per_minute_with_clock(limit, clock.clone()),
        clock,
    )
}

#[test]
fn a_minute_s_worth_is_there_at_once_and_comes_back_evenly() {
    let (rate, clock) = limit(60);
    assert_eq!(
        rate.check(1),
        Ok(RateState {
            limit: 60,
            remaining: 59,
            reset: S
        })
    );
    assert_eq!(
        rate.check(59),
        Ok(RateState {
            limit: 60,
            remaining: 0,
            reset: 60 * S
        })
    );
    let state = RateState {
        limit: 60,
        remaining: 0,
        reset: 60 * S,
    };
    assert_eq!(
        rate.check(1),
        Err(RateLimited {
            retry_after: Some(S),
            state
        })
    );
    assert_eq!(rate.check(10).unwrap_err().retry_after, Some(10 * S));
    clock.advance(10 * S);
    assert_eq!(rate.check(11).unwrap_err().retry_after, Some(S));
    assert_eq!(rate.check(10).map(|state| state.remaining), Ok(0));
}

#[test]
fn more_than_the_limit_is_never_admitted_and_costs_nothing() {
    let (rate, _) = limit(60);
    let state = RateState {
        limit: 60,
        remaining: 60,
        reset: Duration::ZERO,
    };
    assert_eq!(
        rate.check(61),
        Err(RateLimited {
            retry_after: None,
            state
        })
    );
    assert_eq!(rate.check(u32::MAX).unwrap_err().retry_after, None);
    assert_eq!(rate.check(60).map(|state| state.remaining), Ok(0));
}

#[test]
fn nothing_costs_nothing_even_when_the_limit_is_reached() {
    let (rate, _) = limit(60);
    rate.check(60).unwrap();
    assert_eq!(rate.check(0).map(|state| state.remaining), Ok(0));
}

#[test]
fn what_was_not_used_is_given_back() {
    let (rate, _) = limit(60);
    rate.check(60).unwrap();
    rate.correct(60, 20);
    assert_eq!(rate.state().remaining, 40);
    assert!(rate.check(41).is_err());
    assert!(rate.check(40).is_ok());
}

#[test]
fn what_was_used_beyond_the_limit_is_owed() {
    let (rate, clock) = limit(60);
    rate.check(10).unwrap();
    rate.correct(10, 130);
    assert_eq!(
        rate.state(),
        RateState {
            limit: 60,
            remaining: 0,
            reset: 130 * S
        }
    );
    assert_eq!(rate.check(1).unwrap_err().retry_after, Some(71 * S));
    clock.advance(71 * S);
    assert!(rate.check(1).is_ok());
    assert!(rate.check(1).is_err());
}

#[test]
fn a_late_charge_counts_from_now() {
    let (rate, clock) = limit(60);
    rate.check(10).unwrap();
    clock.advance(600 * S);
    rate.correct(10, 25);
    assert_eq!(rate.state().remaining, 45);
}

#[test]
fn a_refund_never_makes_more_than_the_limit() {
    let (rate, clock) = limit(60);
    rate.check(10).unwrap();
    clock.advance(600 * S);
    rate.correct(10, 0);
    rate.correct(u32::MAX, 0);
    assert_eq!(rate.state().remaining, 60);
    assert!(rate.check(60).is_ok());
    assert!(rate.check(1).is_err());
}

#[test]
fn absurd_counts_are_owed_for_a_day_at_the_most() {
    for per_minute in [1, 60, u32::MAX] {
        let (rate, clock) = limit(per_minute);
        rate.correct(0, u32::MAX);
        rate.correct(0, u32::MAX);
        assert!(rate.state().reset <= DEBT_MAX);
        clock.advance(DEBT_MAX);
        assert!(rate.check(1).is_ok());
    }
}

#[test]
fn threads_never_take_more_than_there_is() {
    let (rate, _) = limit(1_000);
    let taken = std::thread::scope(|scope| {
        let take = || (0..1_000).filter(|_| rate.check(1).is_ok()).count();
        let threads = [(); 4].map(|()| scope.spawn(take));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(taken, 1_000);
}

proptest! {
    #[test]
    fn no_stretch_of_time_admits_more_than_the_limit_and_what_comes_back_in_it(
        per_minute in 1_u32..200,
        steps in prop::collection::vec((0_u64..20_000, 1_u32..250), 1..80),
    ) {
        let (rate, clock) = limit(per_minute);
        let mut now_ms = 0;
        let mut admitted = Vec::new();
        for (wait_ms, cost) in steps {
            clock.advance(Duration::from_millis(wait_ms));
            now_ms += wait_ms;
            match rate.check(cost) {
                Ok(_) => admitted.push((now_ms, u64::from(cost))),
                Err(limited) => prop_assert_eq!(limited.retry_after.is_none(), cost > per_minute),
            }
        }
        for (at, (start_ms, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (end_ms, cost) in &admitted[at..] {
                sum += cost;
                let given_back = u64::from(per_minute) * (end_ms - start_ms) / 60_000 + 1;
                prop_assert!(sum <= u64::from(per_minute) + given_back);
            }
        }
    }

    #[test]
    fn a_refusal_says_when_there_will_be_enough(
        per_minute in 1_u32..10_000,
        before in 0_u32..20_000,
        cost in 1_u32..10_000,
    ) {
        let (rate, clock) = limit(per_minute);
        rate.correct(0, before);
        let cost = cost.min(per_minute);
        if let Err(limited) = rate.check(cost) {
            let wait = limited.retry_after.unwrap();
            clock.advance(wait - Duration::from_nanos(1));
            prop_assert!(rate.check(cost).is_err());
            clock.advance(Duration::from_nanos(1));
            prop_assert!(rate.check(cost).is_ok());
        }
    }

    #[test]
    fn corrected_is_as_if_the_truth_had_been_known(
        per_minute in 1_u32..10_000,
        calls in prop::collection::vec((1_u32..500, 0_u32..500), 0..20),
    ) {
        let (rate, _) = limit(per_minute);
        let mut used = 0_u64;
        for (reserved, actual) in calls {
            if rate.check(reserved).is_ok() {
                rate.correct(reserved, actual);
                used += u64::from(actual);
            }
        }
        let left = u64::from(per_minute).saturating_sub(used);
        prop_assert_eq!(u64::from(rate.state().remaining), left);
    }
}
