//! Invitations in memory.

use std::collections::btree_map::Entry;

use tollgate_domain::{
    AuditDraft, Invitation, InvitationId, MAC_BYTES, Membership, OrgId, TeamId, TeamMembership,
    TeamRole, Timestamp, UserId,
};

use crate::check::check_invitation;
use crate::error::StoreError;
use crate::invitations::InvitationStore;
use crate::memory::{Change, MemoryStore, page};
use crate::{INVITATION, USER};

impl InvitationStore for MemoryStore {
    fn add_invitation(
        &self,
        invitation: &Invitation,
        audit: &AuditDraft,
    ) -> Result<(), StoreError> {
        check_invitation(invitation)?;
        self.change(Some(invitation.org_id), audit, |state| {
            state.check_org(invitation.org_id)?;
            let mut others = state.invitations.values();
            let is_token_taken = others.any(|other| other.token_mac == invitation.token_mac);
            match state.invitations.entry(invitation.id) {
                Entry::Vacant(place) if !is_token_taken => place.insert(invitation.clone()),
                _ => return Err(StoreError::Conflict { what: INVITATION }),
            };
            Ok(((), Change::Audited))
        })
    }

    fn find_invitation(
        &self,
        org: OrgId,
        id: InvitationId,
    ) -> Result<Option<Invitation>, StoreError> {
        let state = self.state.lock();
        let found = state.invitations.get(&id).filter(|one| one.org_id == org);
        Ok(found.cloned())
    }

    fn find_invitation_by_mac(
        &self,
        mac: &[u8; MAC_BYTES],
    ) -> Result<Option<Invitation>, StoreError> {
        let state = self.state.lock();
        let mut all = state.invitations.values();
        Ok(all.find(|one| one.token_mac == *mac).cloned())
    }

    fn list_invitations(
        &self,
        org: OrgId,
        after: Option<InvitationId>,
        limit: u16,
    ) -> Result<Vec<Invitation>, StoreError> {
        let state = self.state.lock();
        Ok(page(&state.invitations, after, limit, |one| {
            one.org_id == org
        }))
    }

    fn revoke_invitation(
        &self,
        org: OrgId,
        id: InvitationId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<Invitation>, StoreError> {
        self.change(Some(org), audit, |state| {
            let found = state.invitations.get_mut(&id);
            let Some(invitation) = found.filter(|one| one.org_id == org) else {
                return Ok((None, Change::None));
            };
            let is_settled = invitation.accepted_at.or(invitation.revoked_at).is_some();
            if is_settled {
                return Ok((Some(invitation.clone()), Change::None));
            }
            invitation.revoked_at = Some(at);
            Ok((Some(invitation.clone()), Change::Audited))
        })
    }

    fn accept_invitation(
        &self,
        org: OrgId,
        id: InvitationId,
        user: UserId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError> {
        self.change(Some(org), audit, |state| {
            let is_user = state.find_guest(org, user).is_some();
            let found = state.invitations.get_mut(&id);
            let Some(invitation) = found.filter(|one| one.org_id == org && one.is_open(at)) else {
                return Ok((false, Change::None));
            };
            if !is_user {
                return Err(StoreError::Missing { what: USER });
            }
            invitation.accepted_at = Some(at);
            let invitation = invitation.clone();
            let member = Membership {
                org_id: org,
                user_id: user,
                role: invitation.role,
                created_at: at,
            };
            state.members.entry((org, user)).or_insert(member);
            let teams = &state.teams;
            let is_team = |id: &TeamId| {
                let team = teams.get(id).filter(|team| team.org_id == org);
                team.is_some_and(|team| team.deleted_at.is_none())
            };
            if let Some(team_id) = invitation.team_id.filter(is_team) {
                let member = TeamMembership {
                    org_id: org,
                    team_id,
                    user_id: user,
                    role: TeamRole::Member,
                };
                state.team_members.entry((team_id, user)).or_insert(member);
            }
            Ok((true, Change::Auth))
        })
    }
}
