//! Rules for what an installation needs as a whole: its chains of audit entries, its leases.

use tollgate_domain::{OrgId, Timestamp};

use super::fixtures::{
    NOW, audit, org_id, organization, platform_audit, session, token, user, user_id,
};
use super::refusals::{invalid, outdated};
use crate::{AuditPruned, PRUNED_RECORD_BYTES_MAX, Store};

fn pruned(chain: Option<OrgId>, seq: u64) -> AuditPruned {
    AuditPruned {
        org_id: chain,
        seq,
        record: format!("record {seq}"),
    }
}

/// Every organization with entries once, in the order of ids; the installation's is asked for by itself.
pub fn chains_and_their_ends_are_listed(store: &dyn Store) {
    assert_eq!(store.count_audit().unwrap(), 0);
    assert_eq!(store.list_audit_chains(None, 9).unwrap(), []);
    store.record_audit(&platform_audit()).unwrap();
    for org in [3, 1, 2, 1] {
        store.record_audit(&audit(org)).unwrap();
    }
    assert_eq!(store.count_audit().unwrap(), 5);
    let all = [1, 2, 3].map(org_id);
    assert_eq!(store.list_audit_chains(None, 9).unwrap(), all);
    assert_eq!(store.list_audit_chains(None, 2).unwrap(), all[..2]);
    assert_eq!(store.list_audit_chains(Some(all[1]), 9).unwrap(), all[2..]);
    let heads = store.list_audit_heads(None, 2).unwrap();
    let expected = all[..2]
        .iter()
        .map(|org| store.find_audit_head(Some(*org)).unwrap().unwrap());
    assert_eq!(heads, expected.collect::<Vec<_>>());
    assert_eq!(heads[0].seq, 2);
    assert_eq!(store.list_audit_heads(Some(all[2]), 2).unwrap(), []);
}

/// For the store as the owner of the tables has it, where there are roles. The beginning of a chain goes when a record stands for it, and no other entry does.
pub fn what_a_record_stands_for_can_be_removed(store: &dyn Store) {
    for _ in 0..6 {
        store.record_audit(&audit(1)).unwrap();
        store.record_audit(&platform_audit()).unwrap();
    }
    let chain = Some(org_id(1));
    assert_eq!(store.find_audit_pruned(chain).unwrap(), None);
    assert_eq!(store.remove_pruned_audit(chain, 9).unwrap(), 0);
    for wrong in [pruned(chain, 7), pruned(chain, 0), pruned(chain, u64::MAX)] {
        invalid(store.add_audit_pruned(&wrong, &audit(1)));
    }
    for record in ["", "\0", &"x".repeat(PRUNED_RECORD_BYTES_MAX + 1)] {
        let record = record.to_owned();
        let wrong = AuditPruned {
            record,
            ..pruned(chain, 1)
        };
        invalid(store.add_audit_pruned(&wrong, &audit(1)));
    }
    invalid(store.add_audit_pruned(&pruned(Some(org_id(2)), 1), &audit(2)));
    invalid(store.add_audit_pruned(&pruned(chain, 3), &platform_audit()));

    store
        .add_audit_pruned(&pruned(chain, 3), &audit(1))
        .unwrap();
    outdated(store.add_audit_pruned(&pruned(chain, 3), &audit(1)));
    assert_eq!(
        store.find_audit_pruned(chain).unwrap(),
        Some(pruned(chain, 3))
    );
    assert_eq!(store.remove_pruned_audit(chain, 2).unwrap(), 2);
    assert_eq!(store.remove_pruned_audit(chain, 2).unwrap(), 1);
    assert_eq!(store.remove_pruned_audit(chain, 2).unwrap(), 0);
    let left = |chain| {
        let entries = store.read_audit(chain, 0, 99).unwrap();
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(
        left(chain),
        [4, 5, 6, 7],
        "the pruning itself is written down"
    );
    assert_eq!(left(None), [1, 2, 3, 4, 5, 6]);

    store
        .add_audit_pruned(&pruned(chain, 7), &audit(1))
        .unwrap();
    assert_eq!(store.remove_pruned_audit(chain, 99).unwrap(), 4);
    store.record_audit(&audit(1)).unwrap();
    assert_eq!(left(chain), [8, 9]);
    store
        .add_audit_pruned(&pruned(None, 1), &platform_audit())
        .unwrap();
    assert_eq!(store.remove_pruned_audit(None, 99).unwrap(), 1);
    assert_eq!(left(None), [2, 3, 4, 5, 6, 7]);
    assert_eq!(store.list_audit_chains(None, 9).unwrap(), [org_id(1)]);
}

/// One holds it until its time is over or it is given back.
pub fn a_lease_is_held_by_one(store: &dyn Store) {
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let take = |holder: &str, now: i64, until: i64| {
        store.take_lease("job", holder, at(now), at(until)).unwrap()
    };
    assert!(take("a", 1, 10));
    assert!(!take("b", 2, 20));
    assert!(take("a", 3, 12), "who holds it may keep it");
    assert!(!take("b", 11, 20));
    assert!(take("b", 12, 20), "its time is over");
    assert!(!take("a", 12, 30));
    assert!(store.take_lease("other", "a", at(12), at(30)).unwrap());
    store.end_lease("job", "a").unwrap();
    assert!(!take("a", 13, 30), "it was not theirs to give back");
    store.end_lease("job", "b").unwrap();
    assert!(take("a", 13, 30));
    for name in ["", "a b", "\0", &"x".repeat(65)] {
        invalid(store.take_lease(name, "a", at(1), at(2)));
        invalid(store.take_lease("job", name, at(1), at(2)));
    }
    let won: usize = std::thread::scope(|scope| {
        let one = |n: usize| {
            store
                .take_lease("race", &n.to_string(), at(1), at(2))
                .unwrap()
        };
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || one(n))).collect();
        let won = threads.into_iter().map(|thread| thread.join().unwrap());
        won.map(usize::from).sum()
    });
    assert_eq!(won, 1);
}

/// Whoever was signed in has to sign in again, and no link that was sent works any more.
pub fn everybody_is_signed_out_at_once(store: &dyn Store) {
    let by = platform_audit();
    store.add_organization(&organization(1), &by).unwrap();
    let epoch = |store: &dyn Store| store.auth_epoch().unwrap();
    let before = epoch(store);
    assert_eq!(store.end_all_sessions(NOW, &by).unwrap(), 0);
    assert_eq!(epoch(store), before + 1, "even when nobody was");
    for n in [1, 2] {
        store.add_user(&user(n), &by).unwrap();
    }
    for n in [1, 2] {
        store.add_session(&session(n, u64::from(n)), &by).unwrap();
        store
            .add_one_time_token(&token(n, Some(u64::from(n))), &by)
            .unwrap();
    }
    let before = epoch(store);
    assert_eq!(store.end_all_sessions(NOW, &by).unwrap(), 2);
    assert_eq!(epoch(store), before + 1);
    for n in [1, 2] {
        let sessions = store.list_sessions(user_id(u64::from(n)), None, 9).unwrap();
        assert_eq!(sessions, []);
        let sent = token(n, None);
        let found = store
            .find_one_time_token(&sent.mac, sent.purpose, NOW)
            .unwrap();
        assert_eq!(found, None);
    }
}
