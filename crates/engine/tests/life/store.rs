//! A store in memory that can be switched off.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate_domain::{
    ApiKey, AuditDraft, AuditEntry, BudgetScope, CustomRole, Invitation, InvitationId, KeyId,
    MAC_BYTES, Membership, Money, OneTimeToken, OrgId, Organization, RoleId, Session, SessionId,
    Team, TeamId, TeamMembership, Timestamp, TokenPurpose, UsageEvent, User, UserId,
};
use tollgate_store::{
    AccountStore, ApiKeyStore, AuditFilter, AuditHead, AuditPruned, AuditStore, AuditUpkeepStore,
    Begun, BooksReport, FirstPerson, InvitationStore, KeptAnswer, KeyFilter, LeaseStore,
    MembershipStore, MemoryStore, NamedRequest, OneTimeTokenStore, OrganizationStore, RefreshToken,
    RefreshTokenStore, RepetitionStore, RewrappedTotp, RoleStore, SealedSecret, SealedSigningKey,
    SecretStore, SessionStore, SigningKeyStore, Store, StoreError, TeamStore, UsageQuery, UsageRow,
    UsageStore, UserIdentity, UserIdentityStore, UserStore,
};

#[derive(Debug, Default)]
pub(crate) struct SwitchedStore {
    pub(crate) kept: MemoryStore,
    pub(crate) is_down: AtomicBool,
    pub(crate) lookups: AtomicUsize,
}

impl SwitchedStore {
    fn up(&self) -> Result<&MemoryStore, StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("switched off".into()));
        }
        Ok(&self.kept)
    }
}

impl Store for SwitchedStore {
    fn ping(&self) -> Result<(), StoreError> {
        self.up()?.ping()
    }
}

impl RepetitionStore for SwitchedStore {
    fn begin_request(&self, request: &NamedRequest, now: Timestamp) -> Result<Begun, StoreError> {
        self.up()?.begin_request(request, now)
    }

    fn finish_request(
        &self,
        request: &NamedRequest,
        answer: &KeptAnswer,
    ) -> Result<(), StoreError> {
        self.up()?.finish_request(request, answer)
    }

    fn forget_request(&self, request: &NamedRequest) -> Result<(), StoreError> {
        self.up()?.forget_request(request)
    }
}

impl ApiKeyStore for SwitchedStore {
    fn add_api_key(&self, key: &ApiKey, audit: &AuditDraft) -> Result<(), StoreError> {
        self.up()?.add_api_key(key, audit)
    }

    fn find_api_key_by_public_id(&self, public_id: &str) -> Result<Option<ApiKey>, StoreError> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        self.up()?.find_api_key_by_public_id(public_id)
    }

    fn find_api_key(&self, org: OrgId, id: KeyId) -> Result<Option<ApiKey>, StoreError> {
        self.up()?.find_api_key(org, id)
    }

    fn list_api_keys(
        &self,
        org: OrgId,
        filter: &KeyFilter,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<Vec<ApiKey>, StoreError> {
        self.up()?.list_api_keys(org, filter, after, limit)
    }

    fn update_api_key(&self, key: &ApiKey, audit: &AuditDraft) -> Result<u64, StoreError> {
        self.up()?.update_api_key(key, audit)
    }

    fn revoke_api_key(
        &self,
        org: OrgId,
        id: KeyId,
        at: Timestamp,
        audit: &AuditDraft,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.up()?.revoke_api_key(org, id, at, audit)
    }

    fn auth_epoch(&self) -> Result<u64, StoreError> {
        self.up()?.auth_epoch()
    }
}

/// Passes every method of a trait on while the store is switched on.
macro_rules! pass_on {
    ($trait:ident: $(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        impl $trait for SwitchedStore {
            $(fn $name(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.up()?.$name($($argument),*)
            })+
        }
    };
}

pass_on! { OrganizationStore:
    fn add_organization(organization: &Organization, audit: &AuditDraft) -> ();
    fn find_organization(id: OrgId) -> Option<Organization>;
    fn find_organization_by_name(name: &str) -> Option<Organization>;
    fn list_organizations(after: Option<OrgId>, limit: u16) -> Vec<Organization>;
    fn update_organization(organization: &Organization, audit: &AuditDraft) -> u64;
}

pass_on! { TeamStore:
    fn add_team(team: &Team, audit: &AuditDraft) -> ();
    fn find_team(org: OrgId, id: TeamId) -> Option<Team>;
    fn list_teams(org: OrgId, after: Option<TeamId>, limit: u16) -> Vec<Team>;
    fn update_team(team: &Team, audit: &AuditDraft) -> u64;
    fn delete_team(org: OrgId, id: TeamId, at: Timestamp, audit: &AuditDraft) -> Option<Team>;
}

pass_on! { UserStore:
    fn add_user(user: &User, audit: &AuditDraft) -> ();
    fn find_user(id: UserId) -> Option<User>;
    fn find_user_by_email(email: &str) -> Option<User>;
    fn list_users(after: Option<UserId>, limit: u16) -> Vec<User>;
    fn update_user(user: &User, audit: &AuditDraft) -> u64;
    fn delete_user(id: UserId, at: Timestamp, audit: &AuditDraft) -> Option<User>;
    fn count_failed_sign_in(id: UserId, at: Timestamp) -> Option<u32>;
    fn clear_failed_sign_ins(id: UserId) -> ();
    fn use_totp_step(id: UserId, step: u64) -> bool;
    fn use_recovery_code(id: UserId, mac: &[u8; MAC_BYTES], audit: &AuditDraft) -> bool;
    fn rewrap_totps(totps: &[RewrappedTotp], audit: &AuditDraft) -> usize;
}

pass_on! { MembershipStore:
    fn set_membership(member: &Membership, audit: &AuditDraft) -> ();
    fn find_membership(org: OrgId, user: UserId) -> Option<Membership>;
    fn list_members(org: OrgId, after: Option<UserId>, limit: u16) -> Vec<Membership>;
    fn list_memberships_of(user: UserId) -> Vec<Membership>;
    fn remove_membership(org: OrgId, user: UserId, audit: &AuditDraft) -> bool;
    fn set_team_membership(member: &TeamMembership, audit: &AuditDraft) -> ();
    fn list_team_members(org: OrgId, team: TeamId, after: Option<UserId>, limit: u16)
        -> Vec<TeamMembership>;
    fn list_team_memberships_of(org: OrgId, user: UserId) -> Vec<TeamMembership>;
    fn remove_team_membership(org: OrgId, team: TeamId, user: UserId, audit: &AuditDraft) -> bool;
}

pass_on! { RoleStore:
    fn add_role(role: &CustomRole, audit: &AuditDraft) -> ();
    fn find_role(org: OrgId, id: RoleId) -> Option<CustomRole>;
    fn list_roles(org: OrgId, after: Option<RoleId>, limit: u16) -> Vec<CustomRole>;
    fn update_role(role: &CustomRole, audit: &AuditDraft) -> u64;
    fn remove_role(org: OrgId, id: RoleId, audit: &AuditDraft) -> bool;
}

pass_on! { InvitationStore:
    fn add_invitation(invitation: &Invitation, audit: &AuditDraft) -> ();
    fn find_invitation(org: OrgId, id: InvitationId) -> Option<Invitation>;
    fn find_invitation_by_mac(mac: &[u8; MAC_BYTES]) -> Option<Invitation>;
    fn list_invitations(org: OrgId, after: Option<InvitationId>, limit: u16) -> Vec<Invitation>;
    fn revoke_invitation(org: OrgId, id: InvitationId, at: Timestamp, audit: &AuditDraft)
        -> Option<Invitation>;
    fn accept_invitation(
        org: OrgId, id: InvitationId, user: UserId, at: Timestamp, audit: &AuditDraft
    ) -> bool;
}

pass_on! { SessionStore:
    fn add_session(session: &Session, audit: &AuditDraft) -> ();
    fn find_session_by_mac(mac: &[u8; MAC_BYTES]) -> Option<Session>;
    fn find_session(id: SessionId) -> Option<Session>;
    fn list_sessions(user: UserId, after: Option<SessionId>, limit: u16) -> Vec<Session>;
    fn touch_session(id: SessionId, at: Timestamp) -> ();
    fn revoke_session(user: UserId, id: SessionId, at: Timestamp, audit: &AuditDraft) -> bool;
    fn revoke_sessions(user: UserId, except: Option<SessionId>, at: Timestamp, audit: &AuditDraft)
        -> usize;
    fn end_all_sessions(at: Timestamp, audit: &AuditDraft) -> usize;
    fn remove_sessions(ended_before: Timestamp) -> usize;
}

pass_on! { OneTimeTokenStore:
    fn add_one_time_token(token: &OneTimeToken, audit: &AuditDraft) -> ();
    fn find_one_time_token(mac: &[u8; MAC_BYTES], purpose: TokenPurpose, at: Timestamp)
        -> Option<OneTimeToken>;
    fn use_one_time_token(
        mac: &[u8; MAC_BYTES], purpose: TokenPurpose, at: Timestamp, audit: &AuditDraft
    ) -> Option<OneTimeToken>;
    fn void_one_time_tokens(user: UserId, purpose: TokenPurpose, at: Timestamp, audit: &AuditDraft)
        -> usize;
    fn remove_one_time_tokens(expired_before: Timestamp) -> usize;
}

pass_on! { AuditStore:
    fn record_audit(draft: &AuditDraft) -> AuditEntry;
    fn list_audit(chain: Option<OrgId>, filter: &AuditFilter, before: Option<u64>, limit: u16)
        -> Vec<AuditEntry>;
    fn read_audit(chain: Option<OrgId>, after: u64, limit: u16) -> Vec<AuditEntry>;
    fn find_audit_head(chain: Option<OrgId>) -> Option<AuditHead>;
}

pass_on! { AccountStore:
    fn set_up(first: &FirstPerson<'_>, at: Timestamp, audit: &AuditDraft) -> OrgId;
    fn reset_password(
        token: &[u8; MAC_BYTES], password_hash: &str, at: Timestamp, audit: &AuditDraft
    ) -> UserId;
}

pass_on! { RefreshTokenStore:
    fn add_refresh_token(token: &RefreshToken, audit: &AuditDraft) -> ();
    fn find_refresh_token(mac: &[u8; MAC_BYTES]) -> Option<RefreshToken>;
    fn exchange_refresh_token(mac: &[u8; MAC_BYTES], successor: &RefreshToken, at: Timestamp)
        -> bool;
}

pass_on! { SigningKeyStore:
    fn add_signing_keys(keys: &[SealedSigningKey], audit: &AuditDraft) -> bool;
    fn list_signing_keys() -> Vec<SealedSigningKey>;
    fn reseal_signing_key(key: &SealedSigningKey, under: &str, audit: &AuditDraft) -> bool;
    fn remove_signing_keys(before: u32, audit: &AuditDraft) -> usize;
}

pass_on! { UserIdentityStore:
    fn add_user_identity(identity: &UserIdentity, audit: &AuditDraft) -> ();
    fn find_user_identity(issuer: &str, subject: &str) -> Option<UserIdentity>;
    fn list_user_identities(user: UserId) -> Vec<UserIdentity>;
    fn remove_user_identity(user: UserId, issuer: &str, subject: &str, audit: &AuditDraft)
        -> bool;
}

pass_on! { UsageStore:
    fn record_usage(events: &[UsageEvent]) -> usize;
    fn usage_totals(query: &UsageQuery) -> Vec<UsageRow>;
    fn budget_spent(scope: BudgetScope, window_start: Timestamp) -> Money;
    fn verify_books() -> BooksReport;
}

impl SecretStore for SwitchedStore {
    fn add_secrets(&self, secrets: &[SealedSecret]) -> Result<(), StoreError> {
        self.up()?.add_secrets(secrets)
    }

    fn list_secrets(
        &self,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Vec<SealedSecret>, StoreError> {
        self.up()?.list_secrets(after, limit)
    }

    fn replace_secrets(
        &self,
        secrets: &[SealedSecret],
        audit: &AuditDraft,
    ) -> Result<(), StoreError> {
        self.up()?.replace_secrets(secrets, audit)
    }
}

pass_on! { AuditUpkeepStore:
    fn list_audit_chains(after: Option<OrgId>, limit: u16) -> Vec<OrgId>;
    fn list_audit_heads(after: Option<OrgId>, limit: u16) -> Vec<AuditHead>;
    fn count_audit() -> u64;
    fn find_audit_pruned(chain: Option<OrgId>) -> Option<AuditPruned>;
    fn add_audit_pruned(pruned: &AuditPruned, audit: &AuditDraft) -> ();
    fn remove_pruned_audit(chain: Option<OrgId>, limit: u16) -> usize;
}

pass_on! { LeaseStore:
    fn take_lease(name: &str, holder: &str, now: Timestamp, until: Timestamp) -> bool;
    fn end_lease(name: &str, holder: &str) -> ();
}
