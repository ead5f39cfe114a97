//! Checkpoints, as they come back from where they were kept.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use tollgate_audit::{Checkpoint, NotaryKey, RECORD_BYTES_MAX, verify_checkpoint};
use tollgate_domain::OrgId;

use crate::audit_report::BadLine;
use crate::error::UpkeepError;

/// The most lines that are read: a busy chain of a year has half a million, one a minute.
pub const CHECKPOINT_LINES_MAX: u64 = 5_000_000;

/// Checkpoints of chains, each signed by the installation's notary.
#[derive(Debug, Default)]
pub struct KeptCheckpoints {
    chains: BTreeMap<Option<OrgId>, Vec<Checkpoint>>,
    count: u64,
    bad_lines: Vec<BadLine>,
}

impl KeptCheckpoints {
    /// Reads lines, in any order and perhaps several times the same. Those that are no checkpoints are
    /// noted; empty ones are left out.
    ///
    /// # Errors
    /// `Output` when they cannot be read; `TooMany` beyond [`CHECKPOINT_LINES_MAX`].
    pub fn read(mut lines: impl BufRead, key: &NotaryKey) -> Result<Self, UpkeepError> {
        let mut kept = Self::default();
        let mut number = 0;
        loop {
            let Some(line) = next_line(&mut lines)? else {
                return Ok(kept);
            };
            number += 1;
            if number > CHECKPOINT_LINES_MAX {
                return Err(UpkeepError::TooMany);
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if text.is_empty() {
                continue;
            }
            match verify_checkpoint(text, key) {
                Ok(checkpoint) => {
                    kept.count += 1;
                    let chain = kept.chains.entry(checkpoint.org_id()).or_default();
                    chain.push(checkpoint);
                }
                Err(error) => kept.bad_lines.push(BadLine {
                    line: number,
                    problem: error.to_string(),
                }),
            }
        }
    }

    pub(crate) fn of(&self, chain: Option<OrgId>) -> &[Checkpoint] {
        self.chains.get(&chain).map_or(&[], Vec::as_slice)
    }

    /// The organizations that they are of, in the order of ids.
    pub(crate) fn organizations(&self) -> impl Iterator<Item = OrgId> {
        self.chains.keys().filter_map(|chain| *chain)
    }

    /// Returns how many checkpoints there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn bad_lines(&self) -> &[BadLine] {
        &self.bad_lines
    }
}

/// Reads up to the end of a line. One that is longer than any checkpoint is cut, and so is none.
fn next_line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let longest = RECORD_BYTES_MAX as u64 + 2;
    if lines.take(longest).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if !line.ends_with(b"\n") && line.len() as u64 == longest {
        skip_line(lines)?;
    }
    Ok(Some(line))
}

fn skip_line(lines: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = lines.fill_buf()?;
        let (end, length) = (buffer.iter().position(|b| *b == b'\n'), buffer.len());
        lines.consume(end.map_or(length, |at| at + 1));
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_audit::{Notary, RootKey, Sealer};
    use tollgate_domain::{Actor, AuditDraft, DIGEST_BYTES, Timestamp};

    use super::*;

    #[test]
    fn lines_are_checkpoints_of_this_notary_or_are_named() {
        let [root, other] = [(); 2].map(|()| RootKey::generate().unwrap());
        let at = Timestamp::from_micros(1_795_420_800_000_000);
        let line = |root: &RootKey, seq: u64| {
            let draft = AuditDraft::done(Actor::System, "key.create", at);
            let mut entry = draft.follow(seq, [0; DIGEST_BYTES]);
            entry.seal = Sealer::derive(root).unwrap().seal(&entry);
            let notary = Notary::derive(root).unwrap();
            notary.checkpoint(&entry, at).unwrap().to_string()
        };
        let long = "x".repeat(100_000);
        let text = [
            &line(&root, 1),
            "",
            &long,
            &line(&root, 9),
            &line(&other, 2),
            "{",
        ];
        let key = Notary::derive(&root).unwrap().public_key();
        let kept = KeptCheckpoints::read(text.join("\n").as_bytes(), &key).unwrap();
        let seqs: Vec<_> = kept.of(None).iter().map(Checkpoint::seq).collect();
        assert_eq!((seqs, kept.count()), (vec![1, 9], 2));
        let bad: Vec<_> = kept.bad_lines().iter().map(|bad| bad.line).collect();
        assert_eq!(bad, [3, 5, 6]);
        assert_eq!(kept.bad_lines()[1].problem, "not signed with this key");
    }
}
