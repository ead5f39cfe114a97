//! In and out: the first set-up, sign-in, sign-out.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, SET_COOKIE};
use actix_web::web::Data;
use tollgate_control::{NewPerson, SignIn};
use tollgate_engine::now;
use tollgate_validation::{SetUpInput, SignInInput, SignOutInput};

use super::{Asked, Person, Stranger, change, signed_in};
use crate::error::ApiError;
use crate::state::WorkerState;

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// What a browser forgets of this site at a sign-out.
/// Source: <https://www.w3.org/TR/clear-site-data/>
const FORGOTTEN: &str = r#""cache", "cookies", "storage""#;

pub(crate) async fn set_up(
    Asked(stranger, input): Asked<Stranger, SetUpInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let new = change(&state, move |accounts| {
        let person = NewPerson {
            email: &input.email,
            name: &input.name,
            password: &input.password,
        };
        accounts.set_up(&input.token, &person, &stranger.visitor, now())
    })
    .await?;
    Ok(signed_in(&state, StatusCode::CREATED, &new, &[]))
}

pub(crate) async fn sign_in(
    Asked(stranger, input): Asked<Stranger, SignInInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let new = change(&state, move |accounts| {
        let sign_in = SignIn {
            email: &input.email,
            password: &input.password,
            code: input.code.as_deref(),
            previous: stranger.session.as_deref(),
        };
        accounts.sign_in(&sign_in, &stranger.visitor, now())
    })
    .await?;
    Ok(signed_in(&state, StatusCode::OK, &new, &[]))
}

pub(crate) async fn sign_out(
    Asked(person, input): Asked<Person, SignOutInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let cookies = state.shared().people.cookies;
    change(&state, move |accounts| {
        let visitor = &person.visitor;
        if input.everywhere {
            accounts
                .revoke_sessions(&person.current, false, visitor, now())
                .map(drop)
        } else {
            accounts.sign_out(&person.session, visitor, now())
        }
    })
    .await?;
    Ok(HttpResponse::NoContent()
        .insert_header((SET_COOKIE, cookies.clear()))
        .insert_header((CLEAR_SITE_DATA, FORGOTTEN))
        .finish())
}
