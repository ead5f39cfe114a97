//! Invitations as rows.

use diesel::prelude::*;
use tollgate_domain::{Invitation, InvitationId, OrgId, TeamId, Timestamp, UserId};
use tollgate_store::StoreError;

use crate::error::bad_row;
use crate::rows::{id_bytes, mac_bytes, micros, timestamp};
use crate::schema::invitations;

#[derive(Queryable, Insertable)]
#[diesel(table_name = invitations, treat_none_as_default_value = false)]
pub(crate) struct InvitationRow {
    id: Vec<u8>,
    org_id: Vec<u8>,
    email: String,
    role: String,
    team_id: Option<Vec<u8>>,
    token_mac: Vec<u8>,
    invited_by: Option<Vec<u8>>,
    created_at_us: i64,
    expires_at_us: i64,
    accepted_at_us: Option<i64>,
    revoked_at_us: Option<i64>,
}

impl From<&Invitation> for InvitationRow {
    fn from(invitation: &Invitation) -> Self {
        Self {
            id: invitation.id.as_bytes().to_vec(),
            org_id: invitation.org_id.as_bytes().to_vec(),
            email: invitation.email.clone(),
            role: invitation.role.to_string(),
            team_id: invitation.team_id.map(|id| id.as_bytes().to_vec()),
            token_mac: invitation.token_mac.to_vec(),
            invited_by: invitation.invited_by.map(|id| id.as_bytes().to_vec()),
            created_at_us: invitation.created_at.micros(),
            expires_at_us: invitation.expires_at.micros(),
            accepted_at_us: micros(invitation.accepted_at),
            revoked_at_us: micros(invitation.revoked_at),
        }
    }
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        let team_id = row.team_id.as_deref().map(id_bytes).transpose()?;
        let invited_by = row.invited_by.as_deref().map(id_bytes).transpose()?;
        Ok(Self {
            id: InvitationId::from_bytes(id_bytes(&row.id)?),
            org_id: OrgId::from_bytes(id_bytes(&row.org_id)?),
            email: row.email,
            role: row.role.parse().map_err(|_| bad_row("a role"))?,
            team_id: team_id.map(TeamId::from_bytes),
            token_mac: mac_bytes(&row.token_mac)?,
            invited_by: invited_by.map(UserId::from_bytes),
            created_at: Timestamp::from_micros(row.created_at_us),
            expires_at: Timestamp::from_micros(row.expires_at_us),
            accepted_at: timestamp(row.accepted_at_us),
            revoked_at: timestamp(row.revoked_at_us),
        })
    }
}

macro_rules! impl_invitation_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{
                AuditDraft, Invitation, InvitationId, MAC_BYTES, OrgId, Timestamp, UserId,
            };
            use tollgate_store::{
                INVITATION, InvitationStore, MEMBERSHIP, ORGANIZATION, StoreError, USER,
                check_invitation,
            };

            use $crate::audit::Change;
            use $crate::error::Failure;
            use $crate::invitations::InvitationRow;
            use $crate::memberships::{is_guest, is_team};
            use $crate::rows::Rows;
            use $crate::schema::invitations::dsl;
            use $crate::schema::{memberships, team_memberships};

            impl InvitationStore for $store {
                fn add_invitation(
                    &self,
                    invitation: &Invitation,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    check_invitation(invitation)?;
                    let row = InvitationRow::from(invitation);
                    self.change(Some(invitation.org_id), audit, |connection| {
                        diesel::insert_into(dsl::invitations)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(INVITATION, ORGANIZATION))?;
                        Ok(((), Change::Audited))
                    })
                }

                fn find_invitation(
                    &self,
                    org: OrgId,
                    id: InvitationId,
                ) -> Result<Option<Invitation>, StoreError> {
                    self.read(Rows::Of(org), |connection| {
                        let found = dsl::invitations
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .first::<InvitationRow>(connection)
                            .optional()?;
                        Ok(found.map(Invitation::try_from).transpose()?)
                    })
                }

                fn find_invitation_by_mac(
                    &self,
                    mac: &[u8; MAC_BYTES],
                ) -> Result<Option<Invitation>, StoreError> {
                    self.read(Rows::All, |connection| {
                        let found = dsl::invitations
                            .filter(dsl::token_mac.eq(mac.as_slice()))
                            .first::<InvitationRow>(connection)
                            .optional()?;
                        Ok(found.map(Invitation::try_from).transpose()?)
                    })
                }

                fn list_invitations(
                    &self,
                    org: OrgId,
                    after: Option<InvitationId>,
                    limit: u16,
                ) -> Result<Vec<Invitation>, StoreError> {
                    self.read(Rows::Of(org), |connection| {
                        let mut query = dsl::invitations
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .order(dsl::id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(dsl::id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<InvitationRow> = query.load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(Invitation::try_from).collect();
                        Ok(all?)
                    })
                }

                fn revoke_invitation(
                    &self,
                    org: OrgId,
                    id: InvitationId,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<Option<Invitation>, StoreError> {
                    self.change(Some(org), audit, |connection| {
                        let invitation = dsl::invitations
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()));
                        let count = diesel::update(invitation)
                            .filter(dsl::accepted_at_us.is_null())
                            .filter(dsl::revoked_at_us.is_null())
                            .set(dsl::revoked_at_us.eq(at.micros()))
                            .execute(connection)?;
                        let found = invitation.first::<InvitationRow>(connection).optional()?;
                        let found = found.map(Invitation::try_from).transpose()?;
                        Ok((found, Change::audited_if(count > 0)))
                    })
                }

                fn accept_invitation(
                    &self,
                    org: OrgId,
                    id: InvitationId,
                    user: UserId,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    let (org_id, user_id) = (org.as_bytes().as_slice(), user.as_bytes().as_slice());
                    self.change(Some(org), audit, |connection| {
                        let open = dsl::invitations
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org_id))
                            .filter(dsl::accepted_at_us.is_null())
                            .filter(dsl::revoked_at_us.is_null())
                            .filter(dsl::expires_at_us.gt(at.micros()));
                        let accepted: Option<(String, Option<Vec<u8>>)> = diesel::update(open)
                            .set(dsl::accepted_at_us.eq(at.micros()))
                            .returning((dsl::role, dsl::team_id))
                            .get_result(connection)
                            .optional()?;
                        let Some((role, team)) = accepted else {
                            return Ok((false, Change::None));
                        };
                        if !is_guest!(connection, org_id, user_id) {
                            Err(StoreError::Missing { what: USER })?;
                        }
                        diesel::insert_into(memberships::table)
                            .values((
                                memberships::org_id.eq(org_id),
                                memberships::user_id.eq(user_id),
                                memberships::role.eq(role),
                                memberships::created_at_us.eq(at.micros()),
                            ))
                            .on_conflict_do_nothing()
                            .execute(connection)
                            .map_err(Failure::taken(MEMBERSHIP, MEMBERSHIP))?;
                        if let Some(team) = team
                            && is_team!(connection, org_id, team.as_slice())
                        {
                            let role = tollgate_domain::Role::Member.as_str();
                            diesel::insert_into(team_memberships::table)
                                .values((
                                    team_memberships::team_id.eq(&team),
                                    team_memberships::user_id.eq(user_id),
                                    team_memberships::org_id.eq(org_id),
                                    team_memberships::role.eq(role),
                                ))
                                .on_conflict_do_nothing()
                                .execute(connection)?;
                        }
                        Ok((true, Change::Auth))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_invitation_store;
