//! Refresh tokens and signing keys as rows.

use diesel::prelude::*;
use tollgate_domain::{SessionId, Timestamp};
use tollgate_store::{RefreshToken, SealedSigningKey, StoreError};

use crate::error::bad_row;
use crate::rows::{id_bytes, mac_bytes};
use crate::schema::{refresh_tokens, signing_keys};

#[derive(Queryable, Insertable)]
#[diesel(table_name = refresh_tokens, treat_none_as_default_value = false)]
pub(crate) struct RefreshRow {
    mac: Vec<u8>,
    session_id: Vec<u8>,
    generation: i64,
    expires_at_us: i64,
    used_at_us: Option<i64>,
    successor_mac: Option<Vec<u8>>,
}

/// Returns the row of a token that was not used.
impl From<&RefreshToken> for RefreshRow {
    fn from(token: &RefreshToken) -> Self {
        Self {
            mac: token.mac.to_vec(),
            session_id: token.session_id.as_bytes().to_vec(),
            generation: token.generation.into(),
            expires_at_us: token.expires_at.micros(),
            used_at_us: None,
            successor_mac: None,
        }
    }
}

impl TryFrom<RefreshRow> for RefreshToken {
    type Error = StoreError;

    fn try_from(row: RefreshRow) -> Result<Self, StoreError> {
        let used = match (row.used_at_us, row.successor_mac) {
            (Some(at), Some(mac)) => Some((Timestamp::from_micros(at), mac_bytes(&mac)?)),
            (None, None) => None,
            _ => return Err(bad_row("a refresh token")),
        };
        Ok(Self {
            mac: mac_bytes(&row.mac)?,
            session_id: SessionId::from_bytes(id_bytes(&row.session_id)?),
            generation: generation(row.generation)?,
            expires_at: Timestamp::from_micros(row.expires_at_us),
            used,
        })
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = signing_keys)]
pub(crate) struct SigningKeyRow {
    generation: i64,
    kid: String,
    sealed: Vec<u8>,
    key_id: String,
    signs_from_us: i64,
}

impl From<&SealedSigningKey> for SigningKeyRow {
    fn from(key: &SealedSigningKey) -> Self {
        Self {
            generation: key.generation.into(),
            kid: key.kid.clone(),
            sealed: key.sealed.clone(),
            key_id: key.key_id.clone(),
            signs_from_us: key.signs_from.micros(),
        }
    }
}

impl TryFrom<SigningKeyRow> for SealedSigningKey {
    type Error = StoreError;

    fn try_from(row: SigningKeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            generation: generation(row.generation)?,
            kid: row.kid,
            sealed: row.sealed,
            key_id: row.key_id,
            signs_from: Timestamp::from_micros(row.signs_from_us),
        })
    }
}

fn generation(column: i64) -> Result<u32, StoreError> {
    u32::try_from(column).map_err(|_| bad_row("a generation"))
}

macro_rules! impl_token_stores {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{AuditDraft, MAC_BYTES, Timestamp};
            use tollgate_store::{
                REFRESH_TOKEN, RefreshToken, RefreshTokenStore, SIGNING_KEYS_MAX, SealedSigningKey,
                SigningKeyStore, StoreError, check_signing_key,
            };

            use $crate::audit::Change;
            use $crate::error::Failure;
            use $crate::rows::Rows;
            use $crate::schema::{refresh_tokens, signing_keys};
            use $crate::tokens::{RefreshRow, SigningKeyRow};

            impl RefreshTokenStore for $store {
                fn add_refresh_token(
                    &self,
                    token: &RefreshToken,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    self.change(None, audit, |connection| {
                        diesel::insert_into(refresh_tokens::table)
                            .values(RefreshRow::from(token))
                            .execute(connection)
                            .map_err(Failure::taken(REFRESH_TOKEN, REFRESH_TOKEN))?;
                        Ok(((), Change::Audited))
                    })
                }

                fn find_refresh_token(
                    &self,
                    mac: &[u8; MAC_BYTES],
                ) -> Result<Option<RefreshToken>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let found: Option<RefreshRow> = refresh_tokens::table
                            .find(mac.as_slice())
                            .first(connection)
                            .optional()?;
                        Ok(found.map(RefreshToken::try_from).transpose()?)
                    })
                }

                fn exchange_refresh_token(
                    &self,
                    mac: &[u8; MAC_BYTES],
                    successor: &RefreshToken,
                    at: Timestamp,
                ) -> Result<bool, StoreError> {
                    self.write(Rows::Shared, |connection| {
                        let unused = refresh_tokens::table
                            .find(mac.as_slice())
                            .filter(refresh_tokens::used_at_us.is_null());
                        let used = diesel::update(unused)
                            .set((
                                refresh_tokens::used_at_us.eq(at.micros()),
                                refresh_tokens::successor_mac.eq(successor.mac.as_slice()),
                            ))
                            .execute(connection)?;
                        if used > 0 {
                            diesel::insert_into(refresh_tokens::table)
                                .values(RefreshRow::from(successor))
                                .execute(connection)
                                .map_err(Failure::taken(REFRESH_TOKEN, REFRESH_TOKEN))?;
                        }
                        Ok(used > 0)
                    })
                }
            }

            impl SigningKeyStore for $store {
                fn add_signing_keys(
                    &self,
                    keys: &[SealedSigningKey],
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    keys.iter().try_for_each(check_signing_key)?;
                    let generations: Vec<i64> =
                        keys.iter().map(|key| key.generation.into()).collect();
                    self.change(None, audit, |connection| {
                        let there: i64 = signing_keys::table
                            .filter(signing_keys::generation.eq_any(&generations))
                            .count()
                            .get_result(connection)?;
                        if there > 0 || keys.is_empty() {
                            return Ok((false, Change::None));
                        }
                        for key in keys {
                            let added = diesel::insert_into(signing_keys::table)
                                .values(SigningKeyRow::from(key))
                                .on_conflict_do_nothing()
                                .execute(connection)?;
                            // Who comes second waits at the first row for the other's end.
                            if added == 0 {
                                return Ok((false, Change::None));
                            }
                        }
                        Ok((true, Change::Audited))
                    })
                }

                fn list_signing_keys(&self) -> Result<Vec<SealedSigningKey>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let rows: Vec<SigningKeyRow> = signing_keys::table
                            .order(signing_keys::generation)
                            .limit(i64::from(SIGNING_KEYS_MAX))
                            .load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(SealedSigningKey::try_from).collect();
                        Ok(all?)
                    })
                }

                fn reseal_signing_key(
                    &self,
                    key: &SealedSigningKey,
                    under: &str,
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    check_signing_key(key)?;
                    self.change(None, audit, |connection| {
                        let kept = signing_keys::table
                            .find(i64::from(key.generation))
                            .filter(signing_keys::key_id.eq(under));
                        let count = diesel::update(kept)
                            .set((
                                signing_keys::sealed.eq(&key.sealed),
                                signing_keys::key_id.eq(&key.key_id),
                            ))
                            .execute(connection)?;
                        Ok((count > 0, Change::audited_if(count > 0)))
                    })
                }

                fn remove_signing_keys(
                    &self,
                    before: u32,
                    audit: &AuditDraft,
                ) -> Result<usize, StoreError> {
                    self.change(None, audit, |connection| {
                        let old = signing_keys::generation.lt(i64::from(before));
                        let count =
                            diesel::delete(signing_keys::table.filter(old)).execute(connection)?;
                        Ok((count, Change::audited_if(count > 0)))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_token_stores;
