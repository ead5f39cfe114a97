use super::*;
use failsafe::clock::{MockClock, freeze};
use proptest::prelude::*;

const S: Duration = Duration::from_secs(1);
/// An opening ends strictly after its time.
const INSTANT: Duration = Duration::from_nanos(1);
fn with_breaker(check: impl FnOnce(&Breaker, &mut MockClock)) {
    freeze(|clock| check(&Breaker::new(&BreakerConfig::default()), clock));
}

fn call(breaker: &Breaker, is_ok: bool) {
    let pass = breaker.try_pass().unwrap();
    if is_ok {
        pass.success()
    } else {
        pass.failure()
    }
}

fn open(breaker: &Breaker) {
    (0..5).for_each(|_| call(breaker, false));
    assert_eq!(breaker.state(), BreakerState::Open);
}

fn wait(breaker: &Breaker) -> Duration {
    breaker.try_pass().unwrap_err().retry_after
}

#[test]
fn failures_in_a_row_open_it() {
    with_breaker(|breaker, _| {
        (0..4).for_each(|_| call(breaker, false));
        call(breaker, true);
        (0..4).for_each(|_| call(breaker, false));
        assert_eq!(breaker.state(), BreakerState::Closed);
        call(breaker, false);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(!breaker.lets_through());
        assert_eq!(wait(breaker), 5 * S + INSTANT);
    });
}

/// One more failure after these calls, `f` and `s`, a second apart.
fn check_ratio(calls: &str, expected: BreakerState) {
    with_breaker(|breaker, clock| {
        for outcome in calls.chars() {
            call(breaker, outcome == 's');
            clock.advance(S);
        }
        assert_eq!(breaker.state(), BreakerState::Closed, "{calls}");
        call(breaker, false);
        assert_eq!(breaker.state(), expected, "{calls}");
    });
}

#[test]
fn a_share_of_failures_in_the_window_opens_it() {
    let half = "sf".repeat(9);
    check_ratio(&format!("{half}s"), BreakerState::Open);
    check_ratio(&half, BreakerState::Closed);
    check_ratio(&format!("{half}sss"), BreakerState::Closed);
}

#[test]
fn failures_that_have_left_the_window_do_not_count() {
    with_breaker(|breaker, clock| {
        let calls = |calls: &str| {
            calls
                .chars()
                .for_each(|outcome| call(breaker, outcome == 's'))
        };
        calls(&"sff".repeat(4));
        clock.advance(33 * S);
        calls(&"ssfsf".repeat(4));
        assert_eq!(
            breaker.state(),
            BreakerState::Closed,
            "8 of 20, or else 16 of 32"
        );
    });
}

#[test]
fn one_probe_at_a_time_finds_out_whether_it_is_back() {
    with_breaker(|breaker, clock| {
        open(breaker);
        clock.advance(wait(breaker));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.lets_through());
        let probe = breaker.try_pass().unwrap();
        assert!(!breaker.lets_through());
        assert_eq!(wait(breaker), PROBE_WAIT);
        probe.success();
        assert_eq!(breaker.state(), BreakerState::Closed);
        (0..4).for_each(|_| call(breaker, false));
        assert_eq!(
            breaker.state(),
            BreakerState::Closed,
            "what was before is forgotten"
        );
    });
}

#[test]
fn each_failed_probe_doubles_the_wait_up_to_its_bound() {
    with_breaker(|breaker, clock| {
        open(breaker);
        for seconds in [5, 10, 20, 40, 60, 60, 60] {
            assert_eq!(wait(breaker), seconds * S + INSTANT);
            clock.advance(wait(breaker));
            call(breaker, false);
            assert_eq!(breaker.state(), BreakerState::Open);
        }
        clock.advance(wait(breaker));
        call(breaker, true);
        open(breaker);
        assert_eq!(wait(breaker), 5 * S + INSTANT);
    });
}

#[test]
fn a_breaker_that_the_ratio_opened_doubles_too() {
    with_breaker(|breaker, clock| {
        (0..19).for_each(|at| call(breaker, at % 2 == 0));
        call(breaker, false);
        clock.advance(wait(breaker));
        call(breaker, false);
        assert_eq!(wait(breaker), 10 * S + INSTANT);
    });
}

#[test]
fn a_dropped_probe_frees_its_place_and_says_nothing() {
    with_breaker(|breaker, clock| {
        open(breaker);
        clock.advance(wait(breaker));
        drop(breaker.try_pass().unwrap());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        call(breaker, true);
        assert_eq!(breaker.state(), BreakerState::Closed);
    });
}

#[test]
fn dropped_calls_count_for_nothing() {
    with_breaker(|breaker, _| {
        (0..4).for_each(|_| call(breaker, false));
        (0..100).for_each(|_| drop(breaker.try_pass()));
        assert_eq!(breaker.state(), BreakerState::Closed);
        call(breaker, false);
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

#[test]
fn only_the_probe_decides_not_calls_from_before() {
    with_breaker(|breaker, clock| {
        let mut earlier: Vec<_> = (0..20).map(|_| breaker.try_pass().unwrap()).collect();
        open(breaker);
        earlier.pop().unwrap().success();
        assert_eq!(breaker.state(), BreakerState::Open);
        clock.advance(wait(breaker));
        let probe = breaker.try_pass().unwrap();
        earlier.pop().unwrap().success();
        earlier.pop().unwrap().failure();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        probe.success();
        earlier.into_iter().for_each(BreakerPass::failure);
        assert_eq!(breaker.state(), BreakerState::Closed);
    });
}

#[test]
fn a_dependency_that_asks_for_it_is_left_alone_for_longer() {
    with_breaker(|breaker, clock| {
        (0..4).for_each(|_| call(breaker, false));
        breaker.try_pass().unwrap().failure_after(30 * S);
        assert_eq!(wait(breaker), 30 * S + INSTANT);
        clock.advance(wait(breaker));
        breaker.try_pass().unwrap().failure_after(3_600 * S);
        assert_eq!(wait(breaker), 60 * S + INSTANT);
    });
}

#[test]
fn a_wish_that_did_not_open_it_is_forgotten() {
    with_breaker(|breaker, _| {
        breaker.try_pass().unwrap().failure_after(30 * S);
        (0..4).for_each(|_| call(breaker, false));
        assert_eq!(wait(breaker), 5 * S + INSTANT);
    });
}

#[test]
fn any_configuration_works() {
    let zero = BreakerConfig {
        failures_min: 0,
        calls_min: 0,
        failure_ratio: f64::NAN,
        window: Duration::ZERO,
        open_for: Duration::ZERO,
        open_for_max: Duration::ZERO,
    };
    let longest = BreakerConfig {
        failures_min: u32::MAX,
        calls_min: 1,
        failure_ratio: 0.0,
        window: Duration::from_secs(u64::MAX),
        open_for: Duration::MAX,
        open_for_max: Duration::from_secs(86_400),
    };
    freeze(|clock| {
        for config in [zero, longest] {
            let breaker = Breaker::new(&config);
            for at in 0..100 {
                if let Ok(pass) = breaker.try_pass() {
                    if at % 3 == 0 {
                        pass.success()
                    } else {
                        pass.failure()
                    }
                }
                clock.advance(S);
            }
        }
    });
}

#[test]
fn threads_get_one_probe() {
    let config = BreakerConfig {
        open_for: Duration::from_nanos(1),
        ..BreakerConfig::default()
    };
    let breaker = Breaker::new(&config);
    open_really(&breaker);
    let barrier = std::sync::Barrier::new(4);
    let passes = std::thread::scope(|scope| {
        let attempt = || {
            barrier.wait();
            let pass = breaker.try_pass();
            barrier.wait();
            usize::from(pass.is_ok())
        };
        let threads = [(); 4].map(|()| scope.spawn(attempt));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(passes, 1);
}

fn open_really(breaker: &Breaker) {
    (0..5).for_each(|_| call(breaker, false));
    while breaker.state() != BreakerState::HalfOpen {
        std::hint::spin_loop();
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Pass,
    Succeed,
    Fail,
    Drop,
    Wait,
}

proptest! {
    #[test]
    fn unless_it_is_closed_at_most_one_call_is_let_through(
        steps in prop::collection::vec(
            prop::sample::select(vec![Step::Pass, Step::Succeed, Step::Fail, Step::Fail, Step::Drop, Step::Wait]),
            0..200,
        ),
    ) {
        freeze(|clock| {
            let config = BreakerConfig { failures_min: 2, ..BreakerConfig::default() };
            let breaker = Breaker::new(&config);
            let mut passes: Vec<BreakerPass<'_>> = Vec::new();
            for step in steps {
                let state = breaker.state();
                match step {
                    Step::Pass => {
                        let lets_through = breaker.lets_through();
                        let pass = breaker.try_pass();
                        prop_assert_eq!(pass.is_ok(), lets_through);
                        prop_assert!(state != BreakerState::Open || pass.is_err());
                        passes.extend(pass);
                    }
                    Step::Succeed => passes.pop().into_iter().for_each(BreakerPass::success),
                    Step::Fail => passes.pop().into_iter().for_each(BreakerPass::failure),
                    Step::Drop => drop(passes.pop()),
                    Step::Wait => clock.advance(4 * S),
                }
                let is_probe = |pass: &&BreakerPass<'_>| matches!(pass.kind, PassKind::Probe { .. });
                let probes = passes.iter().filter(is_probe).count();
                prop_assert!(probes <= 1);
            }
            Ok(())
        })?;
    }
}
