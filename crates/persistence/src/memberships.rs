//! Memberships as rows.

use diesel::prelude::*;
use tollgate_domain::{Membership, OrgId, TeamId, TeamMembership, TeamRole, Timestamp, UserId};
use tollgate_store::StoreError;

use crate::error::bad_row;
use crate::rows::id_bytes;
use crate::schema::{memberships, team_memberships};

#[derive(Queryable, Insertable)]
#[diesel(table_name = memberships)]
pub(crate) struct MemberRow {
    org_id: Vec<u8>,
    user_id: Vec<u8>,
    role: String,
    created_at_us: i64,
}

impl From<&Membership> for MemberRow {
    fn from(member: &Membership) -> Self {
        Self {
            org_id: member.org_id.as_bytes().to_vec(),
            user_id: member.user_id.as_bytes().to_vec(),
            role: member.role.to_string(),
            created_at_us: member.created_at.micros(),
        }
    }
}

impl TryFrom<MemberRow> for Membership {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Self, StoreError> {
        Ok(Self {
            org_id: OrgId::from_bytes(id_bytes(&row.org_id)?),
            user_id: UserId::from_bytes(id_bytes(&row.user_id)?),
            role: row.role.parse().map_err(|_| bad_row("a role"))?,
            created_at: Timestamp::from_micros(row.created_at_us),
        })
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = team_memberships)]
pub(crate) struct TeamMemberRow {
    team_id: Vec<u8>,
    user_id: Vec<u8>,
    org_id: Vec<u8>,
    role: String,
}

impl From<&TeamMembership> for TeamMemberRow {
    fn from(member: &TeamMembership) -> Self {
        Self {
            team_id: member.team_id.as_bytes().to_vec(),
            user_id: member.user_id.as_bytes().to_vec(),
            org_id: member.org_id.as_bytes().to_vec(),
            role: member.role.role().as_str().to_owned(),
        }
    }
}

impl TryFrom<TeamMemberRow> for TeamMembership {
    type Error = StoreError;

    fn try_from(row: TeamMemberRow) -> Result<Self, StoreError> {
        let role = row.role.parse().ok().and_then(TeamRole::from_role);
        Ok(Self {
            org_id: OrgId::from_bytes(id_bytes(&row.org_id)?),
            team_id: TeamId::from_bytes(id_bytes(&row.team_id)?),
            user_id: UserId::from_bytes(id_bytes(&row.user_id)?),
            role: role.ok_or_else(|| bad_row("a role in a team"))?,
        })
    }
}

/// Returns whether a user may be in an organization: not deleted, and no service account of another.
macro_rules! is_guest {
    ($connection:expr, $org:expr, $user:expr) => {{
        use diesel::dsl::{exists, select};
        use $crate::schema::users;
        let own = users::service_org_id
            .is_null()
            .or(users::service_org_id.assume_not_null().eq($org));
        let user = users::table
            .find($user)
            .filter(users::deleted_at_us.is_null())
            .filter(own);
        select(exists(user)).get_result::<bool>($connection)?
    }};
}
pub(crate) use is_guest;

/// Returns whether an organization has a team that is not deleted.
macro_rules! is_team {
    ($connection:expr, $org:expr, $team:expr) => {{
        use diesel::dsl::{exists, select};
        use $crate::schema::teams;
        let team = teams::table
            .find($team)
            .filter(teams::org_id.eq($org))
            .filter(teams::deleted_at_us.is_null());
        select(exists(team)).get_result::<bool>($connection)?
    }};
}
pub(crate) use is_team;

/// Fails when an organization has one owner and it is this user. Whoever changes owners of the
/// organization at the same time waits at its row, and then sees who is left.
macro_rules! check_owner_left {
    ($connection:expr, $org:expr, $user:expr) => {{
        use $crate::schema::{memberships, organizations};
        diesel::update(organizations::table.find($org))
            .set(organizations::version.eq(organizations::version))
            .execute($connection)?;
        let owners: Vec<Vec<u8>> = memberships::table
            .filter(memberships::org_id.eq($org))
            .filter(memberships::role.eq(tollgate_domain::Role::OrgOwner.as_str()))
            .select(memberships::user_id)
            .limit(2)
            .load($connection)?;
        if matches!(owners.as_slice(), [only] if only.as_slice() == $user) {
            let what = tollgate_store::LAST_OWNER;
            Err(tollgate_store::StoreError::Needed { what })?;
        }
    }};
}
pub(crate) use check_owner_left;

macro_rules! impl_membership_store {
    ($store:ty) => {
        const _: () = {
            use diesel::dsl::{exists, select};
            use diesel::prelude::*;
            use tollgate_domain::{
                AuditDraft, Membership, OrgId, Role, RoleRef, TeamId, TeamMembership, UserId,
            };
            use tollgate_store::{LIST_MAX, MEMBERSHIP, MembershipStore, StoreError};

            use $crate::audit::Change;
            use $crate::error::Failure;
            use $crate::memberships::{
                MemberRow, TeamMemberRow, check_owner_left, is_guest, is_team,
            };
            use $crate::rows::Rows;
            use $crate::schema::{custom_roles, memberships, team_memberships};

            impl MembershipStore for $store {
                fn set_membership(
                    &self,
                    member: &Membership,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    let row = MemberRow::from(member);
                    let org = member.org_id.as_bytes().as_slice();
                    let user = member.user_id.as_bytes().as_slice();
                    self.change(Some(member.org_id), audit, |connection| {
                        let is_role = match &member.role {
                            RoleRef::Builtin(_) => true,
                            RoleRef::Custom(id) => {
                                let role = custom_roles::table
                                    .find(id.as_bytes().as_slice())
                                    .filter(custom_roles::org_id.eq(org));
                                select(exists(role)).get_result(connection)?
                            }
                        };
                        if !is_role || !is_guest!(connection, org, user) {
                            Err(StoreError::Missing { what: MEMBERSHIP })?;
                        }
                        if member.role != RoleRef::Builtin(Role::OrgOwner) {
                            check_owner_left!(connection, org, user);
                        }
                        diesel::insert_into(memberships::table)
                            .values(&row)
                            .on_conflict((memberships::org_id, memberships::user_id))
                            .do_update()
                            .set(memberships::role.eq(member.role.to_string()))
                            .execute(connection)
                            .map_err(Failure::taken(MEMBERSHIP, MEMBERSHIP))?;
                        Ok(((), Change::Auth))
                    })
                }

                fn find_membership(
                    &self,
                    org: OrgId,
                    user: UserId,
                ) -> Result<Option<Membership>, StoreError> {
                    let place = (org.as_bytes().as_slice(), user.as_bytes().as_slice());
                    self.read(Rows::Of(org), |connection| {
                        let found = memberships::table
                            .find(place)
                            .first::<MemberRow>(connection)
                            .optional()?;
                        Ok(found.map(Membership::try_from).transpose()?)
                    })
                }

                fn list_members(
                    &self,
                    org: OrgId,
                    after: Option<UserId>,
                    limit: u16,
                ) -> Result<Vec<Membership>, StoreError> {
                    use memberships::*;
                    self.read(Rows::Of(org), |connection| {
                        let mut query = table
                            .filter(org_id.eq(org.as_bytes().as_slice()))
                            .order(user_id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(user_id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<MemberRow> = query.load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(Membership::try_from).collect();
                        Ok(all?)
                    })
                }

                fn list_memberships_of(&self, user: UserId) -> Result<Vec<Membership>, StoreError> {
                    use memberships::*;
                    self.read(Rows::All, |connection| {
                        let rows: Vec<MemberRow> = table
                            .filter(user_id.eq(user.as_bytes().as_slice()))
                            .order(org_id)
                            .limit(i64::try_from(LIST_MAX).unwrap_or(i64::MAX))
                            .load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(Membership::try_from).collect();
                        Ok(all?)
                    })
                }

                fn remove_membership(
                    &self,
                    org: OrgId,
                    user: UserId,
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    let (org_id, user_id) = (org.as_bytes().as_slice(), user.as_bytes().as_slice());
                    self.change(Some(org), audit, |connection| {
                        check_owner_left!(connection, org_id, user_id);
                        let place = memberships::table.find((org_id, user_id));
                        let is_member = diesel::delete(place).execute(connection)? > 0;
                        if is_member {
                            let places = team_memberships::table
                                .filter(team_memberships::org_id.eq(org_id))
                                .filter(team_memberships::user_id.eq(user_id));
                            diesel::delete(places).execute(connection)?;
                        }
                        Ok((is_member, Change::auth_if(is_member)))
                    })
                }

                fn set_team_membership(
                    &self,
                    member: &TeamMembership,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    let row = TeamMemberRow::from(member);
                    let org = member.org_id.as_bytes().as_slice();
                    let user = member.user_id.as_bytes().as_slice();
                    let team = member.team_id.as_bytes().as_slice();
                    self.change(Some(member.org_id), audit, |connection| {
                        let place = memberships::table.find((org, user));
                        let is_member: bool = select(exists(place)).get_result(connection)?;
                        if !is_member || !is_team!(connection, org, team) {
                            Err(StoreError::Missing { what: MEMBERSHIP })?;
                        }
                        diesel::insert_into(team_memberships::table)
                            .values(&row)
                            .on_conflict((team_memberships::team_id, team_memberships::user_id))
                            .do_update()
                            .set(team_memberships::role.eq(member.role.role().as_str()))
                            .execute(connection)
                            .map_err(Failure::taken(MEMBERSHIP, MEMBERSHIP))?;
                        Ok(((), Change::Auth))
                    })
                }

                fn list_team_members(
                    &self,
                    org: OrgId,
                    team: TeamId,
                    after: Option<UserId>,
                    limit: u16,
                ) -> Result<Vec<TeamMembership>, StoreError> {
                    use team_memberships::*;
                    self.read(Rows::Of(org), |connection| {
                        let mut query = table
                            .filter(org_id.eq(org.as_bytes().as_slice()))
                            .filter(team_id.eq(team.as_bytes().as_slice()))
                            .order(user_id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(user_id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<TeamMemberRow> = query.load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(TeamMembership::try_from).collect();
                        Ok(all?)
                    })
                }

                fn list_team_memberships_of(
                    &self,
                    org: OrgId,
                    user: UserId,
                ) -> Result<Vec<TeamMembership>, StoreError> {
                    use team_memberships::*;
                    self.read(Rows::Of(org), |connection| {
                        let rows: Vec<TeamMemberRow> = table
                            .filter(org_id.eq(org.as_bytes().as_slice()))
                            .filter(user_id.eq(user.as_bytes().as_slice()))
                            .order(team_id)
                            .limit(i64::try_from(LIST_MAX).unwrap_or(i64::MAX))
                            .load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(TeamMembership::try_from).collect();
                        Ok(all?)
                    })
                }

                fn remove_team_membership(
                    &self,
                    org: OrgId,
                    team: TeamId,
                    user: UserId,
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    let place = (team.as_bytes().as_slice(), user.as_bytes().as_slice());
                    self.change(Some(org), audit, |connection| {
                        let place = team_memberships::table
                            .find(place)
                            .filter(team_memberships::org_id.eq(org.as_bytes().as_slice()));
                        let is_member = diesel::delete(place).execute(connection)? > 0;
                        Ok((is_member, Change::auth_if(is_member)))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_membership_store;
