//! Picks the next token from what the model thinks of each.

use std::collections::HashMap;

use crate::chat::Sampling;

/// Picks tokens. With a temperature of 0, or with a seed, it always picks the same.
#[derive(Debug)]
pub(crate) struct Sampler {
    settings: Sampling,
    seen: HashMap<u32, u16>,
    random: SplitMix64,
}

impl Sampler {
    /// `entropy` is used when the request has no seed.
    pub(crate) fn new(settings: Sampling, entropy: u64) -> Self {
        let seed = settings.seed.map_or(entropy, i64::cast_unsigned);
        Self {
            settings,
            seen: HashMap::new(),
            random: SplitMix64(seed),
        }
    }

    /// Picks a token. `logits` has one entry per token, and is used up.
    pub(crate) fn pick(&mut self, logits: &mut [f32]) -> u32 {
        self.penalise(logits);
        let token = if self.settings.temperature > 0.0 {
            self.draw(logits)
        } else {
            likeliest(logits)
        };
        let times = self.seen.entry(token).or_default();
        *times = times.saturating_add(1);
        token
    }

    /// Lowers what was said already, by OpenAI's formula
    /// (<https://platform.openai.com/docs/guides/text-generation#frequency-and-presence-penalties>).
    fn penalise(&self, logits: &mut [f32]) {
        let Sampling {
            frequency_penalty,
            presence_penalty,
            ..
        } = self.settings;
        for (&token, &times) in &self.seen {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit -= frequency_penalty.mul_add(f32::from(times), presence_penalty);
            }
        }
    }

    fn draw(&mut self, logits: &mut [f32]) -> u32 {
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for logit in logits.iter_mut() {
            *logit = ((*logit - top) / self.settings.temperature).exp();
            sum += f64::from(*logit);
        }
        let point = self.random.next_unit();
        if self.settings.top_p >= 1.0 {
            let all = (0u32..).zip(logits.iter().map(|&weight| f64::from(weight)));
            return at(point * sum, all);
        }
        let nucleus = nucleus(logits, sum, f64::from(self.settings.top_p));
        let sum: f64 = nucleus.iter().map(|(_, weight)| weight).sum();
        at(point * sum, nucleus.into_iter())
    }
}

/// Returns the likeliest tokens that together have this share of the sum.
fn nucleus(weights: &[f32], sum: f64, share: f64) -> Vec<(u32, f64)> {
    // Even all together, tokens below this are less than what is left out: no need to sort them.
    let count = u32::try_from(weights.len()).unwrap_or(u32::MAX);
    let floor = (1.0 - share) * sum / f64::from(count.max(1));
    let mut nucleus: Vec<(u32, f64)> = (0u32..)
        .zip(weights.iter().map(|&weight| f64::from(weight)))
        .filter(|&(_, weight)| weight >= floor)
        .collect();
    nucleus.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut reached = 0.0;
    let is_last = |&(_, weight): &(u32, f64)| {
        reached += weight;
        reached >= share * sum
    };
    if let Some(last) = nucleus.iter().position(is_last) {
        nucleus.truncate(last + 1);
    }
    nucleus
}

/// Returns the token that lies at a point, when the tokens are laid end to end by weight.
fn at(mut point: f64, tokens: impl Iterator<Item = (u32, f64)>) -> u32 {
    let mut last = 0;
    for (token, weight) in tokens {
        if weight > 0.0 {
            last = token;
            point -= weight;
        }
        if point < 0.0 {
            break;
        }
    }
    last
}

fn likeliest(logits: &[f32]) -> u32 {
    let mut best = (f32::NEG_INFINITY, 0);
    for (token, &logit) in (0u32..).zip(logits) {
        if logit > best.0 {
            best = (logit, token);
        }
    }
    best.1
}

/// Sebastiano Vigna's generator (<https://prng.di.unimi.it/splitmix64.c>): small, and the same
/// on every machine.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number of at least 0 and less than 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    fn next_unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Sampling {
        Sampling {
            temperature: 1.0,
            top_p: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            seed: Some(7),
        }
    }

    /// Picks often, and returns how often each token was picked.
    fn counts(settings: Sampling, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(settings, 0);
        let mut counts = vec![0; logits.len()];
        for _ in 0..4_000 {
            counts[sampler.pick(&mut logits.to_vec()) as usize] += 1;
        }
        counts
    }

    #[test]
    fn temperature_0_always_picks_the_likeliest() {
        let cold = Sampling {
            temperature: 0.0,
            ..settings()
        };
        assert_eq!(counts(cold, &[1.0, 3.0, 2.0]), [0, 4_000, 0]);
    }

    #[test]
    fn tokens_are_picked_as_often_as_they_are_likely() {
        let logits = [0.1f32, 0.3, 0.6].map(f32::ln);
        let counts = counts(settings(), &logits);
        for (count, expected) in counts.into_iter().zip([400u32, 1_200, 2_400]) {
            assert!(count.abs_diff(expected) < 150, "{count} for {expected}");
        }
    }

    #[test]
    fn a_low_temperature_prefers_the_likeliest() {
        let cool = Sampling {
            temperature: 0.25,
            ..settings()
        };
        assert!(counts(cool, &[0.0, 1.0])[1] > 3_850);
    }

    #[test]
    fn only_the_nucleus_is_sampled_from() {
        let logits = [0.1f32, 0.3, 0.6].map(f32::ln);
        let nucleus = |top_p| {
            let counts = counts(
                Sampling {
                    top_p,
                    ..settings()
                },
                &logits,
            );
            counts.iter().map(|&count| count > 0).collect::<Vec<_>>()
        };
        assert_eq!(nucleus(0.0), [false, false, true]);
        assert_eq!(nucleus(0.5), [false, false, true]);
        assert_eq!(nucleus(0.8), [false, true, true]);
        assert_eq!(nucleus(0.95), [true, true, true]);
    }

    #[test]
    fn a_seed_repeats_itself_and_another_seed_does_not() {
        let picks = |seed| {
            let mut sampler = Sampler::new(Sampling { seed, ..settings() }, 5);
            (0..32)
                .map(|_| sampler.pick(&mut [0.0; 16]))
                .collect::<Vec<_>>()
        };
        assert_eq!(picks(Some(1)), picks(Some(1)));
        assert_eq!(picks(Some(5)), picks(None));
        assert_ne!(picks(Some(1)), picks(Some(2)));
    }

    #[test]
    fn penalties_lower_what_was_said_before() {
        let mut sampler = Sampler::new(
            Sampling {
                temperature: 0.0,
                frequency_penalty: 1.0,
                presence_penalty: 0.5,
                ..settings()
            },
            0,
        );
        let picks: Vec<u32> = (0..4).map(|_| sampler.pick(&mut [2.0, 1.1])).collect();
        assert_eq!(picks, [0, 1, 0, 1]);
    }

    #[test]
    fn a_model_gone_wrong_does_not_panic() {
        for logits in [
            vec![f32::NAN; 3],
            vec![f32::INFINITY; 3],
            vec![f32::NEG_INFINITY; 3],
            vec![],
        ] {
            for temperature in [0.0, 1.0] {
                Sampler::new(
                    Sampling {
                        temperature,
                        ..settings()
                    },
                    0,
                )
                .pick(&mut logits.clone());
            }
        }
    }
}
