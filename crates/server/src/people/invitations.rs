//! An invitation that is accepted, by somebody new or by who is signed in.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tollgate_control::{AccountError, Guest};
use tollgate_engine::now;
use tollgate_validation::AcceptInput;

use super::{Asked, Stranger, authenticate, change, own_session, signed_in};
use crate::error::ApiError;
use crate::state::WorkerState;

pub(crate) async fn accept_invitation(
    request: HttpRequest,
    Asked(stranger, input): Asked<Stranger, AcceptInput>,
    state: Data<WorkerState>,
) -> Result<HttpResponse, ApiError> {
    let Stranger { session, visitor } = stranger;
    let new = match (input.name, input.password) {
        (Some(name), Some(password)) => {
            change(&state, move |accounts| {
                let (name, password) = (name.as_str(), password.as_str());
                let guest = Guest::New { name, password };
                accounts.accept_invitation(&input.token, guest, &visitor, now())
            })
            .await?
        }
        (None, None) => {
            let session = session.ok_or(AccountError::NotSignedIn)?;
            let session = own_session(&request, &state, session)?;
            let current = authenticate(&state, session).await?;
            change(&state, move |accounts| {
                let guest = Guest::Known(&current);
                accounts.accept_invitation(&input.token, guest, &visitor, now())
            })
            .await?
        }
        _ => {
            let message = "name and password come together, or not at all";
            return Err(AccountError::Invalid(message).into());
        }
    };
    Ok(signed_in(&state, StatusCode::CREATED, &new, &[]))
}
