//! Entries and chains to test with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tollgate_audit::{Notary, RootKey, Sealer};
use tollgate_domain::{
    Actor, AuditDraft, AuditEntry, AuditOutcome, DIGEST_BYTES, KeyId, OrgId, Timestamp, UserId,
};

/// 2026-09-21T14:13:20Z.
pub(crate) const START: i64 = 1_790_000_000_000_000;

pub(crate) struct Installation {
    pub(crate) sealer: Sealer,
    pub(crate) notary: Notary,
}

pub(crate) fn installation(key: u8) -> Installation {
    let root = RootKey::from_bytes(&[key; 32]);
    Installation {
        sealer: Sealer::derive(&root).unwrap(),
        notary: Notary::derive(&root).unwrap(),
    }
}

/// What happens as the entry of this number, with every kind of value in turn.
pub(crate) fn draft(org_id: Option<OrgId>, number: u64) -> AuditDraft {
    let small = (number % 251) as u8;
    AuditDraft {
        org_id,
        at: Timestamp::from_micros(START + number.cast_signed() * 1_000_003),
        actor: match number % 4 {
            0 => Actor::Key(KeyId::from_bytes([small; 16])),
            1 => Actor::User(UserId::from_bytes([small; 16])),
            2 => Actor::Anonymous,
            _ => Actor::System,
        },
        action: ["key.create", "key.revoke", "session.begin", "budget.update"]
            [(number / 4 % 4) as usize],
        object: match number % 3 {
            0 => String::new(),
            _ => KeyId::from_bytes([small; 16]).to_string(),
        },
        outcome: match number % 5 {
            0 => AuditOutcome::Denied,
            _ => AuditOutcome::Done,
        },
        request_id: format!("req_{number:032x}"),
        client_ip: match number % 3 {
            0 => None,
            1 => Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, small))),
            _ => Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
        },
        before: (number.is_multiple_of(2)).then_some([small; DIGEST_BYTES]),
        after: (!number.is_multiple_of(7)).then_some([small ^ 0xff; DIGEST_BYTES]),
        details: "name,role".to_owned(),
    }
}

/// Appends one entry, as a store does.
pub(crate) fn append(chain: &mut Vec<AuditEntry>, sealer: &Sealer, draft: &AuditDraft) {
    let last = chain.last();
    let seq = last.map_or(0, |entry| entry.seq) + 1;
    let mut entry = draft.follow(seq, last.map_or([0; DIGEST_BYTES], |entry| entry.seal));
    entry.seal = sealer.seal(&entry);
    chain.push(entry);
}

pub(crate) fn chain(sealer: &Sealer, org_id: Option<OrgId>, length: u64) -> Vec<AuditEntry> {
    let mut chain = Vec::new();
    for number in 1..=length {
        append(&mut chain, sealer, &draft(org_id, number));
    }
    chain
}
