//! What an operator decides about the model.

use std::path::PathBuf;

/// The longest context there is, so that all that is sized by it can be had.
pub(crate) const CONTEXT_TOKENS_MAX: usize = 1 << 20;

/// Where the model is, and how much it may take.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// The GGUF file. It is read when the model is loaded, not before.
    pub path: PathBuf,
    /// What the model is called in answers.
    pub model_name: String,
    /// Threads that compute; 0 takes half of the cores, at least 1 and at most 4.
    ///
    /// The other half is for those who serve requests: on two cores a second thread gains
    /// little and makes everybody else wait.
    pub threads: usize,
    /// How many calls may wait while one is answered. One more is told to come back later.
    pub queue_max: usize,
    /// The longest prompt and answer together, in tokens, if the model itself allows as many.
    ///
    /// At most a million. It bounds the memory of a call, which for `SmolLM2-135M` is 45 KiB per
    /// token.
    pub context_tokens_max: usize,
    /// The longest answer when the request does not say, in tokens.
    pub output_tokens_default: usize,
    /// The temperature when the request does not say, from 0 to 2.
    pub temperature_default: f32,
    /// The share of probability that is sampled from when the request does not say, from 0 to 1.
    pub top_p_default: f32,
}

impl LocalConfig {
    /// Returns the defaults for a file, and the name that the model gets in answers.
    ///
    /// Temperature and `top_p` are those that the makers of `SmolLM2` recommend for it
    /// (<https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct>): at `OpenAI`'s 1.0 a model
    /// this small loses the thread.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, model_name: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            model_name: model_name.into(),
            threads: 0,
            queue_max: 16,
            context_tokens_max: 4_096,
            output_tokens_default: 512,
            temperature_default: 0.2,
            top_p_default: 0.9,
        }
    }
}
