//! Changes of accounts that are several writes, in one transaction.

macro_rules! impl_account_store {
    ($store:ty) => {
        const _: () = {
            use diesel::dsl::{exists, select};
            use diesel::prelude::*;
            use tollgate_domain::{
                AuditDraft, MAC_BYTES, Membership, OrgId, Timestamp, TokenPurpose, UserId,
            };
            use tollgate_store::{
                AccountStore, FirstPerson, MEMBERSHIP, ONE_TIME_TOKEN, ORGANIZATION, StoreError,
                USER, check_audit, check_organization, check_password_hash, check_user,
            };

            use $crate::audit::{Change, INSTALLATION};
            use $crate::error::Failure;
            use $crate::memberships::MemberRow;
            use $crate::organizations::OrganizationRow;
            use $crate::rows::id_bytes;
            use $crate::schema::{
                audit_heads, memberships, one_time_tokens, organizations, sessions, users,
            };
            use $crate::users::UserRow;

            impl AccountStore for $store {
                fn set_up(
                    &self,
                    first: &FirstPerson<'_>,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<OrgId, StoreError> {
                    check_user(first.user)?;
                    check_organization(first.organization)?;
                    check_audit(None, first.made)?;
                    check_audit(None, first.joined)?;
                    let user = UserRow::from(first.user);
                    self.change(None, audit, |connection| {
                        // Whoever sets up holds the installation's chain until the end: others see
                        // the person who was faster.
                        let chain = INSTALLATION.as_bytes().as_slice();
                        diesel::update(audit_heads::table.find(chain))
                            .set(audit_heads::seq.eq(audit_heads::seq))
                            .execute(connection)?;
                        let token = one_time_tokens::table
                            .find(first.token.as_slice())
                            .filter(one_time_tokens::purpose.eq(TokenPurpose::Setup.as_str()))
                            .filter(one_time_tokens::used_at_us.is_null())
                            .filter(one_time_tokens::expires_at_us.gt(at.micros()));
                        let used = diesel::update(token)
                            .set(one_time_tokens::used_at_us.eq(at.micros()))
                            .execute(connection)?;
                        if used == 0 {
                            Err(StoreError::Missing {
                                what: ONE_TIME_TOKEN,
                            })?;
                        }
                        let people = users::table
                            .filter(users::deleted_at_us.is_null())
                            .filter(users::service_org_id.is_null());
                        if select(exists(people)).get_result(connection)? {
                            Err(StoreError::Conflict { what: USER })?;
                        }
                        let oldest: Option<Vec<u8>> = organizations::table
                            .select(organizations::id)
                            .order(organizations::id)
                            .first(connection)
                            .optional()?;
                        let org = match &oldest {
                            Some(id) => OrgId::from_bytes(id_bytes(id)?),
                            None => first.organization.id,
                        };
                        if oldest.is_none() {
                            diesel::insert_into(organizations::table)
                                .values(OrganizationRow::from(first.organization))
                                .execute(connection)
                                .map_err(Failure::taken(ORGANIZATION, ORGANIZATION))?;
                            self.append_audit(connection, &first.made.clone().in_chain(org))?;
                        }
                        diesel::insert_into(users::table)
                            .values(&user)
                            .execute(connection)
                            .map_err(Failure::taken(USER, USER))?;
                        let member = Membership {
                            org_id: org,
                            user_id: first.user.id,
                            role: first.role.into(),
                            created_at: at,
                        };
                        diesel::insert_into(memberships::table)
                            .values(MemberRow::from(&member))
                            .execute(connection)
                            .map_err(Failure::taken(MEMBERSHIP, MEMBERSHIP))?;
                        self.append_audit(connection, &first.joined.clone().in_chain(org))?;
                        Ok((org, Change::Auth))
                    })
                }

                fn reset_password(
                    &self,
                    token: &[u8; MAC_BYTES],
                    password_hash: &str,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<UserId, StoreError> {
                    check_password_hash(password_hash)?;
                    let missing = || StoreError::Missing {
                        what: ONE_TIME_TOKEN,
                    };
                    let is_reset = || {
                        one_time_tokens::purpose
                            .eq(TokenPurpose::PasswordReset.as_str())
                            .and(one_time_tokens::used_at_us.is_null())
                            .and(one_time_tokens::expires_at_us.gt(at.micros()))
                    };
                    self.change(None, audit, |connection| {
                        let own = one_time_tokens::table.find(token.as_slice());
                        let owner: Option<Option<Vec<u8>>> = diesel::update(own.filter(is_reset()))
                            .set(one_time_tokens::used_at_us.eq(at.micros()))
                            .returning(one_time_tokens::user_id)
                            .get_result(connection)
                            .optional()?;
                        let owner = owner.flatten().ok_or_else(missing)?;
                        let user = users::table
                            .find(&owner)
                            .filter(users::deleted_at_us.is_null())
                            .filter(users::blocked.eq(false));
                        let changed = diesel::update(user)
                            .set((
                                users::password_hash.eq(password_hash),
                                users::failed_sign_ins.eq(0),
                                users::last_failed_at_us.eq(None::<i64>),
                                users::version.eq(users::version + 1),
                            ))
                            .execute(connection)?;
                        if changed == 0 {
                            Err(missing())?;
                        }
                        let others = one_time_tokens::table
                            .filter(one_time_tokens::user_id.eq(&owner))
                            .filter(is_reset());
                        diesel::update(others)
                            .set(one_time_tokens::used_at_us.eq(at.micros()))
                            .execute(connection)?;
                        let open = sessions::table
                            .filter(sessions::user_id.eq(&owner))
                            .filter(sessions::revoked_at_us.is_null());
                        diesel::update(open)
                            .set(sessions::revoked_at_us.eq(at.micros()))
                            .execute(connection)?;
                        Ok((UserId::from_bytes(id_bytes(&owner)?), Change::Auth))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_account_store;
