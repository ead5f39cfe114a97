//! The caller's own organization: seen, and its limits and budget changed.

use serde::Serialize;
use tollgate_auth::{Granted, OrgManage, OrgRead};
use tollgate_domain::{AuditDraft, BudgetDuration, Money, OrgId, Organization, Timestamp};
use tollgate_validation::{OrganizationChange, Valid};

use crate::audit::done;
use crate::error::ControlError;
use crate::keys::Control;
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
        self.find(granted.org_id()).map(OrganizationView::from)
    }

    /// Changes the fields that are given: a value sets, `null` removes, absence leaves as it is.
    ///
    /// # Errors
    /// `Conflict` when the name is taken, or somebody else changed it at the same time; `Invalid` for a window without a budget; a store's error.
    pub fn change_organization(
        &self,
        granted: &Granted<OrgManage>,
        input: Valid<OrganizationChange>,
        now: Timestamp,
    ) -> Result<OrganizationView, ControlError> {
        let input = input.into_inner();
        let limits = LimitsChange {
            rpm_limit: input.rpm_limit,
            tpm_limit: input.tpm_limit,
            max_parallel_requests: input.max_parallel_requests,
            max_budget: input.max_budget,
            budget_duration: input.budget_duration,
        };
        let name = [("name", input.name.is_some())];
        let fields = given_names(name.into_iter().chain(limits.fields()));
        let old = self.find(granted.org_id())?;
        let changed = Organization {
            name: input.name.unwrap_or(old.name),
            limits: limits.limits(old.limits),
            budget: limits.budget(old.budget)?,
            ..old
        };
        let audit = AuditDraft {
            details: fields,
            ..done(granted.principal(), "organization.change", changed.id, now)
        };
        let version = self.store.update_organization(&changed, &audit)?;
        Ok(Organization { version, ..changed }.into())
    }

    fn find(&self, id: OrgId) -> Result<Organization, ControlError> {
        self.store
            .find_organization(id)?
            .ok_or(ControlError::NotFound("organization"))
    }
}
