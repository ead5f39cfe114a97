//! Two organizations, each with an owner.

use std::sync::Arc;

use tollgate_auth::{
    Granted, KeyTeam, KeyText, Owner, Pepper, PermissionType, Principal, Reach, TokenPepper,
    effective_rights,
};
use tollgate_control::{Control, ControlError};
use tollgate_domain::{
    Actor, ApiKey, AuditDraft, AuditOutcome, ErrorKind, KeyId, Limits, OrgId, Organization, Role,
    RoleRef, Team, TeamId, Timestamp,
};
use tollgate_store::{ApiKeyStore, AuditStore, MemoryStore, OrganizationStore, Store, TeamStore};
use tollgate_validation::{KeysQuery, PageQuery};

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_764_000_000_000_000);
pub(crate) const ACME: OrgId = OrgId::from_bytes([1; 16]);
pub(crate) const OTHER: OrgId = OrgId::from_bytes([2; 16]);

pub(crate) struct Desk {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) pepper: Arc<Pepper>,
    pub(crate) tokens: Arc<TokenPepper>,
    pub(crate) control: Control,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let pepper = Arc::new(Pepper::derive(&[7; 32]));
        let tokens = Arc::new(TokenPepper::derive(&[7; 32]));
        let kept: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
        let control = Control::new(kept, Arc::clone(&pepper), Arc::clone(&tokens));
        let desk = Self {
            store,
            pepper,
            tokens,
            control,
        };
        for (id, name) in [(ACME, "acme"), (OTHER, "other")] {
            desk.store
                .add_organization(&organization(id, name), &audit(id))
                .unwrap();
            desk.add_key(id, owner_key(id), Role::OrgOwner, &[]);
        }
        desk
    }

    /// Adds a key, as if it had been there before.
    pub(crate) fn add_key(&self, org_id: OrgId, id: KeyId, role: Role, models: &[&str]) {
        let models = models.iter().map(|model| (*model).to_owned()).collect();
        self.keep(&ApiKey {
            models,
            ..self.bare_key(org_id, id, role)
        });
    }

    pub(crate) fn keep(&self, key: &ApiKey) {
        self.store.add_api_key(key, &audit(key.org_id)).unwrap();
    }

    pub(crate) fn find_key(&self, id: KeyId) -> ApiKey {
        self.store.find_api_key(ACME, id).unwrap().unwrap()
    }

    /// A key that nothing bounds but its role.
    pub(crate) fn bare_key(&self, org_id: OrgId, id: KeyId, role: Role) -> ApiKey {
        let text = KeyText::generate().unwrap();
        ApiKey {
            id,
            org_id,
            team_id: None,
            owner: None,
            created_by: Actor::System,
            public_id: text.public_id().to_owned(),
            mac: self.pepper.mac(&text),
            previous: None,
            name: "before".to_owned(),
            role: role.into(),
            scopes: None,
            allowed_ips: Vec::new(),
            metadata: "{}".to_owned(),
            tags: Vec::new(),
            blocked: false,
            version: 1,
            models: Vec::new(),
            limits: Limits::default(),
            budget: None,
            created_at: NOW,
            expires_at: None,
            revoked_at: None,
        }
    }

    /// Adds a team, as if it had been there before.
    pub(crate) fn add_team(&self, org_id: OrgId, number: u8) -> TeamId {
        let team = Team {
            id: TeamId::from_bytes([number; 16]),
            org_id,
            name: format!("team {number}"),
            models: Vec::new(),
            limits: Limits::default(),
            budget: None,
            blocked: false,
            created_at: NOW,
            deleted_at: None,
            version: 1,
        };
        self.store.add_team(&team, &audit(org_id)).unwrap();
        team.id
    }
}

/// The kind of the error, if it is one.
pub(crate) fn kind<T>(result: &Result<T, ControlError>) -> Option<ErrorKind> {
    result.as_ref().err().map(ControlError::kind)
}

/// What is written down of what was done and refused, oldest first: action, object, outcome.
pub(crate) fn written(desk: &Desk, org: OrgId) -> Vec<(String, String, AuditOutcome)> {
    let entries = desk.store.read_audit(Some(org), 0, 99).unwrap();
    let own = entries.into_iter().filter(|entry| entry.action != "before");
    own.map(|entry| (entry.action, entry.object, entry.outcome))
        .collect()
}

/// Whoever has this role in one team and nothing elsewhere.
pub(crate) fn of_team(org_id: OrgId, team: TeamId, role: Role) -> Principal {
    Principal {
        rights: effective_rights(role.permissions(), None, Owner::Nobody, KeyTeam::Live(team)),
        ..owner(org_id)
    }
}

pub(crate) fn first_page() -> PageQuery {
    PageQuery {
        limit: 50,
        cursor: None,
    }
}

/// Who calls by this key, which has no owner.
pub(crate) fn caller(key: &ApiKey) -> Principal {
    let RoleRef::Builtin(role) = key.role else {
        panic!("what does {} allow?", key.role)
    };
    let team = key.team_id.map_or(KeyTeam::None, KeyTeam::Live);
    Principal {
        org_id: key.org_id,
        actor: Actor::Key(key.id),
        rights: effective_rights(role.permissions(), key.scopes, Owner::Nobody, team),
    }
}

pub(crate) fn organization(id: OrgId, name: &str) -> Organization {
    Organization {
        id,
        name: name.to_owned(),
        limits: Limits::default(),
        budget: None,
        blocked: false,
        created_at: NOW,
        version: 1,
    }
}

/// What is written down of what was there before.
pub(crate) fn audit(org_id: OrgId) -> AuditDraft {
    AuditDraft::done(Actor::System, "before", NOW).in_chain(org_id)
}

/// The owner of an organization.
pub(crate) fn owner(org_id: OrgId) -> Principal {
    principal(org_id, owner_key(org_id), Role::OrgOwner)
}

pub(crate) const fn owner_key(org_id: OrgId) -> KeyId {
    KeyId::from_bytes(*org_id.as_bytes())
}

/// A key with a role and nothing that narrows it.
pub(crate) fn principal(org_id: OrgId, key: KeyId, role: Role) -> Principal {
    Principal {
        org_id,
        actor: Actor::Key(key),
        rights: effective_rights(role.permissions(), None, Owner::Nobody, KeyTeam::None),
    }
}

pub(crate) fn granted<P: PermissionType>(org_id: OrgId) -> Granted<P> {
    Granted::check(owner(org_id)).unwrap()
}

pub(crate) fn reach<P: PermissionType>(org_id: OrgId) -> Reach<P> {
    Granted::reach(owner(org_id)).unwrap()
}

pub(crate) fn page(limit: u16, cursor: Option<String>) -> KeysQuery {
    KeysQuery {
        team_id: None,
        owner_id: None,
        state: None,
        page: PageQuery { limit, cursor },
    }
}
