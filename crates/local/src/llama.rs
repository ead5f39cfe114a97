//! A llama: the transformer that most small open models are.
//!
//! The equations: <https://arxiv.org/abs/2302.13971>; grouped queries:
//! <https://arxiv.org/abs/2305.13245>. Weights are multiplied by candle's kernels. The rest is
//! here, and not candle's own llama, because that keeps its threads spinning beside those that
//! serve requests, and copies what it remembers of the conversation with every token.

use crate::matrix::{Matrix, Rows, Threads, dot};
use crate::model_file::{LoadError, ModelFile};

/// Columns of a head that are mixed at once; the width of a head is a multiple of it.
const STEP_COLUMNS: usize = 32;

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
    /// How far each pair of a head turns from one token to the next, in radians.
    turns: Vec<f64>,
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
        let turns = turns(file, shape.head_width)?;
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
            turns,
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
            memory_heads,
            head_width,
            ..
        } = self.shape;
        let mut state = vec![0.0; tokens.len() * width];
        for (row, &token) in state.chunks_exact_mut(width).zip(tokens) {
            self.embeddings.read_row(token as usize, row);
        }
        let turned: Vec<(f32, f32)> = (memory.tokens..)
            .zip(tokens)
            .flat_map(|(position, _)| self.turned(position))
            .collect();
        for (layer, memory) in self.layers.iter().zip(&mut memory.layers) {
            let input = self.normed(&state, &layer.attention_norm);
            let mut queries = layer.query.multiply(&input, self.threads);
            let mut keys = layer.key.multiply(&input, self.threads);
            let values = layer.value.multiply(&input, self.threads);
            self.turn(&mut queries, &turned, heads);
            self.turn(&mut keys, &turned, memory_heads);
            memory.push(&keys, &values, head_width);
            let seen = self.attend(&queries, memory);
            let seen = Rows::new(&seen, heads * head_width);
            add(
                &mut state,
                &layer.attention_output.multiply(&seen, self.threads),
            );

            let input = self.normed(&state, &layer.feed_norm);
            let mut gated = layer.gate.multiply(&input, self.threads);
            let up = layer.up.multiply(&input, self.threads);
            for (gate, up) in gated.iter_mut().zip(up) {
                *gate *= up / (1.0 + (-*gate).exp());
            }
            let gated = Rows::new(&gated, layer.gate.rows());
            add(&mut state, &layer.down.multiply(&gated, self.threads));
        }
        memory.tokens = memory
            .tokens
            .saturating_add(u32::try_from(tokens.len()).unwrap_or(u32::MAX));
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

    /// Returns the cosine and sine for each pair of a head at a position.
    fn turned(&self, position: u32) -> impl Iterator<Item = (f32, f32)> {
        self.turns.iter().map(move |turn| {
            let (sin, cos) = (f64::from(position) * turn).sin_cos();
            (narrow(cos), narrow(sin))
        })
    }

    /// Turns each pair of each head by its position (<https://arxiv.org/abs/2104.09864>).
    fn turn(&self, rows: &mut [f32], turned: &[(f32, f32)], heads: usize) {
        let Shape { head_width, .. } = self.shape;
        let positions = turned.chunks_exact(self.turns.len());
        for (row, turned) in rows.chunks_exact_mut(heads * head_width).zip(positions) {
            for head in row.chunks_exact_mut(head_width) {
                for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(turned) {
                    let [x, y] = *pair;
                    *pair = [x * cos - y * sin, x * sin + y * cos];
                }
            }
        }
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

/// Returns how far each pair of a head turns from one token to the next.
fn turns(file: &mut ModelFile, head_width: usize) -> Result<Vec<f64>, LoadError> {
    let turning = file
        .size("llama.rope.dimension_count")
        .unwrap_or(head_width);
    if turning == 0 || turning > head_width || !turning.is_multiple_of(2) {
        return Err(LoadError("its heads cannot be turned".to_owned()));
    }
    if file
        .text("llama.rope.scaling.type")
        .is_ok_and(|kind| kind != "none")
    {
        return Err(LoadError(
            "its way of scaling positions is not supported".to_owned(),
        ));
    }
    let base = f64::from(file.real("llama.rope.freq_base").unwrap_or(10_000.0));
    let factors = if file.has_tensor("rope_freqs.weight") {
        file.vector("rope_freqs.weight", turning / 2)?
    } else {
        vec![1.0; turning / 2]
    };
    let exponents = (0u32..).map(|pair| f64::from(2 * pair) / f64::from(length(turning)));
    Ok(exponents
        .zip(factors)
        .map(|(exponent, factor)| base.powf(-exponent) / f64::from(factor))
        .collect())
}

fn add(state: &mut [f32], more: &[f32]) {
    for (value, more) in state.iter_mut().zip(more) {
        *value += more;
    }
}

/// The sum of rows, each times its weight. Some columns at a time, whose sums stay in registers.
fn mix(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let columns = out.len();
    for (index, out) in out.as_chunks_mut::<STEP_COLUMNS>().0.iter_mut().enumerate() {
        let mut sums = [0.0f32; STEP_COLUMNS];
        let rows = rows.chunks_exact(columns);
        let parts = rows.filter_map(|row| row.as_chunks::<STEP_COLUMNS>().0.get(index));
        for (part, weight) in parts.zip(weights) {
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum = weight.mul_add(*value, *sum);
            }
        }
        *out = sums;
    }
}

fn softmax(values: &mut [f32]) {
    let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = (*value - top).exp();
        sum += *value;
    }
    for value in values {
        *value /= sum;
    }
}

/// A length as a real number; [`Shape`] is bounded such that it is exact.
fn length(length: usize) -> f32 {
    u32::try_from(length).map_or(f32::INFINITY, |length| narrow(f64::from(length)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the precision that is computed with"
)]
fn narrow(number: f64) -> f32 {
    number as f32
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
