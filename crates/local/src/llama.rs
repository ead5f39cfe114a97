//! A llama: the transformer that most small open models are.
//!
//! The equations: <https://arxiv.org/abs/2302.13971>; grouped queries:
//! <https://arxiv.org/abs/2305.13245>. Weights are multiplied by candle's kernels. The rest is
//! here, and not candle's own llama, because that keeps its threads spinning beside those that
//! serve requests, and copies what it remembers of the conversation with every token.

use crate::matrix::{Matrix, Rows, Threads};
use crate::model_file::{LoadError, ModelFile};
use crate::numbers::{STEP_COLUMNS, add, dot, length, mix, softmax};
use crate::positions::Positions;

/// The sizes of a model.
#[derive(Debug, Clone, Copy)]
struct Shape {
    width: usize,
    heads: usize,
    memory_heads: usize,
    head_width: usize,
    epsilon: f32,
}

/// One layer's weights.
#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    query: Matrix,
    key: Matrix,
    value: Matrix,
    attention_output: Matrix,
    feed_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

/// A model that turns tokens into what may come next.
#[derive(Debug)]
pub(crate) struct Llama {
    shape: Shape,
    embeddings: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// `None`: the embeddings serve as output too.
    output: Option<Matrix>,
    positions: Positions,
    threads: Threads,
}

/// What the model remembers of the tokens so far, of one call.
#[derive(Debug)]
pub(crate) struct Memory {
    layers: Vec<LayerMemory>,
    tokens: u32,
}

/// What one layer remembers.
#[derive(Debug)]
struct LayerMemory {
    /// For each head, keys and values: one row per token.
    heads: Vec<(Vec<f32>, Vec<f32>)>,
}

impl LayerMemory {
    /// Takes the keys and values of more tokens, one row per token.
    fn push(&mut self, keys: &[f32], values: &[f32], head_width: usize) {
        let heads = self.heads.len();
        let keys = keys.chunks_exact(head_width);
        for (index, (key, value)) in keys.zip(values.chunks_exact(head_width)).enumerate() {
            if let Some((keys, values)) = self.heads.get_mut(index % heads) {
                keys.extend_from_slice(key);
                values.extend_from_slice(value);
            }
        }
    }
}

impl Llama {
    /// Reads a model whose vocabulary has this many tokens.
    pub(crate) fn load(
        file: &mut ModelFile,
        vocabulary: usize,
        threads: Threads,
    ) -> Result<Self, LoadError> {
        let architecture = file.text("general.architecture")?;
        if architecture != "llama" {
            return Err(LoadError(format!(
                "its architecture is {architecture}, not llama"
            )));
        }
        let shape = Shape::read(file)?;
        let positions = Positions::load(file, shape.head_width)?;
        let hidden = file.size("llama.feed_forward_length")?;
        let Shape {
            width,
            heads,
            memory_heads,
            head_width,
            ..
        } = shape;
        let (all_heads, all_memory_heads) = (heads * head_width, memory_heads * head_width);
        let mut layers = Vec::new();
        for index in 0..file.size("llama.block_count")? {
            let name = |part: &str| format!("blk.{index}.{part}.weight");
            layers.push(Layer {
                attention_norm: file.vector(&name("attn_norm"), width)?,
                query: file.matrix(&name("attn_q"), all_heads, width)?,
                key: file.matrix(&name("attn_k"), all_memory_heads, width)?,
                value: file.matrix(&name("attn_v"), all_memory_heads, width)?,
                attention_output: file.matrix(&name("attn_output"), width, all_heads)?,
                feed_norm: file.vector(&name("ffn_norm"), width)?,
                gate: file.matrix(&name("ffn_gate"), hidden, width)?,
                up: file.matrix(&name("ffn_up"), hidden, width)?,
                down: file.matrix(&name("ffn_down"), width, hidden)?,
            });
        }
        let output = if file.has_tensor("output.weight") {
            Some(file.matrix("output.weight", vocabulary, width)?)
        } else {
            None
        };
        Ok(Self {
            embeddings: file.matrix("token_embd.weight", vocabulary, width)?,
            norm: file.vector("output_norm.weight", width)?,
            shape,
            layers,
            output,
            positions,
            threads,
        })
    }

    /// Returns a memory with room for this many tokens. Room is taken as it is filled.
    pub(crate) fn memory(&self, tokens_max: usize) -> Memory {
        let room = tokens_max.saturating_mul(self.shape.head_width);
        let head = || (Vec::with_capacity(room), Vec::with_capacity(room));
        let layer = || LayerMemory {
            heads: (0..self.shape.memory_heads).map(|_| head()).collect(),
        };
        Memory {
            layers: self.layers.iter().map(|_| layer()).collect(),
            tokens: 0,
        }
    }

    /// Reads more tokens, and returns the state after the last of them, for [`Llama::logits`].
    pub(crate) fn read(&self, tokens: &[u32], memory: &mut Memory) -> Vec<f32> {
        let Shape {
            width,
            heads,
            head_width,
            ..
        } = self.shape;
        let mut state = vec![0.0; tokens.len() * width];
        for (row, &token) in state.chunks_exact_mut(width).zip(tokens) {
            self.embeddings.read_row(token as usize, row);
        }
        let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let known = memory.tokens;
        memory.tokens = known.saturating_add(count);
        let turns = self.positions.at(known..memory.tokens);
        for (layer, memory) in self.layers.iter().zip(&mut memory.layers) {
            let input = self.normed(&state, &layer.attention_norm);
            let mut queries = layer.query.multiply(&input, self.threads);
            let mut keys = layer.key.multiply(&input, self.threads);
            let values = layer.value.multiply(&input, self.threads);
            self.positions.turn(&mut queries, &turns);
            self.positions.turn(&mut keys, &turns);
            memory.push(&keys, &values, head_width);
            let seen = self.attend(&queries, memory);
            let seen = Rows::new(&seen, heads * head_width);
            let mixed = layer.attention_output.multiply(&seen, self.threads);
            add(&mut state, &mixed);

            let input = self.normed(&state, &layer.feed_norm);
            let mut gated = layer.gate.multiply(&input, self.threads);
            let up = layer.up.multiply(&input, self.threads);
            for (gate, up) in gated.iter_mut().zip(up) {
                *gate *= up / (1.0 + (-*gate).exp());
            }
            let gated = Rows::new(&gated, layer.gate.rows());
            add(&mut state, &layer.down.multiply(&gated, self.threads));
        }
        state.split_off(state.len().saturating_sub(width))
    }

    /// Returns how likely each token is to come next, as logits.
    pub(crate) fn logits(&self, state: &[f32]) -> Vec<f32> {
        let output = self.output.as_ref().unwrap_or(&self.embeddings);
        output.multiply(&self.normed(state, &self.norm), self.threads)
    }

    fn normed(&self, state: &[f32], weights: &[f32]) -> Rows {
        let mut out = vec![0.0; state.len()];
        let width = self.shape.width;
        for (out, row) in out.chunks_exact_mut(width).zip(state.chunks_exact(width)) {
            let scale = (dot(row, row) / length(width) + self.shape.epsilon)
                .sqrt()
                .recip();
            for ((out, value), weight) in out.iter_mut().zip(row).zip(weights) {
                *out = value * scale * weight;
            }
        }
        Rows::new(&out, width)
    }

    /// For each head of each token, the mean of all values up to it, weighted by how well their
    /// keys fit the query.
    fn attend(&self, queries: &[f32], seen_so_far: &LayerMemory) -> Vec<f32> {
        let Shape {
            heads,
            memory_heads,
            head_width,
            ..
        } = self.shape;
        let tokens = queries.len() / (heads * head_width);
        let scale = length(head_width).sqrt().recip();
        let mut seen = vec![0.0; queries.len()];
        self.threads.fill(&mut seen, head_width, |index, seen| {
            let (token, head) = (index / heads, index % heads);
            let query = &queries[index * head_width..][..head_width];
            let Some((keys, values)) = seen_so_far.heads.get(head * memory_heads / heads) else {
                return;
            };
            let visible = keys.len() / head_width - tokens + token + 1;
            let keys = keys.chunks_exact(head_width).take(visible);
            let mut weights: Vec<f32> = keys.map(|key| dot(query, key) * scale).collect();
            softmax(&mut weights);
            mix(&weights, values, seen);
        });
        seen
    }
}

impl Shape {
    fn read(file: &ModelFile) -> Result<Self, LoadError> {
        let width = file.size("llama.embedding_length")?;
        let heads = file.size("llama.attention.head_count")?;
        let memory_heads = file.size("llama.attention.head_count_kv").unwrap_or(heads);
        let head_width = match file.size("llama.attention.key_length") {
            Ok(width) => width,
            Err(_) => width.checked_div(heads).unwrap_or(0),
        };
        let is_sane = (1..=1 << 16).contains(&width)
            && (1..=1 << 10).contains(&heads)
            && (1..=1 << 10).contains(&head_width)
            && head_width.is_multiple_of(STEP_COLUMNS)
            && memory_heads > 0
            && heads.is_multiple_of(memory_heads);
        if !is_sane {
            return Err(LoadError("its sizes do not fit together".to_owned()));
        }
        Ok(Self {
            width,
            heads,
            memory_heads,
            head_width,
            epsilon: file.real("llama.attention.layer_norm_rms_epsilon")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetched::model_path;

    fn model(threads: Threads) -> Llama {
        let mut file = ModelFile::open(&model_path()).unwrap();
        Llama::load(&mut file, 49_152, threads).unwrap()
    }

    /// `What is the capital of France?`, as `SmolLM2` is asked it.
    const PROMPT: [u32; 37] = [
        1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411,
        407, 19712, 8182, 2, 198, 1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1,
        520, 9531, 198,
    ];

    fn logits(model: &Llama, step: usize) -> Vec<f32> {
        let mut memory = model.memory(PROMPT.len());
        let mut state = Vec::new();
        for tokens in PROMPT.chunks(step) {
            state = model.read(tokens, &mut memory);
        }
        model.logits(&state)
    }

    #[test]
    fn what_comes_next_is_what_an_independent_computation_says() {
        // From the same file, in Python with 64-bit numbers, written from the paper.
        let expected = [
            (504, 25.325),
            (60, 25.243),
            (15_319, 24.942),
            (2_219, 24.402),
            (7_026, 24.315),
            (14_925, 24.134),
        ];
        let model = model(Threads::One);
        for step in [PROMPT.len(), 7, 1] {
            let logits = logits(&model, step);
            for (token, expected) in expected {
                let logit = logits[token];
                // 8 bits per weight are worth about 0.3; a mistake, several.
                assert!(
                    (logit - expected).abs() < 0.5,
                    "{token} in steps of {step}: {logit}"
                );
            }
        }
    }

    #[test]
    fn more_threads_say_the_same() {
        assert_eq!(
            logits(&model(Threads::One), 16),
            logits(&model(Threads::Pool), 16)
        );
    }
}
