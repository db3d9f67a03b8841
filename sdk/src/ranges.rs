//! Ranges of a key's values: how a relation is split into chunks that hold every row once.
//!
//! A connector finds the bounds, evenly by [`even_bounds`] or by the statistics of its source. The ranges
//! between them are half-open, and the outer ones have no end: rows that come after the bounds were
//! found are in them.

/// Values of a key from one bound to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange<T> {
    /// The least value in the range; absent in the first range.
    pub from: Option<T>,
    /// The least value beyond the range; absent in the last range.
    pub to: Option<T>,
}

impl<T> KeyRange<T> {
    /// The same range, of what the bounds are turned into.
    pub fn map<U>(&self, mut to: impl FnMut(&T) -> U) -> KeyRange<U> {
        KeyRange { from: self.from.as_ref().map(&mut to), to: self.to.as_ref().map(&mut to) }
    }
}

impl<T: AsRef<str>> KeyRange<T> {
    /// The SQL condition on a key, whose bounds are written as SQL; absent if the range has no bound. With
    /// `nulls`, rows without a value belong to the first range.
    pub fn condition(&self, key: &str, nulls: bool) -> Option<String> {
        let from = self.from.as_ref().map(|bound| format!("{key} >= {}", bound.as_ref()));
        let to = self.to.as_ref().map(|bound| format!("{key} < {}", bound.as_ref()));
        match (from, to) {
            (None, None) => None,
            (None, Some(to)) if nulls => Some(format!("{to} OR {key} IS NULL")),
            (Some(from), Some(to)) => Some(format!("{from} AND {to}")),
            (from, to) => from.or(to),
        }
    }
}

/// The ranges between bounds, which are in ascending order: one more than there are bounds.
pub fn ranges<T: Clone>(bounds: &[T]) -> Vec<KeyRange<T>> {
    let bound = |at: usize| bounds.get(at).cloned();
    (0..=bounds.len())
        .map(|at| KeyRange { from: at.checked_sub(1).and_then(bound), to: bound(at) })
        .collect()
}

/// The bounds of at most `count` ranges of one width, of whole numbers from `least` to `greatest`.
pub fn even_bounds(least: i64, greatest: i64, count: u64) -> Vec<i64> {
    let span = i128::from(greatest) - i128::from(least) + 1;
    let count = i128::from(count).min(span);
    // Each is between two values that are numbers of 64 bits.
    (1..count).map(|at| (i128::from(least) + span * at / count) as i64).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(range: &KeyRange<i64>, value: i64) -> bool {
        range.from.is_none_or(|from| value >= from) && range.to.is_none_or(|to| value < to)
    }

    proptest! {
        #[test]
        fn every_value_is_in_exactly_one_range(
            least: i64, span in 0_i64..1_000_000, count in 1_u64..50, value: i64,
        ) {
            let greatest = least.saturating_add(span);
            let ranges = ranges(&even_bounds(least, greatest, count));
            prop_assert!(ranges.len() as u64 <= count);
            for value in [value, least, greatest, i64::MIN, i64::MAX] {
                prop_assert_eq!(ranges.iter().filter(|range| holds(range, value)).count(), 1);
            }
        }

        #[test]
        fn ranges_are_of_one_width(least in -1_000_i64..1_000, span in 0_i64..10_000, count in 1_u64..50) {
            let bounds = even_bounds(least, least + span, count);
            let ends = || std::iter::once(least).chain(bounds.iter().copied()).chain([least + span + 1]);
            let widths: Vec<i64> = ends().zip(ends().skip(1)).map(|(from, to)| to - from).collect();
            let (narrow, wide) = (widths.iter().min().unwrap(), widths.iter().max().unwrap());
            prop_assert!(*narrow > 0 && *wide - *narrow <= 1, "{:?}", widths);
        }
    }

    #[test]
    fn the_whole_of_64_bits_is_split() {
        assert_eq!(even_bounds(i64::MIN, i64::MAX, 2), [0]);
        assert_eq!(even_bounds(5, 5, 9), Vec::<i64>::new());
    }

    #[test]
    fn conditions_are_sql() {
        let ranges = ranges(&["1", "5"]);
        let conditions: Vec<_> = ranges.iter().map(|range| range.condition("k", true)).collect();
        let expected = ["k < 1 OR k IS NULL", "k >= 1 AND k < 5", "k >= 5"];
        assert_eq!(conditions, expected.map(|text| Some(text.to_owned())));
        assert_eq!(super::ranges::<&str>(&[])[0].condition("k", true), None);
    }
}
