//! The pace of a run: how fast it reads, and when it will be done.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use longshore_run::Progress;

/// What a speed is measured over.
const WINDOW: Duration = Duration::from_secs(10);

/// Before this much is done, nothing is said of the end.
const LEAST_FRACTION: f64 = 0.01;

/// An end that is further away is not shown.
const LONGEST: Duration = Duration::from_secs(100 * 3_600);

/// Measures a run's pace.
pub(super) struct Pace {
    began: Instant,
    /// What was done when it began: a run that resumes has parts already.
    first_fraction: f64,
    looks: VecDeque<Look>,
}

struct Look {
    at: Instant,
    rows: u64,
    bytes: u64,
}

/// A run's pace at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Speed {
    pub(super) rows_per_second: u64,
    pub(super) bytes_per_second: u64,
    /// How long it takes from now, if that can be told.
    pub(super) left: Option<Duration>,
}

impl Pace {
    pub(super) fn new(progress: &Progress) -> Self {
        let mut pace = Self {
            began: Instant::now(),
            first_fraction: progress.fraction(),
            looks: VecDeque::new(),
        };
        pace.look(progress);
        pace
    }

    /// The pace now.
    pub(super) fn look(&mut self, progress: &Progress) -> Speed {
        let at = Instant::now();
        self.looks.push_back(Look { at, rows: progress.rows(), bytes: progress.bytes() });
        while self.looks.len() > 2 && at - self.looks[1].at >= WINDOW {
            self.looks.pop_front();
        }
        let (first, last) = (&self.looks[0], &self.looks[self.looks.len() - 1]);
        let seconds = (last.at - first.at).as_secs_f64();
        let per_second = |from: u64, to: u64| {
            if seconds > 0.0 { (to.saturating_sub(from) as f64 / seconds) as u64 } else { 0 }
        };
        Speed {
            rows_per_second: per_second(first.rows, last.rows),
            bytes_per_second: per_second(first.bytes, last.bytes),
            left: left(at - self.began, self.first_fraction, progress.fraction()),
        }
    }
}

/// How long the rest takes, if it goes on as it went so far.
fn left(since: Duration, first_fraction: f64, fraction: f64) -> Option<Duration> {
    let done = fraction - first_fraction;
    if done < LEAST_FRACTION {
        return None;
    }
    let seconds = since.as_secs_f64() * (1.0 - fraction) / done;
    Duration::try_from_secs_f64(seconds).ok().filter(|left| *left < LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_by_what_this_process_did() {
        let after = Duration::from_secs;
        assert_eq!(left(after(10), 0.0, 0.5), Some(after(10)));
        assert_eq!(left(after(10), 0.5, 0.75), Some(after(10)), "half of it was there already");
        assert_eq!(left(after(10), 0.0, 1.0), Some(Duration::ZERO));
        assert_eq!(left(after(10), 0.5, 0.505), None);
        assert_eq!(left(after(10_000_000), 0.0, 0.02), None);
    }
}
