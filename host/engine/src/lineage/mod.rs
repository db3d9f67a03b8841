//! Column lineage: which columns of its inputs each column of a relation is made of, and how. It is told from the
//! queries and from what transforms say of themselves; no row is read for it.

mod dependencies;
mod query;
mod table;
#[cfg(test)]
mod tests;

pub use dependencies::{Dependencies, InputColumn, Kind, Transformation};
pub use query::of_query;
pub use table::{LineageTable, of_table};

/// The most dependencies of a relation: of one with more, its lineage is not told.
pub const DEPENDENCY_LIMIT: usize = 50_000;

/// Where the columns of a relation come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnLineage {
    /// What the values of each column depend on, in the order of the columns.
    pub columns: Vec<Dependencies>,
    /// What decides which rows there are, and in which order.
    pub rows: Dependencies,
}

impl ColumnLineage {
    /// The lineage of an input itself: each column comes from itself.
    pub fn of_input(input: usize, columns: usize) -> Self {
        let own = |column| Dependencies::of(InputColumn { input, column });
        Self { columns: (0..columns).map(own).collect(), rows: Dependencies::default() }
    }

    /// Columns that come from nowhere.
    fn of_nothing(columns: usize) -> Self {
        let columns = std::iter::repeat_with(Dependencies::default).take(columns).collect();
        Self { columns, rows: Dependencies::default() }
    }

    /// Whether there are more dependencies than can be told.
    pub fn is_too_large(&self) -> bool {
        let columns = self.columns.iter().map(Dependencies::len).sum::<usize>();
        columns + self.rows.len() > DEPENDENCY_LIMIT
    }
}
