//! Sessions and tokens that work once, as rows.

use diesel::prelude::*;
use tollgate_domain::{OneTimeToken, OrgId, Session, SessionId, Timestamp, UserId};
use tollgate_store::StoreError;

use crate::error::bad_row;
use crate::rows::{id_bytes, mac_bytes, micros, timestamp};
use crate::schema::{one_time_tokens, sessions};

#[derive(Queryable, Insertable)]
#[diesel(table_name = sessions, treat_none_as_default_value = false)]
pub(crate) struct SessionRow {
    id: Vec<u8>,
    user_id: Vec<u8>,
    org_id: Option<Vec<u8>>,
    token_mac: Vec<u8>,
    created_at_us: i64,
    last_seen_at_us: i64,
    expires_at_us: i64,
    client_ip: Option<String>,
    user_agent: String,
    has_second_factor: bool,
    revoked_at_us: Option<i64>,
}

impl From<&Session> for SessionRow {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.as_bytes().to_vec(),
            user_id: session.user_id.as_bytes().to_vec(),
            org_id: session.org_id.map(|id| id.as_bytes().to_vec()),
            token_mac: session.token_mac.to_vec(),
            created_at_us: session.created_at.micros(),
            last_seen_at_us: session.last_seen_at.micros(),
            expires_at_us: session.expires_at.micros(),
            client_ip: session.client_ip.map(|address| address.to_string()),
            user_agent: session.user_agent.clone(),
            has_second_factor: session.has_second_factor,
            revoked_at_us: micros(session.revoked_at),
        }
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let org_id = row.org_id.as_deref().map(id_bytes).transpose()?;
        let address = row.client_ip.map(|text| text.parse()).transpose();
        Ok(Self {
            id: SessionId::from_bytes(id_bytes(&row.id)?),
            user_id: UserId::from_bytes(id_bytes(&row.user_id)?),
            org_id: org_id.map(OrgId::from_bytes),
            token_mac: mac_bytes(&row.token_mac)?,
            created_at: Timestamp::from_micros(row.created_at_us),
            last_seen_at: Timestamp::from_micros(row.last_seen_at_us),
            expires_at: Timestamp::from_micros(row.expires_at_us),
            client_ip: address.map_err(|_| bad_row("an address"))?,
            user_agent: row.user_agent,
            has_second_factor: row.has_second_factor,
            revoked_at: timestamp(row.revoked_at_us),
        })
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = one_time_tokens, treat_none_as_default_value = false)]
pub(crate) struct TokenRow {
    mac: Vec<u8>,
    purpose: String,
    user_id: Option<Vec<u8>>,
    expires_at_us: i64,
    used_at_us: Option<i64>,
}

impl From<&OneTimeToken> for TokenRow {
    fn from(token: &OneTimeToken) -> Self {
        Self {
            mac: token.mac.to_vec(),
            purpose: token.purpose.as_str().to_owned(),
            user_id: token.user_id.map(|id| id.as_bytes().to_vec()),
            expires_at_us: token.expires_at.micros(),
            used_at_us: micros(token.used_at),
        }
    }
}

impl TryFrom<TokenRow> for OneTimeToken {
    type Error = StoreError;

    fn try_from(row: TokenRow) -> Result<Self, StoreError> {
        let user_id = row.user_id.as_deref().map(id_bytes).transpose()?;
        Ok(Self {
            mac: mac_bytes(&row.mac)?,
            purpose: row.purpose.parse().map_err(|_| bad_row("a purpose"))?,
            user_id: user_id.map(UserId::from_bytes),
            expires_at: Timestamp::from_micros(row.expires_at_us),
            used_at: timestamp(row.used_at_us),
        })
    }
}

macro_rules! impl_session_stores {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{
                AuditDraft, MAC_BYTES, OneTimeToken, Session, SessionId, Timestamp, TokenPurpose,
                UserId,
            };
            use tollgate_store::{
                ONE_TIME_TOKEN, OneTimeTokenStore, SESSION, SessionStore, StoreError, USER,
                check_session,
            };

            use $crate::audit::Change;
            use $crate::error::Failure;
            use $crate::rows::Rows;
            use $crate::schema::{one_time_tokens, sessions};
            use $crate::sessions::{SessionRow, TokenRow};

            impl SessionStore for $store {
                fn add_session(
                    &self,
                    session: &Session,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    check_session(session)?;
                    let row = SessionRow::from(session);
                    self.change(None, audit, |connection| {
                        diesel::insert_into(sessions::table)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(SESSION, USER))?;
                        Ok(((), Change::Audited))
                    })
                }

                fn find_session_by_mac(
                    &self,
                    mac: &[u8; MAC_BYTES],
                ) -> Result<Option<Session>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let found = sessions::table
                            .filter(sessions::token_mac.eq(mac.as_slice()))
                            .first::<SessionRow>(connection)
                            .optional()?;
                        Ok(found.map(Session::try_from).transpose()?)
                    })
                }

                fn find_session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let found = sessions::table
                            .find(id.as_bytes().as_slice())
                            .first::<SessionRow>(connection)
                            .optional()?;
                        Ok(found.map(Session::try_from).transpose()?)
                    })
                }

                fn list_sessions(
                    &self,
                    user: UserId,
                    after: Option<SessionId>,
                    limit: u16,
                ) -> Result<Vec<Session>, StoreError> {
                    use sessions::*;
                    self.read(Rows::Shared, |connection| {
                        let mut query = table
                            .filter(user_id.eq(user.as_bytes().as_slice()))
                            .filter(revoked_at_us.is_null())
                            .order(id)
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(after) = &after {
                            query = query.filter(id.gt(after.as_bytes().as_slice()));
                        }
                        let rows: Vec<SessionRow> = query.load(connection)?;
                        let all: Result<_, _> = rows.into_iter().map(Session::try_from).collect();
                        Ok(all?)
                    })
                }

                fn touch_session(&self, id: SessionId, at: Timestamp) -> Result<(), StoreError> {
                    self.write(Rows::Shared, |connection| {
                        diesel::update(sessions::table.find(id.as_bytes().as_slice()))
                            .filter(sessions::last_seen_at_us.lt(at.micros()))
                            .set(sessions::last_seen_at_us.eq(at.micros()))
                            .execute(connection)?;
                        Ok(())
                    })
                }

                fn revoke_session(
                    &self,
                    user: UserId,
                    id: SessionId,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<bool, StoreError> {
                    self.change(None, audit, |connection| {
                        let session = sessions::table
                            .find(id.as_bytes().as_slice())
                            .filter(sessions::user_id.eq(user.as_bytes().as_slice()))
                            .filter(sessions::revoked_at_us.is_null());
                        let count = diesel::update(session)
                            .set(sessions::revoked_at_us.eq(at.micros()))
                            .execute(connection)?;
                        Ok((count > 0, Change::auth_if(count > 0)))
                    })
                }

                fn revoke_sessions(
                    &self,
                    user: UserId,
                    except: Option<SessionId>,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<usize, StoreError> {
                    // No session has an id of no bytes.
                    let except = except.as_ref().map_or(&[][..], |id| id.as_bytes());
                    self.change(None, audit, |connection| {
                        let all = sessions::table
                            .filter(sessions::user_id.eq(user.as_bytes().as_slice()))
                            .filter(sessions::revoked_at_us.is_null())
                            .filter(sessions::id.ne(except));
                        let count = diesel::update(all)
                            .set(sessions::revoked_at_us.eq(at.micros()))
                            .execute(connection)?;
                        Ok((count, Change::auth_if(count > 0)))
                    })
                }

                fn end_all_sessions(
                    &self,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<usize, StoreError> {
                    self.change(None, audit, |connection| {
                        let live = sessions::table.filter(sessions::revoked_at_us.is_null());
                        let count = diesel::update(live)
                            .set(sessions::revoked_at_us.eq(at.micros()))
                            .execute(connection)?;
                        let open =
                            one_time_tokens::table.filter(one_time_tokens::used_at_us.is_null());
                        diesel::update(open)
                            .set(one_time_tokens::used_at_us.eq(at.micros()))
                            .execute(connection)?;
                        Ok((count, Change::Auth))
                    })
                }

                fn remove_sessions(&self, ended_before: Timestamp) -> Result<usize, StoreError> {
                    use sessions::*;
                    let before = ended_before.micros();
                    self.write(Rows::Shared, |connection| {
                        let is_revoked = revoked_at_us
                            .is_not_null()
                            .and(revoked_at_us.assume_not_null().lt(before));
                        let ended = table.filter(expires_at_us.lt(before).or(is_revoked));
                        Ok(diesel::delete(ended).execute(connection)?)
                    })
                }
            }

            impl OneTimeTokenStore for $store {
                fn add_one_time_token(
                    &self,
                    token: &OneTimeToken,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    let row = TokenRow::from(token);
                    self.change(None, audit, |connection| {
                        diesel::insert_into(one_time_tokens::table)
                            .values(&row)
                            .execute(connection)
                            .map_err(Failure::taken(ONE_TIME_TOKEN, USER))?;
                        Ok(((), Change::Audited))
                    })
                }

                fn find_one_time_token(
                    &self,
                    mac: &[u8; MAC_BYTES],
                    purpose: TokenPurpose,
                    at: Timestamp,
                ) -> Result<Option<OneTimeToken>, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let token: Option<TokenRow> = one_time_tokens::table
                            .find(mac.as_slice())
                            .filter(one_time_tokens::purpose.eq(purpose.as_str()))
                            .filter(one_time_tokens::used_at_us.is_null())
                            .filter(one_time_tokens::expires_at_us.gt(at.micros()))
                            .first(connection)
                            .optional()?;
                        Ok(token.map(OneTimeToken::try_from).transpose()?)
                    })
                }

                fn use_one_time_token(
                    &self,
                    mac: &[u8; MAC_BYTES],
                    purpose: TokenPurpose,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<Option<OneTimeToken>, StoreError> {
                    self.change(None, audit, |connection| {
                        let token = one_time_tokens::table
                            .find(mac.as_slice())
                            .filter(one_time_tokens::purpose.eq(purpose.as_str()))
                            .filter(one_time_tokens::used_at_us.is_null())
                            .filter(one_time_tokens::expires_at_us.gt(at.micros()));
                        let used: Option<TokenRow> = diesel::update(token)
                            .set(one_time_tokens::used_at_us.eq(at.micros()))
                            .returning(one_time_tokens::all_columns)
                            .get_result(connection)
                            .optional()?;
                        let used = used.map(OneTimeToken::try_from).transpose()?;
                        let change = Change::audited_if(used.is_some());
                        Ok((used, change))
                    })
                }

                fn void_one_time_tokens(
                    &self,
                    user: UserId,
                    purpose: TokenPurpose,
                    at: Timestamp,
                    audit: &AuditDraft,
                ) -> Result<usize, StoreError> {
                    self.change(None, audit, |connection| {
                        let open = one_time_tokens::table
                            .filter(one_time_tokens::user_id.eq(user.as_bytes().as_slice()))
                            .filter(one_time_tokens::purpose.eq(purpose.as_str()))
                            .filter(one_time_tokens::used_at_us.is_null())
                            .filter(one_time_tokens::expires_at_us.gt(at.micros()));
                        let count = diesel::update(open)
                            .set(one_time_tokens::used_at_us.eq(at.micros()))
                            .execute(connection)?;
                        Ok((count, Change::audited_if(count > 0)))
                    })
                }

                fn remove_one_time_tokens(
                    &self,
                    expired_before: Timestamp,
                ) -> Result<usize, StoreError> {
                    use one_time_tokens::*;
                    self.write(Rows::Shared, |connection| {
                        let old = table.filter(expires_at_us.lt(expired_before.micros()));
                        Ok(diesel::delete(old).execute(connection)?)
                    })
                }
            }
        };
    };
}
pub(crate) use impl_session_stores;
