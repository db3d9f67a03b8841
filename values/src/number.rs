//! Numbers and truth values.

/// The largest whole number up to which a double holds every one.
pub const MAX_EXACT_INTEGER: i64 = 1 << 53;

/// So many digits of a decimal number always come back from a double, and from a float.
const EXACT_DIGITS_F64: usize = 15;
const EXACT_DIGITS_F32: usize = 6;

/// Exponents beyond this are not worked out: no type of numbers has room for them.
const EXPONENT_LIMIT: i32 = 400;

/// How much of a text a value must stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// All its digits: what a type is inferred from. `1.10` is no double, `1.1` and `1e3` are.
    Spelling,
    /// The same value, maybe spelled otherwise: what a declared type is read with. `1.10` is 1.1.
    Value,
}

/// `true` or `false`.
pub fn read_boolean(text: &[u8]) -> Option<bool> {
    match text {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// A whole number as it is written: no `+`, no zeros in front, no `-0`.
pub fn read_integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let leads_with_zero = *digits.first()? == b'0';
    if digits.len() > 19 || (leads_with_zero && (digits.len() > 1 || is_negative)) {
        return None;
    }
    let mut value: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    if is_negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// A number's parts, as they are written.
pub(super) struct Parts<'a> {
    pub(super) is_negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: Option<i32>,
}

impl<'a> Parts<'a> {
    /// `-12.5e3`; no `+` and no zeros in front, and digits on both sides of a point.
    fn of(text: &'a [u8]) -> Option<Self> {
        let (is_negative, rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            _ => (false, text),
        };
        let (whole, rest) = take_digits(rest);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let (fraction, rest) = match rest.strip_prefix(b".") {
            None => (&rest[..0], rest),
            Some(rest) => {
                let (fraction, rest) = take_digits(rest);
                if fraction.is_empty() {
                    return None;
                }
                (fraction, rest)
            }
        };
        let exponent = match rest.split_first() {
            None => None,
            Some((b'e' | b'E', rest)) => Some(read_exponent(rest)?),
            Some(_) => return None,
        };
        Some(Self { is_negative, whole, fraction, exponent })
    }

    /// The same with a `+`, zeros in front, and digits on one side of a point only.
    pub(super) fn loose(text: &'a [u8]) -> Option<Self> {
        let (is_negative, rest) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        let (whole, rest) = take_digits(rest);
        let (fraction, rest) = take_digits(rest.strip_prefix(b".").unwrap_or(rest));
        let exponent = match rest.split_first() {
            None => None,
            Some((b'e' | b'E', rest)) => Some(read_exponent(rest)?),
            Some(_) => return None,
        };
        let has_digits = !whole.is_empty() || !fraction.is_empty();
        has_digits.then_some(Self { is_negative, whole, fraction, exponent })
    }

    /// The digits that count, and the power of ten of the last one. No digits for zero.
    pub(super) fn significant(&self) -> (Vec<u8>, i32) {
        let mut digits: Vec<u8> = self.whole.iter().chain(self.fraction).copied().collect();
        let mut power = self.exponent.unwrap_or(0) - self.fraction.len() as i32;
        while digits.last() == Some(&b'0') {
            digits.pop();
            power += 1;
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        if digits.is_empty() { (digits, 0) } else { (digits, power) }
    }

    /// `1.50`: a double would not bring the zero back.
    fn has_needless_zeros(&self) -> bool {
        self.fraction.last() == Some(&b'0') && self.fraction != b"0"
    }

    fn is_whole(&self) -> bool {
        self.fraction.is_empty() && self.exponent.is_none()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.whole.iter().chain(self.fraction).all(|digit| *digit == b'0')
    }
}

fn take_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(length)
}

fn read_exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text.split_first()? {
        (b'-', rest) => (-1, rest),
        (b'+', rest) => (1, rest),
        _ => (1, text),
    };
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // Longer ones are beyond the limit, or led by zeros.
    if !is_number || digits.len() > 4 {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    (value <= EXPONENT_LIMIT).then_some(sign * value)
}

macro_rules! read_float {
    ($(#[$doc:meta])* $name:ident, $float:ty, $exact_digits:expr, $whole:expr) => {
        $(#[$doc])*
        pub fn $name(text: &[u8], exactness: Exactness) -> Option<$float> {
            let Some(parts) = Parts::of(text) else {
                return read_special(text, exactness).map(|value| value as $float);
            };
            let value: $float = std::str::from_utf8(text).ok()?.parse().ok()?;
            if !value.is_finite() {
                return None;
            }
            let is_same = match exactness {
                Exactness::Spelling if parts.is_whole() => {
                    read_integer(text).is_some_and(|whole| whole.unsigned_abs() <= $whole)
                }
                Exactness::Spelling if parts.has_needless_zeros() => false,
                _ => {
                    let digits = parts.whole.len() + parts.fraction.len();
                    (digits <= $exact_digits && value.is_normal())
                        || parts.is_zero()
                        || is_shortest(&parts, &format!("{value:e}"))
                }
            };
            is_same.then_some(value)
        }
    };
}

read_float!(
    /// A double that stands for the text; whole numbers up to 2^53 among them.
    read_f64,
    f64,
    EXACT_DIGITS_F64,
    MAX_EXACT_INTEGER as u64
);
read_float!(
    /// A float that stands for the text; whole numbers up to 2^24 among them.
    read_f32,
    f32,
    EXACT_DIGITS_F32,
    1 << 24
);

/// What is no number and still a value of floating point numbers, as our writers and databases write it.
fn read_special(text: &[u8], exactness: Exactness) -> Option<f64> {
    match text {
        // Nobody's column is taken for numbers because of such words.
        _ if exactness == Exactness::Spelling => None,
        b"NaN" => Some(f64::NAN),
        b"Infinity" | b"inf" => Some(f64::INFINITY),
        b"-Infinity" | b"-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Whether a word stands for what is no number, in capitals or not.
pub(super) fn special(text: &str) -> bool {
    let word = text.trim_start_matches(['+', '-']);
    ["nan", "inf", "infinity"].iter().any(|special| word.eq_ignore_ascii_case(special))
}

/// Whether a number is the one that a float's shortest text, `1.5e3`, stands for.
fn is_shortest(parts: &Parts<'_>, shortest: &str) -> bool {
    Parts::of(shortest.as_bytes()).is_some_and(|other| other.significant() == parts.significant())
}

/// A decimal number with so many digits, so many of them behind the point: none is lost.
pub fn read_decimal(text: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let parts = Parts::of(text)?;
    let (digits, power) = parts.significant();
    let zeros = power + i32::from(scale);
    if digits.is_empty() {
        // Zero, and no sign to lose.
        return (!parts.is_negative).then_some(0);
    }
    if zeros < 0 || digits.len() + zeros as usize > usize::from(precision) {
        return None;
    }
    let mut value: i128 = 0;
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let value = value.checked_mul(10_i128.checked_pow(zeros as u32)?)?;
    Some(if parts.is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_are_read_as_they_are_written() {
        for number in [0, 1, -1, 42, i64::MAX, i64::MIN] {
            assert_eq!(read_integer(number.to_string().as_bytes()), Some(number));
        }
        for text in [
            "",
            "-",
            "007",
            "+1",
            "-0",
            "1.0",
            "1e3",
            " 1",
            "1 ",
            "1_000",
            "0x10",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
        ] {
            assert_eq!(read_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_double_stands_for_its_text_or_is_not_read() {
        let spelled = |text: &str| read_f64(text.as_bytes(), Exactness::Spelling);
        let valued = |text: &str| read_f64(text.as_bytes(), Exactness::Value);
        for text in [
            "0.5",
            "-1.25",
            "1.0",
            "0.30000000000000004",
            "1e16",
            "1e300",
            "1e3",
            "1E5",
            "1",
            "9007199254740992",
        ] {
            assert_eq!(spelled(text), text.parse().ok(), "{text}");
        }
        for text in [
            "1.10",
            "01.5",
            ".5",
            "5.",
            "+1.5",
            "1.50e3",
            "9007199254740993",
            "0.1000000000000000055",
            "1e400",
            "1e-400",
            "NaN",
            "inf",
            "1.5 ",
            "1,5",
            "1e",
            "--1",
            "-0",
            "0x1p3",
            "1_0.5",
        ] {
            assert_eq!(spelled(text), None, "{text}");
        }
        for (text, value) in
            [("1.10", 1.1), ("1e3", 1e3), ("100", 100.0), ("-0", -0.0), ("1E-5", 1e-5)]
        {
            assert_eq!(valued(text), Some(value), "{text}");
        }
        assert!(valued("NaN").unwrap().is_nan());
        for text in
            ["9007199254740993", "0.1000000000000000055", "1e400", "1e-400", "nan", "01", "+1"]
        {
            assert_eq!(valued(text), None, "{text}");
        }
        assert_eq!(read_f32(b"0.1", Exactness::Value), Some(0.1));
        assert_eq!(read_f32(b"16777217", Exactness::Value), None);
    }

    #[test]
    fn no_digit_of_a_decimal_is_lost() {
        for (text, value) in [
            ("1.99", 199),
            ("1.9", 190),
            ("1.990", 199),
            ("-1", -100),
            ("0", 0),
            ("0.00", 0),
            ("1e2", 10_000),
            ("99999999.99", 9_999_999_999),
        ] {
            assert_eq!(read_decimal(text.as_bytes(), 10, 2), Some(value), "{text}");
        }
        for text in ["1.999", "1e4294967296", "1e400", "100000000", "007", "-0", ".5", "NaN", ""] {
            assert_eq!(read_decimal(text.as_bytes(), 10, 2), None, "{text}");
        }
        let most = "9".repeat(38);
        assert_eq!(read_decimal(most.as_bytes(), 38, 0), most.parse().ok());
    }

    proptest! {
        #[test]
        fn every_number_is_read_back_from_how_it_is_spelled(bits in any::<u64>(), whole in any::<i64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = format!("{value:?}");
            prop_assert_eq!(read_f64(text.as_bytes(), Exactness::Spelling), Some(value));
            prop_assert_eq!(read_integer(whole.to_string().as_bytes()), Some(whole));
        }

        #[test]
        fn what_is_read_by_its_spelling_is_spelled_so(text in "-?[0-9]{1,20}(\\.[0-9]{1,20})?(e-?[0-9]{1,3})?") {
            if let Some(value) = read_f64(text.as_bytes(), Exactness::Spelling) {
                let (spelled, read) = (format!("{value:e}"), Parts::of(text.as_bytes()).unwrap());
                let spelled = Parts::of(spelled.as_bytes()).unwrap();
                prop_assert_eq!(spelled.significant(), read.significant());
            }
            if let Some(whole) = read_integer(text.as_bytes()) {
                prop_assert_eq!(whole.to_string(), text);
            }
        }

        #[test]
        fn a_decimal_is_the_number_that_its_text_says(value in -99_999_999_i128..99_999_999, zeros in 0_usize..3) {
            let text = format!(
                "{}{}.{:02}{}", if value < 0 { "-" } else { "" }, value.abs() / 100, value.abs() % 100, "0".repeat(zeros)
            );
            prop_assert_eq!(read_decimal(text.as_bytes(), 10, 2), Some(value));
        }
    }
}
