//! What outlives the software that wrote it: the bytes under a seal, the seal, the lines. A test that
//! fails here says that old logs cannot be verified any more: make a new version instead.

use crate::entries::{START, chain, draft, installation};
use tollgate_audit::canonical_bytes;
use tollgate_domain::{Actor, AuditDraft, AuditOutcome, KeyId, OrgId, Timestamp};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_a_full_entry() {
    let entry = AuditDraft {
        actor: Actor::Key(KeyId::from_bytes([3; 16])),
        outcome: AuditOutcome::Denied,
        client_ip: Some("192.0.2.7".parse().unwrap()),
        before: Some([4; 32]),
        after: Some([5; 32]),
        object: "é".to_owned(),
        request_id: "req".to_owned(),
        action: "key.create",
        ..draft(Some(OrgId::from_bytes([2; 16])), 1)
    }
    .follow(258, [6; 32]);
    let expected = [
        "01",
        "01",
        &"02".repeat(16),
        "0000000000000102",
        &format!("{:016x}", START + 1_000_003),
        "02",
        &"03".repeat(16),
        "000000000000000a",
        &hex(b"key.create"),
        "0000000000000002",
        "c3a9",
        "01",
        "0000000000000003",
        &hex(b"req"),
        "04c0000207",
        "01",
        &"04".repeat(32),
        "01",
        &"05".repeat(32),
        "0000000000000009",
        &hex(b"name,role"),
        &"06".repeat(32),
    ];
    assert_eq!(hex(&canonical_bytes(&entry)), expected.concat());
}

#[test]
fn the_bytes_of_a_bare_entry() {
    let entry = AuditDraft {
        org_id: None,
        at: Timestamp::from_micros(-1),
        actor: Actor::Anonymous,
        action: "",
        object: String::new(),
        outcome: AuditOutcome::Done,
        request_id: String::new(),
        client_ip: Some("2001:db8::1".parse().unwrap()),
        before: None,
        after: None,
        details: String::new(),
    }
    .follow(1, [0; 32]);
    let none = "0000000000000000";
    let expected = [
        "01",
        "00",
        "0000000000000001",
        "ffffffffffffffff",
        "00",
        none,
        none,
        "00",
        none,
        "0620010db8000000000000000000000001",
        "00",
        "00",
        none,
        &"00".repeat(32),
    ];
    assert_eq!(hex(&canonical_bytes(&entry)), expected.concat());
}

#[test]
fn the_seals_and_the_lines_of_an_installation() {
    let made = installation(7);
    let entries = chain(&made.sealer, Some(OrgId::from_bytes([2; 16])), 2);
    let at = Timestamp::from_micros(START);
    let all = [
        hex(&entries[0].seal),
        hex(&entries[1].seal),
        made.notary.public_key().to_string(),
        made.notary.checkpoint(&entries[1], at).unwrap().to_string(),
        made.notary.prune(&entries[0], at).unwrap().to_string(),
    ];
    assert_eq!(
        all.join("\n"),
        include_str!("golden/installation.txt").trim_end()
    );
}
