//! The one admission path: every call that can cost money passes here, in this order.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use tollgate_domain::{ErrorKind, Surface};

use crate::asked::Asked;
use crate::callers::Caller;
use crate::catalog::Model;
use crate::error::EngineError;
use crate::limits::Place;
use crate::record::Progress;
use crate::reply::{Identity, Inbound};
use crate::worker::Worker;

/// A call that passed every check but the reservation, which is made per attempt.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) caller: Arc<Caller>,
    pub(crate) asked: Asked,
    pub(crate) body: Bytes,
    pub(crate) name: Arc<str>,
    pub(crate) model: Arc<Model>,
    pub(crate) place: Place,
    pub(crate) trace_parent: Option<HeaderValue>,
}

impl Worker {
    /// Authenticates, parses, authorizes and limits.
    pub(crate) async fn admit(
        &self,
        surface: Surface,
        inbound: Inbound,
        progress: &mut Progress,
    ) -> Result<Admission, EngineError> {
        let engine = self.engine();
        let caller = match inbound.identity {
            Identity::Known(caller) => caller,
            Identity::Key(key) => {
                engine
                    .callers()
                    .authenticate(&key?, inbound.client_ip)
                    .await?
            }
        };
        progress.record.org_id = Some(caller.key.org_id);
        progress.record.key_id = Some(caller.key.id);

        let asked = Asked::parse(surface, &inbound.body, &engine.config().json)?;
        progress.record.is_stream = asked.is_stream();

        caller.check_models_use()?;
        let (name, model) = engine
            .catalog()
            .find(asked.model())
            .ok_or_else(|| unknown_model(&asked))?;
        if !caller.may_use(&name) {
            return Err(not_allowed(&name));
        }
        progress.record.model = Some(Arc::clone(&name));

        let expected = asked
            .output_tokens_max()
            .unwrap_or(engine.config().output_tokens_expected);
        let tokens = asked
            .prompt_tokens_estimate()
            .saturating_add(expected.saturating_mul(asked.choices()));
        let place = Place::take(caller.limits.clone(), tokens, &mut progress.rates)?;

        let trace_parent = inbound.trace_parent;
        Ok(Admission {
            caller,
            asked,
            body: inbound.body,
            name,
            model,
            place,
            trace_parent,
        })
    }
}

fn unknown_model(asked: &Asked) -> EngineError {
    let shown: String = asked.model().chars().take(128).collect();
    EngineError::new(
        ErrorKind::NotFound,
        "model_not_found",
        format!("the model \"{shown}\" does not exist; GET /v1/models lists those that do"),
    )
    .with_param("model")
}

fn not_allowed(name: &str) -> EngineError {
    EngineError::new(
        ErrorKind::Forbidden,
        "model_not_allowed",
        format!("this API key may not use the model \"{name}\""),
    )
    .with_param("model")
}
