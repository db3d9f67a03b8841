//! The board: lines at the end of the terminal that are drawn again and again. Whatever else is written to
//! stderr is written above them.

use std::fmt::Write as _;
use std::io::{Write as _, stderr};

use console::{Term, measure_text_width, truncate_str};
use parking_lot::Mutex;

/// The size of a terminal that does not tell it.
const USUAL_SIZE: Size = Size { rows: 24, columns: 80 };

static BOARD: Mutex<Board> = Mutex::new(Board { lines: Vec::new() });

/// The size of a terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Size {
    /// The size of the terminal as it is now.
    pub(super) fn now() -> Self {
        match Term::stderr().size_checked() {
            Some((rows, columns)) if rows > 0 && columns > 0 => {
                Self { rows: rows.into(), columns: columns.into() }
            }
            _ => USUAL_SIZE,
        }
    }
}

/// The lines that are on the terminal.
struct Board {
    lines: Vec<String>,
}

/// Draws these lines in place of those before. No more of them may come than fit.
pub(super) fn draw(lines: Vec<String>) {
    let size = Size::now();
    let mut board = BOARD.lock();
    let mut text = board.erased(size.columns);
    // A line as wide as the terminal may move the cursor on, or not.
    let width = size.columns.saturating_sub(1);
    board.lines = lines.iter().map(|line| truncate_str(line, width, "").into_owned()).collect();
    text += &board.drawn();
    write(&text);
}

/// Removes the lines.
pub(super) fn clear() {
    draw(Vec::new());
}

/// Writes something else to stderr, above the lines.
pub(super) fn above<T>(work: impl FnOnce() -> T) -> T {
    let board = BOARD.lock();
    if board.lines.is_empty() {
        return work();
    }
    write(&board.erased(Size::now().columns));
    let done = work();
    write(&board.drawn());
    done
}

impl Board {
    /// What removes the lines from a terminal of this width, which may have been wider when they were drawn.
    fn erased(&self, columns: usize) -> String {
        let rows = |line: &String| measure_text_width(line).div_ceil(columns).max(1);
        match self.lines.iter().map(rows).sum::<usize>() {
            0 => String::new(),
            rows => format!("\r\x1b[{rows}A\x1b[J"),
        }
    }

    fn drawn(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

fn write(text: &str) {
    // Nobody looks any more.
    let _ = stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_narrower_terminal_has_wrapped_are_removed_with_their_rows() {
        let board =
            Board { lines: vec!["x".repeat(79), String::new(), "\x1b[36m█\x1b[0m".into()] };
        assert_eq!(board.erased(80), "\r\x1b[3A\x1b[J");
        assert_eq!(board.erased(40), "\r\x1b[4A\x1b[J");
        assert_eq!(Board { lines: Vec::new() }.erased(80), "");
    }
}
