//! What is written down of a use case.

use std::fmt::Display;

use tollgate_auth::Principal;
use tollgate_domain::{AuditDraft, Timestamp};

/// Returns the entry of something that a principal did to a thing of its organization.
pub(crate) fn done(
    principal: &Principal,
    action: &'static str,
    object: impl Display,
    now: Timestamp,
) -> AuditDraft {
    AuditDraft::done(principal.actor, action, now)
        .in_chain(principal.org_id)
        .about(object)
}
