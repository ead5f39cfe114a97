//! Signed lines: nobody can change one, or make one count for something else.

use crate::entries::{START, chain, draft, installation};
use proptest::prelude::*;
use tollgate_audit::{NotaryKey, RECORD_BYTES_MAX, RecordError, verify_checkpoint, verify_pruned};
use tollgate_domain::{OrgId, Timestamp};

fn lines() -> (String, String, NotaryKey) {
    let made = installation(7);
    let entries = chain(&made.sealer, Some(OrgId::from_bytes([2; 16])), 3);
    let at = Timestamp::from_micros(START);
    let checkpoint = made.notary.checkpoint(&entries[2], at).unwrap();
    let pruned = made.notary.prune(&entries[2], at).unwrap();
    let key = made.notary.public_key();
    assert_eq!((checkpoint.seq(), checkpoint.at()), (3, at));
    assert_eq!(checkpoint.seal(), &entries[2].seal);
    assert_eq!(checkpoint.org_id(), entries[2].org_id);
    assert_eq!(
        verify_checkpoint(&checkpoint.to_string(), &key),
        Ok(checkpoint)
    );
    assert_eq!(verify_pruned(&format!("{pruned}\n"), &key), Ok(pruned));
    (checkpoint.to_string(), pruned.to_string(), key)
}

#[test]
fn one_changed_bit_anywhere_is_refused() {
    let (checkpoint, pruned, key) = lines();
    for bit in 0..8 * checkpoint.len() {
        let mut bytes = checkpoint.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let text = String::from_utf8_lossy(&bytes);
        assert!(verify_checkpoint(&text, &key).is_err(), "{text}");
    }
    for bit in 0..8 * pruned.len() {
        let mut bytes = pruned.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let text = String::from_utf8_lossy(&bytes);
        assert!(verify_pruned(&text, &key).is_err(), "{text}");
    }
}

#[test]
fn a_signature_counts_for_its_kind_only() {
    let (checkpoint, pruned, key) = lines();
    assert_eq!(
        verify_pruned(&checkpoint, &key),
        Err(RecordError::Malformed)
    );
    assert_eq!(
        verify_checkpoint(&pruned, &key),
        Err(RecordError::Malformed)
    );
    let renamed = checkpoint.replace(".checkpoint.", ".pruned.");
    assert_eq!(verify_pruned(&renamed, &key), Err(RecordError::Signature));
    let renamed = pruned.replace(".pruned.", ".checkpoint.");
    assert_eq!(
        verify_checkpoint(&renamed, &key),
        Err(RecordError::Signature)
    );
}

#[test]
fn another_notary_is_refused() {
    let (checkpoint, _, key) = lines();
    let other = installation(8).notary.public_key();
    assert_eq!(
        verify_checkpoint(&checkpoint, &other),
        Err(RecordError::Signature)
    );
    assert_eq!(key.to_string().parse(), Ok(key));
    for text in ["", "00", &"g".repeat(64), &key.to_string().to_uppercase()] {
        assert_eq!(
            text.parse::<NotaryKey>(),
            Err(RecordError::Malformed),
            "{text}"
        );
    }
}

#[test]
fn one_record_has_one_text() {
    let (checkpoint, _, key) = lines();
    let fields = checkpoint.trim_start_matches('{').trim_end_matches('}');
    let (first, rest) = fields.split_once(',').unwrap();
    for other in [
        format!(" {checkpoint}"),
        format!("{checkpoint} "),
        format!("{checkpoint}\n\n"),
        format!("{{{rest},{first}}}"),
        format!("{{{first},{first},{rest}}}"),
        format!("{{{fields},\"more\":1}}"),
        checkpoint.replace("\"seq\":3", "\"seq\":3.0"),
        checkpoint.replace("\"seq\":3", "\"seq\":-3"),
        checkpoint.replace("\"seq\":3", "\"seq\":0"),
        checkpoint.replace('Z', "+00:00"),
        checkpoint.replace("org_", "org_-"),
        String::new(),
        "{}".to_owned(),
        "[".repeat(10_000),
        format!("{checkpoint}{}", " ".repeat(RECORD_BYTES_MAX)),
    ] {
        assert_eq!(
            verify_checkpoint(&other, &key),
            Err(RecordError::Malformed),
            "{other}"
        );
    }
}

/// The last microsecond that a line can show: that of the year 9999.
const LAST_MICROS: i64 = 253_402_300_799_999_999;

proptest! {
    #[test]
    fn every_record_reads_back(
        org in prop::option::of(any::<[u8; 16]>()),
        seq in 1_u64..,
        seal in any::<[u8; 32]>(),
        micros in 0..=LAST_MICROS,
    ) {
        let notary = installation(7).notary;
        let mut entry = draft(org.map(OrgId::from_bytes), 1).follow(seq, [0; 32]);
        entry.seal = seal;
        let (at, key) = (Timestamp::from_micros(micros), notary.public_key());
        let checkpoint = notary.checkpoint(&entry, at).unwrap();
        prop_assert_eq!(verify_checkpoint(&checkpoint.to_string(), &key), Ok(checkpoint));
        let pruned = notary.prune(&entry, at).unwrap();
        prop_assert_eq!(verify_pruned(&pruned.to_string(), &key), Ok(pruned));
        prop_assert!(checkpoint.to_string().len() < 400);
    }

    #[test]
    fn no_text_is_taken_for_a_record(text in "\\PC{0,80}") {
        let key = installation(7).notary.public_key();
        prop_assert!(verify_checkpoint(&text, &key).is_err());
        prop_assert!(verify_pruned(&text, &key).is_err());
    }
}
