//! The use cases' common ground: where things are kept, who asks, and what is written down of it.

use std::fmt::Display;
use std::sync::Arc;

use tollgate_auth::{Pepper, Principal, TokenPepper};
use tollgate_domain::{AuditDraft, AuditOutcome, Timestamp};
use tollgate_store::{Store, StoreError};
use tollgate_validation::{DisplayName, Expected};

use crate::accounts::Visitor;
use crate::error::ControlError;

/// The control plane's use cases over a store. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) pepper: Arc<Pepper>,
    pub(crate) tokens: Arc<TokenPepper>,
    visitor: Visitor,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    /// Makes the use cases over this store; keys and the tokens of invitations are kept as digests under
    /// these peppers.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, pepper: Arc<Pepper>, tokens: Arc<TokenPepper>) -> Self {
        Self {
            store,
            pepper,
            tokens,
            visitor: Visitor::default(),
        }
    }

    /// Returns the use cases for one request: what is written down of them says by which request and
    /// from where.
    #[must_use]
    pub fn asked_by(&self, visitor: Visitor) -> Self {
        Self {
            visitor,
            ..self.clone()
        }
    }

    /// Returns whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn ping(&self) -> Result<(), StoreError> {
        self.store.ping()
    }

    /// Writes down that somebody was refused a change.
    ///
    /// # Errors
    /// A store's error.
    pub fn record_denial(
        &self,
        principal: &Principal,
        action: &'static str,
        object: &str,
        code: &str,
        now: Timestamp,
    ) -> Result<(), ControlError> {
        let draft = AuditDraft {
            outcome: AuditOutcome::Denied,
            details: code.to_owned(),
            ..self.done(principal, action, object, now)
        };
        self.store.record_audit(&draft)?;
        Ok(())
    }

    /// Returns the entry of something that a principal did to a thing of its organization.
    pub(crate) fn done(
        &self,
        principal: &Principal,
        action: &'static str,
        object: impl Display,
        now: Timestamp,
    ) -> AuditDraft {
        self.visitor
            .done(principal.actor, action, now)
            .in_chain(principal.org_id)
            .about(object)
    }
}

/// Something that has a version, which grows with every change.
pub trait Versioned {
    /// Returns the version.
    fn version(&self) -> u64;
}

/// Checks that a thing is at the version that a change is for.
///
/// # Errors
/// `Stale`.
pub(crate) fn check_version(expected: Expected, version: u64) -> Result<(), ControlError> {
    if expected.is_met_by(version) {
        Ok(())
    } else {
        Err(ControlError::Stale)
    }
}

/// Returns a name in its composed form.
///
/// # Errors
/// `Invalid` when it is none.
pub(crate) fn composed(name: &str) -> Result<String, ControlError> {
    DisplayName::parse(name)
        .map(DisplayName::into_string)
        .map_err(|_| ControlError::Invalid("the name is not one that people can see"))
}
