//! The second factor: enrolled, put into use, turned off.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::json;
use tollgate_engine::now;
use tollgate_validation::{TotpChangeInput, TotpConfirmInput, TotpEnrolInput};

use super::{Asked, Person, change, signed_in};
use crate::error::ApiError;
use crate::state::WorkerState;

pub(crate) async fn enrol_totp(
    Asked(person, input): Asked<Person, TotpEnrolInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let made = change(&state, move |accounts| {
        accounts.enrol_totp(&person.current, &input.password, &person.visitor, now())
    })
    .await?;
    Ok(HttpResponse::Ok().json(json!({
        "secret": made.secret,
        "uri": made.uri,
        "enrolment": made.enrolment,
    })))
}

pub(crate) async fn confirm_totp(
    Asked(person, input): Asked<Person, TotpConfirmInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let confirmed = change(&state, move |accounts| {
        let (enrolment, code) = (&input.enrolment, &input.code);
        accounts.confirm_totp(&person.current, enrolment, code, &person.visitor, now())
    })
    .await?;
    let codes = [("recovery_codes", json!(confirmed.recovery_codes))];
    Ok(signed_in(
        &state,
        StatusCode::OK,
        &confirmed.signed_in,
        &codes,
    ))
}

pub(crate) async fn disable_totp(
    Asked(person, input): Asked<Person, TotpChangeInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let new = change(&state, move |accounts| {
        let (password, code) = (&input.password, &input.code);
        accounts.disable_totp(&person.current, password, code, &person.visitor, now())
    })
    .await?;
    Ok(signed_in(&state, StatusCode::OK, &new, &[]))
}

pub(crate) async fn renew_recovery_codes(
    Asked(person, input): Asked<Person, TotpChangeInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let codes = change(&state, move |accounts| {
        let (password, code) = (&input.password, &input.code);
        accounts.renew_recovery_codes(&person.current, password, code, &person.visitor, now())
    })
    .await?;
    Ok(HttpResponse::Ok().json(json!({"recovery_codes": codes})))
}
