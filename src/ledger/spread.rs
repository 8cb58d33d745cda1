//! How often something was how large: counts between fixed bounds, and their exact sum.

/// The bounds of a [`Spread`], and what its numbers are.
#[derive(Debug, Eq, PartialEq)]
pub struct Scale {
    /// Upper bounds, each included, ascending.
    pub bounds: &'static [u64],
    /// How many of the numbers make one of the unit that is shown: 1000 for milliseconds that are shown as seconds.
    pub divisor: u64,
}

impl Scale {
    /// A number in the unit that is shown.
    pub fn shown(&self, number: u64) -> f64 {
        number as f64 / self.divisor as f64
    }
}

/// Tokens, with the bounds that the GenAI conventions ask for.
pub static TOKENS: Scale = Scale {
    bounds: &[1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864],
    divisor: 1,
};

/// Durations in milliseconds, with the bounds that the GenAI conventions ask for.
pub static DURATIONS: Scale =
    Scale { bounds: &[10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240, 20_480, 40_960, 81_920], divisor: 1000 };

/// Times to a first piece in milliseconds, with the bounds that the GenAI conventions ask for.
pub static FIRST_PIECES: Scale =
    Scale { bounds: &[1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000], divisor: 1000 };

/// Counts between the bounds of one [`Scale`], which whoever holds it knows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Spread {
    counts: [u64; MOST_BOUNDS + 1],
    /// All numbers together.
    pub sum: u64,
}

impl Spread {
    /// Counts one number.
    pub(crate) fn add(&mut self, scale: &Scale, number: u64) {
        let place = scale.bounds.partition_point(|bound| *bound < number).min(MOST_BOUNDS);
        self.counts[place] += 1;
        self.sum = self.sum.saturating_add(number);
    }

    /// Adds the counts of another spread of the same scale.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many numbers.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many lie up to each bound and above the one before it; the last are those above all.
    pub fn between<'a>(&'a self, scale: &Scale) -> &'a [u64] {
        &self.counts[..=scale.bounds.len().min(MOST_BOUNDS)]
    }
}

const MOST_BOUNDS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_lie_up_to_their_bound() {
        let mut spread = Spread::default();
        for number in [0, 10, 11, 20, 21, 81_920, 81_921, u64::MAX / 2] {
            spread.add(&DURATIONS, number);
        }
        let mut expected = [0; 15];
        (expected[0], expected[1], expected[2], expected[13], expected[14]) = (2, 2, 1, 1, 2);
        assert_eq!(spread.between(&DURATIONS), expected);
        assert_eq!(spread.count(), 8);
    }

    proptest! {
        #[test]
        fn every_number_is_counted_once(numbers in proptest::collection::vec(0..100_000_000_u64, 0..50)) {
            for scale in [&TOKENS, &DURATIONS, &FIRST_PIECES] {
                prop_assert!(scale.bounds.len() <= MOST_BOUNDS && scale.bounds.is_sorted());
                let mut spread = Spread::default();
                numbers.iter().for_each(|number| spread.add(scale, *number));
                for (place, bound) in scale.bounds.iter().enumerate() {
                    let below: u64 = spread.between(scale)[..=place].iter().sum();
                    prop_assert_eq!(below, numbers.iter().filter(|number| *number <= bound).count() as u64);
                }
                prop_assert_eq!((spread.count(), spread.sum), (numbers.len() as u64, numbers.iter().sum()));
            }
        }
    }
}
