//! Incremental relations: each run loads what came since the run before it.

pub(super) mod raw;

use raw::{RawBy, RawIncremental};

use super::schedule::read_duration;
use super::target::Mode;
use crate::error::{Error, Result};

pub use raw::{LateRows, NullRows};

/// How a relation is loaded piece by piece.
#[derive(Clone, Debug, PartialEq)]
pub struct Incremental {
    /// What is watched.
    pub by: WatchedValue,
    /// The value after which the first run begins.
    pub initial: Option<String>,
    /// How far each run goes back.
    pub lag: Option<Lag>,
    /// What happens to rows without a value.
    pub nulls: NullRows,
    /// Whether rows that are committed late are looked for; where possible, if absent.
    pub late: Option<LateRows>,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchedValue {
    /// A column.
    Column(String),
    /// The time at which files were changed.
    Modified,
}

/// How far a run goes back before the watermark.
#[derive(Clone, Debug, PartialEq)]
pub enum Lag {
    /// By a number, of numbers.
    Number(String),
    /// By a time, of dates and timestamps.
    Time(chrono::TimeDelta),
}

impl Incremental {
    /// Checks what a relation says of it.
    pub(super) fn check(at: &str, raw: RawIncremental) -> Result<Self> {
        let by = match (raw.column, raw.by) {
            (Some(column), None) => WatchedValue::Column(column),
            (None, Some(RawBy::Modified)) => WatchedValue::Modified,
            _ => {
                return Err(Error::config(format!("`{at}` does not say what is watched"))
                    .with_hint("give it `column: NAME`, or `by: modified` for files"));
            }
        };
        let lag = raw.lag.map(|lag| check_lag(at, &String::from(lag))).transpose()?;
        let (nulls, late) = (raw.nulls, raw.late);
        Ok(Self { by, initial: raw.initial.map(String::from), lag, nulls, late })
    }
}

fn check_lag(at: &str, text: &str) -> Result<Lag> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number(whole) && is_number(fraction) {
        return Ok(Lag::Number(text.to_owned()));
    }
    read_duration(text).map(Lag::Time).map_err(|_| {
        Error::config(format!("`{at}.lag`: `{text}` is neither a number nor a duration"))
            .with_hint("write it as in 1000 or 2h; the units are s, m, h, d, w")
    })
}

impl Incremental {
    /// Checks that it fits the mode of the target, and what the relation is read from.
    pub(super) fn check_fit(&self, relation: &str, mode: Mode, is_of_files: bool) -> Result<()> {
        if let Some((cause, hint)) = unfit_mode(mode).or_else(|| self.unfit_source(is_of_files)) {
            let what = format!("the relation `{relation}` is incremental, and {cause}");
            return Err(Error::config(what).with_hint(hint));
        }
        Ok(())
    }

    /// Why it cannot be of such a source, if it cannot, and what to do.
    fn unfit_source(&self, is_of_files: bool) -> Option<(&'static str, &'static str)> {
        match (is_of_files, &self.by) {
            (false, WatchedValue::Modified) => {
                Some(("only files have a time of change", "give `column: NAME` in place of `by`"))
            }
            (true, _) if self.late == Some(LateRows::Find) => {
                Some(("files are never committed late", "remove `late`"))
            }
            (true, _) if self.lag.is_some() => {
                Some(("files are loaded whole, and once", "remove `lag`"))
            }
            _ => None,
        }
    }
}

/// Why no relation can be incremental in a mode, if none can, and what to do.
fn unfit_mode(mode: Mode) -> Option<(&'static str, &'static str)> {
    match mode {
        Mode::Append | Mode::Version | Mode::Merge | Mode::Scd2 => None,
        Mode::Snapshot => Some((
            "`target.mode` snapshot would remove all that is newer than the earliest row of a window",
            "choose `mode: merge`, or remove `incremental`",
        )),
        Mode::Replace => Some((
            "`target.mode` replace would leave nothing in the table but the newest rows",
            "choose `mode: append`",
        )),
        Mode::ReplacePartitions => Some((
            "`target.mode` replace_partitions would leave nothing in a partition but its newest rows",
            "choose `mode: append`",
        )),
        Mode::Error => Some((
            "`target.mode` error would refuse every run but the first",
            "choose `mode: append`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(yaml: &str) -> Result<Incremental> {
        let raw = serde_json::from_value(crate::config::Document::parse(yaml, "yaml")?.typed()?)?;
        Incremental::check("relations[0].incremental", raw)
    }

    #[test]
    fn a_lag_is_a_number_or_a_time() {
        let lag = |text: &str| checked(&format!("{{column: id, lag: {text}}}")).map(|it| it.lag);
        assert_eq!(lag("1000").unwrap(), Some(Lag::Number("1000".into())));
        assert_eq!(lag("'0.50'").unwrap(), Some(Lag::Number("0.50".into())));
        assert_eq!(lag("2h").unwrap(), Some(Lag::Time(chrono::TimeDelta::hours(2))));
        for wrong in ["-5", "soon", "1.", "1e3"] {
            assert!(lag(&format!("'{wrong}'")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_thing_is_watched() {
        assert!(checked("{column: id}").is_ok() && checked("{by: modified}").is_ok());
        assert!(checked("{}").is_err() && checked("{column: id, by: modified}").is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let fit = |yaml: &str, mode, is_of_files| {
            checked(yaml).unwrap().check_fit("orders", mode, is_of_files)
        };
        assert!(fit("{column: id}", Mode::Append, false).is_ok());
        assert!(fit("{column: day}", Mode::Version, true).is_ok());
        assert!(fit("{column: id}", Mode::Replace, false).is_err());
        assert!(fit("{column: id}", Mode::Error, false).is_err());
        assert!(fit("{by: modified}", Mode::Append, false).is_err());
        assert!(fit("{by: modified, lag: 2h}", Mode::Append, true).is_err());
        assert!(fit("{column: day, late: find}", Mode::Append, true).is_err());
    }
}
