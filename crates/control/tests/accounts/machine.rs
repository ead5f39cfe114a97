//! T-SESSION as a state machine: a few browsers do this and that in any order, and a model says which of
//! them is signed in.

use tollgate_control::{AccountError, SignIn};
use tollgate_domain::Timestamp;

use crate::desk::{ANN, Desk, NOW, PASSWORD, visitor};

const HOUR: i64 = 3_600;
const WALKS: u64 = 24;
const STEPS: usize = 40;
const BROWSERS: usize = 3;

/// Draws numbers that are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        // Source of the constants: Knuth, The Art of Computer Programming, volume 2, 3.3.4 (MMIX).
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// A session as the model sees it.
#[derive(Clone)]
struct Known {
    token: String,
    begun: Timestamp,
    seen: Timestamp,
    is_ended: bool,
}

impl Known {
    fn is_live(&self, now: Timestamp, is_blocked: bool) -> bool {
        !self.is_ended
            && !is_blocked
            && now < self.begun.plus_seconds(7 * 24 * HOUR)
            && now < self.seen.plus_seconds(12 * HOUR)
    }
}

struct Walk {
    desk: Desk,
    now: Timestamp,
    is_blocked: bool,
    /// Every session that ever was.
    all: Vec<Known>,
    /// Which of them each browser has.
    browsers: [Option<usize>; BROWSERS],
}

impl Walk {
    fn sign_in(&mut self, browser: usize) {
        let previous = self.browsers[browser].map(|at| self.all[at].token.clone());
        let input = SignIn {
            email: "ann@example.com",
            password: PASSWORD,
            code: None,
            previous: previous.as_deref(),
        };
        let done = self
            .desk
            .accounts
            .sign_in(&input, &visitor("192.0.2.1"), self.now);
        if self.is_blocked {
            // Waits are another test's: each walk is short of them, or gets one.
            let error = done.unwrap_err();
            assert!(matches!(
                error,
                AccountError::Refused | AccountError::Wait(_)
            ));
            return;
        }
        let done = match done {
            Err(AccountError::Wait(_)) => return,
            done => done.unwrap(),
        };
        if let Some(old) = self.browsers[browser] {
            self.all[old].is_ended = true;
        }
        self.browsers[browser] = Some(self.all.len());
        self.all.push(Known {
            token: done.token.expose().to_owned(),
            begun: self.now,
            seen: self.now,
            is_ended: false,
        });
    }

    fn use_it(&mut self, at: usize) {
        let is_in = self.desk.is_in(&self.all[at].token, self.now);
        let known = &mut self.all[at];
        assert_eq!(is_in, known.is_live(self.now, self.is_blocked));
        if is_in && self.now >= known.seen.plus_seconds(60) {
            known.seen = self.now;
        }
    }

    fn sign_out(&mut self, browser: usize) {
        if let Some(at) = self.browsers[browser].take() {
            let (token, here) = (self.all[at].token.clone(), visitor("192.0.2.1"));
            self.desk
                .accounts
                .sign_out(&token, &here, self.now)
                .unwrap();
            self.all[at].is_ended = true;
        }
    }

    fn sign_out_everywhere(&mut self, browser: usize, but_this: bool) {
        let Some(at) = self.browsers[browser] else {
            return;
        };
        if !self.all[at].is_live(self.now, self.is_blocked) {
            return;
        }
        self.use_it(at);
        let current = self.desk.current(&self.all[at].token, self.now);
        let here = visitor("192.0.2.1");
        let accounts = &self.desk.accounts;
        accounts
            .revoke_sessions(&current, but_this, &here, self.now)
            .unwrap();
        for (other, known) in self.all.iter_mut().enumerate() {
            known.is_ended |= other != at || !but_this;
        }
    }

    fn step(&mut self, draw: &mut Draw) {
        let browser = draw.below(BROWSERS);
        match draw.below(10) {
            0..=2 => self.sign_in(browser),
            3 => self.sign_out(browser),
            4 => self.sign_out_everywhere(browser, true),
            5 => self.sign_out_everywhere(browser, false),
            6 => {
                self.is_blocked = !self.is_blocked;
                let is_blocked = self.is_blocked;
                self.desk.change(ANN, |user| user.blocked = is_blocked);
            }
            _ => {
                let hours = [0, 1, 5, 11, 12, 40][draw.below(6)];
                self.now = self.now.plus_seconds(hours * HOUR);
            }
        }
    }
}

#[test]
fn t_session_any_order_of_events_leaves_in_who_the_model_says() {
    let mut were_in = 0;
    for seed in 0..WALKS {
        let mut draw = Draw(seed);
        let mut walk = Walk {
            desk: Desk::new(),
            now: NOW,
            is_blocked: false,
            all: Vec::new(),
            browsers: [None; BROWSERS],
        };
        for _ in 0..STEPS {
            walk.step(&mut draw);
            // A session that ended stays so, whoever has kept its token.
            for at in 0..walk.all.len() {
                let is_live = walk.all[at].is_live(walk.now, walk.is_blocked);
                were_in += usize::from(is_live);
                if !is_live || draw.below(3) == 0 {
                    walk.use_it(at);
                }
            }
        }
    }
    assert!(were_in > 300, "the walks saw sessions that live: {were_in}");
}
