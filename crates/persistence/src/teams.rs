//! Teams as rows.

use diesel::prelude::*;
use tollgate_domain::{OrgId, Team, TeamId, Timestamp};
use tollgate_store::StoreError;

use crate::rows::{
    budget, budget_columns, from_json, id_bytes, json, limits, micros, timestamp, version,
};
use crate::schema::teams;

/// A row. What stays as it was made is not updated.
#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = teams, treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct TeamRow {
    id: Vec<u8>,
    #[diesel(skip_update)]
    org_id: Vec<u8>,
    name: String,
    /// A JSON array of strings.
    models: String,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    max_budget_nano_usd: Option<i64>,
    budget_duration_s: Option<i64>,
    blocked: bool,
    #[diesel(skip_update)]
    created_at_us: i64,
    #[diesel(skip_update)]
    deleted_at_us: Option<i64>,
    #[diesel(skip_update)]
    version: i64,
}

impl TryFrom<&Team> for TeamRow {
    type Error = StoreError;

    fn try_from(team: &Team) -> Result<Self, StoreError> {
        let (max_budget_nano_usd, budget_duration_s) = budget_columns(team.budget.as_ref());
        Ok(Self {
            id: team.id.as_bytes().to_vec(),
            org_id: team.org_id.as_bytes().to_vec(),
            name: team.name.clone(),
            models: json(&team.models)?,
            rpm_limit: team.limits.rpm_limit.map(i64::from),
            tpm_limit: team.limits.tpm_limit.map(i64::from),
            max_parallel_requests: team.limits.max_parallel_requests.map(i64::from),
            max_budget_nano_usd,
            budget_duration_s,
            blocked: team.blocked,
            created_at_us: team.created_at.micros(),
            deleted_at_us: micros(team.deleted_at),
            version: 1,
        })
    }
}

impl TryFrom<TeamRow> for Team {
    type Error = StoreError;

    fn try_from(row: TeamRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: TeamId::from_bytes(id_bytes(&row.id)?),
            org_id: OrgId::from_bytes(id_bytes(&row.org_id)?),
            name: row.name,
            models: from_json(&row.models, "a list of models")?,
            limits: limits(row.rpm_limit, row.tpm_limit, row.max_parallel_requests)?,
            budget: budget((row.max_budget_nano_usd, row.budget_duration_s))?,
            blocked: row.blocked,
            created_at: Timestamp::from_micros(row.created_at_us),
            deleted_at: timestamp(row.deleted_at_us),
            version: version(row.version)?,
        })
    }
}

macro_rules! impl_team_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{AuditDraft, OrgId, Team, TeamId, Timestamp};
            use tollgate_store::{ORGANIZATION, StoreError, TEAM, TeamStore, check_team};

            use $crate::audit::{Change, updated};
            use $crate::error::Failure;
            use $crate::rows::{Rows, version_column};
            use $crate::schema::team_memberships;
            use $crate::schema::teams::dsl;
            use $crate::teams::TeamRow;

            impl TeamStore for $store {
                fn add_team(&self, team: &Team, audit: &AuditDraft) -> Result<(), StoreError> {
                    check_team(team)?;
                    let row = TeamRow::try_from(team)?;
                    self.change(Some(team.org_id), audit, |connection| {
                        diesel::insert_into(dsl::teams)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(TEAM, ORGANIZATION))?;
                        Ok(((), Change::Auth))
                    })
                }

                fn find_team(&self, org: OrgId, id: TeamId) -> Result<Option<Team>, StoreError> {
                    self.read(Rows::Of(org), |connection| {
                        let found = dsl::teams
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .first::<TeamRow>(connection)
                            .optional()?;
                        Ok(found.map(Team::try_from).transpose()?)
                    })
                }

                fn list_teams(
                    &self,
                    org: OrgId,
                    after: Option<TeamId>,
                    limit: u16,
                ) -> Result<Vec<Team>, StoreError> {
                    self.read(Rows::Of(org), |connection| {
                        let mut query = dsl::teams
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .filter(dsl::deleted_at_us.is_null())
                            .order(dsl::id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(dsl::id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<TeamRow> = query.load(connection)?;
                        let all: Result<_, _> = rows.into_iter().map(Team::try_from).collect();
                        Ok(all?)
                    })
                }

                fn update_team(&self, team: &Team, audit: &AuditDraft) -> Result<u64, StoreError> {
                    check_team(team)?;
                    let row = TeamRow::try_from(team)?;
                    self.change(Some(team.org_id), audit, |connection| {
                        let found = dsl::teams
                            .find(team.id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(team.org_id.as_bytes().as_slice()))
                            .filter(dsl::deleted_at_us.is_null());
                        updated!(connection, dsl, found, team.version, &row, TEAM)
                    })
                }

                fn delete_team(
                    &self,
                    org: OrgId,
                    id: TeamId,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<Option<Team>, StoreError> {
                    self.change(Some(org), audit, |connection| {
                        let team = dsl::teams
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()));
                        let count = diesel::update(team)
                            .filter(dsl::deleted_at_us.is_null())
                            .set((
                                dsl::deleted_at_us.eq(at.micros()),
                                dsl::version.eq(dsl::version + 1),
                            ))
                            .execute(connection)?;
                        if count > 0 {
                            let team = team_memberships::team_id.eq(id.as_bytes().as_slice());
                            diesel::delete(team_memberships::table.filter(team))
                                .execute(connection)?;
                        }
                        let found = team.first::<TeamRow>(connection).optional()?;
                        let found = found.map(Team::try_from).transpose()?;
                        Ok((found, Change::auth_if(count > 0)))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_team_store;
