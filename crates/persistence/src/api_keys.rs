//! API keys as rows.

use diesel::prelude::*;
use tollgate_domain::{ApiKey, KeyId, OrgId, Timestamp};
use tollgate_store::StoreError;

use crate::error::bad_row;
use crate::rows::{budget, budget_columns, id_bytes, limits, micros, timestamp};
use crate::schema::api_keys;

#[derive(Queryable, Insertable)]
#[diesel(table_name = api_keys, treat_none_as_default_value = false)]
pub(crate) struct ApiKeyRow {
    id: Vec<u8>,
    org_id: Vec<u8>,
    public_id: String,
    mac: Vec<u8>,
    name: String,
    role: String,
    /// A JSON array of strings.
    models: String,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
    max_budget_nano_usd: Option<i64>,
    budget_duration_s: Option<i64>,
    created_at_us: i64,
    expires_at_us: Option<i64>,
    revoked_at_us: Option<i64>,
}

impl TryFrom<&ApiKey> for ApiKeyRow {
    type Error = StoreError;

    fn try_from(key: &ApiKey) -> Result<Self, StoreError> {
        let (max_budget_nano_usd, budget_duration_s) = budget_columns(key.budget.as_ref());
        let models = serde_json::to_string(&key.models);
        Ok(Self {
            id: key.id.as_bytes().to_vec(),
            org_id: key.org_id.as_bytes().to_vec(),
            public_id: key.public_id.clone(),
            mac: key.mac.to_vec(),
            name: key.name.clone(),
            role: key.role.as_str().to_owned(),
            models: models.map_err(|error| StoreError::Backend(Box::new(error)))?,
            rpm_limit: key.limits.rpm_limit.map(i64::from),
            tpm_limit: key.limits.tpm_limit.map(i64::from),
            max_parallel_requests: key.limits.max_parallel_requests.map(i64::from),
            max_budget_nano_usd,
            budget_duration_s,
            created_at_us: key.created_at.micros(),
            expires_at_us: micros(key.expires_at),
            revoked_at_us: micros(key.revoked_at),
        })
    }
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: ApiKeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: KeyId::from_bytes(id_bytes(&row.id)?),
            org_id: OrgId::from_bytes(id_bytes(&row.org_id)?),
            public_id: row.public_id,
            mac: row.mac.try_into().map_err(|_| bad_row("a key digest"))?,
            name: row.name,
            role: row.role.parse().map_err(|_| bad_row("a role"))?,
            models: serde_json::from_str(&row.models).map_err(|_| bad_row("a list of models"))?,
            limits: limits(row.rpm_limit, row.tpm_limit, row.max_parallel_requests)?,
            budget: budget((row.max_budget_nano_usd, row.budget_duration_s))?,
            created_at: Timestamp::from_micros(row.created_at_us),
            expires_at: timestamp(row.expires_at_us),
            revoked_at: timestamp(row.revoked_at_us),
        })
    }
}

/// Advances the epoch, as the last step of a unit of work: concurrent changes queue up here.
macro_rules! advance_epoch {
    ($connection:expr) => {{
        use $crate::schema::auth_epoch::dsl::{auth_epoch, epoch};
        diesel::update(auth_epoch)
            .set(epoch.eq(epoch + 1))
            .execute($connection)?;
        Ok(())
    }};
}
pub(crate) use advance_epoch;

macro_rules! impl_api_key_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{ApiKey, KeyId, OrgId, Timestamp};
            use tollgate_store::{API_KEY, ApiKeyStore, StoreError, check_api_key};

            use $crate::api_keys::{ApiKeyRow, advance_epoch};
            use $crate::error::{Failure, bad_row};
            use $crate::schema::api_keys::dsl;

            impl ApiKeyStore for $store {
                fn add_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
                    check_api_key(key)?;
                    let row = ApiKeyRow::try_from(key)?;
                    self.write(|connection| {
                        diesel::insert_into(dsl::api_keys)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(API_KEY))?;
                        advance_epoch!(connection)
                    })
                }

                fn find_api_key_by_public_id(
                    &self,
                    public_id: &str,
                ) -> Result<Option<ApiKey>, StoreError> {
                    if public_id.contains('\0') {
                        return Ok(None);
                    }
                    self.read(|connection| {
                        let found = dsl::api_keys
                            .filter(dsl::public_id.eq(public_id))
                            .first::<ApiKeyRow>(connection)
                            .optional()?;
                        Ok(found.map(ApiKey::try_from).transpose()?)
                    })
                }

                fn find_api_key(
                    &self,
                    org: OrgId,
                    id: KeyId,
                ) -> Result<Option<ApiKey>, StoreError> {
                    self.read(|connection| {
                        let found = dsl::api_keys
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .first::<ApiKeyRow>(connection)
                            .optional()?;
                        Ok(found.map(ApiKey::try_from).transpose()?)
                    })
                }

                fn list_api_keys(
                    &self,
                    org: OrgId,
                    after: Option<KeyId>,
                    limit: u16,
                ) -> Result<Vec<ApiKey>, StoreError> {
                    self.read(|connection| {
                        let mut query = dsl::api_keys
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .order(dsl::id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(dsl::id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<ApiKeyRow> = query.load(connection)?;
                        let keys: Result<_, _> = rows.into_iter().map(ApiKey::try_from).collect();
                        Ok(keys?)
                    })
                }

                fn revoke_api_key(
                    &self,
                    org: OrgId,
                    id: KeyId,
                    at: Timestamp,
                ) -> Result<Option<ApiKey>, StoreError> {
                    self.write(|connection| {
                        let key = dsl::api_keys
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()));
                        let count = diesel::update(key)
                            .filter(dsl::revoked_at_us.is_null())
                            .set(dsl::revoked_at_us.eq(at.micros()))
                            .execute(connection)?;
                        if count > 0 {
                            let advanced: Result<(), Failure> = advance_epoch!(connection);
                            advanced?;
                        }
                        let found = key.first::<ApiKeyRow>(connection).optional()?;
                        Ok(found.map(ApiKey::try_from).transpose()?)
                    })
                }

                fn auth_epoch(&self) -> Result<u64, StoreError> {
                    use $crate::schema::auth_epoch::dsl::{auth_epoch, epoch};
                    self.read(|connection| {
                        let number: i64 = auth_epoch.select(epoch).first(connection)?;
                        Ok(u64::try_from(number).map_err(|_| bad_row("an epoch"))?)
                    })
                }
            }
        };
    };
}
pub(crate) use impl_api_key_store;
