//! API keys as rows.

use diesel::prelude::*;
use tollgate_domain::{ApiKey, KeyId, OrgId, PreviousMac, TeamId, Timestamp, UserId};
use tollgate_store::StoreError;

use crate::error::bad_row;
use crate::rows::{
    budget, budget_columns, from_json, id_bytes, json, limits, mac_bytes, micros, timestamp,
    version,
};
use crate::schema::api_keys;

/// A row. What stays as it was made is not updated.
#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = api_keys, treat_none_as_null = true)]
#[diesel(treat_none_as_default_value = false)]
pub(crate) struct ApiKeyRow {
    id: Vec<u8>,
    #[diesel(skip_update)]
    org_id: Vec<u8>,
    #[diesel(skip_update)]
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
    #[diesel(skip_update)]
    created_at_us: i64,
    expires_at_us: Option<i64>,
    #[diesel(skip_update)]
    revoked_at_us: Option<i64>,
    team_id: Option<Vec<u8>>,
    owner_id: Option<Vec<u8>>,
    #[diesel(skip_update)]
    created_by: String,
    previous_mac: Option<Vec<u8>>,
    previous_until_us: Option<i64>,
    /// A JSON array of the names of permissions.
    scopes: Option<String>,
    /// A JSON array of ranges.
    allowed_ips: String,
    metadata: String,
    /// A JSON array of strings.
    tags: String,
    blocked: bool,
    #[diesel(skip_update)]
    version: i64,
}

impl TryFrom<&ApiKey> for ApiKeyRow {
    type Error = StoreError;

    fn try_from(key: &ApiKey) -> Result<Self, StoreError> {
        let (max_budget_nano_usd, budget_duration_s) = budget_columns(key.budget.as_ref());
        Ok(Self {
            id: key.id.as_bytes().to_vec(),
            org_id: key.org_id.as_bytes().to_vec(),
            public_id: key.public_id.clone(),
            mac: key.mac.to_vec(),
            name: key.name.clone(),
            role: key.role.to_string(),
            models: json(&key.models)?,
            rpm_limit: key.limits.rpm_limit.map(i64::from),
            tpm_limit: key.limits.tpm_limit.map(i64::from),
            max_parallel_requests: key.limits.max_parallel_requests.map(i64::from),
            max_budget_nano_usd,
            budget_duration_s,
            created_at_us: key.created_at.micros(),
            expires_at_us: micros(key.expires_at),
            revoked_at_us: micros(key.revoked_at),
            team_id: key.team_id.map(|id| id.as_bytes().to_vec()),
            owner_id: key.owner.map(|id| id.as_bytes().to_vec()),
            created_by: key.created_by.to_string(),
            previous_mac: key.previous.map(|previous| previous.mac.to_vec()),
            previous_until_us: key.previous.map(|previous| previous.until.micros()),
            scopes: key.scopes.map(|scopes| json(&scopes)).transpose()?,
            allowed_ips: json(&key.allowed_ips)?,
            metadata: key.metadata.clone(),
            tags: json(&key.tags)?,
            blocked: key.blocked,
            version: 1,
        })
    }
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = StoreError;

    fn try_from(row: ApiKeyRow) -> Result<Self, StoreError> {
        let team_id = row.team_id.as_deref().map(id_bytes).transpose()?;
        let owner = row.owner_id.as_deref().map(id_bytes).transpose()?;
        let previous = match (row.previous_mac, row.previous_until_us) {
            (Some(mac), Some(until)) => Some(PreviousMac {
                mac: mac_bytes(&mac)?,
                until: Timestamp::from_micros(until),
            }),
            (None, None) => None,
            _ => return Err(bad_row("a rotation")),
        };
        let scopes = row.scopes.as_deref();
        let scopes = scopes.map(|text| from_json(text, "a list of scopes"));
        Ok(Self {
            id: KeyId::from_bytes(id_bytes(&row.id)?),
            org_id: OrgId::from_bytes(id_bytes(&row.org_id)?),
            team_id: team_id.map(TeamId::from_bytes),
            owner: owner.map(UserId::from_bytes),
            created_by: row.created_by.parse().map_err(|_| bad_row("an actor"))?,
            public_id: row.public_id,
            mac: mac_bytes(&row.mac)?,
            previous,
            name: row.name,
            role: row.role.parse().map_err(|_| bad_row("a role"))?,
            scopes: scopes.transpose()?,
            models: from_json(&row.models, "a list of models")?,
            allowed_ips: from_json(&row.allowed_ips, "a list of addresses")?,
            limits: limits(row.rpm_limit, row.tpm_limit, row.max_parallel_requests)?,
            budget: budget((row.max_budget_nano_usd, row.budget_duration_s))?,
            metadata: row.metadata,
            tags: from_json(&row.tags, "a list of tags")?,
            blocked: row.blocked,
            created_at: Timestamp::from_micros(row.created_at_us),
            expires_at: timestamp(row.expires_at_us),
            revoked_at: timestamp(row.revoked_at_us),
            version: version(row.version)?,
        })
    }
}

macro_rules! impl_api_key_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{ApiKey, AuditDraft, KeyId, KeyState, OrgId, Timestamp};
            use tollgate_store::{
                API_KEY, ApiKeyStore, KeyFilter, ORGANIZATION, StoreError, check_api_key,
            };

            use $crate::api_keys::ApiKeyRow;
            use $crate::audit::{Change, updated};
            use $crate::error::{Failure, bad_row};
            use $crate::rows::{Rows, version_column};
            use $crate::schema::api_keys::dsl;

            impl ApiKeyStore for $store {
                fn add_api_key(&self, key: &ApiKey, audit: &AuditDraft) -> Result<(), StoreError> {
                    check_api_key(key)?;
                    let row = ApiKeyRow::try_from(key)?;
                    self.change(Some(key.org_id), audit, |connection| {
                        diesel::insert_into(dsl::api_keys)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(API_KEY, ORGANIZATION))?;
                        Ok(((), Change::Auth))
                    })
                }

                fn find_api_key_by_public_id(
                    &self,
                    public_id: &str,
                ) -> Result<Option<ApiKey>, StoreError> {
                    if public_id.contains('\0') {
                        return Ok(None);
                    }
                    self.read(Rows::All, |connection| {
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
                    self.read(Rows::Of(org), |connection| {
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
                    filter: &KeyFilter,
                    after: Option<KeyId>,
                    limit: u16,
                ) -> Result<Vec<ApiKey>, StoreError> {
                    self.read(Rows::Of(org), |connection| {
                        let mut query = dsl::api_keys
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()))
                            .order(dsl::id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(dsl::id.gt(after.as_bytes().as_slice()));
                        }
                        if let Some(teams) = &filter.teams {
                            let teams = teams.iter().map(|id| id.as_bytes().as_slice());
                            query = query.filter(dsl::team_id.eq_any(teams.collect::<Vec<_>>()));
                        }
                        if let Some(owner) = &filter.owner {
                            query = query.filter(dsl::owner_id.eq(owner.as_bytes().as_slice()));
                        }
                        // As `ApiKey::state` says it.
                        if let Some((state, now)) = &filter.state {
                            let has_expired = dsl::expires_at_us.le(now.micros());
                            let works_on = dsl::expires_at_us.is_null();
                            let works_on = works_on.or(dsl::expires_at_us.gt(now.micros()));
                            query = match state {
                                KeyState::Revoked => query.filter(dsl::revoked_at_us.is_not_null()),
                                _ => query.filter(dsl::revoked_at_us.is_null()),
                            };
                            query = match state {
                                KeyState::Revoked => query,
                                KeyState::Expired => query.filter(has_expired),
                                KeyState::Blocked => query.filter(works_on).filter(dsl::blocked),
                                KeyState::Active => {
                                    query.filter(works_on).filter(dsl::blocked.eq(false))
                                }
                            };
                        }
                        let rows: Vec<ApiKeyRow> = query.load(connection)?;
                        let keys: Result<_, _> = rows.into_iter().map(ApiKey::try_from).collect();
                        Ok(keys?)
                    })
                }

                fn update_api_key(
                    &self,
                    key: &ApiKey,
                    audit: &AuditDraft,
                ) -> Result<u64, StoreError> {
                    check_api_key(key)?;
                    let row = ApiKeyRow::try_from(key)?;
                    self.change(Some(key.org_id), audit, |connection| {
                        let found = dsl::api_keys
                            .find(key.id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(key.org_id.as_bytes().as_slice()))
                            .filter(dsl::revoked_at_us.is_null());
                        updated!(connection, dsl, found, key.version, &row, API_KEY)
                    })
                }

                fn revoke_api_key(
                    &self,
                    org: OrgId,
                    id: KeyId,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<Option<ApiKey>, StoreError> {
                    self.change(Some(org), audit, |connection| {
                        let key = dsl::api_keys
                            .find(id.as_bytes().as_slice())
                            .filter(dsl::org_id.eq(org.as_bytes().as_slice()));
                        let count = diesel::update(key)
                            .filter(dsl::revoked_at_us.is_null())
                            .set((
                                dsl::revoked_at_us.eq(at.micros()),
                                dsl::version.eq(dsl::version + 1),
                            ))
                            .execute(connection)?;
                        let found = key.first::<ApiKeyRow>(connection).optional()?;
                        let found = found.map(ApiKey::try_from).transpose()?;
                        Ok((found, Change::auth_if(count > 0)))
                    })
                }

                fn auth_epoch(&self) -> Result<u64, StoreError> {
                    use $crate::schema::auth_epoch::dsl::{auth_epoch, epoch};
                    self.read(Rows::Shared, |connection| {
                        let number: i64 = auth_epoch.select(epoch).first(connection)?;
                        Ok(u64::try_from(number).map_err(|_| bad_row("an epoch"))?)
                    })
                }
            }
        };
    };
}
pub(crate) use impl_api_key_store;
