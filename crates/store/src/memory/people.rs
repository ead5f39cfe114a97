//! Users and memberships in memory.

use tollgate_domain::{
    AuditDraft, MAC_BYTES, Membership, OrgId, Role, RoleRef, TeamId, TeamMembership, Timestamp,
    User, UserId, UserKind,
};

use crate::check::check_user;
use crate::error::StoreError;
use crate::memberships::MembershipStore;
use crate::memory::{Change, MemoryStore, State, page};
use crate::users::{RewrappedTotp, UserStore};
use crate::{LAST_OWNER, LIST_MAX, MEMBERSHIP, USER};

impl State {
    fn is_email_taken(&self, user: &User) -> bool {
        let mut others = self.users.values();
        user.email.is_some()
            && others.any(|other| {
                other.email == user.email && other.id != user.id && other.deleted_at.is_none()
            })
    }

    /// Checks that an organization that has an owner keeps one without this member.
    fn check_owner_left(&self, org: OrgId, user: UserId) -> Result<(), StoreError> {
        let owner = RoleRef::Builtin(Role::OrgOwner);
        let is_owner = |member: &&Membership| member.org_id == org && member.role == owner;
        let mut owners = self.members.values().filter(is_owner);
        let first = owners.next();
        if first.is_some_and(|first| first.user_id == user) && owners.next().is_none() {
            return Err(StoreError::Needed { what: LAST_OWNER });
        }
        Ok(())
    }

    /// Returns a user who is not deleted.
    fn find_live(&mut self, id: UserId) -> Option<&mut User> {
        let found = self.users.get_mut(&id);
        found.filter(|user| user.deleted_at.is_none())
    }

    /// Returns a user who may be in this organization.
    pub(super) fn find_guest(&self, org: OrgId, id: UserId) -> Option<&User> {
        let user = self.users.get(&id).filter(|one| one.deleted_at.is_none());
        user.filter(|user| match user.kind {
            UserKind::Human => true,
            UserKind::Service { org_id } => org_id == org,
        })
    }
}

impl UserStore for MemoryStore {
    fn add_user(&self, user: &User, audit: &AuditDraft) -> Result<(), StoreError> {
        check_user(user)?;
        self.change(None, audit, |state| {
            if state.users.contains_key(&user.id) || state.is_email_taken(user) {
                return Err(StoreError::Conflict { what: USER });
            }
            let kept = User {
                version: 1,
                ..user.clone()
            };
            state.users.insert(user.id, kept);
            Ok(((), Change::Auth))
        })
    }

    fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        Ok(self.state.lock().users.get(&id).cloned())
    }

    fn find_user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let state = self.state.lock();
        let mut users = state.users.values();
        let found = users.find(|user| user.email.as_deref() == Some(email));
        Ok(found.cloned())
    }

    fn list_users(&self, after: Option<UserId>, limit: u16) -> Result<Vec<User>, StoreError> {
        let state = self.state.lock();
        let is_listed = |user: &User| user.deleted_at.is_none();
        Ok(page(&state.users, after, limit, is_listed))
    }

    fn update_user(&self, user: &User, audit: &AuditDraft) -> Result<u64, StoreError> {
        check_user(user)?;
        self.change(None, audit, |state| {
            let is_email_taken = state.is_email_taken(user);
            let kept = state.find_live(user.id);
            let kept = kept.ok_or(StoreError::Missing { what: USER })?;
            if kept.version != user.version {
                return Err(StoreError::Outdated { what: USER });
            }
            if is_email_taken {
                return Err(StoreError::Conflict { what: USER });
            }
            let is_totp_kept = kept.totp == user.totp;
            *kept = User {
                kind: kept.kind,
                totp_last_step: kept.totp_last_step.filter(|_| is_totp_kept),
                failed_sign_ins: kept.failed_sign_ins,
                last_failed_at: kept.last_failed_at,
                created_at: kept.created_at,
                deleted_at: None,
                version: kept.version + 1,
                ..user.clone()
            };
            Ok((kept.version, Change::Auth))
        })
    }

    fn delete_user(
        &self,
        id: UserId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<User>, StoreError> {
        self.change(None, audit, |state| {
            let Some(user) = state.users.get_mut(&id) else {
                return Ok((None, Change::None));
            };
            if user.deleted_at.is_some() {
                return Ok((Some(user.clone()), Change::None));
            }
            user.deleted_at = Some(at);
            user.email = None;
            user.password_hash = None;
            user.totp = None;
            user.totp_last_step = None;
            user.recovery_macs.clear();
            user.version += 1;
            let user = user.clone();
            state.members.retain(|(_, member), _| *member != id);
            state.team_members.retain(|(_, member), _| *member != id);
            state.identities.retain(|_, one| one.user_id != id);
            state.end_sessions(id, None, at);
            Ok((Some(user), Change::Auth))
        })
    }

    fn count_failed_sign_in(&self, id: UserId, at: Timestamp) -> Result<Option<u32>, StoreError> {
        let mut state = self.state.lock();
        Ok(state.find_live(id).map(|user| {
            user.failed_sign_ins = user.failed_sign_ins.saturating_add(1);
            user.last_failed_at = Some(at);
            user.failed_sign_ins
        }))
    }

    fn clear_failed_sign_ins(&self, id: UserId) -> Result<(), StoreError> {
        if let Some(user) = self.state.lock().find_live(id) {
            user.failed_sign_ins = 0;
            user.last_failed_at = None;
        }
        Ok(())
    }

    fn use_totp_step(&self, id: UserId, step: u64) -> Result<bool, StoreError> {
        if i64::try_from(step).is_err() {
            let what = "a step of a second factor";
            return Err(StoreError::Invalid { what });
        }
        let mut state = self.state.lock();
        let Some(user) = state.find_live(id) else {
            return Ok(false);
        };
        let is_new = user.totp_last_step.is_none_or(|last| last < step);
        if is_new {
            user.totp_last_step = Some(step);
        }
        Ok(is_new)
    }

    fn rewrap_totps(
        &self,
        totps: &[RewrappedTotp],
        audit: &AuditDraft,
    ) -> Result<usize, StoreError> {
        self.change(None, audit, |state| {
            let mut count = 0;
            for RewrappedTotp { user_id, from, to } in totps {
                let user = state.find_live(*user_id);
                if let Some(user) = user.filter(|user| user.totp.as_ref() == Some(from)) {
                    user.totp = Some(to.clone());
                    user.version += 1;
                    count += 1;
                }
            }
            let change = if count > 0 {
                Change::Audited
            } else {
                Change::None
            };
            Ok((count, change))
        })
    }

    fn use_recovery_code(
        &self,
        id: UserId,
        mac: &[u8; MAC_BYTES],
        audit: &AuditDraft,
    ) -> Result<bool, StoreError> {
        self.change(None, audit, |state| {
            let Some(user) = state.find_live(id) else {
                return Ok((false, Change::None));
            };
            let before = user.recovery_macs.len();
            user.recovery_macs.retain(|one| one != mac);
            let is_used = user.recovery_macs.len() < before;
            user.version += u64::from(is_used);
            let change = if is_used {
                Change::Audited
            } else {
                Change::None
            };
            Ok((is_used, change))
        })
    }
}

impl MembershipStore for MemoryStore {
    fn set_membership(&self, member: &Membership, audit: &AuditDraft) -> Result<(), StoreError> {
        let (org, user) = (member.org_id, member.user_id);
        self.change(Some(org), audit, |state| {
            let is_role = match member.role {
                RoleRef::Builtin(_) => true,
                RoleRef::Custom(id) => state.roles.get(&id).is_some_and(|role| role.org_id == org),
            };
            let is_org = state.organizations.contains_key(&org);
            if !is_org || !is_role || state.find_guest(org, user).is_none() {
                return Err(StoreError::Missing { what: MEMBERSHIP });
            }
            if member.role != RoleRef::Builtin(Role::OrgOwner) {
                state.check_owner_left(org, user)?;
            }
            let kept = state.members.entry((org, user)).or_insert(*member);
            kept.role = member.role;
            Ok(((), Change::Auth))
        })
    }

    fn find_membership(&self, org: OrgId, user: UserId) -> Result<Option<Membership>, StoreError> {
        Ok(self.state.lock().members.get(&(org, user)).copied())
    }

    fn list_members(
        &self,
        org: OrgId,
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Vec<Membership>, StoreError> {
        let state = self.state.lock();
        let after = after.map(|user| (org, user));
        let is_listed = |member: &Membership| member.org_id == org;
        Ok(page(&state.members, after, limit, is_listed))
    }

    fn list_memberships_of(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
        let state = self.state.lock();
        let members = state.members.values();
        let own = members.filter(|one| one.user_id == user);
        Ok(own.take(LIST_MAX).copied().collect())
    }

    fn remove_membership(
        &self,
        org: OrgId,
        user: UserId,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError> {
        self.change(Some(org), audit, |state| {
            state.check_owner_left(org, user)?;
            let is_member = state.members.remove(&(org, user)).is_some();
            if is_member {
                state
                    .team_members
                    .retain(|(_, member), place| *member != user || place.org_id != org);
            }
            Ok((is_member, Change::auth_if(is_member)))
        })
    }

    fn set_team_membership(
        &self,
        member: &TeamMembership,
        audit: &AuditDraft,
    ) -> Result<(), StoreError> {
        let org = member.org_id;
        self.change(Some(org), audit, |state| {
            let team = state.teams.get(&member.team_id);
            let is_team = team.is_some_and(|team| team.org_id == org && team.deleted_at.is_none());
            if !is_team || !state.members.contains_key(&(org, member.user_id)) {
                return Err(StoreError::Missing { what: MEMBERSHIP });
            }
            let place = (member.team_id, member.user_id);
            state.team_members.insert(place, *member);
            Ok(((), Change::Auth))
        })
    }

    fn list_team_members(
        &self,
        org: OrgId,
        team: TeamId,
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Vec<TeamMembership>, StoreError> {
        let state = self.state.lock();
        let members = state.team_members.values();
        Ok(members
            .filter(|one| one.org_id == org && one.team_id == team)
            .filter(|one| after.is_none_or(|after| one.user_id > after))
            .take(usize::from(limit))
            .copied()
            .collect())
    }

    fn list_team_memberships_of(
        &self,
        org: OrgId,
        user: UserId,
    ) -> Result<Vec<TeamMembership>, StoreError> {
        let state = self.state.lock();
        let members = state.team_members.values();
        let own = members.filter(|one| one.org_id == org && one.user_id == user);
        Ok(own.take(LIST_MAX).copied().collect())
    }

    fn remove_team_membership(
        &self,
        org: OrgId,
        team: TeamId,
        user: UserId,
        audit: &AuditDraft,
    ) -> Result<bool, StoreError> {
        self.change(Some(org), audit, |state| {
            let place = (team, user);
            let found = state.team_members.get(&place);
            let is_member = found.is_some_and(|one| one.org_id == org);
            if is_member {
                state.team_members.remove(&place);
            }
            Ok((is_member, Change::auth_if(is_member)))
        })
    }
}
