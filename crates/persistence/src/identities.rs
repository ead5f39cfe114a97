//! Who users are with identity providers, as rows.

use diesel::prelude::*;
use tollgate_domain::{Timestamp, UserId};
use tollgate_store::{StoreError, UserIdentity};

use crate::rows::id_bytes;
use crate::schema::user_identities;

#[derive(Queryable, Insertable)]
#[diesel(table_name = user_identities)]
pub(crate) struct IdentityRow {
    issuer: String,
    subject: String,
    user_id: Vec<u8>,
    created_at_us: i64,
}

impl From<&UserIdentity> for IdentityRow {
    fn from(identity: &UserIdentity) -> Self {
        Self {
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            user_id: identity.user_id.as_bytes().to_vec(),
            created_at_us: identity.created_at.micros(),
        }
    }
}

impl TryFrom<IdentityRow> for UserIdentity {
    type Error = StoreError;

    fn try_from(row: IdentityRow) -> Result<Self, StoreError> {
        Ok(Self {
            issuer: row.issuer,
            subject: row.subject,
            user_id: UserId::from_bytes(id_bytes(&row.user_id)?),
            created_at: Timestamp::from_micros(row.created_at_us),
        })
    }
}

macro_rules! impl_identity_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{AuditDraft, UserId};
            use tollgate_store::{
                LIST_MAX, StoreError, USER_IDENTITY, UserIdentity, UserIdentityStore,
                check_user_identity,
            };

            use $crate::audit::Change;
            use $crate::error::Failure;
            use $crate::identities::IdentityRow;
            use $crate::rows::Rows;
            use $crate::schema::user_identities::dsl;

            impl UserIdentityStore for $store {
                fn add_user_identity(
                    &self,
                    identity: &UserIdentity,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    check_user_identity(identity)?;
                    self.change(None, audit, |connection| {
                        diesel::insert_into(dsl::user_identities)
                            .values(IdentityRow::from(identity))
                            .execute(connection)
                            .map_err(Failure::taken(USER_IDENTITY, USER_IDENTITY))?;
                        Ok(((), Change::Auth))
                    })
                }

                fn find_user_identity(
                    &self,
                    issuer: &str,
                    subject: &str,
                ) -> Result<Option<UserIdentity>, StoreError> {
                    if issuer.contains('\0') || subject.contains('\0') {
                        return Ok(None);
                    }
                    self.read(Rows::Shared, |connection| {
                        let found: Option<IdentityRow> = dsl::user_identities
                            .find((issuer, subject))
                            .first(connection)
                            .optional()?;
                        Ok(found.map(UserIdentity::try_from).transpose()?)
                    })
                }

                fn list_user_identities(
                    &self,
                    user: UserId,
                ) -> Result<Vec<UserIdentity>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let rows: Vec<IdentityRow> = dsl::user_identities
                            .filter(dsl::user_id.eq(user.as_bytes().as_slice()))
                            .order((dsl::issuer, dsl::subject))
                            .limit(i64::try_from(LIST_MAX).unwrap_or(i64::MAX))
                            .load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(UserIdentity::try_from).collect();
                        Ok(all?)
                    })
                }

                fn remove_user_identity(
                    &self,
                    user: UserId,
                    issuer: &str,
                    subject: &str,
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    self.change(None, audit, |connection| {
                        let own = dsl::user_identities
                            .find((issuer, subject))
                            .filter(dsl::user_id.eq(user.as_bytes().as_slice()));
                        let count = diesel::delete(own).execute(connection)?;
                        Ok((count > 0, Change::auth_if(count > 0)))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_identity_store;
