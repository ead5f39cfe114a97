//! What was done in the organization, and what was refused.

use serde::Serialize;
use tollgate_auth::{AuditRead, Granted};
use tollgate_domain::{Actor, AuditEntry, AuditOutcome, DIGEST_BYTES, Timestamp};
use tollgate_store::AuditFilter;
use tollgate_validation::AuditQuery;

use crate::control::Control;
use crate::error::ControlError;
use crate::views::Page;

/// How many entries are read at once for an export.
const EXPORT_ENTRIES: u16 = 200;

/// An audit entry. Digests and seals are hexadecimal.
#[derive(Debug, Clone, Serialize)]
pub struct AuditView {
    /// Its number in the organization's chain, from 1 without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it: a key, a user, `anonymous` or `system`.
    #[serde(serialize_with = "shown")]
    pub actor: Actor,
    /// What was done, such as `key.create`.
    pub action: String,
    /// What it was done to.
    pub object: String,
    /// How it ended: `done` or `denied`.
    #[serde(serialize_with = "named")]
    pub outcome: AuditOutcome,
    /// The request that it was done by.
    pub request_id: String,
    /// Where it was asked from.
    pub client_ip: Option<std::net::IpAddr>,
    /// The names of what was changed, or the code of the refusal.
    pub details: String,
    /// SHA-256 of the object before.
    pub before: Option<String>,
    /// SHA-256 of the object after.
    pub after: Option<String>,
    /// The seal of the entry before it.
    pub previous: String,
    /// The seal over all of the above.
    pub seal: String,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let hex = |digest: [u8; DIGEST_BYTES]| data_encoding::HEXLOWER.encode(&digest);
        Self {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            object: entry.object,
            outcome: entry.outcome,
            request_id: entry.request_id,
            client_ip: entry.client_ip,
            details: entry.details,
            before: entry.before.map(hex),
            after: entry.after.map(hex),
            previous: hex(entry.previous),
            seal: hex(entry.seal),
        }
    }
}

pub(crate) fn shown<S: serde::Serializer>(actor: &Actor, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(actor)
}

fn named<S: serde::Serializer>(outcome: &AuditOutcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.as_str())
}

impl Control {
    /// Lists audit entries of the organization, newest first.
    ///
    /// # Errors
    /// `Input` when the cursor is not one of ours; a store's error.
    pub fn list_audit(
        &self,
        granted: &Granted<AuditRead>,
        query: &AuditQuery,
    ) -> Result<Page<AuditView>, ControlError> {
        let filter = AuditFilter {
            actor: query.actor.map(|actor| actor.to_string()),
            action: query.action.clone(),
            object: query.object.clone(),
            outcome: query.outcome,
            from: query.from,
            until: query.until,
        };
        let (before, limit) = (query.page.after()?, query.page.limit);
        let chain = Some(granted.org_id());
        let entries = self
            .store
            .list_audit(chain, &filter, before, limit.saturating_add(1))?;
        let views = entries.into_iter().map(AuditView::from).collect();
        Ok(Page::cut(views, limit, |entry: &AuditView| {
            entry.seq.to_string()
        }))
    }

    /// Returns the number of the last audit entry of the organization; 0 when there is none.
    ///
    /// # Errors
    /// A store's error.
    pub fn last_audit(&self, granted: &Granted<AuditRead>) -> Result<u64, ControlError> {
        let head = self.store.find_audit_head(Some(granted.org_id()))?;
        Ok(head.map_or(0, |head| head.seq))
    }

    /// Returns the next part of an export: entries after the one with this number and up to the `last`,
    /// oldest first, none when there are no more. A part has up to 200.
    ///
    /// # Errors
    /// A store's error.
    pub fn export_audit(
        &self,
        granted: &Granted<AuditRead>,
        after: u64,
        last: u64,
    ) -> Result<Vec<AuditView>, ControlError> {
        if after >= last {
            return Ok(Vec::new());
        }
        let chain = Some(granted.org_id());
        let entries = self.store.read_audit(chain, after, EXPORT_ENTRIES)?;
        let within = entries.into_iter().filter(|entry| entry.seq <= last);
        Ok(within.map(AuditView::from).collect())
    }
}
