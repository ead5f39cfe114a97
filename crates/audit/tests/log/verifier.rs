//! Where a chain is broken, and why; what stands in for what was pruned.

use crate::entries::{Installation, START, append, chain, draft, installation};
use tollgate_audit::{Broken, Checkpoint, Fault, Pruned, Verified, Verifier};
use tollgate_domain::{AuditEntry, OrgId, Timestamp};

const AT: Timestamp = Timestamp::from_micros(START);

fn org(number: u8) -> Option<OrgId> {
    Some(OrgId::from_bytes([number; 16]))
}

fn verify(
    made: &Installation,
    entries: &[AuditEntry],
    pruned: Option<&Pruned>,
    checkpoints: &[Checkpoint],
) -> Result<Verified, Broken> {
    let mut verifier = Verifier::new(&made.sealer, org(1));
    pruned.map_or(Ok(()), |pruned| verifier.after(pruned))?;
    for checkpoint in checkpoints {
        verifier.expect(*checkpoint)?;
    }
    for entry in entries {
        verifier.push(entry)?;
    }
    verifier.finish()
}

/// Checks where and why the chain of ten is broken after this.
fn check(change: impl FnOnce(&mut Vec<AuditEntry>), seq: u64, fault: Fault) {
    let made = installation(1);
    let mut entries = chain(&made.sealer, org(1), 10);
    let last = made.notary.checkpoint(&entries[9], AT).unwrap();
    assert!(verify(&made, &entries, None, &[last]).is_ok());
    change(&mut entries);
    let found = verify(&made, &entries, None, &[last]);
    assert_eq!(found, Err(Broken { seq, fault }));
}

#[test]
fn the_first_break_is_named_with_its_reason() {
    check(|chain| chain[3].details.push('!'), 4, Fault::Seal);
    check(|chain| chain[3].previous[0] ^= 1, 4, Fault::Seal);
    check(|chain| chain[3].org_id = None, 4, Fault::Chain);
    check(|chain| drop(chain.remove(3)), 4, Fault::Gap { found: 5 });
    check(|chain| drop(chain.remove(0)), 1, Fault::Gap { found: 2 });
    check(|chain| chain.swap(3, 4), 4, Fault::Gap { found: 5 });
    check(|chain| chain.insert(5, chain[3].clone()), 4, Fault::Order);
    check(|chain| chain.truncate(8), 9, Fault::Truncated);
    check(Vec::clear, 1, Fault::Truncated);
}

#[test]
fn an_entry_sealed_behind_another_one_is_found() {
    let sealer = installation(1).sealer;
    let forked = |chain: &mut Vec<AuditEntry>| {
        chain[4].previous = [9; 32];
        chain[4].seal = sealer.seal(&chain[4]);
    };
    check(forked, 5, Fault::Previous);
}

#[test]
fn an_older_copy_that_went_on_contradicts_the_checkpoint() {
    let sealer = installation(1).sealer;
    let restored = |chain: &mut Vec<AuditEntry>| {
        chain.truncate(6);
        (50..60).for_each(|number| append(chain, &sealer, &draft(org(1), number)));
    };
    check(restored, 10, Fault::Record);
}

#[test]
fn what_follows_the_last_checkpoint_can_be_cut_off_unseen() {
    let made = installation(1);
    let entries = chain(&made.sealer, org(1), 10);
    let seventh = made.notary.checkpoint(&entries[6], AT).unwrap();
    for length in 7..=10 {
        let verified = verify(&made, &entries[..length], None, &[seventh]).unwrap();
        assert_eq!(verified.last_seq, length as u64);
    }
    let cut = verify(&made, &entries[..6], None, &[seventh]);
    let fault = Fault::Truncated;
    assert_eq!(cut, Err(Broken { seq: 7, fault }));
}

#[test]
fn a_break_is_the_answer_to_everything_after_it() {
    let made = installation(1);
    let entries = chain(&made.sealer, org(1), 3);
    let checkpoint = made.notary.checkpoint(&entries[2], AT).unwrap();
    let mut verifier = Verifier::new(&made.sealer, org(1));
    let broken = verifier.push(&entries[1]).unwrap_err();
    assert_eq!(verifier.push(&entries[0]), Err(broken));
    assert_eq!(verifier.expect(checkpoint), Err(broken));
    assert_eq!(verifier.finish(), Err(broken));
}

#[test]
fn a_signed_record_stands_in_for_what_was_pruned() {
    let made = installation(1);
    let entries = chain(&made.sealer, org(1), 10);
    let pruned = made.notary.prune(&entries[3], AT).unwrap();
    let checkpoint = |at: usize| made.notary.checkpoint(&entries[at], AT).unwrap();
    let all = [checkpoint(1), checkpoint(3), checkpoint(9)];
    let verified = verify(&made, &entries[4..], Some(&pruned), &all).unwrap();
    let expected = Verified {
        entries: 6,
        pruned_seq: 4,
        last_seq: 10,
        last_seal: entries[9].seal,
    };
    assert_eq!(verified, expected);

    // More is gone than the record says, or it is of another chain, or from another installation.
    let more = verify(&made, &entries[5..], Some(&pruned), &all);
    let fault = Fault::Gap { found: 6 };
    assert_eq!(more, Err(Broken { seq: 5, fault }));
    let other = chain(&made.sealer, org(2), 4);
    let foreign = made.notary.prune(&other[3], AT).unwrap();
    let fault = Fault::Chain;
    let found = verify(&made, &entries[4..], Some(&foreign), &[]);
    assert_eq!(found, Err(Broken { seq: 4, fault }));

    // Everything may be pruned; what a checkpoint says of the last one still counts.
    let whole = made.notary.prune(&entries[9], AT).unwrap();
    let verified = verify(&made, &[], Some(&whole), &all).unwrap();
    assert_eq!((verified.entries, verified.last_seq), (0, 10));
    let fork = chain(&installation(2).sealer, org(1), 10);
    let wrong = made.notary.prune(&fork[9], AT).unwrap();
    let fault = Fault::Record;
    assert_eq!(
        verify(&made, &[], Some(&wrong), &all),
        Err(Broken { seq: 10, fault })
    );
}

#[test]
fn checkpoints_must_agree_and_come_first() {
    let made = installation(1);
    let entries = chain(&made.sealer, org(1), 3);
    let fork = chain(&installation(2).sealer, org(1), 3);
    let one = made.notary.checkpoint(&entries[2], AT).unwrap();
    let other = made.notary.checkpoint(&fork[2], AT).unwrap();
    let (seq, fault) = (3, Fault::Record);
    assert_eq!(
        verify(&made, &entries, None, &[one, one]).unwrap().entries,
        3
    );
    assert_eq!(
        verify(&made, &entries, None, &[one, other]),
        Err(Broken { seq, fault })
    );

    let foreign = chain(&made.sealer, org(2), 3);
    let foreign = made.notary.checkpoint(&foreign[2], AT).unwrap();
    let fault = Fault::Chain;
    assert_eq!(
        verify(&made, &entries, None, &[foreign]),
        Err(Broken { seq, fault })
    );

    let mut verifier = Verifier::new(&made.sealer, org(1));
    verifier.push(&entries[0]).unwrap();
    verifier.push(&entries[1]).unwrap();
    let early = made.notary.checkpoint(&entries[0], AT).unwrap();
    let (seq, fault) = (1, Fault::Order);
    assert_eq!(verifier.expect(early), Err(Broken { seq, fault }));
    let mut verifier = Verifier::new(&made.sealer, org(1));
    verifier.push(&entries[0]).unwrap();
    let late = made.notary.prune(&entries[0], AT).unwrap();
    assert_eq!(verifier.after(&late), Err(Broken { seq, fault }));
}

#[test]
fn an_empty_chain_is_whole() {
    let made = installation(1);
    let verified = verify(&made, &[], None, &[]).unwrap();
    assert_eq!(
        (verified.entries, verified.last_seq, verified.last_seal),
        (0, 0, [0; 32])
    );
}
