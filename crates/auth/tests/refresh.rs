//! Random interleavings of those who hold refresh tokens of one family, rightly or not.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails its test")]

use std::collections::HashMap;

use proptest::prelude::*;
use tollgate_auth::{
    REUSE_GRACE_SECONDS, RefreshDecision, RefreshFamily, RefreshRecord, SecretToken, TokenPepper,
    TokenPurpose, decide_refresh,
};
use tollgate_domain::{SessionId, Timestamp};

const START: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// What a store does: one condition at a time, no lock over a request.
struct Store {
    pepper: TokenPepper,
    family: RefreshFamily,
    records: HashMap<[u8; 32], RefreshRecord>,
}

/// What was read for a request that has not written yet.
struct Request {
    token: SecretToken,
    read: RefreshRecord,
    family: RefreshFamily,
    now: Timestamp,
}

impl Store {
    fn new() -> (Self, SecretToken) {
        let pepper = TokenPepper::derive(&[5; 32]);
        let token = SecretToken::generate(TokenPurpose::Refresh).unwrap();
        let ends_at = START.plus_seconds(1_000_000);
        let first = RefreshRecord::first(SessionId::from_bytes([1; 16]), ends_at);
        let store = Self {
            records: HashMap::from([(pepper.mac(&token), first)]),
            pepper,
            family: RefreshFamily {
                ends_at,
                is_revoked: false,
            },
        };
        (store, token)
    }

    fn read(&self, token: &SecretToken, now: Timestamp) -> Request {
        Request {
            token: token.clone(),
            read: self.records[&self.pepper.mac(token)],
            family: self.family,
            now,
        }
    }

    /// Finishes a request with what it read, which may be outdated; returns the token it is answered.
    fn finish(&mut self, request: &Request) -> Option<SecretToken> {
        let mut decision = decide_refresh(&request.read, &request.family, request.now);
        if decision == RefreshDecision::Exchange {
            let mac = self.pepper.mac(&request.token);
            let next = self.pepper.successor(&request.token);
            let next_mac = self.pepper.mac(&next);
            let current = self.records[&mac];
            let made = current.exchange(next_mac, self.family.ends_at, request.now);
            match made.filter(|_| !self.family.is_revoked) {
                Some((used, successor)) => {
                    self.records.insert(mac, used);
                    let before = self.records.insert(next_mac, successor);
                    assert_eq!(before, None, "a successor is made once");
                    return Some(next);
                }
                None => decision = decide_refresh(&current, &self.family, request.now),
            }
        }
        match decision {
            RefreshDecision::Repeat { successor } => {
                let next = self.pepper.successor(&request.token);
                assert_eq!(
                    self.pepper.mac(&next),
                    successor,
                    "always the same successor"
                );
                Some(next)
            }
            RefreshDecision::Revoke => {
                self.family.is_revoked = true;
                None
            }
            RefreshDecision::Exchange | RefreshDecision::Refuse => None,
        }
    }

    fn live_leaves(&self) -> usize {
        let unused = self.records.values().filter(|record| record.used.is_none());
        if self.family.is_revoked {
            0
        } else {
            unused.count()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any token that was ever given out, at any time, in requests that overlap.
    #[test]
    fn a_family_never_has_two_live_leaves(
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0i64..15, any::<bool>()), 1..60),
    ) {
        let (mut store, first) = Store::new();
        let (mut given, mut open, mut now) = (vec![first], Vec::new(), START);
        for (which, seconds, is_new) in steps {
            now = now.plus_seconds(seconds);
            if is_new || open.is_empty() {
                open.push(store.read(which.get(&given), now));
            } else {
                let request: Request = open.swap_remove(which.index(open.len()));
                let was_revoked = store.family.is_revoked;
                let answer = store.finish(&request);
                prop_assert!(answer.is_none() || !request.family.is_revoked);
                prop_assert!(store.family.is_revoked || !was_revoked, "revoked once is revoked");
                given.extend(answer);
            }
            prop_assert!(store.live_leaves() <= 1);
        }
    }

    /// A thief copies the token of a client at some moment; both go on exchanging what they hold.
    #[test]
    fn a_stolen_token_that_both_use_ends_the_family(
        before in 0usize..6,
        thief_is_first in any::<bool>(),
        pauses in prop::collection::vec(REUSE_GRACE_SECONDS..100, 8),
        ahead in 1usize..4,
    ) {
        let (mut store, mut client) = Store::new();
        let mut now = START;
        for _ in 0..before {
            now = now.plus_seconds(20);
            let request = store.read(&client, now);
            client = store.finish(&request).unwrap();
        }
        let stolen = client.clone();
        let (mut fast, slow) = if thief_is_first { (stolen, client) } else { (client, stolen) };
        for pause in pauses.iter().take(ahead) {
            let request = store.read(&fast, now);
            fast = store.finish(&request).unwrap();
            now = now.plus_seconds(*pause);
        }
        prop_assert!(!store.family.is_revoked);
        let request = store.read(&slow, now);
        prop_assert!(store.finish(&request).is_none());
        prop_assert!(store.family.is_revoked);
        prop_assert_eq!(store.live_leaves(), 0);
        let request = store.read(&fast, now);
        prop_assert!(store.finish(&request).is_none(), "whoever was faster has nothing either");
    }
}
