//! Who is in the organization: people and service accounts, and what they are.

use serde::Serialize;
use tollgate_auth::{Granted, UsersManage, UsersRead};
use tollgate_domain::{AuditDraft, Membership, Role, RoleRef, Timestamp, User, UserId, UserKind};
use tollgate_validation::{Expected, MemberChange, NewServiceAccount, PageQuery, Valid};
use uuid::Uuid;

use crate::control::{Control, Versioned, check_version, composed};
use crate::error::ControlError;
use crate::views::Page;

/// What kind of user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A person, who signs in.
    Human,
    /// A program's account.
    Service,
}

/// Somebody's place in the organization.
#[derive(Debug, Clone, Serialize)]
pub struct MemberView {
    /// Who.
    pub id: UserId,
    /// What others call them.
    pub name: String,
    /// The address; a service account has none.
    pub email: Option<String>,
    /// A person or a program.
    pub kind: MemberKind,
    /// What they may do in all of the organization.
    pub role: RoleRef,
    /// Whether everything of theirs is refused.
    pub blocked: bool,
    /// When they came in.
    pub created_at: Timestamp,
    #[serde(skip)]
    tag: u64,
}

impl MemberView {
    fn new(member: &Membership, user: User) -> Self {
        Self {
            id: user.id,
            tag: tag(member, &user),
            name: user.name,
            email: user.email,
            kind: match user.kind {
                UserKind::Human => MemberKind::Human,
                UserKind::Service { .. } => MemberKind::Service,
            },
            role: member.role,
            blocked: user.blocked,
            created_at: member.created_at,
        }
    }
}

/// A place has no version of its own: the digest of what can change of it stands for one.
fn tag(member: &Membership, user: &User) -> u64 {
    // FNV-1a, 64 bits. Source: <https://datatracker.ietf.org/doc/html/rfc9923>
    let role = member.role.to_string();
    let bytes = role.bytes().chain(user.version.to_be_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Versioned for MemberView {
    fn version(&self) -> u64 {
        self.tag
    }
}

impl Control {
    /// Lists the members of the organization, in the order of their ids.
    ///
    /// # Errors
    /// `Input` when the cursor is not one of ours; a store's error.
    pub fn list_members(
        &self,
        granted: &Granted<UsersRead>,
        page: &PageQuery,
    ) -> Result<Page<MemberView>, ControlError> {
        let limit = page.limit.saturating_add(1);
        let members = self
            .store
            .list_members(granted.org_id(), page.after()?, limit)?;
        let mut views = Vec::with_capacity(members.len());
        for member in members {
            // Who was deleted in between is not in it any more.
            let user = self.store.find_user(member.user_id)?;
            views.extend(user.map(|user| MemberView::new(&member, user)));
        }
        Ok(Page::cut(views, page.limit, |member: &MemberView| {
            member.id.to_string()
        }))
    }

    /// Returns a member of the organization.
    ///
    /// # Errors
    /// `NotFound`; a store's error.
    pub fn member(
        &self,
        granted: &Granted<UsersRead>,
        id: UserId,
    ) -> Result<MemberView, ControlError> {
        let (member, user) = self.place_of(granted.org_id(), id)?;
        Ok(MemberView::new(&member, user))
    }

    /// Gives a member another role. Neither the role that they have nor the one that they get has more
    /// rights than whoever changes it.
    ///
    /// # Errors
    /// `NotFound` when there is no such member or role; `Stale`; `Exceeds`; `Conflict` when they are the
    /// last owner; a store's error.
    pub fn change_member(
        &self,
        granted: &Granted<UsersManage>,
        id: UserId,
        input: &Valid<MemberChange>,
        expected: Expected,
        now: Timestamp,
    ) -> Result<MemberView, ControlError> {
        let (member, user) = self.place_of(granted.org_id(), id)?;
        let giver = self.giver(granted.principal(), now)?;
        giver.check_taken(self.permissions_of(granted.principal(), member.role)?, None)?;
        let permissions = self.permissions_of(granted.principal(), input.role)?;
        giver.check_rights(permissions, None, None)?;
        check_version(expected, tag(&member, &user))?;
        let changed = Membership {
            role: input.role,
            ..member
        };
        let audit = AuditDraft {
            details: "role".to_owned(),
            ..self.done(granted.principal(), "member.change", id, now)
        };
        self.store.set_membership(&changed, &audit)?;
        Ok(MemberView::new(&changed, user))
    }

    /// Takes a member out of the organization and all of its teams; their keys may do nothing from then
    /// on. A service account, which is in no other, is deleted.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Exceeds` when they have more rights than whoever asks; `Conflict` when they
    /// are the last owner; a store's error.
    pub fn remove_member(
        &self,
        granted: &Granted<UsersManage>,
        id: UserId,
        expected: Expected,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let (member, user) = self.place_of(granted.org_id(), id)?;
        let giver = self.giver(granted.principal(), now)?;
        giver.check_taken(self.permissions_of(granted.principal(), member.role)?, None)?;
        check_version(expected, tag(&member, &user))?;
        let audit = self.done(granted.principal(), "member.remove", id, now);
        let org = granted.org_id();
        if !self.store.remove_membership(org, id, &audit)? {
            return Err(ControlError::NotFound("user"));
        }
        if matches!(user.kind, UserKind::Service { .. }) {
            let audit = self.done(granted.principal(), "user.delete", id, now);
            self.store.delete_user(id, now, &audit)?;
        }
        Ok(())
    }

    /// Makes a service account: a user of this organization who never signs in, for keys of programs.
    ///
    /// # Errors
    /// `Exceeds` when its role has more rights than whoever makes it; `NotFound` when there is no such
    /// role; a store's error.
    pub fn create_service_account(
        &self,
        granted: &Granted<UsersManage>,
        input: &Valid<NewServiceAccount>,
        now: Timestamp,
    ) -> Result<MemberView, ControlError> {
        let (principal, org_id) = (granted.principal(), granted.org_id());
        let role = input.role.unwrap_or_else(|| Role::Service.into());
        let giver = self.giver(principal, now)?;
        giver.check_rights(self.permissions_of(principal, role)?, None, None)?;
        let user = User {
            id: UserId::new(Uuid::now_v7()),
            email: None,
            name: composed(&input.name)?,
            kind: UserKind::Service { org_id },
            password_hash: None,
            email_verified_at: None,
            totp: None,
            totp_last_step: None,
            recovery_macs: Vec::new(),
            is_platform_admin: false,
            blocked: false,
            failed_sign_ins: 0,
            last_failed_at: None,
            created_at: now,
            deleted_at: None,
            version: 1,
        };
        let member = Membership {
            org_id,
            user_id: user.id,
            role,
            created_at: now,
        };
        let created = self.done(principal, "service_account.create", user.id, now);
        self.store.add_user(&user, &created)?;
        let joined = self.done(principal, "member.add", user.id, now);
        if let Err(error) = self.store.set_membership(&member, &joined) {
            // An account that is in no organization is of no use.
            let undone = self.done(principal, "user.delete", user.id, now);
            self.store.delete_user(user.id, now, &undone)?;
            return Err(error.into());
        }
        Ok(MemberView::new(&member, user))
    }

    fn place_of(
        &self,
        org: tollgate_domain::OrgId,
        id: UserId,
    ) -> Result<(Membership, User), ControlError> {
        let member = self.store.find_membership(org, id)?;
        let member = member.ok_or(ControlError::NotFound("user"))?;
        let user = self.store.find_user(id)?;
        let user = user.ok_or(ControlError::NotFound("user"))?;
        Ok((member, user))
    }
}
