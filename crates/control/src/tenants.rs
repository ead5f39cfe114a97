//! The organizations of the installation, for whoever runs it.

use serde::Serialize;
use tollgate_auth::{Platform, PlatformManage};
use tollgate_domain::{BudgetPolicy, Limits, OrgId, Organization, Role, Timestamp};
use tollgate_validation::{Expected, NewOrganization, PageQuery, TenantChange, Valid};
use uuid::Uuid;

use crate::control::{Control, composed};
use crate::error::ControlError;
use crate::invitations::Guest;
use crate::organizations::OrganizationView;
use crate::views::Page;

/// How long the invitation of an organization's first owner works, in seconds: a week.
const OWNER_SECONDS: u32 = 7 * 86_400;

/// An organization that was just made.
#[derive(Serialize)]
pub struct CreatedOrganization {
    /// The token of the invitation that lets the first owner in, shown this once; null when nobody was
    /// invited.
    pub owner_token: Option<String>,
    /// What is kept of it.
    #[serde(flatten)]
    pub view: OrganizationView,
}

impl std::fmt::Debug for CreatedOrganization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedOrganization")
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}

impl Control {
    /// Lists all organizations, in the order of their ids.
    ///
    /// # Errors
    /// `Input` when the cursor is not one of ours; a store's error.
    pub fn list_tenants(
        &self,
        _: &Platform<PlatformManage>,
        page: &PageQuery,
    ) -> Result<Page<OrganizationView>, ControlError> {
        let limit = page.limit.saturating_add(1);
        let found = self.store.list_organizations(page.after()?, limit)?;
        let views = found.into_iter().map(OrganizationView::from).collect();
        Ok(Page::cut(views, page.limit, |one: &OrganizationView| {
            one.id.to_string()
        }))
    }

    /// Returns any organization.
    ///
    /// # Errors
    /// `NotFound`; a store's error.
    pub fn tenant(
        &self,
        _: &Platform<PlatformManage>,
        id: OrgId,
    ) -> Result<OrganizationView, ControlError> {
        self.organization_of(id).map(OrganizationView::from)
    }

    /// Makes an organization, and invites its first owner if an address is given.
    ///
    /// # Errors
    /// `Conflict` when the name is taken; `Invalid` when the address is none; a store's error.
    pub fn create_tenant(
        &self,
        platform: &Platform<PlatformManage>,
        input: Valid<NewOrganization>,
        now: Timestamp,
    ) -> Result<CreatedOrganization, ControlError> {
        let input = input.into_inner();
        let organization = Organization {
            id: OrgId::new(Uuid::now_v7()),
            name: composed(&input.name)?,
            limits: Limits {
                rpm_limit: input.rpm_limit,
                tpm_limit: input.tpm_limit,
                max_parallel_requests: input.max_parallel_requests,
            },
            budget: input.max_budget.map(|max_budget| BudgetPolicy {
                max_budget,
                duration: input.budget_duration,
            }),
            blocked: false,
            created_at: now,
            version: 1,
        };
        let org_id = organization.id;
        let audit = self.done(platform.principal(), "organization.create", org_id, now);
        self.store
            .add_organization(&organization, &audit.in_chain(org_id))?;
        let invited = match &input.owner_email {
            None => None,
            Some(email) => {
                let guest = Guest {
                    org_id,
                    email,
                    role: Role::OrgOwner.into(),
                    team_id: None,
                    seconds: OWNER_SECONDS,
                };
                Some(self.invite(platform.principal(), None, &guest, now)?)
            }
        };
        Ok(CreatedOrganization {
            owner_token: invited.map(|invited| invited.token),
            view: organization.into(),
        })
    }

    /// Changes the fields of any organization that are given. A blocked one has all of its requests
    /// refused.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Conflict` when the name is taken; `Invalid` for a window without a budget; a
    /// store's error.
    pub fn change_tenant(
        &self,
        platform: &Platform<PlatformManage>,
        id: OrgId,
        input: &Valid<TenantChange>,
        expected: Expected,
        now: Timestamp,
    ) -> Result<OrganizationView, ControlError> {
        self.change_any(platform.principal(), id, input, expected, now)
    }
}
