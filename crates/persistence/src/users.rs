//! Users as rows.

use diesel::prelude::*;
use tollgate_domain::{MAC_BYTES, OrgId, Timestamp, User, UserId, UserKind};
use tollgate_store::StoreError;

use crate::error::bad_row;
use crate::rows::{id_bytes, mac_bytes, micros, timestamp, version};
use crate::schema::users;

/// A row. What stays as it was made, and what sign-ins count, is not updated.
#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = users, treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct UserRow {
    id: Vec<u8>,
    email: Option<String>,
    name: String,
    /// The organization of a service account; a person has none.
    #[diesel(skip_update)]
    service_org_id: Option<Vec<u8>>,
    password_hash: Option<String>,
    email_verified_at_us: Option<i64>,
    totp: Option<Vec<u8>>,
    #[diesel(skip_update)]
    totp_last_step: Option<i64>,
    /// One after the other.
    recovery_macs: Vec<u8>,
    is_platform_admin: bool,
    blocked: bool,
    #[diesel(skip_update)]
    failed_sign_ins: i64,
    #[diesel(skip_update)]
    last_failed_at_us: Option<i64>,
    #[diesel(skip_update)]
    created_at_us: i64,
    #[diesel(skip_update)]
    deleted_at_us: Option<i64>,
    #[diesel(skip_update)]
    version: i64,
}

impl From<&User> for UserRow {
    fn from(user: &User) -> Self {
        let step = user.totp_last_step;
        Self {
            id: user.id.as_bytes().to_vec(),
            email: user.email.clone(),
            name: user.name.clone(),
            service_org_id: match user.kind {
                UserKind::Human => None,
                UserKind::Service { org_id } => Some(org_id.as_bytes().to_vec()),
            },
            password_hash: user.password_hash.clone(),
            email_verified_at_us: micros(user.email_verified_at),
            totp: user.totp.clone(),
            totp_last_step: step.map(|step| i64::try_from(step).unwrap_or(i64::MAX)),
            recovery_macs: user.recovery_macs.concat(),
            is_platform_admin: user.is_platform_admin,
            blocked: user.blocked,
            failed_sign_ins: user.failed_sign_ins.into(),
            last_failed_at_us: micros(user.last_failed_at),
            created_at_us: user.created_at.micros(),
            deleted_at_us: micros(user.deleted_at),
            version: 1,
        }
    }
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let service = row.service_org_id.as_deref().map(id_bytes).transpose()?;
        let step = row.totp_last_step.map(u64::try_from).transpose();
        let macs = row.recovery_macs.chunks(MAC_BYTES).map(mac_bytes);
        Ok(Self {
            id: UserId::from_bytes(id_bytes(&row.id)?),
            email: row.email,
            name: row.name,
            kind: service.map_or(UserKind::Human, |org| UserKind::Service {
                org_id: OrgId::from_bytes(org),
            }),
            password_hash: row.password_hash,
            email_verified_at: timestamp(row.email_verified_at_us),
            totp: row.totp,
            totp_last_step: step.map_err(|_| bad_row("a step of a second factor"))?,
            recovery_macs: macs.collect::<Result<_, _>>()?,
            is_platform_admin: row.is_platform_admin,
            blocked: row.blocked,
            failed_sign_ins: failures(row.failed_sign_ins),
            last_failed_at: timestamp(row.last_failed_at_us),
            created_at: Timestamp::from_micros(row.created_at_us),
            deleted_at: timestamp(row.deleted_at_us),
            version: version(row.version)?,
        })
    }
}

/// Returns a count of failures, held at the end of its range.
pub(crate) fn failures(column: i64) -> u32 {
    u32::try_from(column).unwrap_or(u32::MAX)
}

macro_rules! impl_user_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{AuditDraft, MAC_BYTES, Timestamp, User, UserId};
            use tollgate_store::{RewrappedTotp, StoreError, USER, UserStore, check_user};

            use $crate::audit::Change;
            use $crate::error::Failure;
            use $crate::rows::{Rows, version_column};
            use $crate::schema::users::dsl;
            use $crate::schema::{memberships, sessions, team_memberships, user_identities};
            use $crate::users::{UserRow, failures};

            impl UserStore for $store {
                fn add_user(&self, user: &User, audit: &AuditDraft) -> Result<(), StoreError> {
                    check_user(user)?;
                    let row = UserRow::from(user);
                    self.change(None, audit, |connection| {
                        diesel::insert_into(dsl::users)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(USER, USER))?;
                        Ok(((), Change::Auth))
                    })
                }

                fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let found = dsl::users
                            .find(id.as_bytes().as_slice())
                            .first::<UserRow>(connection)
                            .optional()?;
                        Ok(found.map(User::try_from).transpose()?)
                    })
                }

                fn find_user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
                    if email.contains('\0') {
                        return Ok(None);
                    }
                    self.read(Rows::Shared, |connection| {
                        let found = dsl::users
                            .filter(dsl::email.eq(email))
                            .first::<UserRow>(connection)
                            .optional()?;
                        Ok(found.map(User::try_from).transpose()?)
                    })
                }

                fn list_users(
                    &self,
                    after: Option<UserId>,
                    limit: u16,
                ) -> Result<Vec<User>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let mut query = dsl::users
                            .filter(dsl::deleted_at_us.is_null())
                            .order(dsl::id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(dsl::id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<UserRow> = query.load(connection)?;
                        let all: Result<_, _> = rows.into_iter().map(User::try_from).collect();
                        Ok(all?)
                    })
                }

                fn update_user(&self, user: &User, audit: &AuditDraft) -> Result<u64, StoreError> {
                    check_user(user)?;
                    let row = UserRow::from(user);
                    self.change(None, audit, |connection| {
                        let found = dsl::users
                            .find(user.id.as_bytes().as_slice())
                            .filter(dsl::deleted_at_us.is_null());
                        // The row is held from here on: a step that is used now is used before, or after.
                        let at_version = dsl::version.eq(version_column(user.version));
                        let held: Option<(i64, Option<Vec<u8>>)> =
                            diesel::update(found.filter(at_version))
                                .set(dsl::version.eq(dsl::version + 1))
                                .returning((dsl::version, dsl::totp))
                                .get_result(connection)
                                .optional()?;
                        let Some((version, totp)) = held else {
                            let other: Option<i64> =
                                found.select(dsl::version).first(connection).optional()?;
                            return Err(match other {
                                Some(_) => StoreError::Outdated { what: USER },
                                None => StoreError::Missing { what: USER },
                            })?;
                        };
                        diesel::update(found)
                            .set(&row)
                            .execute(connection)
                            .map_err(Failure::taken(USER, USER))?;
                        if totp != user.totp {
                            diesel::update(found)
                                .set(dsl::totp_last_step.eq(None::<i64>))
                                .execute(connection)?;
                        }
                        Ok(($crate::rows::version(version)?, Change::Auth))
                    })
                }

                fn delete_user(
                    &self,
                    id: UserId,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<Option<User>, StoreError> {
                    let bytes = id.as_bytes().as_slice();
                    self.change(None, audit, |connection| {
                        let user = dsl::users.find(bytes);
                        let count = diesel::update(user)
                            .filter(dsl::deleted_at_us.is_null())
                            .set((
                                dsl::deleted_at_us.eq(at.micros()),
                                dsl::email.eq(None::<String>),
                                dsl::password_hash.eq(None::<String>),
                                dsl::totp.eq(None::<Vec<u8>>),
                                dsl::totp_last_step.eq(None::<i64>),
                                dsl::recovery_macs.eq(Vec::new()),
                                dsl::version.eq(dsl::version + 1),
                            ))
                            .execute(connection)?;
                        if count > 0 {
                            let own = team_memberships::user_id.eq(bytes);
                            diesel::delete(team_memberships::table.filter(own))
                                .execute(connection)?;
                            let own = memberships::user_id.eq(bytes);
                            diesel::delete(memberships::table.filter(own)).execute(connection)?;
                            let own = user_identities::user_id.eq(bytes);
                            diesel::delete(user_identities::table.filter(own))
                                .execute(connection)?;
                            let own = sessions::table
                                .filter(sessions::user_id.eq(bytes))
                                .filter(sessions::revoked_at_us.is_null());
                            diesel::update(own)
                                .set(sessions::revoked_at_us.eq(at.micros()))
                                .execute(connection)?;
                        }
                        let found = user.first::<UserRow>(connection).optional()?;
                        let found = found.map(User::try_from).transpose()?;
                        Ok((found, Change::auth_if(count > 0)))
                    })
                }

                fn count_failed_sign_in(
                    &self,
                    id: UserId,
                    at: Timestamp,
                ) -> Result<Option<u32>, StoreError> {
                    self.write(Rows::Shared, |connection| {
                        let user = dsl::users.find(id.as_bytes().as_slice());
                        let count: Option<i64> = diesel::update(user)
                            .filter(dsl::deleted_at_us.is_null())
                            .set((
                                dsl::failed_sign_ins.eq(dsl::failed_sign_ins + 1),
                                dsl::last_failed_at_us.eq(at.micros()),
                            ))
                            .returning(dsl::failed_sign_ins)
                            .get_result(connection)
                            .optional()?;
                        Ok(count.map(failures))
                    })
                }

                fn clear_failed_sign_ins(&self, id: UserId) -> Result<(), StoreError> {
                    self.write(Rows::Shared, |connection| {
                        diesel::update(dsl::users.find(id.as_bytes().as_slice()))
                            .set((
                                dsl::failed_sign_ins.eq(0),
                                dsl::last_failed_at_us.eq(None::<i64>),
                            ))
                            .execute(connection)?;
                        Ok(())
                    })
                }

                fn use_totp_step(&self, id: UserId, step: u64) -> Result<bool, StoreError> {
                    let step = i64::try_from(step).map_err(|_| StoreError::Invalid {
                        what: "a step of a second factor",
                    })?;
                    self.write(Rows::Shared, |connection| {
                        let is_new = dsl::totp_last_step
                            .is_null()
                            .or(dsl::totp_last_step.assume_not_null().lt(step));
                        let count = diesel::update(dsl::users.find(id.as_bytes().as_slice()))
                            .filter(dsl::deleted_at_us.is_null())
                            .filter(is_new)
                            .set(dsl::totp_last_step.eq(step))
                            .execute(connection)?;
                        Ok(count > 0)
                    })
                }

                fn rewrap_totps(
                    &self,
                    totps: &[RewrappedTotp],
                    audit: &AuditDraft,
                ) -> Result<usize, StoreError> {
                    self.change(None, audit, |connection| {
                        let mut count = 0;
                        for RewrappedTotp { user_id, from, to } in totps {
                            let same = dsl::users
                                .find(user_id.as_bytes().as_slice())
                                .filter(dsl::totp.eq(from));
                            count += diesel::update(same)
                                .set((dsl::totp.eq(to), dsl::version.eq(dsl::version + 1)))
                                .execute(connection)?;
                        }
                        Ok((count, Change::audited_if(count > 0)))
                    })
                }

                fn use_recovery_code(
                    &self,
                    id: UserId,
                    mac: &[u8; MAC_BYTES],
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    self.change(None, audit, |connection| {
                        let user = dsl::users.find(id.as_bytes().as_slice());
                        // This changes nothing but holds the row, so that a code is taken once.
                        let macs: Option<Vec<u8>> = diesel::update(user)
                            .filter(dsl::deleted_at_us.is_null())
                            .set(dsl::version.eq(dsl::version))
                            .returning(dsl::recovery_macs)
                            .get_result(connection)
                            .optional()?;
                        let macs = macs.unwrap_or_default();
                        let left = macs.chunks(MAC_BYTES).filter(|one| *one != mac.as_slice());
                        let left: Vec<u8> = left.flatten().copied().collect();
                        let is_used = left.len() < macs.len();
                        if is_used {
                            diesel::update(user)
                                .set((
                                    dsl::recovery_macs.eq(left),
                                    dsl::version.eq(dsl::version + 1),
                                ))
                                .execute(connection)?;
                        }
                        Ok((is_used, Change::audited_if(is_used)))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_user_store;
