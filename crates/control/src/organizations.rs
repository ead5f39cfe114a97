//! The caller's own organization: seen, and its limits and budget changed.

use serde::Serialize;
use tollgate_auth::{Granted, OrgManage, OrgRead, Principal};
use tollgate_domain::{AuditDraft, BudgetDuration, Money, OrgId, Organization, Timestamp};
use tollgate_validation::{Expected, OrganizationChange, TenantChange, Valid};

use crate::control::{Control, Versioned, check_version, composed};
use crate::error::ControlError;
use crate::limits::{LimitsChange, given_names};

/// An organization.
#[derive(Debug, Clone, Serialize)]
pub struct OrganizationView {
    /// Which organization.
    pub id: OrgId,
    /// Its name.
    pub name: String,
    /// Requests per minute, over all keys.
    pub rpm_limit: Option<u32>,
    /// Tokens per minute, over all keys.
    pub tpm_limit: Option<u32>,
    /// Requests at once, over all keys.
    pub max_parallel_requests: Option<u32>,
    /// US dollars per window, over all keys.
    pub max_budget: Option<Money>,
    /// The window's length.
    pub budget_duration: Option<BudgetDuration>,
    /// Whether all of its requests are refused.
    pub blocked: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Grows with every change, from 1.
    pub version: u64,
}

impl Versioned for OrganizationView {
    fn version(&self) -> u64 {
        self.version
    }
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        Self {
            id: organization.id,
            name: organization.name,
            rpm_limit: organization.limits.rpm_limit,
            tpm_limit: organization.limits.tpm_limit,
            max_parallel_requests: organization.limits.max_parallel_requests,
            max_budget: organization.budget.map(|budget| budget.max_budget),
            budget_duration: organization.budget.and_then(|budget| budget.duration),
            blocked: organization.blocked,
            created_at: organization.created_at,
            version: organization.version,
        }
    }
}

impl Control {
    /// Returns the caller's organization.
    ///
    /// # Errors
    /// A store's error.
    pub fn organization(
        &self,
        granted: &Granted<OrgRead>,
    ) -> Result<OrganizationView, ControlError> {
        self.organization_of(granted.org_id())
            .map(OrganizationView::from)
    }

    /// Changes the fields that are given: a value sets, `null` removes, absence leaves as it is.
    ///
    /// # Errors
    /// `Stale`; `Conflict` when the name is taken; `Invalid` for a window without a budget; a store's
    /// error.
    pub fn change_organization(
        &self,
        granted: &Granted<OrgManage>,
        input: Valid<OrganizationChange>,
        expected: Expected,
        now: Timestamp,
    ) -> Result<OrganizationView, ControlError> {
        let input = TenantChange::from(input.into_inner());
        self.change_any(granted.principal(), granted.org_id(), &input, expected, now)
    }

    pub(crate) fn change_any(
        &self,
        principal: &Principal,
        id: OrgId,
        input: &TenantChange,
        expected: Expected,
        now: Timestamp,
    ) -> Result<OrganizationView, ControlError> {
        let limits = LimitsChange {
            rpm_limit: input.rpm_limit,
            tpm_limit: input.tpm_limit,
            max_parallel_requests: input.max_parallel_requests,
            max_budget: input.max_budget,
            budget_duration: input.budget_duration,
        };
        let own = [
            ("name", input.name.is_some()),
            ("blocked", input.blocked.is_some()),
        ];
        let details = given_names(own.into_iter().chain(limits.fields()));
        let old = self.organization_of(id)?;
        check_version(expected, old.version)?;
        let name = input.name.as_deref().map(composed).transpose()?;
        let changed = Organization {
            name: name.unwrap_or(old.name),
            limits: limits.limits(old.limits),
            budget: limits.budget(old.budget)?,
            blocked: input.blocked.unwrap_or(old.blocked),
            ..old
        };
        let audit = AuditDraft {
            details,
            ..self.done(principal, "organization.change", id, now)
        };
        let audit = audit.in_chain(id);
        let version = self.store.update_organization(&changed, &audit);
        let version = version.map_err(|error| ControlError::changing(expected, error))?;
        Ok(Organization { version, ..changed }.into())
    }

    pub(crate) fn organization_of(&self, id: OrgId) -> Result<Organization, ControlError> {
        self.store
            .find_organization(id)?
            .ok_or(ControlError::NotFound("organization"))
    }
}
