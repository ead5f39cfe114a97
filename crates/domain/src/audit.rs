//! What is written down of each change, sign-in and denial.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::event::UnknownName;
use crate::ids::{KeyId, OrgId, UserId};
use crate::time::Timestamp;

/// The length of an entry's seal and of the digests in it: SHA-256.
pub const DIGEST_BYTES: usize = 32;

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// An API key.
    Key(KeyId),
    /// A person or a service account.
    User(UserId),
    /// Nobody who is known: a failed sign-in, for example.
    Anonymous,
    /// The installation itself: its first start, its command line, its own jobs.
    System,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was refused.
    Denied,
}

/// An entry as it is handed in: everything but its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDraft {
    /// The chain: an organization's own, or the installation's when there is none.
    pub org_id: Option<OrgId>,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done, such as `key.create`.
    pub action: &'static str,
    /// What it was done to, as an id is shown; empty when there is no such thing.
    pub object: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// The request that it was done by, as an id is shown; empty when there was none.
    pub request_id: String,
    /// Where it was asked from.
    pub client_ip: Option<IpAddr>,
    /// SHA-256 of the object before, in its canonical form.
    pub before: Option<[u8; DIGEST_BYTES]>,
    /// SHA-256 of the object after.
    pub after: Option<[u8; DIGEST_BYTES]>,
    /// The names of what was changed, or the code of the refusal. Never values: an entry outlives
    /// the data that it tells of.
    pub details: String,
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The chain.
    pub org_id: Option<OrgId>,
    /// Its number in the chain, from 1 without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub object: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// The request that it was done by.
    pub request_id: String,
    /// Where it was asked from.
    pub client_ip: Option<IpAddr>,
    /// SHA-256 of the object before.
    pub before: Option<[u8; DIGEST_BYTES]>,
    /// SHA-256 of the object after.
    pub after: Option<[u8; DIGEST_BYTES]>,
    /// What was changed.
    pub details: String,
    /// The seal of the entry before it; zeros for the first.
    pub previous: [u8; DIGEST_BYTES],
    /// The seal of this entry: a MAC over all of the above.
    pub seal: [u8; DIGEST_BYTES],
}

impl AuditDraft {
    /// Makes a draft of something that was done, in the installation's chain and about nothing in
    /// particular.
    #[must_use]
    pub const fn done(actor: Actor, action: &'static str, at: Timestamp) -> Self {
        Self {
            org_id: None,
            at,
            actor,
            action,
            object: String::new(),
            outcome: AuditOutcome::Done,
            request_id: String::new(),
            client_ip: None,
            before: None,
            after: None,
            details: String::new(),
        }
    }

    /// Puts it into an organization's chain.
    #[must_use]
    pub const fn in_chain(mut self, org: OrgId) -> Self {
        self.org_id = Some(org);
        self
    }

    /// Says what it was done to, as an id is shown.
    #[must_use]
    pub fn about(mut self, object: impl fmt::Display) -> Self {
        self.object = object.to_string();
        self
    }

    /// Returns the entry that this becomes behind another one, not sealed yet.
    #[must_use]
    pub fn follow(&self, seq: u64, previous: [u8; DIGEST_BYTES]) -> AuditEntry {
        AuditEntry {
            org_id: self.org_id,
            seq,
            at: self.at,
            actor: self.actor,
            action: self.action.to_owned(),
            object: self.object.clone(),
            outcome: self.outcome,
            request_id: self.request_id.clone(),
            client_ip: self.client_ip,
            before: self.before,
            after: self.after,
            details: self.details.clone(),
            previous,
            seal: [0; DIGEST_BYTES],
        }
    }
}

impl fmt::Display for Actor {
    /// Writes an id as it is shown, or `anonymous` or `system`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::User(id) => id.fmt(f),
            Self::Anonymous => f.write_str("anonymous"),
            Self::System => f.write_str("system"),
        }
    }
}

impl FromStr for Actor {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "anonymous" => return Ok(Self::Anonymous),
            "system" => return Ok(Self::System),
            _ => {}
        }
        let key = text.parse().map(Self::Key);
        key.or_else(|_| text.parse().map(Self::User))
            .map_err(|_| UnknownName { what: "actor" })
    }
}

impl AuditOutcome {
    /// Returns the name used in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Denied => "denied",
        }
    }
}

impl FromStr for AuditOutcome {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "done" => Ok(Self::Done),
            "denied" => Ok(Self::Denied),
            _ => Err(UnknownName { what: "outcome" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_and_outcomes_read_back() {
        for actor in [
            Actor::Key(KeyId::from_bytes([1; 16])),
            Actor::User(UserId::from_bytes([2; 16])),
            Actor::Anonymous,
            Actor::System,
        ] {
            assert_eq!(actor.to_string().parse(), Ok(actor));
        }
        for outcome in [AuditOutcome::Done, AuditOutcome::Denied] {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
        }
        assert!("root".parse::<Actor>().is_err() && "maybe".parse::<AuditOutcome>().is_err());
    }
}
