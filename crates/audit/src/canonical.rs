//! An entry as bytes, for its seal.

use std::net::IpAddr;

use tollgate_domain::{Actor, AuditEntry, AuditOutcome, DIGEST_BYTES, OrgId};

/// The first byte: the version of this form. A change of it is a new version beside this one, since
/// seals outlive the software that made them.
const VERSION: u8 = 1;

/// What an entry takes besides its texts, at most.
const FIXED_BYTES: usize = 256;

/// Returns the bytes of an entry that its seal is made over: everything but the seal, so that no two
/// entries have the same bytes.
///
/// In this order, numbers big-endian; a text is its length in bytes as `u64` and then its UTF-8:
///
/// | part | bytes |
/// |---|---|
/// | version | `1` |
/// | chain | `0` for the installation's, or `1` and the 16 bytes of the organization's id |
/// | number | `u64` |
/// | time | `i64`, microseconds since 1970 |
/// | actor | `0` anonymous, `1` system, `2` and the 16 bytes of a key's id, `3` and those of a user's |
/// | action | text |
/// | object | text |
/// | outcome | `0` done, `1` denied |
/// | request | text |
/// | address | `0` for none, `4` and 4 bytes, `6` and 16 bytes |
/// | before | `0` for none, or `1` and 32 bytes |
/// | after | as before |
/// | details | text |
/// | the seal before | 32 bytes |
#[must_use]
pub fn canonical_bytes(entry: &AuditEntry) -> Vec<u8> {
    let texts = [
        &entry.action,
        &entry.object,
        &entry.request_id,
        &entry.details,
    ];
    let mut bytes = Vec::with_capacity(FIXED_BYTES + texts.map(String::len).iter().sum::<usize>());
    bytes.push(VERSION);
    push_chain(&mut bytes, entry.org_id);
    bytes.extend(entry.seq.to_be_bytes());
    bytes.extend(entry.at.micros().to_be_bytes());
    push_actor(&mut bytes, entry.actor);
    push_text(&mut bytes, &entry.action);
    push_text(&mut bytes, &entry.object);
    bytes.push(match entry.outcome {
        AuditOutcome::Done => 0,
        AuditOutcome::Denied => 1,
    });
    push_text(&mut bytes, &entry.request_id);
    push_address(&mut bytes, entry.client_ip);
    push_digest(&mut bytes, entry.before.as_ref());
    push_digest(&mut bytes, entry.after.as_ref());
    push_text(&mut bytes, &entry.details);
    bytes.extend(entry.previous);
    bytes
}

pub(crate) fn push_chain(bytes: &mut Vec<u8>, org_id: Option<OrgId>) {
    match org_id {
        None => bytes.push(0),
        Some(id) => push_tagged(bytes, 1, id.as_bytes()),
    }
}

fn push_actor(bytes: &mut Vec<u8>, actor: Actor) {
    match actor {
        Actor::Anonymous => bytes.push(0),
        Actor::System => bytes.push(1),
        Actor::Key(id) => push_tagged(bytes, 2, id.as_bytes()),
        Actor::User(id) => push_tagged(bytes, 3, id.as_bytes()),
    }
}

fn push_address(bytes: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        None => bytes.push(0),
        Some(IpAddr::V4(address)) => push_tagged(bytes, 4, &address.octets()),
        Some(IpAddr::V6(address)) => push_tagged(bytes, 6, &address.octets()),
    }
}

fn push_digest(bytes: &mut Vec<u8>, digest: Option<&[u8; DIGEST_BYTES]>) {
    match digest {
        None => bytes.push(0),
        Some(digest) => push_tagged(bytes, 1, digest),
    }
}

fn push_tagged(bytes: &mut Vec<u8>, tag: u8, value: &[u8]) {
    bytes.push(tag);
    bytes.extend_from_slice(value);
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
