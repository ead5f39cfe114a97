//! Teams and roles in memory.

use tollgate_domain::{AuditDraft, CustomRole, OrgId, RoleId, RoleRef, Team, TeamId, Timestamp};

use crate::check::{check_role, check_team};
use crate::error::StoreError;
use crate::memory::{Change, MemoryStore, State, page};
use crate::roles::RoleStore;
use crate::teams::TeamStore;
use crate::{ORGANIZATION, ROLE, ROLE_IN_USE, TEAM};

impl State {
    pub(super) fn check_org(&self, org: OrgId) -> Result<(), StoreError> {
        let is_there = self.organizations.contains_key(&org);
        is_there
            .then_some(())
            .ok_or(StoreError::Missing { what: ORGANIZATION })
    }

    fn is_team_name_taken(&self, team: &Team) -> bool {
        self.teams.values().any(|other| {
            other.org_id == team.org_id
                && other.name == team.name
                && other.id != team.id
                && other.deleted_at.is_none()
        })
    }

    fn is_role_name_taken(&self, role: &CustomRole) -> bool {
        self.roles.values().any(|other| {
            other.org_id == role.org_id && other.name == role.name && other.id != role.id
        })
    }

    fn is_role_in_use(&self, id: RoleId) -> bool {
        let role = RoleRef::Custom(id);
        let mut keys = self.keys.values();
        let mut members = self.members.values();
        let mut invitations = self.invitations.values();
        keys.any(|key| key.role == role && key.revoked_at.is_none())
            || members.any(|member| member.role == role)
            || invitations.any(|invitation| {
                let is_settled = invitation.accepted_at.or(invitation.revoked_at).is_some();
                invitation.role == role && !is_settled
            })
    }
}

impl TeamStore for MemoryStore {
    fn add_team(&self, team: &Team, audit: &AuditDraft) -> Result<(), StoreError> {
        check_team(team)?;
        self.change(Some(team.org_id), audit, |state| {
            state.check_org(team.org_id)?;
            if state.teams.contains_key(&team.id) || state.is_team_name_taken(team) {
                return Err(StoreError::Conflict { what: TEAM });
            }
            let kept = Team {
                version: 1,
                ..team.clone()
            };
            state.teams.insert(team.id, kept);
            Ok(((), Change::Auth))
        })
    }

    fn find_team(&self, org: OrgId, id: TeamId) -> Result<Option<Team>, StoreError> {
        let state = self.state.lock();
        let found = state.teams.get(&id).filter(|team| team.org_id == org);
        Ok(found.cloned())
    }

    fn list_teams(
        &self,
        org: OrgId,
        after: Option<TeamId>,
        limit: u16,
    ) -> Result<Vec<Team>, StoreError> {
        let state = self.state.lock();
        let is_listed = |team: &Team| team.org_id == org && team.deleted_at.is_none();
        Ok(page(&state.teams, after, limit, is_listed))
    }

    fn update_team(&self, team: &Team, audit: &AuditDraft) -> Result<u64, StoreError> {
        check_team(team)?;
        self.change(Some(team.org_id), audit, |state| {
            let is_name_taken = state.is_team_name_taken(team);
            let kept = state.teams.get_mut(&team.id);
            let kept = kept.filter(|kept| kept.org_id == team.org_id && kept.deleted_at.is_none());
            let kept = kept.ok_or(StoreError::Missing { what: TEAM })?;
            if kept.version != team.version {
                return Err(StoreError::Outdated { what: TEAM });
            }
            if is_name_taken {
                return Err(StoreError::Conflict { what: TEAM });
            }
            *kept = Team {
                created_at: kept.created_at,
                deleted_at: None,
                version: kept.version + 1,
                ..team.clone()
            };
            Ok((kept.version, Change::Auth))
        })
    }

    fn delete_team(
        &self,
        org: OrgId,
        id: TeamId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<Team>, StoreError> {
        self.change(Some(org), audit, |state| {
            let Some(team) = state.teams.get_mut(&id).filter(|team| team.org_id == org) else {
                return Ok((None, Change::None));
            };
            if team.deleted_at.is_some() {
                return Ok((Some(team.clone()), Change::None));
            }
            team.deleted_at = Some(at);
            team.version += 1;
            let team = team.clone();
            state.team_members.retain(|(team, _), _| *team != id);
            Ok((Some(team), Change::Auth))
        })
    }
}

impl RoleStore for MemoryStore {
    fn add_role(&self, role: &CustomRole, audit: &AuditDraft) -> Result<(), StoreError> {
        check_role(role)?;
        self.change(Some(role.org_id), audit, |state| {
            state.check_org(role.org_id)?;
            if state.roles.contains_key(&role.id) || state.is_role_name_taken(role) {
                return Err(StoreError::Conflict { what: ROLE });
            }
            let kept = CustomRole {
                version: 1,
                ..role.clone()
            };
            state.roles.insert(role.id, kept);
            Ok(((), Change::Auth))
        })
    }

    fn find_role(&self, org: OrgId, id: RoleId) -> Result<Option<CustomRole>, StoreError> {
        let state = self.state.lock();
        let found = state.roles.get(&id).filter(|role| role.org_id == org);
        Ok(found.cloned())
    }

    fn list_roles(
        &self,
        org: OrgId,
        after: Option<RoleId>,
        limit: u16,
    ) -> Result<Vec<CustomRole>, StoreError> {
        let state = self.state.lock();
        Ok(page(&state.roles, after, limit, |role| role.org_id == org))
    }

    fn update_role(&self, role: &CustomRole, audit: &AuditDraft) -> Result<u64, StoreError> {
        check_role(role)?;
        self.change(Some(role.org_id), audit, |state| {
            let is_name_taken = state.is_role_name_taken(role);
            let kept = state.roles.get_mut(&role.id);
            let kept = kept.filter(|kept| kept.org_id == role.org_id);
            let kept = kept.ok_or(StoreError::Missing { what: ROLE })?;
            if kept.version != role.version {
                return Err(StoreError::Outdated { what: ROLE });
            }
            if is_name_taken {
                return Err(StoreError::Conflict { what: ROLE });
            }
            *kept = CustomRole {
                created_at: kept.created_at,
                version: kept.version + 1,
                ..role.clone()
            };
            Ok((kept.version, Change::Auth))
        })
    }

    fn remove_role(&self, org: OrgId, id: RoleId, audit: &AuditDraft) -> Result<bool, StoreError> {
        self.change(Some(org), audit, |state| {
            if state.roles.get(&id).is_none_or(|role| role.org_id != org) {
                return Ok((false, Change::None));
            }
            if state.is_role_in_use(id) {
                return Err(StoreError::Conflict { what: ROLE_IN_USE });
            }
            state.roles.remove(&id);
            Ok((true, Change::Auth))
        })
    }
}
