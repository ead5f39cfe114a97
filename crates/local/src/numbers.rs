//! Sums over many numbers, in such a form that the compiler makes vector instructions of them.

/// Numbers in a vector register of AVX2.
pub(crate) const LANES: usize = 8;
pub(crate) type Lanes = [f32; LANES];

/// Columns that are mixed at once.
pub(crate) const STEP_COLUMNS: usize = 32;

/// A product and a sum, in one instruction where there is one; where there is none, rounding once
/// as [`f32::mul_add`] promises would take a hundred.
#[inline]
pub(crate) fn sum_of(left: f32, right: f32, sum: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        left.mul_add(right, sum)
    } else {
        left * right + sum
    }
}

/// The sum of products.
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum = sum_of(*left, *right, *sum);
        }
    }
    let rest = left_rest.iter().zip(right_rest);
    sums.iter().sum::<f32>() + rest.map(|(left, right)| left * right).sum::<f32>()
}

/// Adds numbers to others, one by one.
pub(crate) fn add(state: &mut [f32], more: &[f32]) {
    for (value, more) in state.iter_mut().zip(more) {
        *value += more;
    }
}

/// The sum of rows, each times its weight. Some columns at a time, whose sums stay in registers.
pub(crate) fn mix(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let columns = out.len();
    for (index, out) in out.as_chunks_mut::<STEP_COLUMNS>().0.iter_mut().enumerate() {
        let mut sums = [0.0f32; STEP_COLUMNS];
        let rows = rows.chunks_exact(columns);
        let parts = rows.filter_map(|row| row.as_chunks::<STEP_COLUMNS>().0.get(index));
        for (part, weight) in parts.zip(weights) {
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum = sum_of(*weight, *value, *sum);
            }
        }
        *out = sums;
    }
}

/// Makes shares of a whole out of logits.
pub(crate) fn softmax(values: &mut [f32]) {
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

/// A length as a real number; those of a model are small enough to be exact.
pub(crate) fn length(length: usize) -> f32 {
    u32::try_from(length).map_or(f32::INFINITY, |length| narrow(f64::from(length)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the precision that is computed with"
)]
pub(crate) fn narrow(number: f64) -> f32 {
    number as f32
}
