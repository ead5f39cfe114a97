//! The audit log from outside: verified, exported, pruned, and signed as far as it has come.

use std::io::Write;

use tollgate_audit::{
    Broken, Checkpoint, Fault, Notary, NotaryKey, RootKey, Sealer, Verified, Verifier,
    verify_pruned,
};
use tollgate_domain::{Actor, AuditDraft, AuditEntry, OrgId, Timestamp};
use tollgate_store::{AuditHead, AuditPruned, Store, StoreError};

use crate::audit_lines::entry_line;
use crate::audit_report::{AuditReport, BrokenChain, PrunedChain, chain_name};
use crate::error::UpkeepError;
use crate::kept_checkpoints::KeptCheckpoints;

/// Entries that are read, or removed, together.
const ENTRIES_MAX: u16 = 1_000;
/// Chains that are listed together.
const CHAINS_MAX: u16 = 200;
/// How often a chain is read again that was pruned while it was read.
const READS_MAX: u32 = 3;

/// Which chains something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditScope {
    /// All.
    All,
    /// One: an organization's, or the installation's when there is none.
    Chain(Option<OrgId>),
}

/// What an installation's audit log is read with, and signed.
#[derive(Debug)]
pub struct AuditLog {
    sealer: Sealer,
    notary: Notary,
}

/// How a chain was found to be: whole, or broken, first at an entry.
enum Found {
    Whole(Verified),
    Broken(u64, String),
}

impl From<Broken> for Found {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken.seq, broken.fault.to_string())
    }
}

impl AuditLog {
    /// Makes what an installation's audit log is read with.
    ///
    /// # Errors
    /// `Crypto`.
    pub fn new(root: &RootKey) -> Result<Self, UpkeepError> {
        Ok(Self {
            sealer: Sealer::derive(root)?,
            notary: Notary::derive(root)?,
        })
    }

    /// Returns the key by which anybody can check checkpoints and records of pruning.
    #[must_use]
    pub fn public_key(&self) -> NotaryKey {
        self.notary.public_key()
    }

    /// Reads chains from their start to their end, and says where each is first broken. A chain of which
    /// there are only checkpoints is broken at its first entry. What is written meanwhile does not disturb.
    ///
    /// # Errors
    /// A store's error.
    pub fn verify(
        &self,
        store: &dyn Store,
        scope: AuditScope,
        kept: &KeptCheckpoints,
    ) -> Result<AuditReport, UpkeepError> {
        let mut report = AuditReport::new(self.public_key(), kept);
        each_chain(store, scope, kept, |chain| {
            match self.read(store, chain, kept, |_| Ok(()))? {
                Found::Whole(verified) => report.add_whole(chain, &verified),
                Found::Broken(seq, problem) => report.add_broken(BrokenChain {
                    chain: chain_name(chain),
                    seq,
                    problem,
                }),
            }
            Ok(())
        })?;
        Ok(report)
    }

    /// Writes chains as lines of JSON, each entry one, behind a line for what was pruned. Returns how many
    /// entries there were. They are written as they are found: [`verify`](Self::verify) says whether they are whole.
    ///
    /// # Errors
    /// A store's error; `Output` when the lines cannot be written.
    pub fn export(
        &self,
        store: &dyn Store,
        scope: AuditScope,
        out: &mut dyn Write,
    ) -> Result<u64, UpkeepError> {
        let mut count = 0;
        each_chain(store, scope, &KeptCheckpoints::default(), |chain| {
            let pruned = store.find_audit_pruned(chain)?;
            if let Some(pruned) = &pruned {
                writeln!(out, "{}", pruned.record)?;
            }
            each_entry(
                store,
                chain,
                pruned.map_or(0, |pruned| pruned.seq),
                |entry| {
                    count += 1;
                    writeln!(out, "{}", entry_line(entry)).map_err(UpkeepError::from)
                },
            )
        })?;
        Ok(count)
    }

    /// Drops the beginnings of chains: the entries up to the first that is not from before a time. Each
    /// chain is verified first, and one that is broken is not touched. A signed record stands for what is
    /// dropped, and is written down. What an earlier pruning did not get to is removed too.
    ///
    /// # Errors
    /// `BrokenChain`; a store's error, also when it has roles and this one does not own the tables.
    pub fn prune(
        &self,
        store: &dyn Store,
        scope: AuditScope,
        before: Timestamp,
        now: impl Fn() -> Timestamp,
    ) -> Result<Vec<PrunedChain>, UpkeepError> {
        let none = KeptCheckpoints::default();
        let mut all = Vec::new();
        each_chain(store, scope, &none, |chain| {
            let mut last: Option<AuditEntry> = None;
            let mut is_over = false;
            let found = self.read(store, chain, &none, |entry| {
                is_over |= entry.at >= before;
                if !is_over {
                    last = Some(entry.clone());
                }
                Ok(())
            })?;
            if let Found::Broken(seq, problem) = found {
                let chain = chain_name(chain);
                return Err(UpkeepError::BrokenChain(BrokenChain {
                    chain,
                    seq,
                    problem,
                }));
            }
            if let Some(last) = last {
                let at = now();
                let pruned = AuditPruned {
                    org_id: chain,
                    seq: last.seq,
                    record: self.notary.prune(&last, at)?.to_string(),
                };
                let draft = AuditDraft::done(Actor::System, "audit.prune", at).about(last.seq);
                let draft = AuditDraft {
                    org_id: chain,
                    ..draft
                };
                store.add_audit_pruned(&pruned, &draft)?;
            }
            let mut entries: u64 = 0;
            loop {
                match store.remove_pruned_audit(chain, ENTRIES_MAX)? {
                    0 => break,
                    count => entries += count as u64,
                }
            }
            if entries > 0 {
                let seq = store
                    .find_audit_pruned(chain)?
                    .map_or(0, |pruned| pruned.seq);
                all.push(PrunedChain {
                    chain: chain_name(chain),
                    seq,
                    entries,
                });
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Signs that a chain has come as far as its head says. The entry is looked at first: what does not
    /// carry its seal is not signed.
    ///
    /// # Errors
    /// `BrokenChain` when the entry is not there or does not carry its seal; a store's error.
    pub fn checkpoint(
        &self,
        store: &dyn Store,
        head: &AuditHead,
        at: Timestamp,
    ) -> Result<Checkpoint, UpkeepError> {
        let before = head.seq.saturating_sub(1);
        let last = store.read_audit(head.org_id, before, 1)?.pop();
        let is_it = |entry: &AuditEntry| entry.seq == head.seq && entry.seal == head.seal;
        match last.filter(is_it) {
            Some(last) if self.sealer.fits(&last) => Ok(self.notary.checkpoint(&last, at)?),
            _ => Err(UpkeepError::BrokenChain(BrokenChain {
                chain: chain_name(head.org_id),
                seq: head.seq,
                problem: Fault::Seal.to_string(),
            })),
        }
    }

    /// Reads a chain; again when it was pruned meanwhile.
    fn read(
        &self,
        store: &dyn Store,
        chain: Option<OrgId>,
        kept: &KeptCheckpoints,
        mut each: impl FnMut(&AuditEntry) -> Result<(), UpkeepError>,
    ) -> Result<Found, UpkeepError> {
        let mut reads = 0;
        loop {
            reads += 1;
            let pruned = store.find_audit_pruned(chain)?;
            let found = self.read_once(store, chain, pruned.as_ref(), kept, &mut each)?;
            let is_settled = matches!(found, Found::Whole(_)) || reads == READS_MAX;
            if is_settled || store.find_audit_pruned(chain)? == pruned {
                return Ok(found);
            }
        }
    }

    fn read_once(
        &self,
        store: &dyn Store,
        chain: Option<OrgId>,
        pruned: Option<&AuditPruned>,
        kept: &KeptCheckpoints,
        each: &mut dyn FnMut(&AuditEntry) -> Result<(), UpkeepError>,
    ) -> Result<Found, UpkeepError> {
        // Before the entries: they may grow beyond it meanwhile, and must not end before it.
        let head = store.find_audit_head(chain)?;
        let mut verifier = Verifier::new(&self.sealer, chain);
        if let Err(found) = self.begin(&mut verifier, chain, pruned, kept) {
            return Ok(found);
        }
        let mut last = pruned.map_or(0, |pruned| pruned.seq);
        let mut broken = None;
        let read = each_entry(store, chain, last, |entry| {
            let is_other = |head: &AuditHead| head.seq == entry.seq && head.seal != entry.seal;
            if let Err(error) = verifier.push(entry) {
                broken = Some(Found::from(error));
            } else if head.as_ref().is_some_and(is_other) {
                let problem = "the database says that another one was here".to_owned();
                broken = Some(Found::Broken(entry.seq, problem));
            }
            if broken.is_some() {
                return Err(UpkeepError::Stopped);
            }
            last = entry.seq;
            each(entry)
        });
        match (read, broken) {
            (_, Some(found)) => return Ok(found),
            (Err(UpkeepError::Unreadable(error)), _) => {
                let problem = format!("it cannot be read: {error}");
                return Ok(Found::Broken(last.saturating_add(1), problem));
            }
            (read, _) => read?,
        }
        let verified = match verifier.finish() {
            Ok(verified) => verified,
            Err(error) => return Ok(error.into()),
        };
        let (end, next) = (verified.last_seq, verified.last_seq.saturating_add(1));
        Ok(match head {
            Some(head) if head.seq > end => {
                let problem = "cut off: the database says that it was here".to_owned();
                Found::Broken(next, problem)
            }
            None if end > 0 => Found::Broken(
                next,
                "the end of the chain is not known any more".to_owned(),
            ),
            _ => Found::Whole(verified),
        })
    }

    /// Has a verifier begin behind what was pruned, with the checkpoints of the chain.
    fn begin(
        &self,
        verifier: &mut Verifier<'_>,
        chain: Option<OrgId>,
        pruned: Option<&AuditPruned>,
        kept: &KeptCheckpoints,
    ) -> Result<(), Found> {
        if let Some(pruned) = pruned {
            let record = verify_pruned(&pruned.record, &self.public_key());
            match record {
                Ok(record) if record.seq() == pruned.seq => verifier.after(&record)?,
                Ok(_) => return Err(Found::Broken(pruned.seq, Fault::Record.to_string())),
                Err(error) => {
                    let problem = format!("the record of pruning is {error}");
                    return Err(Found::Broken(pruned.seq, problem));
                }
            }
        }
        for checkpoint in kept.of(chain) {
            verifier.expect(*checkpoint)?;
        }
        Ok(())
    }
}

/// Goes through the chains that have anything in the database, and those of which only checkpoints speak.
fn each_chain(
    store: &dyn Store,
    scope: AuditScope,
    kept: &KeptCheckpoints,
    mut each: impl FnMut(Option<OrgId>) -> Result<(), UpkeepError>,
) -> Result<(), UpkeepError> {
    if let AuditScope::Chain(chain) = scope {
        return each(chain);
    }
    each(None)?;
    let mut after = None;
    // The chains of checkpoints that have not been met yet, in the same order.
    let mut only_kept = kept.organizations().peekable();
    loop {
        let page = store.list_audit_chains(after, CHAINS_MAX)?;
        for org in &page {
            while let Some(lost) = only_kept.next_if(|lost| lost < org) {
                each(Some(lost))?;
            }
            only_kept.next_if_eq(org);
            each(Some(*org))?;
        }
        match page.last() {
            Some(last) if page.len() == usize::from(CHAINS_MAX) => after = Some(*last),
            _ => return only_kept.try_for_each(|lost| each(Some(lost))),
        }
    }
}

/// Goes through the entries of a chain after a number. `Unreadable` when one is no entry any more: all
/// before it have been gone through.
fn each_entry(
    store: &dyn Store,
    chain: Option<OrgId>,
    mut after: u64,
    mut each: impl FnMut(&AuditEntry) -> Result<(), UpkeepError>,
) -> Result<(), UpkeepError> {
    let mut limit = ENTRIES_MAX;
    loop {
        let page = match store.read_audit(chain, after, limit) {
            Ok(page) => page,
            Err(error @ StoreError::Backend(_)) if limit == 1 => {
                return Err(UpkeepError::Unreadable(error));
            }
            // One by one, to find out which it is.
            Err(StoreError::Backend(_)) => {
                limit = 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        page.iter().try_for_each(&mut each)?;
        match page.last() {
            Some(last) if page.len() == usize::from(limit) => after = last.seq,
            _ => return Ok(()),
        }
    }
}
