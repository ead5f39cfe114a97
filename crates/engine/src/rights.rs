//! What somebody may do now, from what the store knows of them.

use tollgate_auth::{KeyTeam, Owner, Rights, effective_rights, user_rights};
use tollgate_domain::{ApiKey, OrgId, PermissionSet, RoleRef, Team, User, UserId, UserKind};
use tollgate_store::{Store, StoreError};

/// Returns what a user may do in an organization now, and nothing when there is no such user.
///
/// # Errors
/// When the store cannot be read.
pub fn rights_of_user(store: &dyn Store, org: OrgId, user: UserId) -> Result<Rights, StoreError> {
    match store.find_user(user)? {
        Some(user) => rights_of(store, org, &user),
        None => Ok(Rights::none()),
    }
}

/// Returns what a key may do now: its role narrowed by its scopes, its team and its owner.
pub(crate) fn rights_of_key(
    store: &dyn Store,
    key: &ApiKey,
    team: Option<&Team>,
) -> Result<Rights, StoreError> {
    let role = permissions(store, key.org_id, key.role)?;
    let team = match (key.team_id, team) {
        (None, _) => KeyTeam::None,
        (Some(id), Some(team)) if team.id == id && team.is_live() => KeyTeam::Live(id),
        _ => KeyTeam::Gone,
    };
    let Some(owner) = key.owner else {
        return Ok(effective_rights(role, key.scopes, Owner::Nobody, team));
    };
    // An owner who is gone is one who may do nothing.
    let owner = rights_of_user(store, key.org_id, owner)?;
    Ok(effective_rights(role, key.scopes, Owner::Has(&owner), team))
}

fn rights_of(store: &dyn Store, org: OrgId, user: &User) -> Result<Rights, StoreError> {
    let is_at_home = match user.kind {
        UserKind::Human => true,
        UserKind::Service { org_id } => org_id == org,
    };
    if !is_at_home || !user.is_live() {
        return Ok(Rights::none());
    }
    let member = store.find_membership(org, user.id)?;
    let member = member.map(|member| permissions(store, org, member.role));
    let mut teams = Vec::new();
    for place in store.list_team_memberships_of(org, user.id)? {
        let team = store.find_team(org, place.team_id)?;
        if team.is_some_and(|team| team.is_live()) {
            teams.push((place.team_id, place.role));
        }
    }
    let member = member.transpose()?;
    Ok(user_rights(true, user.is_platform_admin, member, teams))
}

/// Returns what a role allows; a role that is not there allows nothing.
fn permissions(store: &dyn Store, org: OrgId, role: RoleRef) -> Result<PermissionSet, StoreError> {
    let found = match role {
        RoleRef::Builtin(role) => return Ok(role.permissions()),
        RoleRef::Custom(id) => store.find_role(org, id)?,
    };
    Ok(found.map_or(PermissionSet::EMPTY, |role| {
        role.permissions.without(PermissionSet::PLATFORM)
    }))
}
