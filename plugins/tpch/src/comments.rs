//! The comments of a table. Where each begins in the text, and how long it is, comes from a stream of random
//! numbers of the table's own.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use longshore_sdk::array::builder::StringViewBuilder;
use longshore_sdk::array::cast::AsArray;
use longshore_sdk::array::types::Int32Type;
use longshore_sdk::array::{ArrayRef, RecordBatch};
use tpchgen::dates::GenerateUtils;
use tpchgen::random::RowRandomInt;

use crate::part::Part;
use crate::text::{Place, Text};

/// Rows whose comments are fetched at the same time: so many stay in the processor's cache.
const GROUP_ROWS: usize = 1_024;

/// Numbers that a comment takes from its stream.
const NUMBERS: i32 = 2;

/// What the comments of a table follow.
pub(crate) struct CommentRule {
    pub(crate) seed: i64,
    /// The average length of a comment.
    pub(crate) average: f64,
    /// Units at scale factor 1: rows; orders for `lineitem`, parts for `partsupp`.
    pub(crate) units: i32,
    /// Comments for which each unit reserves numbers.
    pub(crate) reserved: i32,
    /// Whether some comments are complaints or recommendations.
    pub(crate) has_verdicts: bool,
}

/// The comments of a part of a table, in the order of its rows.
pub(crate) struct Comments {
    stream: RowRandomInt,
    shortest: i32,
    longest: i32,
    text_bytes: i32,
    has_verdicts: bool,
}

impl Comments {
    pub(crate) fn new(rule: &CommentRule, part: &Part) -> Self {
        let mut stream = RowRandomInt::new(rule.seed, NUMBERS * rule.reserved);
        let Part { scale, number, of, text_bytes, .. } = *part;
        stream.advance_rows(GenerateUtils::calculate_start_index(rule.units, scale, number, of));
        let (shortest, longest) = ((rule.average * 0.4) as i32, (rule.average * 1.6) as i32);
        Self { stream, shortest, longest, text_bytes, has_verdicts: rule.has_verdicts }
    }

    /// The comments of the next rows, which hold comments of another text in their last column.
    pub(crate) fn column(&mut self, rows: &RecordBatch) -> ArrayRef {
        let lines =
            rows.column_by_name("l_linenumber").map(|lines| lines.as_primitive::<Int32Type>());
        let others = rows.columns().last().filter(|_| self.has_verdicts);
        let others = others.and_then(|last| last.as_string_view_opt());
        let (mut comments, mut comment) =
            (StringViewBuilder::with_capacity(rows.num_rows()), Vec::new());
        for first in (0..rows.num_rows()).step_by(GROUP_ROWS) {
            let group = first..rows.num_rows().min(first + GROUP_ROWS);
            // An order reserves numbers for seven lines, and most have fewer.
            let begins = |row| lines.is_some_and(|lines| lines.value(row) == 1);
            for (row, (place, length)) in group.clone().zip(self.places(group, begins)) {
                comment.clear();
                Text::shared().append(place, length, &mut comment);
                if let Some(other) = others.map(|others| others.value(row)) {
                    keep_verdict(other, &mut comment);
                }
                comments.append_value(std::str::from_utf8(&comment).unwrap_or_default());
            }
        }
        Arc::new(comments.finish())
    }

    /// Where the comments of some rows begin, and how long they are. They lie far apart in memory: all are
    /// fetched at the same time before one is read, since waiting for one after the other takes longer
    /// than anything else here.
    fn places(
        &mut self,
        rows: Range<usize>,
        begins: impl Fn(usize) -> bool,
    ) -> Vec<(Place<'static>, usize)> {
        let numbers = rows.map(|row| {
            if begins(row) {
                self.stream.advance_rows(0);
            }
            let offset = self.stream.next_int(0, self.text_bytes - self.longest);
            (offset as usize, self.stream.next_int(self.shortest, self.longest) as usize)
        });
        let numbers: Vec<(usize, usize)> = numbers.collect();
        let text = Text::shared();
        let places: Vec<(Place<'static>, usize)> =
            numbers.into_iter().map(|(offset, length)| (text.find(offset), length)).collect();
        black_box(places.iter().fold(0, |all, (place, _)| all ^ place.first()));
        places
    }
}

/// Writes the verdict of a comment of another text over this one. Both are equally long.
fn keep_verdict(other: &str, comment: &mut [u8]) {
    for part in ["Customer ", "Complaints", "Recommends"] {
        if let Some(at) = other.find(part) {
            comment[at..at + part.len()].copy_from_slice(part.as_bytes());
        }
    }
}
