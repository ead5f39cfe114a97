//! Rules for requests with names.

use tollgate_domain::{Actor, Timestamp};

use super::fixtures::{NOW, audit, key_id, org_id, organization, user_id};
use super::refusals::invalid;
use crate::{ANSWER_BYTES_MAX, Begun, KeptAnswer, NamedRequest, Store};

const END: Timestamp = NOW.plus_seconds(60);

fn request(org: u64, name: &str, salt: u8) -> NamedRequest {
    NamedRequest {
        org_id: org_id(org),
        actor: Actor::Key(key_id(1)),
        name: name.to_owned(),
        digest: [salt; 32],
        expires_at: END,
    }
}

fn answer(body: &str) -> KeptAnswer {
    KeptAnswer {
        status: 201,
        body: body.to_owned(),
    }
}

fn organizations(store: &dyn Store) {
    for n in 1..=2 {
        store.add_organization(&organization(n), &audit(n)).unwrap();
    }
}

/// A request is first once; then it has no end, and then the answer that it had.
pub fn a_request_with_a_name_is_done_once(store: &dyn Store) {
    organizations(store);
    let begin = |request: &NamedRequest| store.begin_request(request, NOW).unwrap();
    let own = request(1, "a", 1);
    assert_eq!(begin(&own), Begun::First);
    assert_eq!(begin(&own), Begun::Unfinished);
    assert_eq!(begin(&request(1, "a", 2)), Begun::Different);
    store.finish_request(&own, &answer("{}")).unwrap();
    store.finish_request(&own, &answer("other")).unwrap();
    store.forget_request(&own).unwrap();
    assert_eq!(begin(&own), Begun::Answered(answer("{}")));
    assert_eq!(begin(&request(1, "a", 2)), Begun::Different);
}

/// Names are those of one caller in one organization.
pub fn names_of_requests_are_their_callers(store: &dyn Store) {
    organizations(store);
    let by_user = NamedRequest {
        actor: Actor::User(user_id(1)),
        ..request(1, "a", 1)
    };
    let by_other = NamedRequest {
        actor: Actor::Key(key_id(2)),
        ..request(1, "a", 1)
    };
    for own in [
        request(1, "a", 1),
        request(1, "b", 1),
        request(2, "a", 1),
        by_user,
        by_other,
    ] {
        assert_eq!(
            store.begin_request(&own, NOW).unwrap(),
            Begun::First,
            "{own:?}"
        );
    }
}

/// What was not done can be tried again, also as something else.
pub fn a_request_that_failed_gives_its_name_free(store: &dyn Store) {
    organizations(store);
    let own = request(1, "a", 1);
    for salt in [1, 2] {
        let own = request(1, "a", salt);
        assert_eq!(store.begin_request(&own, NOW).unwrap(), Begun::First);
        store.forget_request(&own).unwrap();
    }
    // Nothing was begun: there is nothing to keep.
    store.finish_request(&own, &answer("{}")).unwrap();
    assert_eq!(store.begin_request(&own, NOW).unwrap(), Begun::First);
}

/// A name is free again when its time is up.
pub fn names_of_requests_expire(store: &dyn Store) {
    organizations(store);
    let own = request(1, "a", 1);
    let before = Timestamp::from_micros(END.micros() - 1);
    assert_eq!(store.begin_request(&own, NOW).unwrap(), Begun::First);
    store.finish_request(&own, &answer("{}")).unwrap();
    let kept = store.begin_request(&own, before).unwrap();
    assert_eq!(kept, Begun::Answered(answer("{}")));
    let later = NamedRequest {
        expires_at: END.plus_seconds(60),
        ..request(1, "a", 2)
    };
    assert_eq!(store.begin_request(&later, END).unwrap(), Begun::First);
    assert_eq!(store.begin_request(&later, END).unwrap(), Begun::Unfinished);
}

/// Of threads that begin the same request, one is first.
pub fn threads_that_begin_a_request_agree_who_is_first(store: &dyn Store) {
    organizations(store);
    let begun: Vec<_> = std::thread::scope(|scope| {
        let own = request(1, "a", 1);
        let begin = move || store.begin_request(&own, NOW).unwrap();
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(begin.clone())).collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        ended.collect()
    });
    let firsts = begun.iter().filter(|one| **one == Begun::First).count();
    let rest = begun
        .iter()
        .filter(|one| **one == Begun::Unfinished)
        .count();
    assert_eq!((firsts, rest), (1, 5));
}

/// Names and answers have bounds.
pub fn a_request_that_cannot_be_kept_is_refused(store: &dyn Store) {
    organizations(store);
    for name in ["\0", &"x".repeat(513)] {
        invalid(store.begin_request(&request(1, name, 1), NOW));
    }
    let own = request(1, &"x".repeat(512), 1);
    assert_eq!(store.begin_request(&own, NOW).unwrap(), Begun::First);
    for body in ["\0", &"x".repeat(ANSWER_BYTES_MAX + 1)] {
        invalid(store.finish_request(&own, &answer(body)));
    }
    let longest = answer(&"x".repeat(ANSWER_BYTES_MAX));
    store.finish_request(&own, &longest).unwrap();
    let kept = store.begin_request(&own, NOW).unwrap();
    assert_eq!(kept, Begun::Answered(longest));
}
