//! Tables for people: columns as wide as what is in them, without lines and without colours.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table as Grid};
use longshore_model::format::is_steering;

/// The spaces between two columns.
const GAP: u16 = 2;

/// A table under construction.
pub(super) struct Table(Grid);

impl Table {
    /// A table with these columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut grid = Grid::new();
        grid.load_preset(NOTHING).set_header(columns);
        for column in grid.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        Self(grid)
    }

    /// Aligns a column to the right, such as one of numbers.
    pub(super) fn align_right(mut self, column: usize) -> Self {
        if let Some(column) = self.0.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    /// Adds a row. What plugins and sources call things may hold control characters, which a terminal would
    /// obey.
    pub(super) fn add<const N: usize>(&mut self, row: [String; N]) {
        self.0.add_row(row.map(|cell| cell.replace(is_steering, " ")));
    }

    /// Whether it has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The table as text, a line for each row.
    pub(super) fn to_text(&self) -> String {
        self.0.trim_fmt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(&["NAME", "ROWS", "WHAT"]).align_right(1);
        table.add(["tpch".into(), "9".into(), "generates".into()]);
        table.add(["postgres-sink-of-ours".into(), "1,500,000".into(), "écrit\n\x1b[31m".into()]);
        assert_eq!(
            table.to_text(),
            "NAME                        ROWS  WHAT\n\
             tpch                           9  generates\n\
             postgres-sink-of-ours  1,500,000  écrit  [31m"
        );
    }
}
