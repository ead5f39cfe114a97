//! Passwords that are changed or forgotten, and addresses that are proven.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use tollgate_engine::now;
use tollgate_validation::{
    NoInput, PasswordChangeInput, ResetInput, ResetRequestInput, VerifyEmailInput,
};

use super::{Asked, Person, Stranger, change, done, signed_in};
use crate::error::ApiError;
use crate::state::WorkerState;

pub(crate) async fn change_password(
    Asked(person, input): Asked<Person, PasswordChangeInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let new = change(&state, move |accounts| {
        let (old, new) = (&input.current_password, &input.new_password);
        accounts.change_password(&person.current, old, new, &person.visitor, now())
    })
    .await?;
    Ok(signed_in(&state, StatusCode::OK, &new, &[]))
}

/// The answer says nothing of whether somebody has this address.
pub(crate) async fn request_reset(
    Asked(stranger, input): Asked<Stranger, ResetRequestInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    change(&state, move |accounts| {
        accounts.request_reset(&input.email, &stranger.visitor, now())
    })
    .await?;
    Ok(HttpResponse::Accepted().finish())
}

pub(crate) async fn reset_password(
    Asked(stranger, input): Asked<Stranger, ResetInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    change(&state, move |accounts| {
        accounts.reset_password(&input.token, &input.new_password, &stranger.visitor, now())
    })
    .await?;
    Ok(done())
}

pub(crate) async fn request_verification(
    Asked(person, NoInput {}): Asked<Person, NoInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    change(&state, move |accounts| {
        accounts.request_verification(&person.current, &person.visitor, now())
    })
    .await?;
    Ok(HttpResponse::Accepted().finish())
}

pub(crate) async fn verify_email(
    Asked(stranger, input): Asked<Stranger, VerifyEmailInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    change(&state, move |accounts| {
        accounts.verify_email(&input.token, &stranger.visitor, now())
    })
    .await?;
    Ok(done())
}
