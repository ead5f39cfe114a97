//! The OpenAI surface: extract, one call to the engine, render.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::ConnectionType;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tollgate_domain::{ErrorKind, RequestId, Surface};
use tollgate_engine::{EngineError, Identity, Inbound, Reply, ReplyBody};
use tollgate_wire::{model_object, models_list};
use uuid::Uuid;

use crate::body::read_json;
use crate::caller::{KeyCaller, credential};
use crate::client::client_address;
use crate::hardening::{REQUEST_ID, id_value};
use crate::respond::{json, respond};
use crate::state::WorkerState;
use crate::sweeper::{Connection, Streaming};

pub(crate) async fn chat_completions(
    request: HttpRequest,
    payload: Payload,
    state: Data<WorkerState>,
) -> HttpResponse {
    serve(Surface::ChatCompletions, request, payload, state).await
}

pub(crate) async fn embeddings(
    request: HttpRequest,
    payload: Payload,
    state: Data<WorkerState>,
) -> HttpResponse {
    serve(Surface::Embeddings, request, payload, state).await
}

async fn serve(
    surface: Surface,
    request: HttpRequest,
    payload: Payload,
    state: Data<WorkerState>,
) -> HttpResponse {
    let started = Instant::now();
    let request_id = RequestId::new(Uuid::now_v7());
    let client_ip = client_address(&request);
    let observed = state.observer().begin(&request, client_ip);
    // Who calls is found out before the body is waited for: strangers must not fill memory.
    let worker = state.worker();
    let caller = match credential(request.headers()) {
        Ok(key) => {
            worker
                .engine()
                .callers()
                .authenticate(&key, client_ip)
                .await
        }
        Err(error) => Err(EngineError::from(error)),
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(error) => {
            let refusal = state.shared().gate.strangers.refuse(client_ip, error);
            let reply = Reply::of_error(&refusal.error);
            let told = (reply.status, refusal.error.code);
            state
                .observer()
                .refused(observed, (request_id, surface), started, told);
            let mut response = respond(reply, started, None);
            refusal.describe(&mut response);
            response
                .head_mut()
                .set_connection_type(ConnectionType::Close);
            return with_id(response, request_id);
        }
    };
    let body = match read_json(&request, payload, state.shared().inference_body).await {
        Ok(body) => body,
        Err(error) => {
            let refusal = (error.status.as_u16(), error.code);
            state
                .observer()
                .refused(observed, (request_id, surface), started, refusal);
            return with_id(error.respond(request.path()), request_id);
        }
    };
    let inbound = Inbound {
        request_id,
        identity: Identity::Known(caller),
        client_ip,
        body,
        started,
        trace_parent: observed.trace_parent(),
        finish: Some(state.observer().finish(observed)),
    };
    let reply = match surface {
        Surface::ChatCompletions => worker.chat(inbound).await,
        Surface::Embeddings => worker.embeddings(inbound).await,
    };
    let streaming = match &reply.body {
        ReplyBody::Stream(_) => request.conn_data::<Arc<Connection>>().map(Streaming::begin),
        ReplyBody::Whole(_) => None,
    };
    with_id(respond(reply, started, streaming), request_id)
}

fn with_id(mut response: HttpResponse, request_id: RequestId) -> HttpResponse {
    response
        .headers_mut()
        .insert(REQUEST_ID, id_value(request_id));
    response
}

/// When the catalog's models were made: not known, and clients only need a number.
const MODELS_CREATED: i64 = 0;

pub(crate) async fn list_models(caller: KeyCaller, state: Data<WorkerState>) -> HttpResponse {
    if let Err(error) = may_use_models(&caller) {
        return respond(Reply::of_error(&error), Instant::now(), None);
    }
    let names = state.worker().engine().catalog().names();
    let allowed = names.iter().filter(|name| caller.0.may_use(name));
    json(models_list(
        allowed.map(|name| (&**name, MODELS_CREATED, "tollgate")),
    ))
}

pub(crate) async fn find_model(
    caller: KeyCaller,
    name: Path<String>,
    state: Data<WorkerState>,
) -> HttpResponse {
    let found = may_use_models(&caller).and_then(|()| {
        let known = state.worker().engine().catalog().contains(&name);
        if known && caller.0.may_use(&name) {
            Ok(())
        } else {
            Err(no_model(&name))
        }
    });
    match found {
        Ok(()) => json(model_object(&name, MODELS_CREATED, "tollgate")),
        Err(error) => respond(Reply::of_error(&error), Instant::now(), None),
    }
}

fn may_use_models(caller: &KeyCaller) -> Result<(), EngineError> {
    caller.0.check_models_use().map_err(EngineError::from)
}

fn no_model(name: &str) -> EngineError {
    let shown: String = name.chars().take(128).collect();
    let message = format!("the model \"{shown}\" does not exist or is not allowed for this key");
    let error = EngineError::new(ErrorKind::NotFound, "model_not_found", message);
    EngineError {
        param: Some("model".to_owned()),
        ..error
    }
}
