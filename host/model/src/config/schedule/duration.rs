//! Durations as people write them: `15m`, `1h30m`.

use chrono::TimeDelta;

use crate::error::{Error, Result};

/// The most digits of a number in a duration.
const NUMBER_LIMIT_DIGITS: usize = 9;

const UNITS: [(&str, i64); 6] =
    [("s", 1), ("m", 60), ("min", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];

/// Reads a duration of at least a second.
pub(in crate::config) fn read_duration(text: &str) -> Result<TimeDelta> {
    let seconds = seconds(text).filter(|seconds| *seconds > 0);
    seconds.and_then(TimeDelta::try_seconds).ok_or_else(|| {
        Error::config(format!("`{text}` is not a duration"))
            .with_hint("write it as in 90s, 15m or 1h30m; the units are s, m, h, d, w")
    })
}

fn seconds(text: &str) -> Option<i64> {
    let (mut rest, mut seconds) = (text.trim(), 0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok().filter(|_| digits <= NUMBER_LIMIT_DIGITS)?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let (_, length) = *UNITS.iter().find(|(name, _)| *name == unit[..end].trim())?;
        seconds = seconds.checked_add(number.checked_mul(length)?)?;
        rest = &unit[end..];
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("15min", 900),
            ("1h30m", 5_400),
            ("1d 12h", 129_600),
            ("2w", 1_209_600),
        ] {
            assert_eq!(read_duration(text).unwrap().num_seconds(), seconds, "{text}");
        }
        for text in ["", "0s", "15", "m", "1.5h", "-1h", "1y", "1h-1m", "9999999999s"] {
            assert!(read_duration(text).is_err(), "{text}");
        }
    }
}
