//! Whoever can write to the database, but has no key, changes a log: each change is found, at the first
//! entry that it touches.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_audit::{Broken, Checkpoint, Fault, Sealer, Verifier};
use tollgate_domain::{AuditEntry, OrgId, Timestamp};

use crate::entries::{Installation, START, chain, installation};
use crate::mutate::{Case, Change, KINDS};
use crate::random::Random;

const MUTATIONS: u64 = 10_000;
const CHAINS: usize = 4;
/// Each chain's length; a checkpoint has left the machine at every 30th, and thus at the end.
const LENGTH: u64 = 90;
const CHECKPOINT_EVERY: u64 = 30;

/// The installation's chain and those of three organizations.
fn chain_id(number: usize) -> Option<OrgId> {
    (number > 0).then(|| OrgId::from_bytes([number as u8; 16]))
}

#[derive(Clone)]
struct Log {
    chains: Vec<Arc<Vec<AuditEntry>>>,
    checkpoints: Arc<Vec<Checkpoint>>,
}

impl Log {
    fn new(made: &Installation) -> Self {
        let chains = (0..CHAINS).map(|number| chain(&made.sealer, chain_id(number), LENGTH));
        let chains: Vec<_> = chains.map(Arc::new).collect();
        let at = Timestamp::from_micros(START);
        let anchored = chains.iter().flat_map(|chain| chain.iter());
        let anchored = anchored.filter(|entry| entry.seq.is_multiple_of(CHECKPOINT_EVERY));
        let checkpoints = anchored.map(|entry| made.notary.checkpoint(entry, at).unwrap());
        let checkpoints = Arc::new(checkpoints.collect());
        Self {
            chains,
            checkpoints,
        }
    }

    /// Verifies every chain; says in which one the first break is.
    fn verify(&self, sealer: &Sealer) -> Result<u64, (usize, Broken)> {
        let mut entries = 0;
        for (at, chain) in self.chains.iter().enumerate() {
            let verified = self.verify_chain(sealer, at, chain);
            entries += verified.map_err(|broken| (at, broken))?;
        }
        Ok(entries)
    }

    fn verify_chain(
        &self,
        sealer: &Sealer,
        number: usize,
        chain: &[AuditEntry],
    ) -> Result<u64, Broken> {
        let org_id = chain_id(number);
        let mut verifier = Verifier::new(sealer, org_id);
        for checkpoint in self.checkpoints.iter().filter(|c| c.org_id() == org_id) {
            verifier.expect(*checkpoint)?;
        }
        chain.iter().try_for_each(|entry| verifier.push(entry))?;
        Ok(verifier.finish()?.entries)
    }

    /// Changes one chain, and returns which.
    fn mutate(&mut self, change: Change, made: &Installation, seed: u64) -> usize {
        let mut random = Random(seed);
        let number = random.below(self.chains.len());
        let other = (number + 1 + random.below(self.chains.len() - 1)) % self.chains.len();
        let foreign = Arc::clone(&self.chains[other]);
        change(&mut Case {
            org_id: chain_id(number),
            chain: Arc::make_mut(&mut self.chains[number]),
            foreign: &foreign,
            made,
            random,
        });
        number
    }
}

/// The number of the first entry that is not the one that was written.
fn first_difference(written: &[AuditEntry], found: &[AuditEntry]) -> u64 {
    let same = written
        .iter()
        .zip(found)
        .take_while(|(one, other)| one == other);
    same.count() as u64 + 1
}

#[test]
fn t_audit_10_000_mutations() {
    let made = installation(1);
    let log = Log::new(&made);
    assert_eq!(log.verify(&made.sealer), Ok(CHAINS as u64 * LENGTH));
    let mut found = BTreeMap::new();
    for seed in 0..MUTATIONS {
        let (kind, change) = KINDS[seed as usize % KINDS.len()];
        let mut changed = log.clone();
        let number = changed.mutate(change, &made, seed);
        let (written, changed_chain) = (&log.chains[number], &changed.chains[number]);
        assert_ne!(
            written, changed_chain,
            "{kind}, seed {seed}: changes nothing"
        );

        let Err((at, broken)) = changed.verify(&made.sealer) else {
            panic!("{kind}, seed {seed}: not found");
        };
        assert_eq!(at, number, "{kind}, seed {seed}");
        let first = first_difference(written, changed_chain);
        let is_named = match broken.fault {
            // Names the entry that comes again, which is an earlier one.
            Fault::Order => broken.seq <= first,
            // What the gateway sealed on an older copy stands until the next checkpoint.
            Fault::Record | Fault::Truncated => {
                (first..first + CHECKPOINT_EVERY).contains(&broken.seq)
            }
            _ => broken.seq == first,
        };
        assert!(is_named, "{kind}, seed {seed}: {broken}, not {first}");
        *found.entry(kind).or_insert(0) += 1;
    }
    assert_eq!(found.len(), KINDS.len());
    assert!(found.values().all(|count| *count >= 600), "{found:?}");
}
