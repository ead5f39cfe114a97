//! Where a token stands: each pair of numbers of a head is turned by its position
//! (<https://arxiv.org/abs/2104.09864>).

use std::ops::Range;

use crate::model_file::{LoadError, ModelFile};
use crate::numbers::{length, narrow};

/// How positions are told.
#[derive(Debug)]
pub(crate) struct Positions {
    head_width: usize,
    /// How far each pair of a head turns from one token to the next, in radians.
    turns: Vec<f64>,
}

/// The turns of some tokens in a row: cosine and sine of each pair.
#[derive(Debug)]
pub(crate) struct Turns(Vec<(f32, f32)>);

impl Positions {
    pub(crate) fn load(file: &mut ModelFile, head_width: usize) -> Result<Self, LoadError> {
        let turning = file
            .size("llama.rope.dimension_count")
            .unwrap_or(head_width);
        if turning == 0 || turning > head_width || !turning.is_multiple_of(2) {
            return Err(LoadError("its heads cannot be turned".to_owned()));
        }
        let scaling = file.text("llama.rope.scaling.type");
        if scaling.is_ok_and(|scaling| scaling != "none") {
            let reason = "its way of scaling positions is not supported";
            return Err(LoadError(reason.to_owned()));
        }
        let base = f64::from(file.real("llama.rope.freq_base").unwrap_or(10_000.0));
        let factors = if file.has_tensor("rope_freqs.weight") {
            file.vector("rope_freqs.weight", turning / 2)?
        } else {
            vec![1.0; turning / 2]
        };
        let exponents = (0u32..).map(|pair| f64::from(2 * pair) / f64::from(length(turning)));
        let turns = exponents
            .zip(factors)
            .map(|(exponent, factor)| base.powf(-exponent) / f64::from(factor))
            .collect();
        Ok(Self { head_width, turns })
    }

    /// Returns the turns of the tokens at these positions.
    pub(crate) fn at(&self, positions: Range<u32>) -> Turns {
        let angles = positions.flat_map(|position| {
            self.turns
                .iter()
                .map(move |turn| turn * f64::from(position))
        });
        Turns(
            angles
                .map(|angle| (narrow(angle.cos()), narrow(angle.sin())))
                .collect(),
        )
    }

    /// Turns all heads of each token; there is one row per token.
    pub(crate) fn turn(&self, rows: &mut [f32], turns: &Turns) {
        let positions = turns.0.chunks_exact(self.turns.len());
        let row_width = (rows.len() / positions.len().max(1)).max(1);
        for (row, turns) in rows.chunks_exact_mut(row_width).zip(positions) {
            for head in row.chunks_exact_mut(self.head_width) {
                let (pairs, _) = head.as_chunks_mut::<2>();
                for (pair, (cos, sin)) in pairs.iter_mut().zip(turns) {
                    let [x, y] = *pair;
                    *pair = [x * cos - y * sin, x * sin + y * cos];
                }
            }
        }
    }
}
