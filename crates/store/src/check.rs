//! What no backend can keep, refused by all of them alike.

use tollgate_domain::{
    ApiKey, AuditDraft, BudgetScope, Charge, CustomRole, Invitation, METADATA_BYTES_MAX, OrgId,
    Organization, PermissionSet, Session, Team, Timestamp, USER_AGENT_BYTES_MAX, UsageEvent, User,
};

use crate::books::buckets;
use crate::error::StoreError;
use crate::identities::UserIdentity;

/// The longest name of anything, in bytes: names are parts of database keys, which every backend
/// bounds (PostgreSQL at about 2,700 bytes).
pub const NAME_BYTES_MAX: usize = 512;

/// The most entries of a list that is kept in one value.
pub const LIST_MAX: usize = 1_024;

/// The longest details of an audit entry, in bytes.
pub const DETAILS_BYTES_MAX: usize = 4_096;

/// 0000-01-01T00:00:00Z and the last microsecond of 9999: days within sort by their names.
const YEAR_0: i64 = -62_167_219_200_000_000;
const YEAR_9999_END: i64 = 253_402_300_799_999_999;

/// Returns whether an event can be kept by every backend.
///
/// # Errors
/// `Invalid` when a figure does not fit 63 bits, a name is longer than [`NAME_BYTES_MAX`] or holds
/// a NUL, the day is outside the years 0 to 9999, or a charge is to another's budget.
pub fn check_usage_event(event: &UsageEvent) -> Result<(), StoreError> {
    let invalid = |what| Err(StoreError::Invalid { what });
    let names = [
        &event.model,
        &event.provider,
        &event.upstream_model,
        &event.price_version,
    ];
    if !names.into_iter().all(|name| is_name(name)) {
        return invalid("a name in a usage event");
    }
    let counts = buckets(&event.usage).into_iter();
    if counts
        .chain([event.latency_us, event.first_token_us.unwrap_or_default()])
        .any(|count| i64::try_from(count).is_err())
    {
        return invalid("a figure of a usage event");
    }
    if !(YEAR_0..=YEAR_9999_END).contains(&event.started_at.micros()) {
        return invalid("the time of a usage event");
    }
    let is_own = |charge: Option<Charge>, own| charge.is_none_or(|charge| charge.scope == own);
    if !is_own(event.org_charge, BudgetScope::Org(event.org_id))
        || !is_own(event.key_charge, BudgetScope::Key(event.key_id))
    {
        return invalid("the charge of a usage event");
    }
    Ok(())
}

/// Returns whether an organization can be kept by every backend.
///
/// # Errors
/// `Invalid` when its name is longer than [`NAME_BYTES_MAX`] or holds a NUL.
pub fn check_organization(organization: &Organization) -> Result<(), StoreError> {
    kept(is_name(&organization.name), "the name of an organization")
}

/// Returns whether an API key can be kept by every backend.
///
/// # Errors
/// `Invalid` when one of its texts is longer than [`NAME_BYTES_MAX`] (its metadata:
/// [`METADATA_BYTES_MAX`]) or holds a NUL, or a list has more than [`LIST_MAX`] entries.
pub fn check_api_key(key: &ApiKey) -> Result<(), StoreError> {
    let is_kept = is_name(&key.public_id)
        && is_name(&key.name)
        && is_list(&key.models)
        && is_list(&key.tags)
        && key.allowed_ips.len() <= LIST_MAX
        && is_text(&key.metadata, METADATA_BYTES_MAX);
    kept(is_kept, "a text in an API key")
}

/// Returns whether a team can be kept by every backend.
///
/// # Errors
/// `Invalid` when one of its texts is longer than [`NAME_BYTES_MAX`] or holds a NUL, or it has more
/// than [`LIST_MAX`] models.
pub fn check_team(team: &Team) -> Result<(), StoreError> {
    kept(
        is_name(&team.name) && is_list(&team.models),
        "a text in a team",
    )
}

/// Returns whether a user can be kept by every backend.
///
/// # Errors
/// `Invalid` when one of its texts is longer than [`NAME_BYTES_MAX`] or holds a NUL, its second factor
/// is longer than that, it has more than [`LIST_MAX`] recovery codes, or a step does not fit 63 bits.
pub fn check_user(user: &User) -> Result<(), StoreError> {
    let texts = [user.email.as_ref(), user.password_hash.as_ref()];
    let is_kept = is_name(&user.name)
        && texts.into_iter().flatten().all(|text| is_name(text))
        && user.recovery_macs.len() <= LIST_MAX
        && user
            .totp
            .as_ref()
            .is_none_or(|sealed| sealed.len() <= NAME_BYTES_MAX)
        && user
            .totp_last_step
            .is_none_or(|step| i64::try_from(step).is_ok());
    kept(is_kept, "a value in a user")
}

/// Returns whether the hash of a password can be kept by every backend.
///
/// # Errors
/// `Invalid` when it is longer than [`NAME_BYTES_MAX`] or holds a NUL.
pub fn check_password_hash(hash: &str) -> Result<(), StoreError> {
    kept(is_name(hash), "the hash of a password")
}

/// Returns whether an identity can be kept by every backend.
///
/// # Errors
/// `Invalid` when one of its texts is longer than [`NAME_BYTES_MAX`] or holds a NUL.
pub fn check_user_identity(identity: &UserIdentity) -> Result<(), StoreError> {
    let is_kept = is_name(&identity.issuer) && is_name(&identity.subject);
    kept(is_kept, "a text in an identity")
}

/// Returns whether a role can be kept by every backend.
///
/// # Errors
/// `Invalid` when its name is longer than [`NAME_BYTES_MAX`] or holds a NUL, or it allows something of
/// [`PermissionSet::PLATFORM`]: no organization hands that out.
pub fn check_role(role: &CustomRole) -> Result<(), StoreError> {
    let own = role
        .permissions
        .intersect(PermissionSet::PLATFORM)
        .is_empty();
    kept(is_name(&role.name), "the name of a role")?;
    kept(own, "a role with permissions of the installation")
}

/// Returns whether an invitation can be kept by every backend.
///
/// # Errors
/// `Invalid` when its address is longer than [`NAME_BYTES_MAX`] or holds a NUL.
pub fn check_invitation(invitation: &Invitation) -> Result<(), StoreError> {
    kept(is_name(&invitation.email), "the address of an invitation")
}

/// Returns whether a session can be kept by every backend.
///
/// # Errors
/// `Invalid` when its user agent is longer than [`USER_AGENT_BYTES_MAX`] or holds a NUL.
pub fn check_session(session: &Session) -> Result<(), StoreError> {
    let is_kept = is_text(&session.user_agent, USER_AGENT_BYTES_MAX);
    kept(is_kept, "the user agent of a session")
}

/// Returns whether an audit entry can be kept by every backend, for a change within `org` if it is
/// one.
///
/// # Errors
/// `Invalid` when one of its texts is longer than [`NAME_BYTES_MAX`] (its details:
/// [`DETAILS_BYTES_MAX`]) or holds a NUL, it is in another chain than the organization's, or in that of
/// an organization whose id is all zeros: backends write the installation's chain like that.
pub fn check_audit(org: Option<OrgId>, draft: &AuditDraft) -> Result<(), StoreError> {
    let is_kept = is_name(draft.action)
        && is_name(&draft.object)
        && is_name(&draft.request_id)
        && is_text(&draft.details, DETAILS_BYTES_MAX);
    kept(is_kept, "a text in an audit entry")?;
    let is_own = org.is_none() || org == draft.org_id;
    let is_chain = draft.org_id != Some(OrgId::from_bytes([0; 16]));
    kept(is_chain, "an audit entry of an organization without an id")?;
    kept(is_own, "an audit entry in another organization's chain")
}

fn kept(is_kept: bool, what: &'static str) -> Result<(), StoreError> {
    if is_kept {
        Ok(())
    } else {
        Err(StoreError::Invalid { what })
    }
}

/// Returns a day's name, such as `2026-11-23`. Times out of the years 0 to 9999 give a text that
/// sorts before or after all of those.
#[must_use]
pub fn day_name(time: Timestamp) -> String {
    match time.micros() {
        ..YEAR_0 => String::new(),
        YEAR_0..=YEAR_9999_END => {
            let mut text = time.to_string();
            text.truncate("2026-11-23".len());
            text
        }
        _ => "~".to_owned(),
    }
}

fn is_name(text: &str) -> bool {
    is_text(text, NAME_BYTES_MAX)
}

fn is_list(names: &[String]) -> bool {
    names.len() <= LIST_MAX && names.iter().all(|name| is_name(name))
}

/// PostgreSQL keeps no NUL in a text.
fn is_text(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names_that_sort_like_the_days() {
        let names = [
            i64::MIN,
            YEAR_0 - 1,
            YEAR_0,
            -1,
            0,
            YEAR_9999_END,
            YEAR_9999_END + 1,
        ]
        .map(|micros| day_name(Timestamp::from_micros(micros)));
        assert_eq!(
            names,
            [
                "",
                "",
                "0000-01-01",
                "1969-12-31",
                "1970-01-01",
                "9999-12-31",
                "~"
            ]
        );
        assert!(names.is_sorted());
    }
}
