//! Numbers and truth values as people write them: in other spellings, with digits that find no room.

use super::number::{Parts, special};

/// A word for yes or no.
pub fn read_boolean_loosely(text: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(&["true", "t", "yes", "y", "on", "1"]) {
        return Some(true);
    }
    is_one_of(&["false", "f", "no", "n", "off", "0"]).then_some(false)
}

/// A decimal number with so many digits, so many of them behind the point; what is finer is cut off. Nothing
/// where its digits before the point have no room.
pub fn read_decimal_loosely(text: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let parts = Parts::loose(text)?;
    let (mut digits, power) = parts.significant();
    let zeros = power + i32::from(scale);
    if zeros < 0 {
        let kept = digits.len().saturating_sub(zeros.unsigned_abs() as usize);
        digits.truncate(kept);
    }
    if digits.is_empty() {
        return Some(0);
    }
    let zeros = zeros.max(0) as usize;
    if digits.len() + zeros > usize::from(precision) {
        return None;
    }
    let zeros = std::iter::repeat_n(b'0', zeros);
    let value = digits.into_iter().chain(zeros).try_fold(0_i128, |value, digit| {
        value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))
    })?;
    Some(if parts.is_negative { -value } else { value })
}

/// The double that is nearest to a number. Nothing where that would be an infinity, or zero for what is not.
pub fn read_f64_loosely(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    fits(text, value == 0.0, value.is_finite()).then_some(value)
}

/// The float that is nearest to a number; see [`read_f64_loosely`].
pub fn read_f32_loosely(text: &str) -> Option<f32> {
    let value: f32 = text.parse().ok()?;
    fits(text, value == 0.0, value.is_finite()).then_some(value)
}

fn fits(text: &str, is_zero: bool, is_finite: bool) -> bool {
    match Parts::loose(text.as_bytes()) {
        Some(parts) => is_finite && (!is_zero || parts.is_zero()),
        None => special(text),
    }
}

/// Hexadecimal digits, in capitals too, with `0x` or `\x` in front, and blanks between the bytes.
pub fn read_bytes_loosely(text: &str) -> Option<Vec<u8>> {
    let prefixes = ["0x", "0X", "\\x", "\\X"];
    let digits = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for run in digits.split_ascii_whitespace() {
        let (pairs, rest) = run.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return None;
        }
        for [high, low] in pairs {
            bytes.push(digit(*high)? << 4 | digit(*low)?);
        }
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Exactness, read_decimal, read_f64};
    use super::*;

    #[test]
    fn digits_without_room_are_cut_off_and_none_other() {
        for (text, value) in [
            ("1.999", 199),
            ("-1.999", -199),
            ("+007.5", 750),
            (".5", 50),
            ("5.", 500),
            ("0.001", 0),
            ("-0", 0),
            ("1e-400", 0),
            ("12345e-3", 1234),
        ] {
            assert_eq!(read_decimal_loosely(text.as_bytes(), 10, 2), Some(value), "{text}");
        }
        for text in ["", ".", "+", "1e", "x", "100000000", "1e400", "1 2", "NaN", "--1"] {
            assert_eq!(read_decimal_loosely(text.as_bytes(), 10, 2), None, "{text}");
        }
    }

    #[test]
    fn a_double_is_near_or_refused() {
        for (text, value) in
            [("+1.5", 1.5), (".5", 0.5), ("007", 7.0), ("9007199254740993", 9007199254740992.0)]
        {
            assert_eq!(read_f64_loosely(text), Some(value), "{text}");
        }
        assert_eq!(read_f64_loosely("INF"), Some(f64::INFINITY));
        assert!(read_f64_loosely("nan").unwrap().is_nan());
        for text in ["1e400", "-1e999", "1e-400", "", "x", "1,5", "0x10"] {
            assert_eq!(read_f64_loosely(text), None, "{text}");
        }
        assert_eq!(read_f32_loosely("1e39"), None);
    }

    #[test]
    fn bytes_are_hexadecimal_digits_however_they_are_written() {
        for text in ["deadbeef", "DEADBEEF", "0xDeadBeef", "\\xdeadbeef", "de ad BE\tef"] {
            assert_eq!(read_bytes_loosely(text), Some(vec![0xde, 0xad, 0xbe, 0xef]), "{text}");
        }
        for text in ["a", "0x0", "d ea d", "xy", "0x0x00", "+1"] {
            assert_eq!(read_bytes_loosely(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_strictly_is_read_the_same(text in "-?[0-9]{1,12}(\\.[0-9]{1,6})?([eE]-?[0-9]{1,2})?") {
            if let Some(value) = read_decimal(text.as_bytes(), 38, 4) {
                prop_assert_eq!(read_decimal_loosely(text.as_bytes(), 38, 4), Some(value));
            }
            if let Some(value) = read_f64(text.as_bytes(), Exactness::Value) {
                prop_assert_eq!(read_f64_loosely(&text), Some(value));
            }
        }
    }
}
