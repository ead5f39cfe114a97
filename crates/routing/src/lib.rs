//! From the targets of a model to the order in which they are tried.
//!
//! Pure and seeded: the same candidates and seed give the same plan. It must not know I/O or clocks;
//! whether a target is available comes in as a fact.
//!
//! # Embedding
//!
//! ```
//! use tollgate_routing::{Candidate, plan};
//!
//! let main = Candidate { index: 0, weight: 1, order: 0, is_available: true };
//! let spare = Candidate { index: 1, weight: 1, order: 1, is_available: true };
//! assert_eq!(plan(&[spare, main], 42), [0, 1]);
//! assert_eq!(plan(&[spare, Candidate { is_available: false, ..main }], 42), [1, 0]);
//! ```

/// A target that may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The target's place in the caller's list.
    pub index: usize,
    /// Its share among targets of the same order; 0 comes last among them.
    pub weight: u32,
    /// Lower ones come first.
    pub order: u32,
    /// Whether it takes calls as far as is known; those that do not come last of all.
    pub is_available: bool,
}

/// Returns the indexes of all candidates in the order in which to try them: the available ones first,
/// lower orders first, and within an order drawn at random by weight, without replacement.
#[must_use]
pub fn plan(candidates: &[Candidate], seed: u64) -> Vec<usize> {
    if let [only] = candidates {
        return vec![only.index];
    }
    let mut left: Vec<Candidate> = candidates.to_vec();
    left.sort_by_key(|one| (!one.is_available, one.order));
    let mut random = SplitMix(seed);
    let mut planned = Vec::with_capacity(left.len());
    for group in left.chunk_by_mut(|a, b| (a.is_available, a.order) == (b.is_available, b.order)) {
        let mut rest = group;
        while let Some(at) = draw(rest, &mut random) {
            rest.swap(0, at);
            let Some((first, others)) = rest.split_first_mut() else {
                break;
            };
            planned.push(first.index);
            rest = others;
        }
    }
    planned
}

/// Draws a place by weight; `None` when nothing is left.
fn draw(candidates: &[Candidate], random: &mut SplitMix) -> Option<usize> {
    let total: u64 = candidates.iter().map(|one| u64::from(one.weight)).sum();
    if total == 0 {
        return (!candidates.is_empty()).then_some(0);
    }
    let mut ticket = random.below(total);
    candidates.iter().position(|one| {
        let weight = u64::from(one.weight);
        let hit = ticket < weight;
        ticket = ticket.saturating_sub(weight);
        hit
    })
}

/// `SplitMix64` (<https://prng.di.unimi.it/splitmix64.c>): small, fast, and good enough to share load.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the bias of the multiplication is below 2^-32 for weights of 32 bits.
    fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0..5_u32, 0..3_u32, any::<bool>());
        prop::collection::vec(one, 0..12).prop_map(|list| {
            let number = list.into_iter().enumerate();
            number
                .map(|(index, (weight, order, is_available))| Candidate {
                    index,
                    weight,
                    order,
                    is_available,
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn every_candidate_is_there_once_and_in_order(list in candidates(), seed in any::<u64>()) {
            let planned = plan(&list, seed);
            let mut sorted = planned.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..list.len()).collect::<Vec<_>>());
            let ranks: Vec<_> =
                planned.iter().map(|at| (!list[*at].is_available, list[*at].order)).collect();
            prop_assert!(ranks.is_sorted());
            prop_assert_eq!(plan(&list, seed), planned);
        }
    }

    fn with_weights(weights: &[u32]) -> Vec<Candidate> {
        let candidate = |(index, &weight)| Candidate {
            index,
            weight,
            order: 0,
            is_available: true,
        };
        weights.iter().enumerate().map(candidate).collect()
    }

    /// Of 10,000 plans, how many begin like this. A share of half has a standard deviation of 50.
    fn check_share(weights: &[u32], beginning: &[usize], expected: usize) {
        let list = with_weights(weights);
        let found = (0..10_000)
            .filter(|seed| plan(&list, *seed).starts_with(beginning))
            .count();
        assert!(
            found.abs_diff(expected) < 150,
            "{weights:?} {beginning:?}: {found}"
        );
    }

    #[test]
    fn weights_are_shares_of_the_first_place_and_of_those_that_follow() {
        check_share(&[1, 3], &[1], 7_500);
        check_share(&[1, 2, 7], &[0], 1_000);
        check_share(&[1, 2, 7], &[2], 7_000);
        check_share(&[1, 2, 7], &[2, 0], 2_333);
        check_share(&[1, 2, 7], &[0, 1], 222);
        check_share(&[u32::MAX, u32::MAX, u32::MAX], &[1], 3_333);
    }

    #[test]
    fn a_weight_of_nothing_comes_last() {
        for seed in 0..100 {
            assert_eq!(plan(&with_weights(&[0, 1, 0]), seed)[0], 1);
        }
    }

    #[test]
    fn nothing_gives_an_empty_plan() {
        assert!(plan(&[], 1).is_empty());
    }
}
