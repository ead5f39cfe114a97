//! Reading a chain from its start to its end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use tollgate_domain::{AuditEntry, DIGEST_BYTES, OrgId};

use crate::error::{Broken, Fault};
use crate::record::{Checkpoint, Pruned};
use crate::sealer::Sealer;

/// Reads a chain from its start to its end, one entry at a time.
///
/// Give it first the record of what was pruned, if there is one, and every checkpoint of the chain; then
/// the entries in order; then end it. Verify every chain that has entries *or* checkpoints: of a chain
/// that was deleted whole, only its checkpoints still speak.
#[derive(Debug)]
pub struct Verifier<'a> {
    sealer: &'a Sealer,
    org_id: Option<OrgId>,
    /// The number and the seal of the entry before the next one.
    last: (u64, [u8; DIGEST_BYTES]),
    /// The seals that checkpoints know of entries to come.
    expected: BTreeMap<u64, [u8; DIGEST_BYTES]>,
    entries: u64,
    pruned_seq: u64,
    broken: Option<Broken>,
}

/// A chain that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many entries there are.
    pub entries: u64,
    /// Up to which number entries were pruned; 0 when none were. Compare it with what should have been:
    /// whoever has the root key can sign a record of pruning too.
    pub pruned_seq: u64,
    /// The number of the last one; 0 when there never was any.
    pub last_seq: u64,
    /// Its seal; zeros when there never was any.
    pub last_seal: [u8; DIGEST_BYTES],
}

impl<'a> Verifier<'a> {
    /// Starts at the beginning of a chain: an organization's, or the installation's when there is none.
    #[must_use]
    pub fn new(sealer: &'a Sealer, org_id: Option<OrgId>) -> Self {
        Self {
            sealer,
            org_id,
            last: (0, [0; DIGEST_BYTES]),
            expected: BTreeMap::new(),
            entries: 0,
            pruned_seq: 0,
            broken: None,
        }
    }

    /// Starts behind what was pruned. Checkpoints of what was pruned have nothing to be compared with
    /// any more, but for one of the last pruned entry.
    ///
    /// # Errors
    /// `Chain` when the record is of another chain. It is an error too, `Order`, to call this after
    /// [`expect`](Self::expect) or [`push`](Self::push).
    pub fn after(&mut self, pruned: &Pruned) -> Result<(), Broken> {
        self.check()?;
        if pruned.org_id() != self.org_id {
            return self.fail(pruned.seq(), Fault::Chain);
        }
        if self.last.0 != 0 || !self.expected.is_empty() {
            return self.fail(pruned.seq(), Fault::Order);
        }
        self.last = (pruned.seq(), *pruned.seal());
        self.pruned_seq = pruned.seq();
        Ok(())
    }

    /// Takes a checkpoint of this chain, before its entries.
    ///
    /// # Errors
    /// `Chain` when it is of another chain, `Record` when it contradicts another signed record, `Order`
    /// when entries were read already that it speaks of.
    pub fn expect(&mut self, checkpoint: Checkpoint) -> Result<(), Broken> {
        self.check()?;
        let seq = checkpoint.seq();
        if checkpoint.org_id() != self.org_id {
            return self.fail(seq, Fault::Chain);
        }
        if seq < self.last.0 {
            // Read already, or pruned.
            return if self.entries == 0 {
                Ok(())
            } else {
                self.fail(seq, Fault::Order)
            };
        }
        let is_other = if seq == self.last.0 {
            self.last.1 != *checkpoint.seal()
        } else {
            match self.expected.entry(seq) {
                Entry::Occupied(known) => known.get() != checkpoint.seal(),
                Entry::Vacant(free) => {
                    free.insert(*checkpoint.seal());
                    false
                }
            }
        };
        if is_other {
            return self.fail(seq, Fault::Record);
        }
        Ok(())
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// The first break of the chain, which is also the answer to everything after it.
    pub fn push(&mut self, entry: &AuditEntry) -> Result<(), Broken> {
        self.check()?;
        let next = self.last.0.saturating_add(1);
        if entry.org_id != self.org_id {
            return self.fail(next, Fault::Chain);
        }
        if entry.seq > next {
            return self.fail(next, Fault::Gap { found: entry.seq });
        }
        if entry.seq < next {
            return self.fail(entry.seq, Fault::Order);
        }
        if !self.sealer.fits(entry) {
            return self.fail(next, Fault::Seal);
        }
        if entry.previous != self.last.1 {
            return self.fail(next, Fault::Previous);
        }
        let expected = self.expected.remove(&next);
        if expected.is_some_and(|seal| seal != entry.seal) {
            return self.fail(next, Fault::Record);
        }
        self.last = (next, entry.seal);
        self.entries += 1;
        Ok(())
    }

    /// Ends the chain.
    ///
    /// # Errors
    /// `Truncated` when a checkpoint knows of an entry that did not come, with the number of the first
    /// one that is missing; or the first break before.
    pub fn finish(mut self) -> Result<Verified, Broken> {
        self.check()?;
        if !self.expected.is_empty() {
            self.fail(self.last.0.saturating_add(1), Fault::Truncated)?;
        }
        Ok(Verified {
            entries: self.entries,
            pruned_seq: self.pruned_seq,
            last_seq: self.last.0,
            last_seal: self.last.1,
        })
    }

    fn check(&self) -> Result<(), Broken> {
        self.broken.map_or(Ok(()), Err)
    }

    fn fail(&mut self, seq: u64, fault: Fault) -> Result<(), Broken> {
        let broken = Broken { seq, fault };
        self.broken = Some(broken);
        Err(broken)
    }
}
