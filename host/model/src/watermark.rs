//! Watermarks: how far an incremental relation has been loaded, and the window that a run loads of it.

use serde::{Deserialize, Serialize};

/// How far a relation has been loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The column that is watched; none where files are watched by the time of their change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The greatest value that was loaded; none where there was no row with a value yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The order that it is the greatest in; not known of watermarks that older versions or people have set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<ValueOrder>,
    /// The transactions of PostgreSQL that the run saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<Transactions>,
    /// The files that were changed in the very instant of the value, and that were loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// The order of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueOrder {
    /// That of numbers and of time.
    Value,
    /// That of texts, byte by byte.
    Bytes,
}

/// The transactions whose rows a snapshot of PostgreSQL shows, as far as the next run must know them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transactions {
    /// The oldest that was still running. The rows of all before it were seen.
    pub oldest: u64,
    /// The first that had not begun.
    pub next: u64,
    /// Those from the oldest on whose rows were seen nevertheless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<u64>,
    /// The files of the table and its partitions, `OID:FILE`: in another file, rows may have been written anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// The part of a relation that one run loads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The table or query, by its name in the job.
    pub relation: String,
    /// What is loaded.
    pub range: WindowRange,
    /// The rows of the window, in the source's language; none where the window is empty.
    pub condition: Option<String>,
    /// The watermark that the run began with.
    pub before: Option<Watermark>,
    /// The watermark when the run has published; none leaves it as it is.
    pub after: Option<Watermark>,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The bounds of a window, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRange {
    /// The column that is watched; none where files are watched by the time of their change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The lower bound; none for all from the beginning.
    pub from: Option<String>,
    /// The upper bound; none where there is no value.
    pub to: Option<String>,
    /// Whether it is loaded once more: from the lower bound to before the upper one, and the watermark stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backfill: bool,
}

/// A window that was asked for: from the first bound to before the second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// The first value.
    pub from: String,
    /// The value before which it ends.
    pub to: String,
}

/// A watermark that a run moves when it publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// The table or query, by its name in the job.
    pub relation: String,
    /// The watermark that the run was planned with.
    pub before: Option<Watermark>,
    /// The watermark from then on.
    pub after: Watermark,
}

impl Window {
    /// Whether it consists of files, by the time of their change, and of no rows that a condition tells.
    pub fn is_of_files(&self) -> bool {
        self.range.column.is_none()
    }

    /// Whether a file is in it, by its name and the time of its change.
    pub fn takes_file(&self, name: &str, changed: &str) -> bool {
        let WindowRange { from, to, backfill, .. } = &self.range;
        let (from, Some(to)) = (from.as_deref(), to.as_deref()) else { return false };
        if *backfill {
            return from.is_none_or(|from| from <= changed) && changed < to;
        }
        let is_new = match from {
            None => true,
            // Of those that were changed in the very instant, some may have come since.
            Some(from) if from == changed => !self.has_loaded(name),
            Some(from) => from < changed,
        };
        is_new && changed <= to
    }

    fn has_loaded(&self, name: &str) -> bool {
        match &self.before {
            // The job's initial value is no instant that was loaded.
            None => true,
            Some(before) => before.files.iter().any(|file| file == name),
        }
    }

    /// The watermark that it moves, if it moves one.
    pub fn advance(&self) -> Option<Advance> {
        let after = self.after.clone()?;
        Some(Advance { relation: self.relation.clone(), before: self.before.clone(), after })
    }
}

impl std::fmt::Display for WindowRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = self.column.as_deref().unwrap_or("time of change");
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if self.backfill => {
                write!(f, "{what} from {from} to before {to}")
            }
            (Some(from), Some(to)) if from == to => write!(f, "{what} after {from}: no such value"),
            (Some(from), Some(to)) => write!(f, "{what} after {from}, up to {to}"),
            (None, Some(to)) => write!(f, "{what} up to {to}"),
            (Some(from), None) => write!(f, "{what} after {from}: no such value"),
            (None, None) => write!(f, "{what}: no value yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: Option<&str>, to: &str, files: &[&str]) -> Window {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        let (from, to) = (from.map(str::to_owned), Some(to.to_owned()));
        let before = Watermark { value: from.clone(), files, ..Watermark::default() };
        let range = WindowRange { from, to, ..WindowRange::default() };
        Window { range, before: Some(before), ..Window::default() }
    }

    #[test]
    fn a_file_is_taken_once() {
        let first = window(None, "2026-01-02", &[]);
        assert!(first.takes_file("a", "2026-01-01") && first.takes_file("b", "2026-01-02"));
        assert!(!first.takes_file("c", "2026-01-02 00:00:01"));
        let next = window(Some("2026-01-02"), "2026-01-03", &["b"]);
        assert!(!next.takes_file("a", "2026-01-01") && !next.takes_file("b", "2026-01-02"));
        assert!(next.takes_file("late", "2026-01-02") && next.takes_file("d", "2026-01-03"));
    }

    #[test]
    fn a_backfill_takes_its_first_value_and_not_its_last() {
        let mut window = window(Some("2026-01-01"), "2026-01-02", &["a"]);
        window.range.backfill = true;
        assert!(window.takes_file("a", "2026-01-01") && !window.takes_file("b", "2026-01-02"));
    }
}
