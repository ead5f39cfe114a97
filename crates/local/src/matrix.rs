//! Matrices of 8-bit blocks, and the threads that multiply them.

use candle_core::quantized::GgmlType;
use candle_core::quantized::k_quants::BlockQ8_0;
use rayon::prelude::*;

use crate::numbers::{LANES, Lanes, sum_of};

/// Numbers that share a scale.
const BLOCK: usize = BlockQ8_0::BLCK_SIZE;
/// Rows that one task multiplies: enough to be worth handing to another thread.
const TASK_ROWS: usize = 48;
/// Rows and tokens that are multiplied with each other at once: 12 sums, of 16 registers.
const STEP_ROWS: usize = 3;
const STEP_TOKENS: usize = 4;

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
/// Whatever a file holds is brought to this form: of those that candle has a quick kernel for it
/// is the one that keeps what the others still know.
#[derive(Debug)]
pub(crate) struct Matrix {
    blocks: Vec<BlockQ8_0>,
    columns: usize,
}

/// What a matrix is multiplied with: one row per token.
#[derive(Debug)]
pub(crate) enum Rows {
    /// One token is brought to the form of the weights: the time goes into fetching them.
    One(Vec<BlockQ8_0>),
    /// With many, the time goes into computing: the weights are brought to their form, once for
    /// all of them.
    Many {
        steps: Vec<[Lanes; STEP_TOKENS]>,
        count: usize,
    },
}

impl Rows {
    /// Takes rows of this length, which is a multiple of 32.
    pub(crate) fn new(values: &[f32], columns: usize) -> Self {
        if values.len() == columns {
            return Self::One(quantized(values));
        }
        Self::Many {
            steps: interleaved(values, columns),
            count: values.len() / columns,
        }
    }
}

fn quantized(values: &[f32]) -> Vec<BlockQ8_0> {
    let mut blocks = vec![BlockQ8_0::zeros(); values.len() / BLOCK];
    BlockQ8_0::from_float(values, &mut blocks);
    blocks
}

impl Matrix {
    /// Returns a matrix without rows, or none if this number of columns cannot be had.
    pub(crate) fn with_columns(columns: usize) -> Option<Self> {
        let fits = columns > 0 && columns.is_multiple_of(BLOCK);
        fits.then(|| Self {
            blocks: Vec::new(),
            columns,
        })
    }

    pub(crate) fn push_rows(&mut self, values: &[f32]) {
        self.blocks.append(&mut quantized(values));
    }

    fn row_blocks(&self) -> usize {
        self.columns / BLOCK
    }

    pub(crate) fn rows(&self) -> usize {
        self.blocks.len() / self.row_blocks()
    }

    /// Reads a row. One that does not exist is left as it is.
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        if let Some(blocks) = self.blocks.chunks_exact(self.row_blocks()).nth(row) {
            BlockQ8_0::to_float(blocks, out);
        }
    }

    /// Multiplies: one row per token in, one row per token out.
    pub(crate) fn multiply(&self, input: &Rows, threads: Threads) -> Vec<f32> {
        match input {
            Rows::One(token) => self.multiply_one(token, threads),
            Rows::Many { steps, count } => self.multiply_many(steps, *count, threads),
        }
    }

    fn multiply_one(&self, token: &[BlockQ8_0], threads: Threads) -> Vec<f32> {
        let mut out = vec![0.0; self.rows()];
        threads.fill(&mut out, TASK_ROWS, |task, out| {
            let rows = self.blocks.chunks_exact(self.row_blocks());
            for (value, row) in out.iter_mut().zip(rows.skip(task * TASK_ROWS)) {
                *value = BlockQ8_0::vec_dot(self.columns, row, token);
            }
        });
        out
    }

    fn multiply_many(
        &self,
        tokens: &[[Lanes; STEP_TOKENS]],
        count: usize,
        threads: Threads,
    ) -> Vec<f32> {
        let mut by_row = vec![0.0; self.rows() * count];
        threads.fill(&mut by_row, TASK_ROWS * count, |task, out| {
            let first = task * TASK_ROWS * self.row_blocks();
            let mut weights = vec![0.0; out.len() / count * self.columns];
            BlockQ8_0::to_float(&self.blocks[first..], &mut weights);
            let rows = interleaved(&weights, self.columns);
            let length = self.columns / LANES;
            let out = out.chunks_mut(STEP_ROWS * count);
            for (rows, out) in rows.chunks_exact(length).zip(out) {
                for (index, tokens) in tokens.chunks_exact(length).enumerate() {
                    let first = index * STEP_TOKENS;
                    for (out, sums) in out.chunks_exact_mut(count).zip(products(rows, tokens)) {
                        for (out, sum) in out[first..].iter_mut().zip(sums) {
                            *out = sum;
                        }
                    }
                }
            }
        });
        transposed(&by_row, count)
    }
}

/// Lays rows out such that those that are multiplied at once are next to each other: of each the
/// first eight numbers, of each the next eight, and so on. Rows that are missing are zero.
fn interleaved<const N: usize>(values: &[f32], columns: usize) -> Vec<[Lanes; N]> {
    let length = columns / LANES;
    let count = values.len() / columns;
    let mut out = vec![[[0.0; LANES]; N]; count.div_ceil(N) * length];
    for (rows, out) in values.chunks(columns * N).zip(out.chunks_exact_mut(length)) {
        for (index, row) in rows.chunks_exact(columns).enumerate() {
            for (lanes, out) in row.as_chunks::<LANES>().0.iter().zip(&mut *out) {
                out[index] = *lanes;
            }
        }
    }
    out
}

/// The product of each of the rows with each of the tokens. The sums stay in registers, and the
/// compiler makes one vector instruction of the innermost loop; as part of a larger function it
/// has been seen not to, and to take ten times as long.
#[inline(never)]
fn products(
    rows: &[[Lanes; STEP_ROWS]],
    tokens: &[[Lanes; STEP_TOKENS]],
) -> [[f32; STEP_TOKENS]; STEP_ROWS] {
    let mut sums = [[[0.0f32; LANES]; STEP_TOKENS]; STEP_ROWS];
    for (rows, tokens) in rows.iter().zip(tokens) {
        for (row, sums) in rows.iter().zip(&mut sums) {
            for (token, sum) in tokens.iter().zip(sums) {
                for ((sum, left), right) in sum.iter_mut().zip(row).zip(token) {
                    *sum = sum_of(*left, *right, *sum);
                }
            }
        }
    }
    sums.map(|sums| sums.map(|lanes| lanes.iter().sum()))
}

fn transposed(rows: &[f32], columns: usize) -> Vec<f32> {
    let count = rows.len() / columns;
    let mut out = vec![0.0; rows.len()];
    for (index, row) in rows.chunks_exact(columns).enumerate() {
        for (value, out) in row.iter().zip(out.iter_mut().skip(index).step_by(count)) {
            *out = *value;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers that look random, from -1 to 1.
    fn numbers(count: usize, seed: u16) -> Vec<f32> {
        let start = f32::from(seed % 101);
        let next = |last: &f32| Some((last * 1.7 + 13.37) % 101.0);
        std::iter::successors(Some(start), next)
            .take(count)
            .map(|number| number / 50.5 - 1.0)
            .collect()
    }

    fn matrix(values: &[f32], columns: usize) -> Matrix {
        let mut matrix = Matrix::with_columns(columns).unwrap();
        matrix.push_rows(values);
        matrix
    }

    proptest! {
        #[test]
        fn products_are_those_of_the_numbers(
            rows in 1usize..130,
            blocks in 1usize..5,
            tokens in 1usize..9,
            seed: u16,
        ) {
            let columns = blocks * BLOCK;
            let weights = numbers(rows * columns, seed);
            let inputs = numbers(tokens * columns, seed.wrapping_add(7));
            let matrix = matrix(&weights, columns);
            let out = matrix.multiply(&Rows::new(&inputs, columns), Threads::One);
            let in_pool = matrix.multiply(&Rows::new(&inputs, columns), Threads::Pool);
            prop_assert_eq!(&out, &in_pool);
            prop_assert_eq!(out.len(), rows * tokens);
            for (token, out) in inputs.chunks(columns).zip(out.chunks(rows)) {
                for (row, out) in weights.chunks(columns).zip(out) {
                    let exact: f32 = row.iter().zip(token).map(|(left, right)| left * right).sum();
                    // 8 bits leave an error of up to 1/254 per factor.
                    let most = 0.01 * f32::from(u16::try_from(columns).unwrap());
                    prop_assert!((exact - out).abs() < most, "{} for {}", out, exact);
                }
            }
        }
    }

    #[test]
    fn a_row_reads_as_it_was_written() {
        let values = numbers(3 * BLOCK, 5);
        let matrix = matrix(&values, BLOCK);
        let mut row = vec![0.0; BLOCK];
        matrix.read_row(1, &mut row);
        let close = |(read, written): (&f32, &f32)| (read - written).abs() < 0.01;
        assert!(row.iter().zip(&values[BLOCK..]).all(close));
    }

    #[test]
    fn rows_that_are_not_whole_blocks_cannot_be_had() {
        for columns in [0, 1, BLOCK + 1] {
            assert!(Matrix::with_columns(columns).is_none());
        }
    }
}
