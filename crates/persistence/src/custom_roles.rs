//! Custom roles as rows.

use diesel::prelude::*;
use tollgate_domain::{CustomRole, OrgId, RoleId, Timestamp};
use tollgate_store::StoreError;

use crate::rows::{from_json, id_bytes, json, version};
use crate::schema::custom_roles;

/// A row. What stays as it was made is not updated.
#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = custom_roles)]
pub(crate) struct RoleRow {
    id: Vec<u8>,
    #[diesel(skip_update)]
    org_id: Vec<u8>,
    name: String,
    /// A JSON array of the names of permissions.
    permissions: String,
    #[diesel(skip_update)]
    created_at_us: i64,
    #[diesel(skip_update)]
    version: i64,
}

impl TryFrom<&CustomRole> for RoleRow {
    type Error = StoreError;

    fn try_from(role: &CustomRole) -> Result<Self, StoreError> {
        Ok(Self {
            id: role.id.as_bytes().to_vec(),
            org_id: role.org_id.as_bytes().to_vec(),
            name: role.name.clone(),
            permissions: json(&role.permissions)?,
            created_at_us: role.created_at.micros(),
            version: 1,
        })
    }
}

impl TryFrom<RoleRow> for CustomRole {
    type Error = StoreError;

    fn try_from(row: RoleRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: RoleId::from_bytes(id_bytes(&row.id)?),
            org_id: OrgId::from_bytes(id_bytes(&row.org_id)?),
            name: row.name,
            permissions: from_json(&row.permissions, "a list of permissions")?,
            created_at: Timestamp::from_micros(row.created_at_us),
            version: version(row.version)?,
        })
    }
}

macro_rules! impl_role_store {
    ($store:ty) => {
        const _: () = {
            use diesel::dsl::{exists, select};
            use diesel::prelude::*;
            use tollgate_domain::{AuditDraft, CustomRole, OrgId, RoleId};
            use tollgate_store::{
                ORGANIZATION, ROLE, ROLE_IN_USE, RoleStore, StoreError, check_role,
            };

            use $crate::audit::{Change, updated};
            use $crate::custom_roles::RoleRow;
            use $crate::error::Failure;
            use $crate::rows::{Rows, version_column};
            use $crate::schema::custom_roles::dsl;
            use $crate::schema::{api_keys, invitations, memberships};

            impl RoleStore for $store {
                fn add_role(
                    &self,
                    role: &CustomRole,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    check_role(role)?;
                    let row = RoleRow::try_from(role)?;
                    self.change(Some(role.org_id), audit, |connection| {
                        diesel::insert_into(dsl::custom_roles)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(ROLE, ORGANIZATION))?;
                        Ok(((), Change::Auth))
                    })
                }

                fn find_role(
                    &self,
                    org: OrgId,
                    id: RoleId,
                ) -> Result<Option<CustomRole>, StoreError> {
                    self.read(Rows::Of(org), |connection| {
                        let found = dsl::custom_roles
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .first::<RoleRow>(connection)
                            .optional()?;
                        Ok(found.map(CustomRole::try_from).transpose()?)
                    })
                }

                fn list_roles(
                    &self,
                    org: OrgId,
                    after: Option<RoleId>,
                    limit: u16,
                ) -> Result<Vec<CustomRole>, StoreError> {
                    self.read(Rows::Of(org), |connection| {
                        let mut query = dsl::custom_roles
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .order(dsl::id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(dsl::id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<RoleRow> = query.load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(CustomRole::try_from).collect();
                        Ok(all?)
                    })
                }

                fn update_role(
                    &self,
                    role: &CustomRole,
                    audit: &AuditDraft,
                ) -> Result<u64, StoreError> {
                    check_role(role)?;
                    let row = RoleRow::try_from(role)?;
                    self.change(Some(role.org_id), audit, |connection| {
                        let found = dsl::custom_roles
                            .find(role.id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(role.org_id.as_bytes().as_slice()));
                        updated!(connection, dsl, found, role.version, &row, ROLE)
                    })
                }

                fn remove_role(
                    &self,
                    org: OrgId,
                    id: RoleId,
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    let (org_id, name) = (org.as_bytes().as_slice(), id.to_string());
                    self.change(Some(org), audit, |connection| {
                        let role = dsl::custom_roles
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org_id));
                        if diesel::delete(role).execute(connection)? == 0 {
                            return Ok((false, Change::None));
                        }
                        let keys = api_keys::table
                            .filter(api_keys::org_id.eq(org_id))
                            .filter(api_keys::role.eq(&name))
                            .filter(api_keys::revoked_at_us.is_null());
                        let members = memberships::table
                            .filter(memberships::org_id.eq(org_id))
                            .filter(memberships::role.eq(&name));
                        let guests = invitations::table
                            .filter(invitations::org_id.eq(org_id))
                            .filter(invitations::role.eq(&name))
                            .filter(invitations::accepted_at_us.is_null())
                            .filter(invitations::revoked_at_us.is_null());
                        let is_used: bool =
                            select(exists(keys).or(exists(members)).or(exists(guests)))
                                .get_result(connection)?;
                        if is_used {
                            Err(StoreError::Conflict { what: ROLE_IN_USE })?;
                        }
                        Ok((true, Change::Auth))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_role_store;
