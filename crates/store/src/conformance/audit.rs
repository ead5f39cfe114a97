//! Rules for audit entries.

use tollgate_domain::{
    Actor, AuditDraft, AuditEntry, AuditOutcome, DIGEST_BYTES, OrgId, Organization,
};

use super::fixtures::{
    NOW, TestSealer, audit, key, key_id, org_id, organization, platform_audit, session, team, user,
    user_id,
};
use super::refusals::invalid;
use crate::{AuditFilter, AuditHead, AuditSealer, NAME_BYTES_MAX, Store};

fn whole(store: &dyn Store, chain: Option<OrgId>) -> Vec<AuditEntry> {
    store.read_audit(chain, 0, u16::MAX).unwrap()
}

/// Says whether each entry follows the one before it, from the first on.
fn verify(chain: &[AuditEntry]) {
    let mut previous = [0; DIGEST_BYTES];
    for (seq, entry) in (1..).zip(chain) {
        assert_eq!((entry.seq, entry.previous), (seq, previous));
        assert_eq!(entry.seal, TestSealer.seal(entry), "{entry:?}");
        previous = entry.seal;
    }
}

fn act(draft: AuditDraft, action: &'static str) -> AuditDraft {
    AuditDraft { action, ..draft }
}

/// A change and its entry are there together; what fails or changes nothing leaves none.
pub fn every_change_has_its_entry_and_no_other(store: &dyn Store) {
    let org = |action| act(audit(1), action);
    let platform = |action| act(platform_audit(), action);
    store
        .add_organization(&organization(1), &platform("org.create"))
        .unwrap();
    store.add_api_key(&key(1, 1), &org("key.create")).unwrap();
    store.add_api_key(&key(1, 1), &org("failed")).unwrap_err();
    store
        .update_api_key(&key(1, 1), &org("key.change"))
        .unwrap();
    store
        .update_api_key(&key(1, 1), &org("failed"))
        .unwrap_err();
    for action in ["key.revoke", "nothing"] {
        store
            .revoke_api_key(org_id(1), key_id(1), NOW, &org(action))
            .unwrap();
    }
    store.add_team(&team(1, 1), &org("team.create")).unwrap();
    store
        .update_organization(&organization(1), &org("org.change"))
        .unwrap();
    store.add_user(&user(1), &platform("user.create")).unwrap();
    store
        .add_session(&session(1, 1), &platform("sign_in"))
        .unwrap();
    store
        .revoke_sessions(user_id(1), None, NOW, &platform("sign_out"))
        .unwrap();
    store
        .revoke_sessions(user_id(1), None, NOW, &platform("nothing"))
        .unwrap();
    let actions = |chain| -> Vec<String> {
        let entries = whole(store, chain).into_iter();
        entries.map(|entry| entry.action).collect()
    };
    assert_eq!(
        actions(Some(org_id(1))),
        [
            "key.create",
            "key.change",
            "key.revoke",
            "team.create",
            "org.change"
        ]
    );
    assert_eq!(
        actions(None),
        ["org.create", "user.create", "sign_in", "sign_out"]
    );
    assert_eq!(actions(Some(org_id(2))), Vec::<String>::new());
}

/// Every field comes back, sealed, after the entry before it; chains do not touch each other.
pub fn chains_are_sealed_and_have_no_gaps(store: &dyn Store) {
    let full = AuditDraft {
        actor: Actor::User(user_id(7)),
        outcome: AuditOutcome::Denied,
        object: "key_…".to_owned(),
        request_id: "req_1".to_owned(),
        client_ip: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        before: Some([1; DIGEST_BYTES]),
        after: Some([2; DIGEST_BYTES]),
        details: "name, models".to_owned(),
        ..audit(1)
    };
    for chain in [None, Some(org_id(1))] {
        assert_eq!(store.find_audit_head(chain).unwrap(), None);
    }
    for (n, draft) in (1..).zip([&full, &audit(1), &full]) {
        let entry = store.record_audit(draft).unwrap();
        let previous = whole(store, Some(org_id(1)))
            .iter()
            .rev()
            .nth(1)
            .map_or([0; DIGEST_BYTES], |before| before.seal);
        let mut expected = draft.follow(n, previous);
        expected.seal = TestSealer.seal(&expected);
        assert_eq!(entry, expected);
        store.record_audit(&platform_audit()).unwrap();
    }
    for chain in [None, Some(org_id(1))] {
        let entries = whole(store, chain);
        assert_eq!(entries.len(), 3);
        verify(&entries);
        let head = AuditHead {
            org_id: chain,
            seq: 3,
            seal: entries[2].seal,
        };
        assert_eq!(store.find_audit_head(chain).unwrap(), Some(head));
        assert_eq!(store.read_audit(chain, 1, 1).unwrap(), entries[1..2]);
        assert_eq!(store.read_audit(chain, 3, 1).unwrap(), []);
    }
    assert_eq!(store.find_audit_head(Some(org_id(9))).unwrap(), None);
    let long = AuditDraft {
        object: "x".repeat(NAME_BYTES_MAX + 1),
        ..audit(1)
    };
    invalid(store.record_audit(&long));
    invalid(store.record_audit(&audit(0)));
    invalid(store.record_audit(&AuditDraft {
        details: "\0".to_owned(),
        ..audit(1)
    }));
}

/// Newest first, page after page, within one chain.
pub fn lists_are_filtered_and_paged(store: &dyn Store) {
    for n in 0..10_i64 {
        let draft = AuditDraft {
            at: NOW.plus_seconds(n),
            actor: if n % 2 == 0 {
                Actor::System
            } else {
                Actor::Key(key_id(1))
            },
            object: format!("object {}", n % 3),
            ..act(audit(1), if n < 5 { "early" } else { "late" })
        };
        store.record_audit(&draft).unwrap();
        store.record_audit(&audit(2)).unwrap();
    }
    let list = |filter: &AuditFilter, before, limit| -> Vec<u64> {
        let page = store.list_audit(Some(org_id(1)), filter, before, limit);
        page.unwrap().iter().map(|entry| entry.seq).collect()
    };
    let all = AuditFilter::default();
    assert_eq!(list(&all, None, 4), [10, 9, 8, 7]);
    assert_eq!(list(&all, Some(7), 4), [6, 5, 4, 3]);
    assert_eq!(list(&all, Some(1), 4), []);
    let check = |filter: AuditFilter, expected: &[u64]| {
        assert_eq!(list(&filter, None, 99), expected, "{filter:?}");
    };
    let some = |text: &str| Some(text.to_owned());
    check(
        AuditFilter {
            action: some("early"),
            ..all.clone()
        },
        &[5, 4, 3, 2, 1],
    );
    check(
        AuditFilter {
            object: some("object 0"),
            ..all.clone()
        },
        &[10, 7, 4, 1],
    );
    let actor = Actor::Key(key_id(1)).to_string();
    check(
        AuditFilter {
            actor: Some(actor),
            ..all.clone()
        },
        &[10, 8, 6, 4, 2],
    );
    check(
        AuditFilter {
            outcome: Some(AuditOutcome::Denied),
            ..all.clone()
        },
        &[],
    );
    let (from, until) = (Some(NOW.plus_seconds(2)), Some(NOW.plus_seconds(4)));
    check(
        AuditFilter {
            from,
            until,
            ..all.clone()
        },
        &[4, 3],
    );
    check(
        AuditFilter {
            action: some("a\0b"),
            ..all
        },
        &[],
    );
}

/// However many write at once: one chain, each number once, each seal over the one before it.
pub fn threads_that_write_one_chain_leave_no_gap(store: &dyn Store) {
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            scope.spawn(move || {
                for n in 0..10 {
                    let number = thread * 10 + n + 1;
                    store
                        .add_organization(&organization(number), &platform_audit())
                        .unwrap();
                    store.record_audit(&audit(1)).unwrap();
                }
            });
        }
    });
    for chain in [None, Some(org_id(1))] {
        let entries = whole(store, chain);
        assert_eq!(entries.len(), 40);
        verify(&entries);
    }
}

/// A change in an organization is not written down in another's book, nor made without one.
pub fn an_entry_in_another_chain_is_refused_with_its_change(store: &dyn Store) {
    store.add_organization(&organization(1), &audit(1)).unwrap();
    for draft in [audit(2), platform_audit()] {
        invalid(store.add_api_key(&key(1, 1), &draft));
        invalid(store.add_team(&team(1, 1), &draft));
        let change = Organization {
            blocked: true,
            ..organization(1)
        };
        invalid(store.update_organization(&change, &draft));
    }
    invalid(store.add_organization(&organization(2), &audit(1)));
    assert_eq!(store.find_api_key(org_id(1), key_id(1)).unwrap(), None);
    assert_eq!(store.find_organization(org_id(2)).unwrap(), None);
    assert_eq!(whole(store, Some(org_id(1))).len(), 1);
}
