//! Invitations into the organization: made, seen, taken back.

use serde::Serialize;
use tollgate_auth::{Granted, Principal, SecretToken, TokenPurpose, UsersManage, UsersRead};
use tollgate_domain::{Invitation, InvitationId, OrgId, Role, RoleRef, TeamId, Timestamp, UserId};
use tollgate_validation::{EmailAddress, NewInvitation, PageQuery, Valid};
use uuid::Uuid;

use crate::control::Control;
use crate::error::ControlError;
use crate::views::Page;

/// Whether an invitation can be accepted, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationState {
    /// It can.
    Open,
    /// Somebody did.
    Accepted,
    /// It was taken back.
    Revoked,
    /// Its time is up.
    Expired,
}

/// An invitation, without its token.
#[derive(Debug, Clone, Serialize)]
pub struct InvitationView {
    /// Which invitation.
    pub id: InvitationId,
    /// Who is invited.
    pub email: String,
    /// What they will be in the organization.
    pub role: RoleRef,
    /// The team that they will be in.
    pub team_id: Option<TeamId>,
    /// Whether it can be accepted.
    pub state: InvitationState,
    /// Who sent it; null when no user did.
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

impl InvitationView {
    fn new(invitation: Invitation, now: Timestamp) -> Self {
        let state = if invitation.accepted_at.is_some() {
            InvitationState::Accepted
        } else if invitation.revoked_at.is_some() {
            InvitationState::Revoked
        } else if invitation.is_open(now) {
            InvitationState::Open
        } else {
            InvitationState::Expired
        };
        Self {
            id: invitation.id,
            email: invitation.email,
            role: invitation.role,
            team_id: invitation.team_id,
            state,
            invited_by: invitation.invited_by,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            accepted_at: invitation.accepted_at,
            revoked_at: invitation.revoked_at,
        }
    }
}

/// An invitation that was just made: the only time its token is shown.
#[derive(Serialize)]
pub struct CreatedInvitation {
    /// Whoever has this is let in.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub view: InvitationView,
}

impl std::fmt::Debug for CreatedInvitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedInvitation")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

/// Whom an invitation is for, and what they will be.
pub(crate) struct Guest<'a> {
    pub(crate) org_id: OrgId,
    pub(crate) email: &'a str,
    pub(crate) role: RoleRef,
    pub(crate) team_id: Option<TeamId>,
    pub(crate) seconds: u32,
}

impl Control {
    /// Invites somebody into the organization, to be no more than whoever invites them.
    ///
    /// # Errors
    /// `Exceeds`; `NotFound` when there is no such team or role; `Invalid` when the address is none;
    /// `Conflict` when they are a member already; a store's error.
    pub fn create_invitation(
        &self,
        granted: &Granted<UsersManage>,
        input: &Valid<NewInvitation>,
        now: Timestamp,
    ) -> Result<CreatedInvitation, ControlError> {
        let (principal, org_id) = (granted.principal(), granted.org_id());
        let role = input.role.unwrap_or_else(|| Role::Member.into());
        let giver = self.giver(principal, now)?;
        giver.check_rights(self.permissions_of(principal, role)?, None, None)?;
        if let Some(team) = input.team_id {
            self.live_team(org_id, team)?;
        }
        let guest = Guest {
            org_id,
            email: &input.email,
            role,
            team_id: input.team_id,
            seconds: input.expires_in_seconds,
        };
        self.invite(principal, giver.user(), &guest, now)
    }

    /// Lists the invitations of the organization, open or not, in the order of their ids.
    ///
    /// # Errors
    /// `Input` when the cursor is not one of ours; a store's error.
    pub fn list_invitations(
        &self,
        granted: &Granted<UsersRead>,
        page: &PageQuery,
        now: Timestamp,
    ) -> Result<Page<InvitationView>, ControlError> {
        let limit = page.limit.saturating_add(1);
        let found = self
            .store
            .list_invitations(granted.org_id(), page.after()?, limit)?;
        let views = found.into_iter().map(|one| InvitationView::new(one, now));
        let views = views.collect();
        Ok(Page::cut(views, page.limit, |one: &InvitationView| {
            one.id.to_string()
        }))
    }

    /// Returns an invitation of the organization.
    ///
    /// # Errors
    /// `NotFound`; a store's error.
    pub fn invitation(
        &self,
        granted: &Granted<UsersRead>,
        id: InvitationId,
        now: Timestamp,
    ) -> Result<InvitationView, ControlError> {
        let found = self.store.find_invitation(granted.org_id(), id)?;
        found
            .map(|one| InvitationView::new(one, now))
            .ok_or(ControlError::NotFound("invitation"))
    }

    /// Takes an invitation back; one that was accepted stays so, and repeating it changes nothing.
    ///
    /// # Errors
    /// `NotFound`; a store's error.
    pub fn revoke_invitation(
        &self,
        granted: &Granted<UsersManage>,
        id: InvitationId,
        now: Timestamp,
    ) -> Result<InvitationView, ControlError> {
        let audit = self.done(granted.principal(), "invitation.revoke", id, now);
        let found = self
            .store
            .revoke_invitation(granted.org_id(), id, now, &audit)?;
        found
            .map(|one| InvitationView::new(one, now))
            .ok_or(ControlError::NotFound("invitation"))
    }

    pub(crate) fn invite(
        &self,
        principal: &Principal,
        invited_by: Option<UserId>,
        guest: &Guest<'_>,
        now: Timestamp,
    ) -> Result<CreatedInvitation, ControlError> {
        let email = EmailAddress::parse(guest.email)
            .map_err(|_| ControlError::Invalid("this is not an e-mail address"))?;
        if let Some(user) = self.store.find_user_by_email(email.canonical())?
            && self.store.find_membership(guest.org_id, user.id)?.is_some()
        {
            return Err(ControlError::Contradicts(
                "whoever has this address is a member already",
            ));
        }
        let token = SecretToken::generate(TokenPurpose::Invitation)?;
        let invitation = Invitation {
            id: InvitationId::new(Uuid::now_v7()),
            org_id: guest.org_id,
            email: email.canonical().to_owned(),
            role: guest.role,
            team_id: guest.team_id,
            token_mac: self.tokens.mac(&token),
            invited_by,
            created_at: now,
            expires_at: now.plus_seconds(i64::from(guest.seconds)),
            accepted_at: None,
            revoked_at: None,
        };
        let audit = self
            .done(principal, "invitation.create", invitation.id, now)
            .in_chain(guest.org_id);
        self.store.add_invitation(&invitation, &audit)?;
        Ok(CreatedInvitation {
            token: token.expose().to_owned(),
            view: InvitationView::new(invitation, now),
        })
    }
}
