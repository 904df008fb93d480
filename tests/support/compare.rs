//! Compares a panel with its expected content.

use std::collections::{BTreeMap, BTreeSet};

use testkit::saved::dsl::Rows;

/// A number that should be there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want {
    Is(f64),
    /// Percentiles are estimates.
    Between(f64, f64),
    /// A dash.
    Nothing,
}

impl Want {
    fn is(self, found: f64) -> bool {
        match self {
            Self::Is(value) => (found - value).abs() < 1e-6,
            Self::Between(low, high) => (low..=high).contains(&found),
            Self::Nothing => found.is_nan(),
        }
    }

    fn value(self) -> f64 {
        match self {
            Self::Is(value) => value,
            Self::Between(..) | Self::Nothing => panic!("nothing is sorted by an estimate"),
        }
    }
}

/// How an aggregation cuts: the first `size` by their weight, of those with at least `least`.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) size: usize,
    pub(crate) least: f64,
    pub(crate) by: By,
}

/// The weight of a bucket.
#[derive(Clone, Copy)]
pub(crate) enum By {
    /// The metric of this number; the highest comes first.
    Metric(usize),
    /// Its documents; the highest comes first.
    Count,
    /// Its documents, but the order is that of time.
    CountInTime,
}

/// A row that is counted where its outer buckets are sorted, but shows nothing itself: it lacks a field.
pub(crate) const HIDDEN: &str = "(hidden)";

/// All rows without any cut, the documents in each, and the cuts of each level (`None`: everything is shown).
pub(crate) struct Wanted {
    pub(crate) rows: BTreeMap<Vec<String>, Vec<Want>>,
    pub(crate) counts: BTreeMap<Vec<String>, f64>,
    pub(crate) cuts: Vec<Option<Cut>>,
}

impl Wanted {
    /// Fails unless these are the rows, with these numbers.
    #[track_caller]
    pub(crate) fn check(&self, found: &Rows, what: &str) {
        let (mut must, mut may) = (BTreeSet::new(), BTreeSet::new());
        let all: Vec<&Vec<String>> = self.rows.keys().collect();
        self.choose(&all, 0, true, &mut must, &mut may);
        for row in &must {
            assert!(
                found.contains_key(*row),
                "{what}: {row:?} is missing in {found:?}"
            );
        }
        for (row, values) in found {
            assert!(
                may.contains(row),
                "{what}: {row:?} should not be there: {values:?}"
            );
            let wanted = &self.rows[row];
            assert_eq!(wanted.len(), values.len(), "{what}: {row:?}");
            for (wanted, value) in wanted.iter().zip(values) {
                assert!(
                    wanted.is(*value),
                    "{what}: {row:?}: {values:?} is not {:?}",
                    self.rows[row]
                );
            }
        }
    }

    /// Fails unless each bucket that is cut shows the highest first.
    #[track_caller]
    pub(crate) fn check_order(&self, places: &[Vec<String>], what: &str) {
        for pair in places.windows(2) {
            let [before, after] = pair else { continue };
            let alike = before
                .iter()
                .zip(after)
                .take_while(|(one, other)| one == other);
            let level = alike.count();
            let Some(Some(cut)) = self.cuts.get(level) else {
                continue;
            };
            if matches!(cut.by, By::CountInTime) {
                continue;
            }
            let weight = |place: &Vec<String>| -> f64 {
                let rows = self.rows.keys();
                let within = rows.filter(|row| row[..=level] == place[..=level]);
                within.map(|row| self.weight(row, cut.by)).sum()
            };
            let (higher, lower) = (weight(before), weight(after));
            assert!(
                higher >= lower,
                "{what}: {before:?} with {higher} precedes {after:?} with {lower}"
            );
        }
    }

    fn weight(&self, row: &Vec<String>, by: By) -> f64 {
        match by {
            By::Metric(number) => self.rows[row][number].value(),
            By::Count | By::CountInTime => self.counts[row],
        }
    }

    /// Which of `rows`, alike up to `level`, are shown: surely, or perhaps (of equals any may be cut off).
    fn choose<'r>(
        &self,
        rows: &[&'r Vec<String>],
        level: usize,
        surely: bool,
        must: &mut BTreeSet<&'r Vec<String>>,
        may: &mut BTreeSet<&'r Vec<String>>,
    ) {
        let Some(cut) = self.cuts.get(level) else {
            for row in rows
                .iter()
                .filter(|row| row.last().is_none_or(|last| last != HIDDEN))
            {
                may.insert(row);
                if surely {
                    must.insert(row);
                }
            }
            return;
        };
        let mut buckets: BTreeMap<&str, Vec<&'r Vec<String>>> = BTreeMap::new();
        for row in rows {
            buckets.entry(&row[level]).or_default().push(row);
        }
        let weight = |rows: &[&Vec<String>], by: By| -> f64 {
            rows.iter().map(|row| self.weight(row, by)).sum()
        };
        let mut last = f64::NEG_INFINITY;
        if let Some(cut) = cut {
            buckets.retain(|name, rows| *name != HIDDEN && weight(rows, cut.by) >= cut.least);
            let mut weights: Vec<f64> = buckets.values().map(|rows| weight(rows, cut.by)).collect();
            weights.sort_by(|a, b| b.total_cmp(a));
            // the first that is cut off
            last = weights.get(cut.size).copied().unwrap_or(last);
        }
        for rows in buckets.values() {
            let weight = cut.map_or(f64::INFINITY, |cut| weight(rows, cut.by));
            if weight >= last {
                self.choose(rows, level + 1, surely && weight > last, must, may);
            }
        }
    }
}
