//! Organizations as rows.

use diesel::prelude::*;
use tollgate_domain::{OrgId, Organization, Timestamp};
use tollgate_store::StoreError;

use crate::rows::{budget, budget_columns, id_bytes, limits, version};
use crate::schema::organizations;

/// A row. All but its id and the time it was made can be changed.
#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = organizations, treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct OrganizationRow {
    id: Vec<u8>,
    name: String,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    max_budget_nano_usd: Option<i64>,
    budget_duration_s: Option<i64>,
    blocked: bool,
    #[diesel(skip_update)]
    created_at_us: i64,
    #[diesel(skip_update)]
    version: i64,
}

impl From<&Organization> for OrganizationRow {
    fn from(organization: &Organization) -> Self {
        let limits = organization.limits;
        let (max_budget_nano_usd, budget_duration_s) = budget_columns(organization.budget.as_ref());
        Self {
            id: organization.id.as_bytes().to_vec(),
            name: organization.name.clone(),
            rpm_limit: limits.rpm_limit.map(i64::from),
            tpm_limit: limits.tpm_limit.map(i64::from),
            max_parallel_requests: limits.max_parallel_requests.map(i64::from),
            max_budget_nano_usd,
            budget_duration_s,
            blocked: organization.blocked,
            created_at_us: organization.created_at.micros(),
            version: 1,
        }
    }
}

impl TryFrom<OrganizationRow> for Organization {
    type Error = StoreError;

    fn try_from(row: OrganizationRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: OrgId::from_bytes(id_bytes(&row.id)?),
            name: row.name,
            limits: limits(row.rpm_limit, row.tpm_limit, row.max_parallel_requests)?,
            budget: budget((row.max_budget_nano_usd, row.budget_duration_s))?,
            blocked: row.blocked,
            created_at: Timestamp::from_micros(row.created_at_us),
            version: version(row.version)?,
        })
    }
}

macro_rules! impl_organization_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{AuditDraft, OrgId, Organization};
            use tollgate_store::{ORGANIZATION, OrganizationStore, StoreError, check_organization};

            use $crate::audit::{Change, updated};
            use $crate::error::Failure;
            use $crate::organizations::OrganizationRow;
            use $crate::rows::{Rows, version_column};
            use $crate::schema::organizations::dsl;

            impl OrganizationStore for $store {
                fn add_organization(
                    &self,
                    organization: &Organization,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    check_organization(organization)?;
                    let row = OrganizationRow::from(organization);
                    let org = audit.org_id.map(|_| organization.id);
                    self.change(org, audit, |connection| {
                        diesel::insert_into(dsl::organizations)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(ORGANIZATION, ORGANIZATION))?;
                        Ok(((), Change::Auth))
                    })
                }

                fn find_organization(&self, id: OrgId) -> Result<Option<Organization>, StoreError> {
                    self.read(Rows::Of(id), |connection| {
                        let found = dsl::organizations
                            .find(id.as_bytes().as_slice())
                            .first::<OrganizationRow>(connection)
                            .optional()?;
                        Ok(found.map(Organization::try_from).transpose()?)
                    })
                }

                fn find_organization_by_name(
                    &self,
                    name: &str,
                ) -> Result<Option<Organization>, StoreError> {
                    if name.contains('\0') {
                        return Ok(None);
                    }
                    self.read(Rows::All, |connection| {
                        let found = dsl::organizations
                            .filter(dsl::name.eq(name))
                            .first::<OrganizationRow>(connection)
                            .optional()?;
                        Ok(found.map(Organization::try_from).transpose()?)
                    })
                }

                fn list_organizations(
                    &self,
                    after: Option<OrgId>,
                    limit: u16,
                ) -> Result<Vec<Organization>, StoreError> {
                    self.read(Rows::All, |connection| {
                        let mut query = dsl::organizations
                            .order(dsl::id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(dsl::id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<OrganizationRow> = query.load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(Organization::try_from).collect();
                        Ok(all?)
                    })
                }

                fn update_organization(
                    &self,
                    organization: &Organization,
                    audit: &AuditDraft,
                ) -> Result<u64, StoreError> {
                    check_organization(organization)?;
                    let row = OrganizationRow::from(organization);
                    self.change(Some(organization.id), audit, |connection| {
                        let id = organization.id.as_bytes().as_slice();
                        let found = dsl::organizations.find(id);
                        let version = organization.version;
                        updated!(connection, dsl, found, version, &row, ORGANIZATION)
                    })
                }
            }
        };
    };
}
pub(crate) use impl_organization_store;
