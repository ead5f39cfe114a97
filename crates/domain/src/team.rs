//! Teams, and who belongs to organizations and teams.

use crate::budget::BudgetPolicy;
use crate::ids::{InvitationId, OrgId, TeamId, UserId};
use crate::key::{Limits, MAC_BYTES};
use crate::role::{Role, RoleRef};
use crate::time::Timestamp;

/// A part of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Which team.
    pub id: TeamId,
    /// Whose team.
    pub org_id: OrgId,
    /// What people call it; unique among the organization's teams that are not deleted.
    pub name: String,
    /// The models that its keys may call; empty allows all. A trailing `*` matches any ending.
    pub models: Vec<String>,
    /// Limits over all of its keys together.
    pub limits: Limits,
    /// A budget over all of its keys together.
    pub budget: Option<BudgetPolicy>,
    /// Whether all of its keys are refused.
    pub blocked: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is gone.
    pub deleted_at: Option<Timestamp>,
    /// Grows with every change, from 1.
    pub version: u64,
}

impl Team {
    /// Returns whether its keys and people may do anything by it.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        !self.blocked && self.deleted_at.is_none()
    }
}

/// A user's place in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The organization.
    pub org_id: OrgId,
    /// The user.
    pub user_id: UserId,
    /// What the user may do in all of the organization.
    pub role: RoleRef,
    /// When the user came in.
    pub created_at: Timestamp,
}

/// What a user is in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TeamRole {
    /// Runs it.
    Admin,
    /// Works in it.
    Member,
    /// Sees it.
    Viewer,
}

impl TeamRole {
    /// Returns the role whose permissions these are, within the team.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Admin => Role::TeamAdmin,
            Self::Member => Role::Member,
            Self::Viewer => Role::Viewer,
        }
    }

    /// Returns the team role of this name; `None` for roles that are none of a team.
    #[must_use]
    pub const fn from_role(role: Role) -> Option<Self> {
        match role {
            Role::TeamAdmin => Some(Self::Admin),
            Role::Member => Some(Self::Member),
            Role::Viewer => Some(Self::Viewer),
            _ => None,
        }
    }
}

/// A user's place in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeamMembership {
    /// The team's organization.
    pub org_id: OrgId,
    /// The team.
    pub team_id: TeamId,
    /// The user, who is in the organization, too.
    pub user_id: UserId,
    /// What the user may do in the team.
    pub role: TeamRole,
}

/// An invitation into an organization, for whoever has its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Which invitation.
    pub id: InvitationId,
    /// Into which organization.
    pub org_id: OrgId,
    /// The address it went to, in its canonical form.
    pub email: String,
    /// What the guest will be.
    pub role: RoleRef,
    /// The team that the guest will be in, as a member.
    pub team_id: Option<TeamId>,
    /// HMAC-SHA-256 of the token.
    pub token_mac: [u8; MAC_BYTES],
    /// Who sent it; `None` when no user did.
    pub invited_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl Invitation {
    /// Returns whether it can be accepted at `now`.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.accepted_at.is_none() && self.revoked_at.is_none() && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_in_a_team_reads_back_and_most_roles_are_none() {
        for role in [TeamRole::Admin, TeamRole::Member, TeamRole::Viewer] {
            assert_eq!(TeamRole::from_role(role.role()), Some(role));
        }
        for role in [Role::OrgOwner, Role::PlatformAdmin, Role::Service] {
            assert_eq!(TeamRole::from_role(role), None);
        }
    }

    #[test]
    fn an_invitation_is_open_until_it_is_used_or_taken_back_or_its_time_is_up() {
        let at = Timestamp::from_micros;
        let open = Invitation {
            id: InvitationId::from_bytes([1; 16]),
            org_id: OrgId::from_bytes([2; 16]),
            email: "a@example.com".to_owned(),
            role: Role::Member.into(),
            team_id: None,
            token_mac: [0; MAC_BYTES],
            invited_by: None,
            created_at: at(0),
            expires_at: at(10),
            accepted_at: None,
            revoked_at: None,
        };
        assert!(open.is_open(at(9)) && !open.is_open(at(10)));
        let accepted = Invitation {
            accepted_at: Some(at(1)),
            ..open.clone()
        };
        let revoked = Invitation {
            revoked_at: Some(at(1)),
            ..open
        };
        assert!(!accepted.is_open(at(2)) && !revoked.is_open(at(2)));
    }
}
