//! Chance that can be had again: SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators").

/// A seeded stream of numbers.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when that is 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }

    /// A number from 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True so often of a hundred times.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these; the first is the most frequent, the next half as frequent, the third a third (Zipf).
    pub(super) fn zipf<'c, T>(&mut self, choices: &'c [T]) -> Option<&'c T> {
        choices.get(self.zipf_below(choices.len()))
    }

    /// A number below `limit`, 0 the most frequent: the inverse of the harmonic sum, near enough.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank below some thousands, never negative"
    )]
    pub(super) fn zipf_below(&mut self, limit: usize) -> usize {
        let rank = (limit as f64 + 1.0).powf(self.fraction()) - 1.0;
        (rank as usize).min(limit.saturating_sub(1))
    }

    /// How many events fall into a time in which `mean` are expected: whole ones, and one more by chance.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of lines per second, never negative"
    )]
    pub(super) fn count(&mut self, mean: f64) -> u32 {
        let spread = mean * (0.7 + 0.6 * self.fraction());
        let whole = spread.floor();
        whole as u32 + u32::from(self.fraction() < spread - whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_choices_are_the_most_frequent() {
        let mut chance = Chance::new(1);
        let mut counts = [0_u32; 10];
        for _ in 0..10_000 {
            counts[chance.zipf_below(10)] += 1;
        }
        assert!(counts.is_sorted_by(|one, next| one > next), "{counts:?}");
        assert!(counts[0] > 2_000 && counts[9] > 100, "{counts:?}");
    }

    #[test]
    fn so_many_events_come_as_are_expected() {
        let mut chance = Chance::new(2);
        let events: u32 = (0..10_000).map(|_| chance.count(1.5)).sum();
        assert!((14_000..16_000).contains(&events), "{events}");
    }
}
