//! Sealed secrets of the installation as rows.

use diesel::prelude::*;
use tollgate_store::{SealedSecret, StoreError};

use crate::rows::version;
use crate::schema::installation_secrets;

#[derive(Queryable, Insertable)]
#[diesel(table_name = installation_secrets)]
pub(crate) struct SecretRow {
    name: String,
    sealed: Vec<u8>,
    key_id: String,
    version: i64,
}

impl From<&SealedSecret> for SecretRow {
    fn from(secret: &SealedSecret) -> Self {
        Self {
            name: secret.name.clone(),
            sealed: secret.sealed.clone(),
            key_id: secret.key_id.clone(),
            version: 1,
        }
    }
}

impl TryFrom<SecretRow> for SealedSecret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.name,
            sealed: row.sealed,
            key_id: row.key_id,
            version: version(row.version)?,
        })
    }
}

macro_rules! impl_secret_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::AuditDraft;
            use tollgate_store::{SECRET, SealedSecret, SecretStore, StoreError, check_secret};

            use $crate::audit::Change;
            use $crate::rows::{Rows, version_column};
            use $crate::schema::installation_secrets::dsl;
            use $crate::secrets::SecretRow;

            impl SecretStore for $store {
                fn add_secrets(&self, secrets: &[SealedSecret]) -> Result<(), StoreError> {
                    secrets.iter().try_for_each(check_secret)?;
                    // One after the other: who comes second waits at the first name for the other's
                    // end, and then finds all of them taken.
                    self.write(Rows::Shared, |connection| {
                        for secret in secrets {
                            diesel::insert_into(dsl::installation_secrets)
                                .values(SecretRow::from(secret))
                                .on_conflict_do_nothing()
                                .execute(connection)?;
                        }
                        Ok(())
                    })
                }

                fn list_secrets(
                    &self,
                    after: Option<&str>,
                    limit: u16,
                ) -> Result<Vec<SealedSecret>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let rows: Vec<SecretRow> = dsl::installation_secrets
                            .filter(dsl::name.gt(after.unwrap_or_default()))
                            .order(dsl::name)
                            .limit(i64::from(limit))
                            .load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(SealedSecret::try_from).collect();
                        Ok(all?)
                    })
                }

                fn replace_secrets(
                    &self,
                    secrets: &[SealedSecret],
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    secrets.iter().try_for_each(check_secret)?;
                    self.change(None, audit, |connection| {
                        for secret in secrets {
                            let found = dsl::installation_secrets.find(&secret.name);
                            let version = version_column(secret.version);
                            let replaced = diesel::update(found.filter(dsl::version.eq(version)))
                                .set((
                                    dsl::sealed.eq(&secret.sealed),
                                    dsl::key_id.eq(&secret.key_id),
                                    dsl::version.eq(dsl::version + 1),
                                ))
                                .execute(connection)?;
                            if replaced == 0 {
                                let is_there = found
                                    .select(dsl::version)
                                    .first::<i64>(connection)
                                    .optional()?
                                    .is_some();
                                Err(if is_there {
                                    StoreError::Outdated { what: SECRET }
                                } else {
                                    StoreError::Missing { what: SECRET }
                                })?;
                            }
                        }
                        Ok(((), Change::audited_if(!secrets.is_empty())))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_secret_store;
