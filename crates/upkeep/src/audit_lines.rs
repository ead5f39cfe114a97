//! Audit entries as lines of JSON.

use data_encoding::HEXLOWER;
use serde::Serialize;
use tollgate_domain::{AuditEntry, Timestamp};

use crate::audit_report::chain_name;

/// An entry, as it is written.
#[derive(Serialize)]
struct Line<'a> {
    kind: &'static str,
    chain: String,
    seq: u64,
    at: Timestamp,
    actor: String,
    action: &'a str,
    object: &'a str,
    outcome: &'static str,
    request_id: &'a str,
    client_ip: Option<std::net::IpAddr>,
    before: Option<String>,
    after: Option<String>,
    details: &'a str,
    previous: String,
    seal: String,
}

/// Returns an entry as one line, without its end.
pub(crate) fn entry_line(entry: &AuditEntry) -> String {
    let line = Line {
        kind: "tollgate.audit.entry.v1",
        chain: chain_name(entry.org_id),
        seq: entry.seq,
        at: entry.at,
        actor: entry.actor.to_string(),
        action: &entry.action,
        object: &entry.object,
        outcome: entry.outcome.as_str(),
        request_id: &entry.request_id,
        client_ip: entry.client_ip,
        before: entry.before.map(|digest| HEXLOWER.encode(&digest)),
        after: entry.after.map(|digest| HEXLOWER.encode(&digest)),
        details: &entry.details,
        previous: HEXLOWER.encode(&entry.previous),
        seal: HEXLOWER.encode(&entry.seal),
    };
    // It has no maps, and texts alone: it always has a JSON form.
    serde_json::to_string(&line).unwrap_or_default()
}
