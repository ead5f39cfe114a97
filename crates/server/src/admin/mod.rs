//! The admin API: extract, one use case off this thread, render.

mod ask;
pub(crate) mod audit;
pub(crate) mod invitations;
pub(crate) mod keys;
pub(crate) mod members;
pub(crate) mod organizations;
pub(crate) mod roles;
mod shown;
pub(crate) mod teams;

use actix_web::HttpResponse;
use tollgate_auth::{Granted, UsageRead};
use tollgate_validation::UsageRequest;

use self::ask::{Ask, shown};
use crate::error::ApiError;

pub(crate) async fn usage(ask: Ask) -> Result<HttpResponse, ApiError> {
    let granted = ask.allow(Granted::<UsageRead>::check).await?;
    let query = UsageRequest::from_query(ask.query())?;
    let page = ask
        .read(move |control| control.usage(&granted, query))
        .await?;
    Ok(HttpResponse::Ok().json(page))
}
