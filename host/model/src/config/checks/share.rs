//! Shares of rows, such as `0.5%`: exact, as people write them.

use std::fmt::{self, Display, Formatter};

use crate::error::{Error, Result};

/// The most digits behind the point of a percentage.
const FRACTION_DIGITS: usize = 4;

/// What a percent is made of.
const PER_PERCENT: u64 = 10_000;

/// The whole.
const WHOLE: u64 = 100 * PER_PERCENT;

/// The greatest share: a thousand times as much.
const SHARE_LIMIT: u64 = 1_000 * WHOLE;

/// A share, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// Reads `0.5%`.
    pub fn read(at: &str, text: &str) -> Result<Self> {
        read_percent(text).filter(|millionths| *millionths <= SHARE_LIMIT).map(Self).ok_or_else(
            || {
                Error::config(format!("`{at}`: `{text}` is not a share")).with_hint(
                    "write it as in 20% or 0.5%, with at most four digits behind the point",
                )
            },
        )
    }

    /// The same, of which no more than the whole can be meant.
    pub fn of_all(at: &str, text: &str) -> Result<Self> {
        let share = Self::read(at, text)?;
        if share.0 <= WHOLE {
            return Ok(share);
        }
        Err(Error::config(format!("`{at}`: `{text}` is more than all"))
            .with_hint("write at most 100%"))
    }

    /// Whether so many are at most this share of all.
    pub fn covers(self, some: u64, all: u64) -> bool {
        u128::from(some) * u128::from(WHOLE) <= u128::from(all) * u128::from(self.0)
    }
}

fn read_percent(text: &str) -> Option<u64> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > FRACTION_DIGITS {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<FRACTION_DIGITS$}").parse().ok()?;
    whole.checked_mul(PER_PERCENT)?.checked_add(fraction)
}

impl Display for Share {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / PER_PERCENT, self.0 % PER_PERCENT);
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        let digits = format!("{fraction:0FRACTION_DIGITS$}");
        write!(f, "{whole}.{}%", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact() {
        for (text, shown) in
            [("20%", "20%"), ("0.5 %", "0.5%"), ("0.0001%", "0.0001%"), ("1.50%", "1.5%")]
        {
            assert_eq!(Share::read("allow", text).unwrap().to_string(), shown);
        }
        for text in ["", "%", "5", "-1%", "1.%", ".5%", "0.00001%", "1e2%", "100001%"] {
            assert!(Share::read("allow", text).is_err(), "{text}");
        }
        let third = Share::read("allow", "33.3333%").unwrap();
        assert!(third.covers(333_333, 1_000_000) && !third.covers(333_334, 1_000_000));
        assert!(third.covers(0, 0) && !third.covers(1, 0));
        assert!(Share::read("allow", "100%").unwrap().covers(u64::MAX, u64::MAX));
    }
}
