//! Requests with a name: done once, and answered alike.

use std::cell::Cell;

use tollgate_control::{ANSWER_SECONDS, ControlError, Once, Repeatable};
use tollgate_domain::{OrgId, Timestamp};
use tollgate_store::KeptAnswer;
use tollgate_validation::IdempotencyKey;

use crate::desk::{ACME, Desk, NOW, OTHER, owner};

struct Tries {
    desk: Desk,
    done: Cell<u32>,
}

impl Tries {
    fn new() -> Self {
        Self {
            desk: Desk::new(),
            done: Cell::new(0),
        }
    }

    fn once(
        &self,
        org: OrgId,
        body: u8,
        now: Timestamp,
        fails: bool,
    ) -> Result<Once<u32>, ControlError> {
        let key = IdempotencyKey::parse(b"k").unwrap();
        let repeatable = Repeatable::new(&owner(org), &key, [body; 32], now);
        let run = |_: &tollgate_control::Control| {
            self.done.set(self.done.get() + 1);
            if fails {
                Err(ControlError::NotFound("thing"))
            } else {
                Ok(self.done.get())
            }
        };
        let keep = |done: &u32| KeptAnswer {
            status: 201,
            body: format!("{{\"n\":{done}}}"),
        };
        self.desk.control.once(&repeatable, now, run, keep)
    }
}

#[test]
fn a_repetition_is_answered_and_not_done() {
    let tries = Tries::new();
    assert!(matches!(
        tries.once(ACME, 1, NOW, false),
        Ok(Once::First(1))
    ));
    for _ in 0..2 {
        let Ok(Once::Again(answer)) = tries.once(ACME, 1, NOW, false) else {
            panic!("it is not answered again")
        };
        assert_eq!((answer.status, &*answer.body), (201, "{\"n\":1}"));
    }
    assert_eq!(tries.done.get(), 1);
    // Another caller's names are others.
    assert!(matches!(
        tries.once(OTHER, 1, NOW, false),
        Ok(Once::First(2))
    ));
}

#[test]
fn a_name_stands_for_one_request() {
    let tries = Tries::new();
    tries.once(ACME, 1, NOW, false).unwrap();
    let reused = tries.once(ACME, 2, NOW, false);
    assert!(matches!(reused, Err(ControlError::Reused)));
    assert_eq!(tries.done.get(), 1);
}

#[test]
fn what_failed_can_be_tried_again() {
    let tries = Tries::new();
    let failed = tries.once(ACME, 1, NOW, true);
    assert!(matches!(failed, Err(ControlError::NotFound(_))));
    assert!(matches!(
        tries.once(ACME, 2, NOW, false),
        Ok(Once::First(2))
    ));
}

#[test]
fn a_name_is_free_again_after_a_day() {
    let tries = Tries::new();
    tries.once(ACME, 1, NOW, false).unwrap();
    let end = NOW.plus_seconds(ANSWER_SECONDS);
    let before = Timestamp::from_micros(end.micros() - 1);
    assert!(matches!(
        tries.once(ACME, 1, before, false),
        Ok(Once::Again(_))
    ));
    assert!(matches!(
        tries.once(ACME, 1, end, false),
        Ok(Once::First(2))
    ));
}

#[test]
fn while_it_is_being_done_nobody_else_does_it() {
    let tries = Tries::new();
    let key = IdempotencyKey::parse(b"k").unwrap();
    let repeatable = Repeatable::new(&owner(ACME), &key, [1; 32], NOW);
    let keep = |(): &()| KeptAnswer {
        status: 200,
        body: "{}".to_owned(),
    };
    let outer = tries.desk.control.once(
        &repeatable,
        NOW,
        |_| {
            let inner = tries.once(ACME, 1, NOW, false);
            assert!(matches!(inner, Err(ControlError::Unfinished)));
            Ok(())
        },
        keep,
    );
    assert!(matches!(outer, Ok(Once::First(()))));
    assert_eq!(tries.done.get(), 0);
}
