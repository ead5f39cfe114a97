//! Two organizations with teams, people and things, and keys of everybody who may ask for them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tollgate_auth::KeyText;
use tollgate_domain::{
    Actor, ApiKey, AuditDraft, CustomRole, Invitation, InvitationId, KeyId, Limits, Membership,
    OrgId, Organization, PermissionSet, Role, RoleId, Team, TeamId, Timestamp, User, UserId,
    UserKind,
};

use crate::server::Server;

const NOW: Timestamp = Timestamp::from_micros(1_764_000_000_000_000);

/// The last moment of an invitation: far enough for every run of a test.
const FAR: Timestamp = Timestamp::from_micros(4_000_000_000_000_000);

/// Whose a thing is, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The organization's, and where teams matter, the team's that some callers work for.
    Own,
    /// Another team's of the organization.
    Sibling,
    /// Another organization's.
    Foreign,
    /// It was the organization's.
    Deleted,
}

impl Whose {
    pub(crate) const ALL: [Self; 4] = [Self::Own, Self::Sibling, Self::Foreign, Self::Deleted];
}

/// What there is.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) home: OrgId,
    pub(crate) foreign: OrgId,
    own_team: TeamId,
    sibling_team: TeamId,
    foreign_team: TeamId,
}

impl World {
    pub(crate) fn new(server: Server) -> Self {
        let store = &server.database;
        let home = store.find_organization_by_name("default").unwrap().unwrap();
        let (home, foreign) = (home.id, OrgId::from_bytes([0xf0; 16]));
        let organization = Organization {
            id: foreign,
            name: "foreign".to_owned(),
            limits: Limits::default(),
            budget: None,
            blocked: false,
            created_at: NOW,
            version: 1,
        };
        store
            .add_organization(&organization, &audit(foreign))
            .unwrap();
        let mut world = Self {
            server,
            home,
            foreign,
            own_team: TeamId::from_bytes([0; 16]),
            sibling_team: TeamId::from_bytes([0; 16]),
            foreign_team: TeamId::from_bytes([0; 16]),
        };
        world.own_team = world.team(home);
        world.sibling_team = world.team(home);
        world.foreign_team = world.team(foreign);
        world
    }

    /// Returns a key of everybody who may ask, under the name of what they are.
    pub(crate) fn callers(&self) -> Vec<(&'static str, String)> {
        let server = &self.server;
        let of_team = |role: &str| {
            let team_id = self.own_team.to_string();
            server.key_of(&json!({"name": role, "role": role, "team_id": team_id}))
        };
        let scoped = json!({"name": "s", "role": "org_owner", "scopes": ["keys.read"]});
        vec![
            ("platform_admin", server.platform_key()),
            ("org_owner", server.key("org_owner")),
            ("org_admin", server.key("org_admin")),
            ("billing", server.key("billing")),
            ("viewer", server.key("viewer")),
            ("member", server.key("member")),
            ("service", server.key("service")),
            ("owner, keys.read", server.key_of(&scoped)),
            ("team's admin", of_team("team_admin")),
            ("team's member", of_team("member")),
            ("team's viewer", of_team("viewer")),
            ("foreign owner", server.owner_of(self.foreign)),
        ]
    }

    /// Returns the id of a new thing for this route, or `None` when there can be none of that kind.
    /// Teams that are only looked at or changed are those that the callers work for.
    pub(crate) fn thing(&self, method: &str, path: &str, whose: Whose) -> Option<String> {
        let org = if whose == Whose::Foreign {
            self.foreign
        } else {
            self.home
        };
        let (is_deleted, is_sibling) = (whose == Whose::Deleted, whose == Whose::Sibling);
        let collection = path.trim_start_matches("/api/v1/").split('/').next()?;
        let id = match collection {
            "keys" => self.key(whose, org, is_deleted).to_string(),
            "teams" if is_deleted || (method, path) == ("DELETE", "/api/v1/teams/{id}") => {
                let team = self.team(org);
                if is_deleted {
                    let store = &self.server.database;
                    store.delete_team(org, team, NOW, &audit(org)).unwrap();
                }
                team.to_string()
            }
            "teams" => self.team_of(whose).to_string(),
            // No team has roles, people, invitations or organizations of its own.
            _ if is_sibling => return None,
            "roles" => self.role(org, is_deleted).to_string(),
            "users" => self.user(org, is_deleted).to_string(),
            "invitations" => self.invitation(org, is_deleted).to_string(),
            // An organization is blocked, not deleted.
            "organizations" if is_deleted => return None,
            "organizations" => org.to_string(),
            other => panic!("what are {other}?"),
        };
        Some(id)
    }

    fn team_of(&self, whose: Whose) -> TeamId {
        match whose {
            Whose::Own | Whose::Deleted => self.own_team,
            Whose::Sibling => self.sibling_team,
            Whose::Foreign => self.foreign_team,
        }
    }

    fn team(&self, org_id: OrgId) -> TeamId {
        let team = Team {
            id: TeamId::from_bytes(id()),
            org_id,
            name: format!("team {}", number()),
            models: Vec::new(),
            limits: Limits::default(),
            budget: None,
            blocked: false,
            created_at: NOW,
            deleted_at: None,
            version: 1,
        };
        self.server
            .database
            .add_team(&team, &audit(org_id))
            .unwrap();
        team.id
    }

    fn key(&self, whose: Whose, org_id: OrgId, is_revoked: bool) -> KeyId {
        let digest = [id(), id()].concat().try_into().unwrap();
        let key = ApiKey {
            id: KeyId::from_bytes(id()),
            org_id,
            team_id: Some(self.team_of(whose)),
            owner: None,
            created_by: Actor::System,
            public_id: KeyText::generate().unwrap().public_id().to_owned(),
            mac: digest,
            previous: None,
            name: "a key".to_owned(),
            role: Role::Service.into(),
            scopes: None,
            models: Vec::new(),
            allowed_ips: Vec::new(),
            limits: Limits::default(),
            budget: None,
            metadata: "{}".to_owned(),
            tags: Vec::new(),
            blocked: false,
            created_at: NOW,
            expires_at: None,
            revoked_at: None,
            version: 1,
        };
        let store = &self.server.database;
        store.add_api_key(&key, &audit(org_id)).unwrap();
        if is_revoked {
            let revoked = store.revoke_api_key(org_id, key.id, NOW, &audit(org_id));
            revoked.unwrap();
        }
        key.id
    }

    fn role(&self, org_id: OrgId, is_removed: bool) -> RoleId {
        let role = CustomRole {
            id: RoleId::from_bytes(id()),
            org_id,
            name: format!("role {}", number()),
            permissions: PermissionSet::EMPTY,
            created_at: NOW,
            version: 1,
        };
        let store = &self.server.database;
        store.add_role(&role, &audit(org_id)).unwrap();
        if is_removed {
            assert!(store.remove_role(org_id, role.id, &audit(org_id)).unwrap());
        }
        role.id
    }

    pub(crate) fn user(&self, org_id: OrgId, is_deleted: bool) -> UserId {
        let user = User {
            id: UserId::from_bytes(id()),
            email: Some(format!("user{}@example.com", number())),
            name: "Ann".to_owned(),
            kind: UserKind::Human,
            password_hash: None,
            email_verified_at: None,
            totp: None,
            totp_last_step: None,
            recovery_macs: Vec::new(),
            is_platform_admin: false,
            blocked: false,
            failed_sign_ins: 0,
            last_failed_at: None,
            created_at: NOW,
            deleted_at: None,
            version: 1,
        };
        let member = Membership {
            org_id,
            user_id: user.id,
            role: Role::Service.into(),
            created_at: NOW,
        };
        let store = &self.server.database;
        store.add_user(&user, &audit(org_id)).unwrap();
        store.set_membership(&member, &audit(org_id)).unwrap();
        if is_deleted {
            store.delete_user(user.id, NOW, &audit(org_id)).unwrap();
        }
        user.id
    }

    fn invitation(&self, org_id: OrgId, is_revoked: bool) -> InvitationId {
        let digest = [id(), id()].concat().try_into().unwrap();
        let invitation = Invitation {
            id: InvitationId::from_bytes(id()),
            org_id,
            email: "ann@example.com".to_owned(),
            role: Role::Member.into(),
            team_id: None,
            token_mac: digest,
            invited_by: None,
            created_at: NOW,
            expires_at: FAR,
            accepted_at: None,
            revoked_at: None,
        };
        let store = &self.server.database;
        store.add_invitation(&invitation, &audit(org_id)).unwrap();
        if is_revoked {
            let (id, by) = (invitation.id, audit(org_id));
            store.revoke_invitation(org_id, id, NOW, &by).unwrap();
        }
        invitation.id
    }
}

fn audit(org: OrgId) -> AuditDraft {
    AuditDraft::done(Actor::System, "before", NOW).in_chain(org)
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Returns bytes that nothing else has, in the order in which they are asked for.
fn id() -> [u8; 16] {
    (u128::from(number()) | 1 << 120).to_be_bytes()
}
