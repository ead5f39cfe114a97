//! Signed records, as lines of JSON.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use tollgate_domain::{AuditEntry, DIGEST_BYTES, OrgId, Timestamp};

use crate::canonical::push_chain;
use crate::error::RecordError;
use crate::notary::{NotaryKey, SIGNATURE_BYTES};

/// The longest line that is read, in bytes; those that are written have fewer than 400.
pub const RECORD_BYTES_MAX: usize = 1_024;

/// What is signed along, so that a signature counts for nothing else.
const LABEL: &str = "tollgate audit record v1";

/// The name of the chain that belongs to no organization.
const INSTALLATION: &str = "installation";

/// What a record says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    #[serde(rename = "tollgate.audit.checkpoint.v1")]
    Checkpoint,
    #[serde(rename = "tollgate.audit.pruned.v1")]
    Pruned,
}

/// The entry that a record speaks of, and when it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) org_id: Option<OrgId>,
    pub(crate) seq: u64,
    pub(crate) seal: [u8; DIGEST_BYTES],
    pub(crate) at: Timestamp,
}

impl Claim {
    pub(crate) fn of(entry: &AuditEntry, at: Timestamp) -> Self {
        Self {
            org_id: entry.org_id,
            seq: entry.seq,
            seal: entry.seal,
            at,
        }
    }

    /// The label, the kind, and the parts, each of a known length.
    pub(crate) fn signed_bytes(&self, kind: Kind) -> Vec<u8> {
        let mut bytes = LABEL.as_bytes().to_vec();
        bytes.push(match kind {
            Kind::Checkpoint => 1,
            Kind::Pruned => 2,
        });
        push_chain(&mut bytes, self.org_id);
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.seal);
        bytes.extend(self.at.micros().to_be_bytes());
        bytes
    }
}

/// The line, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: Kind,
    chain: String,
    seq: u64,
    seal: String,
    at: Timestamp,
    signature: String,
}

impl Line {
    fn new(kind: Kind, claim: &Claim, signature: &[u8]) -> Self {
        Self {
            kind,
            chain: claim
                .org_id
                .map_or_else(|| INSTALLATION.to_owned(), |id| id.to_string()),
            seq: claim.seq,
            seal: HEXLOWER.encode(&claim.seal),
            at: claim.at,
            signature: HEXLOWER.encode(signature),
        }
    }

    fn claim(&self) -> Result<Claim, RecordError> {
        let org_id = match self.chain.as_str() {
            INSTALLATION => None,
            id => Some(id.parse().map_err(|_| RecordError::Malformed)?),
        };
        Ok(Claim {
            org_id,
            seq: self.seq,
            seal: read_hex(&self.seal)?,
            at: self.at,
        })
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

pub(crate) fn read_hex<const N: usize>(text: &str) -> Result<[u8; N], RecordError> {
    let bytes = HEXLOWER.decode(text.as_bytes());
    let bytes = bytes.map_err(|_| RecordError::Malformed)?;
    bytes.try_into().map_err(|_| RecordError::Malformed)
}

/// Reads a line and checks its form and its signature.
fn verify(
    text: &str,
    kind: Kind,
    key: &NotaryKey,
) -> Result<(Claim, [u8; SIGNATURE_BYTES]), RecordError> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.len() > RECORD_BYTES_MAX {
        return Err(RecordError::Malformed);
    }
    let line: Line = serde_json::from_str(text).map_err(|_| RecordError::Malformed)?;
    let claim = line.claim()?;
    let signature = read_hex(&line.signature)?;
    // One record has one text: what reads the same but is written otherwise is not what was signed.
    let written = serde_json::to_string(&Line::new(kind, &claim, &signature));
    if claim.seq == 0 || written.ok().as_deref() != Some(text) {
        return Err(RecordError::Malformed);
    }
    key.verify(kind, &claim, &signature)?;
    Ok((claim, signature))
}

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident: $kind:expr, $verify:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            pub(crate) claim: Claim,
            pub(crate) signature: [u8; SIGNATURE_BYTES],
        }

        impl $name {
            /// Returns the chain: an organization's, or the installation's when there is none.
            #[must_use]
            pub fn org_id(&self) -> Option<OrgId> {
                self.claim.org_id
            }

            /// Returns the number of the entry, from 1.
            #[must_use]
            pub fn seq(&self) -> u64 {
                self.claim.seq
            }

            /// Returns the seal of the entry.
            #[must_use]
            pub fn seal(&self) -> &[u8; DIGEST_BYTES] {
                &self.claim.seal
            }

            /// Returns when it was signed.
            #[must_use]
            pub fn at(&self) -> Timestamp {
                self.claim.at
            }
        }

        /// The line, without its end.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Line::new($kind, &self.claim, &self.signature).write(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        #[doc = concat!("Reads the line of ", $what, ", as it was written, and checks who signed it.")]
        ///
        /// # Errors
        /// `Malformed`, also when it is of another kind, or written otherwise; `Signature`.
        pub fn $verify(line: &str, key: &NotaryKey) -> Result<$name, RecordError> {
            let (claim, signature) = verify(line, $kind, key)?;
            Ok($name { claim, signature })
        }
    )*};
}

records! {
    /// How far a chain had come: proof that its entry of this number had this seal, and that all entries
    /// before it were there. Holding one means that its signature was checked.
    ///
    /// Shown, it is one line of JSON, to be kept where those who can write to the database cannot:
    /// `{"kind":"tollgate.audit.checkpoint.v1","chain":"org_…","seq":7,"seal":"…","at":"…","signature":"…"}`.
    Checkpoint: Kind::Checkpoint, verify_checkpoint, "a checkpoint";
    /// That the entries of a chain up to this number were dropped on purpose, when their time was over.
    /// It stands in for them. Holding one means that its signature was checked.
    ///
    /// Shown, it is a line as a [`Checkpoint`] is, of the kind `tollgate.audit.pruned.v1`.
    Pruned: Kind::Pruned, verify_pruned, "a record of pruning";
}
