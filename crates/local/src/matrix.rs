//! Matrices of 8-bit blocks, and the threads that multiply them.

use candle_core::quantized::GgmlType;
use candle_core::quantized::k_quants::BlockQ8_0;
use rayon::prelude::*;

/// Rows that one task multiplies: enough to be worth handing to another thread.
const TASK_ROWS: usize = 32;

/// Who computes: the calling thread, or the rayon pool that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    One,
    Pool,
}

impl Threads {
    /// Fills `out` chunk by chunk. The last chunk may be shorter.
    pub(crate) fn fill(
        self,
        out: &mut [f32],
        chunk: usize,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        match self {
            Self::One => {
                for (index, part) in out.chunks_mut(chunk).enumerate() {
                    fill(index, part);
                }
            }
            Self::Pool => out
                .par_chunks_mut(chunk)
                .enumerate()
                .for_each(|(index, part)| fill(index, part)),
        }
    }
}

/// The weights of a layer, 8 bits each with a scale for every 32.
///
/// Whatever a file holds is brought to this form: of all formats it has the quickest kernel for
/// one token and for many, and it keeps what coarser formats still know.
#[derive(Debug)]
pub(crate) struct Matrix {
    blocks: Vec<BlockQ8_0>,
    columns: usize,
}

/// What a matrix is multiplied with: one row per token.
#[derive(Debug)]
pub(crate) struct Rows {
    blocks: Vec<BlockQ8_0>,
    blocks_per_row: usize,
}

impl Rows {
    /// Brings rows to the form of the weights. `columns` is a multiple of 32.
    pub(crate) fn new(values: &[f32], columns: usize) -> Self {
        Self {
            blocks: quantized(values),
            blocks_per_row: columns / BlockQ8_0::BLCK_SIZE,
        }
    }
}

fn quantized(values: &[f32]) -> Vec<BlockQ8_0> {
    let mut blocks = vec![BlockQ8_0::zeros(); values.len() / BlockQ8_0::BLCK_SIZE];
    BlockQ8_0::from_float(values, &mut blocks);
    blocks
}

impl Matrix {
    /// Returns a matrix without rows, or none if this number of columns cannot be had.
    pub(crate) fn with_columns(columns: usize) -> Option<Self> {
        let fits = columns > 0 && columns.is_multiple_of(BlockQ8_0::BLCK_SIZE);
        fits.then(|| Self {
            blocks: Vec::new(),
            columns,
        })
    }

    pub(crate) fn push_rows(&mut self, values: &[f32]) {
        self.blocks.append(&mut quantized(values));
    }

    fn blocks_per_row(&self) -> usize {
        self.columns / BlockQ8_0::BLCK_SIZE
    }

    pub(crate) fn rows(&self) -> usize {
        self.blocks.len() / self.blocks_per_row()
    }

    /// Reads a row. One that does not exist reads as the last.
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        let start = row.min(self.rows().saturating_sub(1)) * self.blocks_per_row();
        if let Some(blocks) = self.blocks.get(start..start + self.blocks_per_row()) {
            BlockQ8_0::to_float(blocks, out);
        }
    }

    /// Multiplies: one row per token in, one row per token out.
    pub(crate) fn multiply(&self, input: &Rows, threads: Threads) -> Vec<f32> {
        let tokens = input.blocks.len() / input.blocks_per_row;
        let rows = self.rows();
        let blocks_per_row = self.blocks_per_row();
        // Row by row, so that each weight is read once for all tokens.
        let mut by_row = vec![0.0; rows * tokens];
        threads.fill(&mut by_row, TASK_ROWS * tokens, |task, out| {
            let weights = self
                .blocks
                .chunks_exact(blocks_per_row)
                .skip(task * TASK_ROWS);
            for (weights, out) in weights.zip(out.chunks_exact_mut(tokens)) {
                for (value, token) in out
                    .iter_mut()
                    .zip(input.blocks.chunks_exact(blocks_per_row))
                {
                    *value = BlockQ8_0::vec_dot(self.columns, weights, token);
                }
            }
        });
        if tokens == 1 {
            return by_row;
        }
        let mut by_token = vec![0.0; rows * tokens];
        for (row, values) in by_row.chunks_exact(tokens).enumerate() {
            for (token, value) in values.iter().enumerate() {
                by_token[token * rows + row] = *value;
            }
        }
        by_token
    }
}
