//! The layout of progress: which lines a terminal of some size gets.
//!
//! ```text
//! orders           ██████████░░░░░░  62%  1,234,567 rows, 5 of 8 chunks
//! lineitem         ██░░░░░░░░░░░░░░  12%  834,112 rows, 1 of 12 chunks
//! 12 of 40 relations done, 2 under way, 26 waiting
//! 45%  ETA 1:02  120,000 rows/s  12.3 MiB/s  2,068,679 rows
//! ```
//!
//! There are never more lines than the terminal has. The last one is the most important, then the one before.

use std::time::Duration;

use console::{Alignment, measure_text_width, pad_str};
use longshore_model::format::{grouped, human_bytes, is_steering};
use longshore_run::{Progress, RelationProgress, Speed};

use super::super::board::Size;

/// The widest name of a relation that is shown whole.
const NAME_COLUMNS: usize = 16;

/// A bar's width.
const BAR_COLUMNS: usize = 16;

/// A narrower terminal has no bars.
const COLUMNS_WITH_BARS: usize = 60;

/// Between two things of a line.
const GAP: &str = "  ";

/// How progress is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) size: Size,
    pub(super) has_colors: bool,
}

/// How many relations are done, under way and waiting.
#[derive(Clone, Copy, Debug)]
struct Counts {
    all: usize,
    done: usize,
    under_way: usize,
}

impl Counts {
    fn of(progress: &Progress) -> Self {
        let all = progress.relations.len();
        let count = |is: fn(&RelationProgress) -> bool| {
            progress.relations.iter().filter(|relation| is(relation)).count()
        };
        Self {
            all,
            done: count(RelationProgress::is_done),
            under_way: count(RelationProgress::is_under_way),
        }
    }

    /// In words, the most important first.
    fn words(self, shown: usize) -> Vec<String> {
        let Self { all, done, under_way } = self;
        let numbers = [
            (under_way, "under way"),
            (all - done - under_way, "waiting"),
            (under_way.saturating_sub(shown), "not shown"),
        ];
        let mut words = vec![format!("{done} of {all} relations done")];
        words.extend(numbers.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        words
    }
}

impl Layout {
    /// The lines of a moment.
    pub(super) fn lines(&self, progress: &Progress, speed: &Speed) -> Vec<String> {
        // The cursor has a line of its own.
        let room = self.size.rows.saturating_sub(1);
        let counts = Counts::of(progress);
        let has_counts = counts.all > 1 && room > 1;
        let shown = room.saturating_sub(1 + usize::from(has_counts));
        let under_way = progress.relations.iter().filter(|relation| relation.is_under_way());
        let mut lines: Vec<String> =
            under_way.take(shown).map(|relation| self.relation(relation)).collect();
        if has_counts {
            lines.push(fitted(&counts.words(lines.len()), ", ", self.size.columns));
        }
        if room > 0 {
            lines.push(fitted(&total(progress, speed), GAP, self.size.columns));
        }
        lines
    }

    fn relation(&self, relation: &RelationProgress) -> String {
        let name = relation.name.replace(is_steering, " ");
        let name = pad_str(&name, NAME_COLUMNS, Alignment::Left, Some("…"));
        let fraction = relation.fraction();
        let bar = if self.size.columns < COLUMNS_WITH_BARS {
            String::new()
        } else {
            format!("{} ", self.bar(fraction))
        };
        let begin = format!("{name} {bar}{}{GAP}", percent(fraction));
        let room = self.size.columns.saturating_sub(measure_text_width(&begin));
        let counts = [
            format!("{} rows", grouped(relation.rows())),
            format!("{} of {} chunks", relation.chunks_done(), relation.chunks),
        ];
        begin + &fitted(&counts, ", ", room)
    }

    fn bar(&self, fraction: f64) -> String {
        let full = (fraction * BAR_COLUMNS as f64) as usize;
        let (full, empty) = ("█".repeat(full), "░".repeat(BAR_COLUMNS - full));
        if self.has_colors { format!("\x1b[36m{full}{empty}\x1b[0m") } else { full + &empty }
    }
}

/// As many of these as fit into a line, which must leave its last column free.
fn fitted(items: &[String], gap: &str, columns: usize) -> String {
    let mut line = String::new();
    for item in items {
        let before = if line.is_empty() { "" } else { gap };
        if line.len() + before.len() + item.len() >= columns {
            break;
        }
        line += before;
        line += item;
    }
    line
}

/// The total in a line, where there is no terminal. A relation that is alone is named.
pub(super) fn line(progress: &Progress, speed: &Speed) -> String {
    let mut items = total(progress, speed);
    if let [only] = progress.relations.as_slice() {
        return format!("{}: {}", only.name, items.join(", ").trim_start());
    }
    let counts = Counts::of(progress);
    items.extend(counts.words(counts.under_way));
    items.join(", ").trim_start().to_owned()
}

/// What there is to say of a run, the most important first.
fn total(progress: &Progress, speed: &Speed) -> Vec<String> {
    let is_read = progress.relations.iter().all(|relation| relation.is_done());
    let end = match speed.left {
        _ if is_read => Some("publishing".to_owned()),
        left => left.map(|left| format!("ETA {}", clock(left))),
    };
    let mut items = vec![percent(progress.fraction())];
    items.extend(end);
    items.push(format!("{} rows/s", grouped(speed.rows_per_second)));
    items.push(format!("{}/s", human_bytes(speed.bytes_per_second)));
    items.push(format!("{} rows", grouped(progress.rows())));
    items
}

fn percent(fraction: f64) -> String {
    format!("{:>3}%", (fraction * 100.0) as u64)
}

/// `1:02`, `12:00:05`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use longshore_engine::scan::Slots;
    use tokio::sync::Semaphore;

    use super::*;

    fn relation_of(name: &str, done: u64) -> Arc<RelationProgress> {
        let slots = Slots::new(Arc::new(Semaphore::new(1)), 1, 1);
        slots.rows.store(done * 123_456, std::sync::atomic::Ordering::Relaxed);
        Arc::new(RelationProgress {
            name: name.to_owned(),
            chunks: 10,
            estimated_rows: None,
            done: AtomicU64::new(done),
            slots: Arc::new(slots),
        })
    }

    /// Relations of ten chunks: so many are done, so many under way, the rest waits.
    fn progress(done: usize, under_way: usize, waiting: usize) -> Progress {
        let relation = |number: usize| {
            let chunks = if number < done { 10 } else { u64::from(number < done + under_way) * 4 };
            let name = format!("a_relation_with_a_long_name_{number}");
            relation_of(&name, chunks)
        };
        Progress { relations: (0..done + under_way + waiting).map(relation).collect() }
    }

    fn lines(progress: &Progress, rows: usize, columns: usize) -> Vec<String> {
        let layout = Layout { size: Size { rows, columns }, has_colors: false };
        let left = Some(Duration::from_secs(62));
        let speed = Speed { rows_per_second: 120_000, bytes_per_second: 12 << 20, left };
        layout.lines(progress, &speed)
    }

    #[test]
    fn what_is_done_collapses_and_what_is_under_way_is_shown() {
        let lines = lines(&progress(12, 2, 26), 24, 80);
        assert_eq!(
            lines,
            [
                "a_relation_with… ██████░░░░░░░░░░  40%  493,824 rows, 4 of 10 chunks",
                "a_relation_with… ██████░░░░░░░░░░  40%  493,824 rows, 4 of 10 chunks",
                "12 of 40 relations done, 2 under way, 26 waiting",
                " 32%  ETA 1:02  120,000 rows/s  12.0 MiB/s  15,802,368 rows",
            ]
        );
    }

    #[test]
    fn there_are_never_more_lines_than_fit_and_the_total_comes_last() {
        let progress = progress(1, 30, 9);
        for rows in 0..50 {
            let lines = lines(&progress, rows, 80);
            assert!(lines.len() < rows.max(1), "{rows}");
            assert!(rows < 2 || lines.last().unwrap().contains("ETA 1:02"), "{rows}");
        }
        let lines = lines(&progress, 10, 40);
        assert_eq!(lines[6], "a_relation_with…  40%  493,824 rows");
        assert_eq!(lines[7], "1 of 40 relations done, 30 under way");
        assert_eq!(lines[8], " 32%  ETA 1:02  120,000 rows/s");
    }

    #[test]
    fn where_there_is_no_terminal_all_is_in_one_line() {
        let speed = Speed { rows_per_second: 7, bytes_per_second: 9, left: None };
        assert_eq!(
            line(&progress(1, 1, 0), &speed),
            "70%, 7 rows/s, 9 B/s, 1,728,384 rows, 1 of 2 relations done, 1 under way"
        );
        assert_eq!(
            line(&progress(0, 1, 0), &speed),
            "a_relation_with_a_long_name_0: 40%, 7 rows/s, 9 B/s, 493,824 rows"
        );
    }

    #[test]
    fn one_relation_needs_no_count_and_a_run_that_is_read_is_published() {
        assert_eq!(lines(&progress(0, 1, 0), 24, 80).len(), 2);
        assert_eq!(
            lines(&progress(1, 0, 0), 24, 80),
            ["100%  publishing  120,000 rows/s  12.0 MiB/s  1,234,560 rows"]
        );
    }
}
