//! What an entry costs, in nanoseconds: `cargo run --release --example bench_audit`.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::Instant;

use tollgate_audit::{AuditError, Notary, RootKey, Sealer, canonical_bytes, digest_of};
use tollgate_domain::{
    Actor, AuditDraft, AuditEntry, AuditOutcome, DIGEST_BYTES, OrgId, Timestamp, UserId,
};

fn measure(name: &str, rounds: u32, mut call: impl FnMut()) {
    let best = (0..5)
        .map(|_| {
            let began = Instant::now();
            (0..rounds).for_each(|_| call());
            began.elapsed()
        })
        .min();
    println!(
        "{:8.1} ns  {name}",
        best.unwrap_or_default().as_secs_f64() * 1e9 / f64::from(rounds)
    );
}

fn entry() -> AuditEntry {
    AuditDraft {
        org_id: Some(OrgId::from_bytes([1; 16])),
        at: Timestamp::from_micros(1_790_000_000_000_000),
        actor: Actor::User(UserId::from_bytes([2; 16])),
        action: "budget.update",
        object: "key_07070707070707070707070707070707".to_owned(),
        outcome: AuditOutcome::Done,
        request_id: "req_07070707070707070707070707070707".to_owned(),
        client_ip: Some([192, 0, 2, 7].into()),
        before: Some([3; DIGEST_BYTES]),
        after: Some([4; DIGEST_BYTES]),
        details: "limit,window".to_owned(),
    }
    .follow(7, [5; DIGEST_BYTES])
}

fn main() -> Result<(), AuditError> {
    let root = RootKey::generate()?;
    let (sealer, notary) = (Sealer::derive(&root)?, Notary::derive(&root)?);
    let mut entry = entry();
    entry.seal = sealer.seal(&entry);
    let object = serde_json::json!({"name": "a key", "role": "member", "limit": 1_000, "models": ["a", "b"]});

    println!("an entry of {} bytes", canonical_bytes(&entry).len());
    measure("canonical bytes", 200_000, || {
        black_box(canonical_bytes(black_box(&entry)));
    });
    measure("seal", 200_000, || {
        black_box(sealer.seal(black_box(&entry)));
    });
    measure("verify", 200_000, || {
        black_box(sealer.fits(black_box(&entry)));
    });
    measure("digest of an object", 100_000, || {
        black_box(digest_of(black_box(&object)).ok());
    });
    measure("checkpoint", 5_000, || {
        black_box(notary.checkpoint(black_box(&entry), entry.at).ok());
    });
    Ok(())
}
