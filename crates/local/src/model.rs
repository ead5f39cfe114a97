//! The model as a provider.

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tollgate_providers::{
    AnswerBody, AnswerHeaders, CallFuture, Endpoint, Health, Phase, Upstream, UpstreamAnswer,
    UpstreamError, UpstreamRequest,
};
use uuid::Uuid;

use crate::chat::Chat;
use crate::config::{CONTEXT_TOKENS_MAX, LocalConfig};
use crate::queue::{Event, Finish, Queue};
use crate::refusal::Refusal;
use crate::reply::{EventStream, Head, broken};
use crate::worker::{self, Shared, advice_for_missing};

/// A chat model that runs in this process.
///
/// It has one thread of its own, of low priority, which starts with the first call or with
/// [`LocalModel::load_in_background`], and ends when the model is dropped. Calls are answered one
/// after the other; those that wait are bounded, and each can be given up at any time.
#[derive(Debug)]
pub struct LocalModel {
    shared: Arc<Shared>,
}

impl LocalModel {
    /// Makes a model that is not loaded yet. Does not touch the file.
    #[must_use]
    pub fn new(mut config: LocalConfig) -> Self {
        config.context_tokens_max = config.context_tokens_max.min(CONTEXT_TOKENS_MAX);
        let queue = Arc::new(Queue::new(config.queue_max));
        Self {
            shared: Arc::new(Shared {
                config,
                queue,
                health: Mutex::new(None),
            }),
        }
    }

    /// Begins to load the model, so that the first call need not wait for it. Whether that goes
    /// well is told by [`Upstream::health`].
    pub fn load_in_background(&self) {
        if let Err(error) = self.start() {
            // The first call tries again.
            tracing::warn!(error = %error, "the local model has no thread");
        }
    }

    fn start(&self) -> io::Result<()> {
        let mut health = self.shared.health.lock();
        if health.is_none() {
            worker::spawn(Arc::clone(&self.shared))?;
            *health = Some(Health::Starting);
        }
        Ok(())
    }

    async fn answer(&self, request: UpstreamRequest) -> Result<UpstreamAnswer, UpstreamError> {
        let config = &self.shared.config;
        if request.endpoint == Endpoint::Embeddings {
            return Ok(Refusal::no_embeddings(&config.model_name).into_answer());
        }
        let chat = match Chat::parse(&request.body, request.is_stream, config) {
            Ok(chat) => chat,
            Err(refusal) => return Ok(refusal.into_answer()),
        };
        self.start().map_err(|error| UpstreamError::NotReady {
            advice: format!("the model has no thread, {error}: allow more threads"),
        })?;
        let has_usage_chunk = chat.has_usage_chunk;
        // Room for every event that a call can have: the model's thread never waits for a reader.
        let (sender, mut events) = mpsc::channel(config.context_tokens_max.saturating_add(4));
        let ticket = self
            .shared
            .queue
            .push(chat, sender)
            .map_err(|retry_after| UpstreamError::Busy { retry_after })?;
        let fingerprint = match events.recv().await {
            Some(Event::Started { fingerprint }) => fingerprint,
            Some(Event::Refused(refusal)) => return Ok(refusal.into_answer()),
            Some(Event::NotReady { advice }) => return Err(UpstreamError::NotReady { advice }),
            _ => return Err(broken()),
        };
        let head = Head {
            id: format!("chatcmpl-{}", Uuid::now_v7().simple()),
            created: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |now| now.as_secs()),
            model: config.model_name.clone(),
            fingerprint,
        };
        let (headers, body) = if request.is_stream {
            let stream = EventStream::new(head, events, has_usage_chunk, ticket);
            (
                AnswerHeaders::content_type("text/event-stream"),
                AnswerBody::Stream(Box::pin(stream)),
            )
        } else {
            let (text, finish) = collect(&mut events).await?;
            (
                AnswerHeaders::content_type("application/json"),
                AnswerBody::Whole(head.whole(&text, finish)),
            )
        };
        Ok(UpstreamAnswer {
            status: StatusCode::OK,
            headers,
            body,
        })
    }
}

async fn collect(events: &mut mpsc::Receiver<Event>) -> Result<(String, Finish), UpstreamError> {
    let mut text = String::new();
    loop {
        match events.recv().await {
            Some(Event::Text(more)) => text.push_str(&more),
            Some(Event::Finished(finish)) => return Ok((text, finish)),
            _ => return Err(broken()),
        }
    }
}

impl Drop for LocalModel {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Upstream for LocalModel {
    fn call(&self, request: UpstreamRequest) -> CallFuture<'_> {
        let deadline = request.deadline;
        Box::pin(async move {
            let answered = tokio::time::timeout_at(deadline, self.answer(request)).await;
            answered.unwrap_or(Err(UpstreamError::Timeout(Phase::Total)))
        })
    }

    /// Before the model is asked for, this looks whether its file is there.
    fn health(&self) -> Health {
        let path = &self.shared.config.path;
        match self.shared.health.lock().clone() {
            Some(health) => health,
            None if path.is_file() => Health::Ready,
            None => Health::Failed {
                advice: advice_for_missing(path),
            },
        }
    }
}
