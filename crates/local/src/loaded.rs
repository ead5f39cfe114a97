//! A model in memory, and how it answers one call.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use uuid::Uuid;

use crate::chat::Chat;
use crate::config::LocalConfig;
use crate::llama::Llama;
use crate::matrix::Threads;
use crate::model_file::{LoadError, ModelFile};
use crate::queue::{Event, Finish};
use crate::refusal::Refusal;
use crate::sample::Sampler;
use crate::template::ChatTemplate;
use crate::text::TextOut;
use crate::vocabulary::Vocabulary;

/// Tokens of a prompt that are read at once. More would gain little, and who leaves in the
/// middle of a prompt would be noticed later.
const PROMPT_STEP: usize = 64;

/// Everything that a GGUF file holds, ready to answer.
pub(crate) struct Loaded {
    llama: Llama,
    vocabulary: Vocabulary,
    template: ChatTemplate,
    context: usize,
    output_default: usize,
    fingerprint: Arc<str>,
}

/// A prompt that fits, and how long its answer may be.
struct Prompt {
    tokens: Vec<u32>,
    output_max: usize,
}

/// The caller is gone: there is nobody to answer.
struct Gone;

impl Loaded {
    pub(crate) fn load(config: &LocalConfig, threads: Threads) -> Result<Self, LoadError> {
        let started = Instant::now();
        let mut file = ModelFile::open(&config.path)?;
        let vocabulary = Vocabulary::load(&file)?;
        let token = |key: &str| {
            let id = file.size(key).ok().and_then(|id| u32::try_from(id).ok());
            id.map(|id| vocabulary.name(id)).unwrap_or_default()
        };
        let template = ChatTemplate::new(
            file.text("tokenizer.chat_template")?.to_owned(),
            token("tokenizer.ggml.bos_token_id"),
            token("tokenizer.ggml.eos_token_id"),
        )
        .map_err(|reason| LoadError(format!("its chat template does not work: {reason}")))?;
        let trained = file.size("llama.context_length")?;
        let llama = Llama::load(&mut file, vocabulary.len(), threads)?;
        let mut hasher = DefaultHasher::new();
        (
            env!("CARGO_PKG_VERSION"),
            file.bytes(),
            file.text("general.name").ok(),
        )
            .hash(&mut hasher);
        let context = config.context_tokens_max.min(trained);
        tracing::info!(
            model.name = config.model_name,
            context_tokens = context,
            duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "the local model is loaded"
        );
        Ok(Self {
            llama,
            vocabulary,
            template,
            context,
            output_default: config.output_tokens_default.max(1),
            fingerprint: format!("fp_{:016x}", hasher.finish()).into(),
        })
    }

    /// Answers a call, or stops as soon as nobody listens any more.
    pub(crate) fn answer(&self, chat: &Chat, events: &mpsc::Sender<Event>) {
        let event = match self.prompt(chat) {
            Ok(prompt) => match self.generate(chat, &prompt, events) {
                Ok(finish) => Event::Finished(finish),
                Err(Gone) => return,
            },
            Err(refusal) => Event::Refused(refusal),
        };
        // Who left in the meantime needs no answer.
        send(events, event).ok();
    }

    fn prompt(&self, chat: &Chat) -> Result<Prompt, Refusal> {
        let bytes: usize = chat
            .messages
            .iter()
            .map(|message| message.content.len())
            .sum();
        if bytes > self.context.saturating_mul(self.vocabulary.longest()) {
            return Err(Refusal::prompt_far_too_long(self.context));
        }
        let unusable =
            |reason| Refusal::invalid("messages", format!("Invalid messages: {reason}."));
        let rendered = self.template.render(&chat.messages).map_err(unusable)?;
        let tokens = self.vocabulary.encode(&rendered).map_err(unusable)?;
        let Some(room) = self
            .context
            .checked_sub(tokens.len())
            .filter(|&room| room > 0)
        else {
            return Err(Refusal::prompt_too_long(self.context, tokens.len()));
        };
        let output_max = match chat.output_tokens_max {
            Some(wanted) if wanted > room => {
                return Err(Refusal::answer_too_long(self.context, tokens.len(), wanted));
            }
            Some(wanted) => wanted,
            None => self.output_default.min(room),
        };
        Ok(Prompt { tokens, output_max })
    }

    fn generate(
        &self,
        chat: &Chat,
        prompt: &Prompt,
        events: &mpsc::Sender<Event>,
    ) -> Result<Finish, Gone> {
        let fingerprint = Arc::clone(&self.fingerprint);
        send(events, Event::Started { fingerprint })?;
        let mut memory = self.llama.memory(prompt.tokens.len() + prompt.output_max);
        let mut state = Vec::new();
        for step in prompt.tokens.chunks(PROMPT_STEP) {
            still_there(events)?;
            state = self.llama.read(step, &mut memory);
        }
        let (_, entropy) = Uuid::now_v7().as_u64_pair();
        let mut sampler = Sampler::new(chat.sampling.clone(), entropy);
        let mut text = TextOut::new(chat.stops.clone());
        let mut finish = Finish {
            is_cut_by_length: false,
            prompt_tokens: prompt.tokens.len(),
            completion_tokens: 0,
        };
        loop {
            still_there(events)?;
            let token = sampler.pick(&mut self.llama.logits(&state));
            if self.vocabulary.is_end(token) {
                break;
            }
            finish.completion_tokens += 1;
            let emitted = text.push(self.vocabulary.bytes(token));
            send_text(events, emitted.text)?;
            if emitted.is_stopped {
                return Ok(finish);
            }
            if finish.completion_tokens >= prompt.output_max {
                finish.is_cut_by_length = true;
                break;
            }
            state = self.llama.read(&[token], &mut memory);
        }
        send_text(events, text.finish())?;
        Ok(finish)
    }
}

fn still_there(events: &mpsc::Sender<Event>) -> Result<(), Gone> {
    if events.is_closed() {
        Err(Gone)
    } else {
        Ok(())
    }
}

fn send_text(events: &mpsc::Sender<Event>, text: String) -> Result<(), Gone> {
    if text.is_empty() {
        return Ok(());
    }
    send(events, Event::Text(text))
}

/// Sends without waiting: a channel has room for all that a call can say, so that who reads
/// slowly does not make others wait.
fn send(events: &mpsc::Sender<Event>, event: Event) -> Result<(), Gone> {
    events.try_send(event).map_err(|_| Gone)
}
