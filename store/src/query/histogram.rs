//! Counts durations so that a percentile can be told within a stated error.
//!
//! Owns the classes that durations fall into. Invariant: a percentile differs from the value of that rank by at most
//! [`RELATIVE_ERROR`]; memory depends on the spread of the values, not on their number.
//!
//! Each power of two is divided into 64 classes of equal width. A class is at most 1/64 of its values wide, and its middle is
//! reported.

/// Values of a power of two fall into so many classes.
const CLASSES: usize = 1 << CLASS_BITS;
const CLASS_BITS: u32 = 6;
/// Groups of classes that `u64` has: those below 64, where each value is a class, and one for each further power of two.
const OCTAVES: usize = 64 - CLASS_BITS as usize + 1;

/// The largest difference between a percentile and the value of that rank, relative to the value: half a class.
pub const RELATIVE_ERROR: f64 = 0.5 / CLASSES as f64;

/// How often values of each class occurred. At most 59 × 256 bytes; durations of nginx take about 3 KB.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// The counters of an octave, once a value falls into it. They saturate.
    octaves: Vec<Option<Box<[u32; CLASSES]>>>,
    values: u64,
}

/// The octave of a value, and the class in it.
fn place(value: u64) -> (usize, usize) {
    let bits = 64 - value.leading_zeros();
    let octave = bits.saturating_sub(CLASS_BITS);
    // From the second octave on, the leading bit says no more than the octave does.
    let class = match octave {
        0 => value,
        octave => (value >> (octave - 1)) & (CLASSES as u64 - 1),
    };
    (octave as usize, usize::try_from(class).unwrap_or(0))
}

/// The middle of a class.
fn middle(octave: usize, class: usize) -> u64 {
    let class = class as u64;
    match octave {
        0 => class,
        octave => {
            let low = (CLASSES as u64 | class) << (octave - 1);
            low + ((1_u64 << (octave - 1)) / 2)
        }
    }
}

impl Histogram {
    /// Counts a value.
    pub fn add(&mut self, value: u64) {
        let (octave, class) = place(value);
        if self.octaves.len() <= octave {
            self.octaves.resize(octave + 1, None);
        }
        let counters = self.octaves[octave].get_or_insert_with(|| Box::new([0; CLASSES]));
        counters[class] = counters[class].saturating_add(1);
        self.values += 1;
    }

    /// Counts what the other one has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.octaves.len() < other.octaves.len() {
            self.octaves.resize(other.octaves.len(), None);
        }
        for (own, other) in self.octaves.iter_mut().zip(&other.octaves) {
            let Some(other) = other else { continue };
            let own = own.get_or_insert_with(|| Box::new([0; CLASSES]));
            for (own, other) in own.iter_mut().zip(&**other) {
                *own = own.saturating_add(*other);
            }
        }
        self.values += other.values;
    }

    /// Values that were counted.
    pub fn values(&self) -> u64 {
        self.values
    }

    /// The value that `percent` percent of all values do not exceed (nearest rank), within [`RELATIVE_ERROR`]; `None` without
    /// values.
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        let rank = (u128::from(self.values) * u128::from(percent)).div_ceil(100);
        let mut left = u64::try_from(rank).ok()?.max(1);
        let mut last = None;
        for (octave, counters) in self.octaves.iter().enumerate() {
            let Some(counters) = counters else { continue };
            for (class, count) in counters.iter().enumerate().filter(|(_, count)| **count > 0) {
                last = Some(middle(octave, class));
                match left.checked_sub(u64::from(*count)) {
                    None | Some(0) => return last,
                    Some(rest) => left = rest,
                }
            }
        }
        last
    }
}

const _: () = assert!(OCTAVES == 59);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn near(found: u64, value: u64) -> bool {
        let apart = i128::from(found) - i128::from(value);
        apart.unsigned_abs() as f64 <= value as f64 * RELATIVE_ERROR
    }

    fn value() -> impl Strategy<Value = u64> {
        (0_u32..64, any::<u64>()).prop_map(|(shift, value)| value >> shift)
    }

    proptest! {
        #[test]
        fn the_middle_of_its_class_is_near_every_value(value in value()) {
            let (octave, class) = place(value);
            prop_assert!(octave < OCTAVES);
            prop_assert!(near(middle(octave, class), value), "{}", value);
        }

        #[test]
        fn a_percentile_is_near_the_value_of_its_rank(
            mut values in proptest::collection::vec(value(), 1..300),
            cut in 0_usize..300,
            percent in 1_u8..=100,
        ) {
            // counted in two parts, as segments are
            let (mut one, mut other) = (Histogram::default(), Histogram::default());
            for (number, value) in values.iter().enumerate() {
                if number < cut { one.add(*value) } else { other.add(*value) }
            }
            one.merge(&other);
            values.sort_unstable();
            let rank = (values.len() * usize::from(percent)).div_ceil(100);
            let exact = values[rank - 1];
            let found = one.percentile(percent).unwrap();
            prop_assert!(near(found, exact), "{} is not {}", found, exact);
            prop_assert_eq!(one.values(), values.len() as u64);
        }
    }

    #[test]
    fn small_values_are_exact_and_no_values_have_no_percentile() {
        assert_eq!(Histogram::default().percentile(50), None);
        let mut histogram = Histogram::default();
        for value in [0, 1, 63, 63] {
            histogram.add(value);
        }
        assert_eq!(histogram.percentile(25), Some(0));
        assert_eq!(histogram.percentile(50), Some(1));
        assert_eq!(histogram.percentile(99), Some(63));
    }
}
