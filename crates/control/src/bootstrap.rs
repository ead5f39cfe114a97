//! The first start: an organization and an owner key, so that a deployment needs no hand.

use tollgate_auth::KeyText;
use tollgate_domain::{
    Actor, ApiKey, AuditDraft, KeyId, Limits, OrgId, Organization, Role, Timestamp,
};
use tollgate_store::{KeyFilter, StoreError};
use uuid::Uuid;

use crate::error::ControlError;
use crate::keys::Control;

/// The name of the organization that the first start makes.
const DEFAULT_ORGANIZATION: &str = "default";

/// What a start found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bootstrapped {
    /// The organization and the key were made now.
    Created,
    /// The database is in use already; nothing was changed.
    InUse,
}

impl Control {
    /// Makes organization `default` and an owner key with this text, if the database is empty.
    ///
    /// # Errors
    /// A store's error.
    pub fn bootstrap(&self, text: &KeyText, now: Timestamp) -> Result<Bootstrapped, ControlError> {
        match self.make_first(text, now) {
            // Another process that starts on the same database was faster.
            Err(ControlError::Store(StoreError::Conflict { .. })) => Ok(Bootstrapped::InUse),
            done => done,
        }
    }

    fn make_first(&self, text: &KeyText, now: Timestamp) -> Result<Bootstrapped, ControlError> {
        let found = self.store.find_organization_by_name(DEFAULT_ORGANIZATION)?;
        let org_id = match found {
            Some(found) if self.has_keys(found.id)? => return Ok(Bootstrapped::InUse),
            // A start that was interrupted between the two is finished by the next.
            Some(found) => found.id,
            // Its organization has another name by now.
            None if self.store.auth_epoch()? > 0 => return Ok(Bootstrapped::InUse),
            None => self.add_default_organization(now)?,
        };
        let key = ApiKey {
            id: KeyId::new(Uuid::now_v7()),
            org_id,
            team_id: None,
            owner: None,
            created_by: Actor::System,
            public_id: text.public_id().to_owned(),
            mac: self.pepper.mac(text),
            previous: None,
            name: "bootstrap".to_owned(),
            role: Role::OrgOwner.into(),
            scopes: None,
            models: Vec::new(),
            allowed_ips: Vec::new(),
            limits: Limits::default(),
            budget: None,
            metadata: "{}".to_owned(),
            tags: Vec::new(),
            blocked: false,
            created_at: now,
            expires_at: None,
            revoked_at: None,
            version: 1,
        };
        let audit = AuditDraft::done(Actor::System, "key.create", now);
        self.store
            .add_api_key(&key, &audit.in_chain(org_id).about(key.id))?;
        Ok(Bootstrapped::Created)
    }

    fn has_keys(&self, org: OrgId) -> Result<bool, StoreError> {
        let keys = self
            .store
            .list_api_keys(org, &KeyFilter::default(), None, 1)?;
        Ok(!keys.is_empty())
    }

    fn add_default_organization(&self, now: Timestamp) -> Result<OrgId, ControlError> {
        let organization = default_organization(now);
        let id = organization.id;
        let audit = AuditDraft::done(Actor::System, "organization.create", now);
        self.store
            .add_organization(&organization, &audit.in_chain(id).about(id))?;
        Ok(id)
    }
}

/// Returns the organization that an installation begins with, under an id of its own.
pub(crate) fn default_organization(now: Timestamp) -> Organization {
    Organization {
        id: OrgId::new(Uuid::now_v7()),
        name: DEFAULT_ORGANIZATION.to_owned(),
        limits: Limits::default(),
        budget: None,
        blocked: false,
        created_at: now,
        version: 1,
    }
}
