//! An authenticated request of the admin API: what it may do, what it says, and how it is answered.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use actix_web::dev::Payload as DevPayload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, USER_AGENT};
use actix_web::web::{self, Data, Payload};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse};
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use garde::Validate;
use serde::de::DeserializeOwned;
use tollgate_auth::{Denied, Principal};
use tollgate_control::{Control, ControlError, Once, Repeatable, Visitor};
use tollgate_domain::{ErrorKind, RequestId};
use tollgate_engine::{EngineError, now};
use tollgate_validation::{Expected, IdempotencyKey, Valid, entity_tag};
use uuid::Uuid;

use super::shown::{Shown, json, kept};
use crate::body::read_json;
use crate::caller::{Caller, NotACaller};
use crate::client::client_address;
use crate::error::{ApiError, HttpError};
use crate::people::state_of;
use crate::state::WorkerState;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest text of a path that is written down, in bytes: an id has fewer.
const OBJECT_BYTES_MAX: usize = 64;

/// An authenticated request of the admin API.
pub(crate) struct Ask {
    request: HttpRequest,
    principal: Principal,
    state: Data<WorkerState>,
    visitor: Visitor,
    /// What is to be changed; `None` for what changes nothing.
    action: Option<&'static str>,
}

impl FromRequest for Ask {
    type Error = NotACaller;
    type Future = Pin<Box<dyn Future<Output = Result<Self, NotACaller>>>>;

    fn from_request(request: &HttpRequest, payload: &mut DevPayload) -> Self::Future {
        let caller = Caller::from_request(request, payload);
        let request = request.clone();
        let state = state_of(&request);
        Box::pin(async move {
            let caller = caller.await?;
            let state = state.map_err(ApiError::from)?;
            let id = request.extensions().get::<RequestId>().copied();
            let id = id.unwrap_or_else(|| RequestId::new(Uuid::now_v7()));
            let agent = request.headers().get(USER_AGENT);
            let visitor = Visitor {
                client_ip: client_address(&request),
                user_agent: agent
                    .and_then(|agent| agent.to_str().ok())
                    .unwrap_or_default()
                    .to_owned(),
                request_id: id.to_string(),
            };
            Ok(Self {
                request,
                principal: caller.principal(),
                state,
                visitor,
                action: None,
            })
        })
    }
}

impl Ask {
    /// Says what is to be changed: when it is refused, that is written down.
    pub(super) const fn to(mut self, action: &'static str) -> Self {
        self.action = Some(action);
        self
    }

    /// Checks what the caller may do; called before the body is read.
    ///
    /// # Errors
    /// 403.
    pub(super) async fn allow<T>(
        &self,
        check: impl FnOnce(Principal) -> Result<T, Denied>,
    ) -> Result<T, ApiError> {
        match check(self.principal.clone()) {
            Ok(granted) => Ok(granted),
            Err(denied) => {
                let denial = self.denial();
                self.block(move |control| {
                    denial.record(control);
                    Ok(())
                })
                .await?;
                Err(denied.into())
            }
        }
    }

    /// Returns the query of the path.
    pub(super) fn query(&self) -> &str {
        self.request.query_string()
    }

    /// Returns an id of the path; a text that is none names nothing.
    ///
    /// # Errors
    /// 404.
    pub(super) fn id<T: FromStr>(&self, name: &str, what: &'static str) -> Result<T, ApiError> {
        let text = self.request.match_info().get(name).unwrap_or_default();
        text.parse()
            .map_err(|_| ControlError::NotFound(what).into())
    }

    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON, too large or too slow, or breaks a rule.
    pub(super) async fn input<T>(&self, payload: Payload) -> Result<Valid<T>, ApiError>
    where
        T: DeserializeOwned + Validate<Context = ()>,
    {
        Ok(Valid::from_json(&self.body(payload).await?)?)
    }

    /// Reads the body, of which there may be no more than the route takes.
    ///
    /// # Errors
    /// When it is of another type, too large or too slow.
    pub(super) async fn body(&self, payload: Payload) -> Result<Bytes, ApiError> {
        let limits = self.state.shared().admin_body;
        Ok(read_json(&self.request, payload, limits).await?)
    }

    /// Returns the version that the change is for.
    ///
    /// # Errors
    /// 428 when the request does not say; 400 when what it says is none.
    pub(super) fn expected(&self) -> Result<Expected, ApiError> {
        let given = self.header(&IF_MATCH)?;
        let given = given.ok_or_else(HttpError::precondition_required)?;
        let read = Expected::parse(given.as_bytes());
        read.map_err(|error| HttpError::invalid_header(error.to_string()).into())
    }

    /// Returns the version that the change is for, or any when the request does not say.
    ///
    /// # Errors
    /// 400 when what it says is none.
    pub(super) fn expected_if_given(&self) -> Result<Expected, ApiError> {
        if self.header(&IF_MATCH)?.is_none() {
            return Ok(Expected::Any);
        }
        self.expected()
    }

    /// Returns a header that may be there once.
    fn header(&self, name: &HeaderName) -> Result<Option<&HeaderValue>, HttpError> {
        let mut values = self.request.headers().get_all(name);
        let first = values.next();
        if values.next().is_some() {
            let message = format!("the header {name} is there twice");
            return Err(HttpError::invalid_header(message));
        }
        Ok(first)
    }

    /// Runs a use case that changes nothing, off this thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(run).await
    }

    /// Runs a use case that changes something, off this thread, and lets it take effect here at once.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let callers = Arc::clone(self.state.worker().engine().callers());
        let denial = self.denial();
        self.block(move |control| {
            let done = run(control);
            if done
                .as_ref()
                .is_err_and(|error| error.kind() == ErrorKind::Forbidden)
            {
                denial.record(control);
            }
            let done = done?;
            // The change is made, and an answer that says otherwise would have it made again.
            if let Err(error) = callers.refresh() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a change takes effect here when the database answers again"
                );
            }
            Ok(done)
        })
        .await
    }

    /// Makes something of the body and answers that. A request with an `Idempotency-Key` is
    /// done once: what it is repeated with is answered alike, but for what is shown only once.
    pub(super) async fn make<I, T>(
        &self,
        status: StatusCode,
        body: &Bytes,
        run: impl FnOnce(&Control, Valid<I>) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<HttpResponse, ApiError>
    where
        I: DeserializeOwned + Validate<Context = ()> + Send + 'static,
        T: Shown,
    {
        let key = self.header(&IDEMPOTENCY_KEY)?;
        let key = key.map(|key| IdempotencyKey::parse(key.as_bytes()));
        let key = key
            .transpose()
            .map_err(|error| HttpError::invalid_header(error.to_string()))?;
        let input = Valid::from_json(body)?;
        let Some(key) = key else {
            let made = self.change(move |control| run(control, input)).await?;
            return Ok(shown(status, &made));
        };
        let at = now();
        let repeatable = Repeatable::new(&self.principal, &key, self.digest(body), at);
        let once = self
            .change(move |control| {
                let keep = |made: &T| kept(status, made);
                control.once(&repeatable, at, |control| run(control, input), keep)
            })
            .await?;
        Ok(match once {
            Once::First(made) => shown(status, &made),
            Once::Again(answer) => {
                let status = StatusCode::from_u16(answer.status).unwrap_or(status);
                let mut response = json(status, answer.body.into_bytes());
                let replayed = HeaderValue::from_static("true");
                response
                    .headers_mut()
                    .insert(IDEMPOTENCY_REPLAYED, replayed);
                response
            }
        })
    }

    /// Returns SHA-256 of what is asked for: the method, the path and the body.
    fn digest(&self, body: &[u8]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for part in [self.request.method().as_str(), self.request.path()] {
            context.update(part.as_bytes());
            context.update(b"\n");
        }
        context.update(body);
        let mut digest = [0; 32];
        let finished = context.finish();
        let places = digest.iter_mut().zip(finished.as_ref());
        places.for_each(|(to, from)| *to = *from);
        digest
    }

    pub(super) const fn request(&self) -> &HttpRequest {
        &self.request
    }

    pub(super) const fn state(&self) -> &Data<WorkerState> {
        &self.state
    }

    fn denial(&self) -> Denial {
        let object = self.request.match_info().get("id").unwrap_or_default();
        let is_id = object.len() <= OBJECT_BYTES_MAX
            && object
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        Denial {
            principal: self.principal.clone(),
            action: self.action,
            object: if is_id { object } else { "" }.to_owned(),
        }
    }

    async fn block<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let shared = self.state.shared_arc();
        let visitor = self.visitor.clone();
        web::block(move || run(&shared.control.asked_by(visitor)))
            .await
            .map_err(|_| stopped())?
            .map_err(ApiError::from)
    }
}

/// A change that was refused.
struct Denial {
    principal: Principal,
    action: Option<&'static str>,
    object: String,
}

impl Denial {
    /// Writes it down. That it could not be written down makes the refusal no weaker.
    fn record(&self, control: &Control) {
        let Some(action) = self.action else { return };
        let (principal, object) = (&self.principal, &self.object);
        let code = "permission_denied";
        if let Err(error) = control.record_denial(principal, action, object, code, now()) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                action,
                "a refusal could not be written down"
            );
        }
    }
}

/// Answers a thing, with its entity tag if it has a version.
pub(super) fn shown(status: StatusCode, thing: &impl Shown) -> HttpResponse {
    let mut response = HttpResponse::build(status).json(thing);
    let tag = thing.tag().map(entity_tag);
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

pub(super) fn stopped() -> ApiError {
    EngineError::new(
        ErrorKind::Unavailable,
        "service_unavailable",
        "the server is stopping",
    )
    .into()
}
