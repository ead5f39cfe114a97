//! Who is in a team.

use serde::Serialize;
use tollgate_auth::{PermissionType, Reach, UsersManage, UsersRead};
use tollgate_domain::{
    AuditDraft, PermissionSet, Role, TeamId, TeamMembership, TeamRole, Timestamp, UserId,
};
use tollgate_validation::{PageQuery, TeamPlace, Valid};

use crate::control::Control;
use crate::error::ControlError;
use crate::views::Page;

/// How many teams of a user are looked at when it is asked whether they are in one.
const PLACES_MAX: u16 = 1;

/// Somebody's place in a team.
#[derive(Debug, Clone, Serialize)]
pub struct TeamMemberView {
    /// Who.
    pub user_id: UserId,
    /// What others call them.
    pub name: String,
    /// What they are in the team: `team_admin`, `member` or `viewer`.
    pub role: Role,
}

/// Returns what a place in a team allows there. What no admin of a team may do concerns all of the
/// organization, and means nothing in a team.
const fn within_team(role: TeamRole) -> PermissionSet {
    let all = Role::TeamAdmin.permissions();
    role.role().permissions().intersect(all)
}

impl Control {
    /// Lists the members of a team within reach, in the order of their ids.
    ///
    /// # Errors
    /// `NotFound` when there is no such team; `Input` when the cursor is not one of ours; a store's error.
    pub fn list_team_members(
        &self,
        reach: &Reach<UsersRead>,
        team: TeamId,
        page: &PageQuery,
    ) -> Result<Page<TeamMemberView>, ControlError> {
        self.check_team(reach, team)?;
        let (org, limit) = (reach.org_id(), page.limit.saturating_add(1));
        let places = self
            .store
            .list_team_members(org, team, page.after()?, limit)?;
        let mut views = Vec::with_capacity(places.len());
        for place in places {
            views.push(self.team_member_view(place)?);
        }
        Ok(Page::cut(views, page.limit, |member: &TeamMemberView| {
            member.user_id.to_string()
        }))
    }

    /// Puts a member of the organization into a team, or gives them another role there. Nobody gives a
    /// role with more rights than they have in the team, and nobody takes one away that has.
    ///
    /// # Errors
    /// `NotFound` when there is no such team within reach, or no such member; `Exceeds`; a store's error.
    pub fn set_team_member(
        &self,
        reach: &Reach<UsersManage>,
        (team, user): (TeamId, UserId),
        input: &Valid<TeamPlace>,
        now: Timestamp,
    ) -> Result<TeamMemberView, ControlError> {
        self.check_team(reach, team)?;
        let role = TeamRole::from_role(input.role)
            .ok_or(ControlError::Invalid("this is no role of a team"))?;
        let giver = self.giver(reach.principal(), now)?;
        giver.check_rights(within_team(role), None, Some(team))?;
        if let Some(old) = self.team_place(reach, team, user)? {
            giver.check_taken(within_team(old.role), Some(team))?;
        }
        let member = TeamMembership {
            org_id: reach.org_id(),
            team_id: team,
            user_id: user,
            role,
        };
        let audit = AuditDraft {
            details: format!("{user} {}", role.role().as_str()),
            ..self.done(reach.principal(), "team.member.set", team, now)
        };
        self.store.set_team_membership(&member, &audit)?;
        self.team_member_view(member)
    }

    /// Takes a user out of a team; repeating it changes nothing.
    ///
    /// # Errors
    /// `NotFound` when there is no such team within reach; `Exceeds` when they have more rights there than
    /// whoever asks; a store's error.
    pub fn remove_team_member(
        &self,
        reach: &Reach<UsersManage>,
        team: TeamId,
        user: UserId,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        self.check_team(reach, team)?;
        let giver = self.giver(reach.principal(), now)?;
        if let Some(old) = self.team_place(reach, team, user)? {
            giver.check_taken(within_team(old.role), Some(team))?;
        }
        let audit = AuditDraft {
            details: user.to_string(),
            ..self.done(reach.principal(), "team.member.remove", team, now)
        };
        self.store
            .remove_team_membership(reach.org_id(), team, user, &audit)?;
        Ok(())
    }

    fn check_team<P: PermissionType>(
        &self,
        reach: &Reach<P>,
        team: TeamId,
    ) -> Result<(), ControlError> {
        if !reach.covers(Some(team)) {
            return Err(ControlError::NotFound("team"));
        }
        self.live_team(reach.org_id(), team).map(drop)
    }

    /// Returns a user's place in a team: the one after the id before theirs, if it is theirs.
    fn team_place<P: PermissionType>(
        &self,
        reach: &Reach<P>,
        team: TeamId,
        user: UserId,
    ) -> Result<Option<TeamMembership>, ControlError> {
        let before = u128::from_be_bytes(*user.as_bytes()).checked_sub(1);
        let before = before.map(|before| UserId::from_bytes(before.to_be_bytes()));
        let found = self
            .store
            .list_team_members(reach.org_id(), team, before, PLACES_MAX)?;
        Ok(found.into_iter().find(|place| place.user_id == user))
    }

    fn team_member_view(&self, place: TeamMembership) -> Result<TeamMemberView, ControlError> {
        let user = self.store.find_user(place.user_id)?;
        Ok(TeamMemberView {
            user_id: place.user_id,
            name: user.map(|user| user.name).unwrap_or_default(),
            role: place.role.role(),
        })
    }
}
