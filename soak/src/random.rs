//! Repeatable random numbers: SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators").

use std::time::Duration;

/// A seeded stream of numbers.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The stream called `what` of this seed: what one part of the soak draws changes nothing for another.
    pub(super) fn new(seed: u64, what: &str) -> Self {
        let mut dice = Self(seed);
        for byte in what.bytes() {
            dice.0 = dice.next().wrapping_add(u64::from(byte));
        }
        dice
    }

    /// 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 when that is 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        match limit {
            0 => 0,
            limit => self.next() % limit,
        }
    }

    /// An index into something of this length.
    pub(super) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// True in this percentage of calls.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// A time between two numbers of milliseconds.
    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from)))
    }

    /// One of these, chosen by weight.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> Option<T> {
        let all = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.below(all);
        choices.iter().find_map(|(weight, choice)| {
            if drawn < *weight {
                return Some(*choice);
            }
            drawn -= weight;
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_each_stream_its_own() {
        let draw = |seed, what| {
            let mut dice = Dice::new(seed, what);
            (0..5).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "proxy"), draw(7, "proxy"));
        assert_ne!(draw(7, "proxy"), draw(7, "agent"));
        assert_ne!(draw(7, "proxy"), draw(8, "proxy"));
    }

    #[test]
    fn what_has_no_weight_is_never_drawn() {
        let mut dice = Dice::new(1, "");
        assert!((0..200).all(|_| dice.weighted(&[(0, 'a'), (3, 'b'), (1, 'c')]) != Some('a')));
        assert_eq!(dice.weighted::<u8>(&[]), None);
    }
}
