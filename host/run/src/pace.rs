//! The pace of a run: how fast it reads, and when it will be done.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Progress;

/// The time over which speed is measured.
const WINDOW: Duration = Duration::from_secs(10);

/// Looks that follow each other more quickly are not kept.
const LOOK_MILLIS: u128 = 100;

/// Before this much is done, nothing is said of the end.
const LEAST_FRACTION: f64 = 0.01;

/// An end that is further away is not shown.
const LONGEST: Duration = Duration::from_secs(100 * 3_600);

/// Measures a run's pace.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    /// What was done when it began: a run that resumes has parts already.
    first_fraction: f64,
    looks: VecDeque<Look>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    rows: u64,
    bytes: u64,
}

/// A run's pace at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    /// Rows per second, of late.
    pub rows_per_second: u64,
    /// Bytes per second, of late.
    pub bytes_per_second: u64,
    /// How long it takes from now, if that can be told.
    pub left: Option<Duration>,
}

impl Pace {
    /// A measure that begins now.
    pub fn new(progress: &Progress) -> Self {
        let (began, first_fraction) = (Instant::now(), progress.fraction());
        let looks = VecDeque::from([Look::of(progress, began)]);
        Self { began, first_fraction, looks }
    }

    /// The pace now.
    pub fn look(&mut self, progress: &Progress) -> Speed {
        let now = Look::of(progress, Instant::now());
        while self.looks.len() > 1 && now.at - self.looks[1].at >= WINDOW {
            self.looks.pop_front();
        }
        let first = self.looks.front().copied().unwrap_or(now);
        let last = self.looks.back().copied().unwrap_or(now);
        if (now.at - last.at).as_millis() >= LOOK_MILLIS {
            self.looks.push_back(now);
        }
        let seconds = (now.at - first.at).as_secs_f64();
        let per_second = |from: u64, to: u64| {
            if seconds > 0.0 { (to.saturating_sub(from) as f64 / seconds) as u64 } else { 0 }
        };
        Speed {
            rows_per_second: per_second(first.rows, now.rows),
            bytes_per_second: per_second(first.bytes, now.bytes),
            left: left(now.at - self.began, self.first_fraction, progress.fraction()),
        }
    }
}

impl Look {
    fn of(progress: &Progress, at: Instant) -> Self {
        Self { at, rows: progress.rows(), bytes: progress.bytes() }
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
