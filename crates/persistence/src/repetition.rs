//! Requests with names as rows.

use diesel::prelude::*;
use tollgate_store::{Begun, KeptAnswer, NamedRequest, StoreError};

use crate::error::bad_row;
use crate::schema::named_requests;

/// What is kept of a request that was begun.
pub(crate) type BegunRow = (Vec<u8>, Option<i64>, Option<String>);

#[derive(Insertable)]
#[diesel(table_name = named_requests)]
pub(crate) struct RequestRow {
    org_id: Vec<u8>,
    actor: String,
    name: String,
    digest: Vec<u8>,
    expires_at_us: i64,
}

impl From<&NamedRequest> for RequestRow {
    fn from(request: &NamedRequest) -> Self {
        Self {
            org_id: request.org_id.as_bytes().to_vec(),
            actor: request.actor.to_string(),
            name: request.name.clone(),
            digest: request.digest.to_vec(),
            expires_at_us: request.expires_at.micros(),
        }
    }
}

/// Returns what a row says of a request that is to be done again.
pub(crate) fn begun(
    (digest, status, body): BegunRow,
    request: &NamedRequest,
) -> Result<Begun, StoreError> {
    if digest != request.digest {
        return Ok(Begun::Different);
    }
    let (Some(status), Some(body)) = (status, body) else {
        return Ok(Begun::Unfinished);
    };
    let status = u16::try_from(status).map_err(|_| bad_row("a status"))?;
    Ok(Begun::Answered(KeptAnswer { status, body }))
}

macro_rules! impl_repetition_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::Timestamp;
            use tollgate_store::{
                Begun, KeptAnswer, NamedRequest, RepetitionStore, StoreError, check_answer,
                check_named_request,
            };

            use $crate::repetition::{BegunRow, RequestRow, begun};
            use $crate::rows::Rows;
            use $crate::schema::named_requests::dsl;

            impl RepetitionStore for $store {
                fn begin_request(
                    &self,
                    request: &NamedRequest,
                    now: Timestamp,
                ) -> Result<Begun, StoreError> {
                    check_named_request(request)?;
                    let org = request.org_id.as_bytes().as_slice();
                    let actor = request.actor.to_string();
                    self.write(Rows::Of(request.org_id), |connection| {
                        let of_org = dsl::named_requests.filter(dsl::org_id.eq(org));
                        let expired = of_org.filter(dsl::expires_at_us.le(now.micros()));
                        diesel::delete(expired).execute(connection)?;
                        // Who comes second waits for the other's end, and then finds its row.
                        let added = diesel::insert_into(dsl::named_requests)
                            .values(RequestRow::from(request))
                            .on_conflict_do_nothing()
                            .execute(connection)?;
                        if added > 0 {
                            return Ok(Begun::First);
                        }
                        let row: BegunRow = dsl::named_requests
                            .find((org, &actor, &request.name))
                            .select((dsl::digest, dsl::status, dsl::body))
                            .first(connection)?;
                        Ok(begun(row, request)?)
                    })
                }

                fn finish_request(
                    &self,
                    request: &NamedRequest,
                    answer: &KeptAnswer,
                ) -> Result<(), StoreError> {
                    check_answer(answer)?;
                    let org = request.org_id.as_bytes().as_slice();
                    let actor = request.actor.to_string();
                    self.write(Rows::Of(request.org_id), |connection| {
                        let found = dsl::named_requests.find((org, &actor, &request.name));
                        diesel::update(found.filter(dsl::status.is_null()))
                            .set((
                                dsl::status.eq(i64::from(answer.status)),
                                dsl::body.eq(&answer.body),
                            ))
                            .execute(connection)?;
                        Ok(())
                    })
                }

                fn forget_request(&self, request: &NamedRequest) -> Result<(), StoreError> {
                    let org = request.org_id.as_bytes().as_slice();
                    let actor = request.actor.to_string();
                    self.write(Rows::Of(request.org_id), |connection| {
                        let found = dsl::named_requests.find((org, &actor, &request.name));
                        diesel::delete(found.filter(dsl::status.is_null())).execute(connection)?;
                        Ok(())
                    })
                }
            }
        };
    };
}
pub(crate) use impl_repetition_store;
