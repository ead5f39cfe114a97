//! What was found out about the audit log.

use std::fmt;

use serde::Serialize;
use tollgate_audit::{NotaryKey, Verified};
use tollgate_domain::OrgId;

use crate::kept_checkpoints::KeptCheckpoints;

/// Chains that are named one by one; further ones are only counted.
const NAMED_MAX: usize = 100;

/// The name of the chain that belongs to no organization.
pub const INSTALLATION_CHAIN: &str = "installation";

pub(crate) fn chain_name(chain: Option<OrgId>) -> String {
    chain.map_or_else(|| INSTALLATION_CHAIN.to_owned(), |id| id.to_string())
}

/// How the audit log is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Whether every chain is whole, and every line of the checkpoints is one.
    pub is_whole: bool,
    /// How many chains were read.
    pub chains: u64,
    /// How many entries there are in those that are whole.
    pub entries: u64,
    /// How many checkpoints they were compared with.
    pub checkpoints: u64,
    /// How many chains are broken.
    pub broken_chains: u64,
    /// The first of them, at most 100.
    pub broken: Vec<BrokenChain>,
    /// The first lines among the checkpoints that are none, at most 100, counted from 1.
    pub bad_lines: Vec<BadLine>,
    /// Chains of which the beginning was dropped on purpose, at most 100. Compare it with what should have
    /// been: whoever has the master key can sign that, too.
    pub pruned: Vec<PrunedUpTo>,
    /// The key by which anybody can check checkpoints.
    pub public_key: String,
}

/// Where a chain is first broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenChain {
    /// The chain: an organization's id, or `installation`.
    pub chain: String,
    /// The number of the first entry that is not as it was written, or is not there.
    pub seq: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// A line that is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// Up to where a chain was pruned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunedUpTo {
    /// The chain: an organization's id, or `installation`.
    pub chain: String,
    /// The number of the last entry that was dropped.
    pub seq: u64,
}

/// What a pruning has removed of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunedChain {
    /// The chain: an organization's id, or `installation`.
    pub chain: String,
    /// The number of the last entry that was dropped.
    pub seq: u64,
    /// How many were.
    pub entries: u64,
}

impl AuditReport {
    pub(crate) fn new(key: NotaryKey, kept: &KeptCheckpoints) -> Self {
        let bad_lines: Vec<_> = kept.bad_lines().iter().take(NAMED_MAX).cloned().collect();
        Self {
            is_whole: bad_lines.is_empty(),
            chains: 0,
            entries: 0,
            checkpoints: kept.count(),
            broken_chains: 0,
            broken: Vec::new(),
            bad_lines,
            pruned: Vec::new(),
            public_key: key.to_string(),
        }
    }

    pub(crate) fn add_whole(&mut self, chain: Option<OrgId>, verified: &Verified) {
        self.chains += 1;
        self.entries += verified.entries;
        if verified.pruned_seq > 0 && self.pruned.len() < NAMED_MAX {
            self.pruned.push(PrunedUpTo {
                chain: chain_name(chain),
                seq: verified.pruned_seq,
            });
        }
    }

    pub(crate) fn add_broken(&mut self, broken: BrokenChain) {
        self.is_whole = false;
        self.chains += 1;
        self.broken_chains += 1;
        if self.broken.len() < NAMED_MAX {
            self.broken.push(broken);
        }
    }
}

impl fmt::Display for BrokenChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            chain,
            seq,
            problem,
        } = self;
        write!(f, "{chain}: entry {seq}: {problem}")
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for broken in &self.broken {
            writeln!(f, "broken: {broken}")?;
        }
        for BadLine { line, problem } in &self.bad_lines {
            writeln!(f, "line {line} of the checkpoints: {problem}")?;
        }
        for PrunedUpTo { chain, seq } in &self.pruned {
            writeln!(f, "{chain}: pruned up to entry {seq}")?;
        }
        let Self {
            chains,
            entries,
            checkpoints,
            broken_chains,
            public_key,
            ..
        } = self;
        writeln!(f, "checkpoints are signed with {public_key}")?;
        write!(
            f,
            "{chains} chains, {broken_chains} of them broken; {entries} entries; {checkpoints} checkpoints"
        )
    }
}

impl fmt::Display for PrunedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            chain,
            seq,
            entries,
        } = self;
        write!(f, "{chain}: {entries} entries up to {seq} are gone")
    }
}
