//! Changes of accounts that are several writes, in memory.

use tollgate_domain::{
    AuditDraft, MAC_BYTES, Membership, OrgId, Timestamp, TokenPurpose, User, UserId, UserKind,
};

use crate::accounts::{AccountStore, FirstPerson};
use crate::check::{check_audit, check_organization, check_password_hash, check_user};
use crate::error::StoreError;
use crate::memory::sessions::is_open;
use crate::memory::{Change, MemoryStore};
use crate::{ONE_TIME_TOKEN, USER};

impl AccountStore for MemoryStore {
    fn set_up(
        &self,
        first: &FirstPerson<'_>,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<OrgId, StoreError> {
        check_user(first.user)?;
        check_organization(first.organization)?;
        check_audit(None, first.made)?;
        check_audit(None, first.joined)?;
        let sealer = &self.sealer;
        self.change(None, audit, |state| {
            let token = state.tokens.get(first.token);
            if !token.is_some_and(|token| is_open(token, TokenPurpose::Setup, at)) {
                let what = ONE_TIME_TOKEN;
                return Err(StoreError::Missing { what });
            }
            let is_person = |user: &User| user.kind == UserKind::Human && user.deleted_at.is_none();
            if state.users.values().any(is_person) || state.users.contains_key(&first.user.id) {
                return Err(StoreError::Conflict { what: USER });
            }
            let oldest = state.organizations.keys().next().copied();
            let org = oldest.unwrap_or(first.organization.id);
            let in_chain = |draft: &AuditDraft| draft.clone().in_chain(org);
            check_audit(Some(org), &in_chain(first.made))?;
            if oldest.is_none() {
                let mut made = first.organization.clone();
                made.version = 1;
                state.organizations.insert(org, made);
                state.append_audit(&in_chain(first.made), &**sealer);
            }
            if let Some(token) = state.tokens.get_mut(first.token) {
                token.used_at = Some(at);
            }
            let user = User {
                version: 1,
                ..first.user.clone()
            };
            let member = Membership {
                org_id: org,
                user_id: user.id,
                role: first.role.into(),
                created_at: at,
            };
            state.members.insert((org, user.id), member);
            state.users.insert(user.id, user);
            state.append_audit(&in_chain(first.joined), &**sealer);
            Ok((org, Change::Auth))
        })
    }

    fn reset_password(
        &self,
        token: &[u8; MAC_BYTES],
        password_hash: &str,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<UserId, StoreError> {
        check_password_hash(password_hash)?;
        self.change(None, audit, |state| {
            let missing = StoreError::Missing {
                what: ONE_TIME_TOKEN,
            };
            let is_reset = |token: &_| is_open(token, TokenPurpose::PasswordReset, at);
            let found = state.tokens.get(token).filter(|token| is_reset(token));
            let owner = found.and_then(|token| token.user_id);
            let user = owner.and_then(|id| state.users.get_mut(&id));
            let Some(user) = user.filter(|user| user.is_live()) else {
                return Err(missing);
            };
            let id = user.id;
            user.password_hash = Some(password_hash.to_owned());
            user.failed_sign_ins = 0;
            user.last_failed_at = None;
            user.version += 1;
            for token in state.tokens.values_mut() {
                if token.user_id == Some(id) && is_reset(token) {
                    token.used_at = Some(at);
                }
            }
            state.end_sessions(id, None, at);
            Ok((id, Change::Auth))
        })
    }
}
