//! Two organizations, each with an owner.

use std::sync::Arc;

use tollgate_auth::{Granted, KeyText, Pepper, PermissionType, Principal};
use tollgate_control::Control;
use tollgate_domain::{ApiKey, KeyId, Limits, OrgId, Organization, Role, Timestamp};
use tollgate_store::{ApiKeyStore, MemoryStore, OrganizationStore, Store};

pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_764_000_000_000_000);
pub(crate) const ACME: OrgId = OrgId::from_bytes([1; 16]);
pub(crate) const OTHER: OrgId = OrgId::from_bytes([2; 16]);

pub(crate) struct Desk {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) pepper: Arc<Pepper>,
    pub(crate) control: Control,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let pepper = Arc::new(Pepper::derive(&[7; 32]));
        let kept: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
        let control = Control::new(kept, Arc::clone(&pepper));
        let desk = Self {
            store,
            pepper,
            control,
        };
        for (id, name) in [(ACME, "acme"), (OTHER, "other")] {
            desk.store
                .add_organization(&organization(id, name))
                .unwrap();
            desk.add_key(id, owner(id).key_id, Role::OrgOwner, &[]);
        }
        desk
    }

    /// Adds a key, as if it had been there before.
    pub(crate) fn add_key(&self, org_id: OrgId, id: KeyId, role: Role, models: &[&str]) {
        let text = KeyText::generate().unwrap();
        let key = ApiKey {
            id,
            org_id,
            public_id: text.public_id().to_owned(),
            mac: self.pepper.mac(&text),
            name: "before".to_owned(),
            role,
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            limits: Limits::default(),
            budget: None,
            created_at: NOW,
            expires_at: None,
            revoked_at: None,
        };
        self.store.add_api_key(&key).unwrap();
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
    }
}

/// The owner of an organization.
pub(crate) fn owner(org_id: OrgId) -> Principal {
    Principal {
        org_id,
        key_id: KeyId::from_bytes(*org_id.as_bytes()),
        role: Role::OrgOwner,
    }
}

pub(crate) fn granted<P: PermissionType>(org_id: OrgId) -> Granted<P> {
    Granted::check(owner(org_id)).unwrap()
}
