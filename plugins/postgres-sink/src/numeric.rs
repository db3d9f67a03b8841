//! `numeric` as PostgreSQL sends it: digits to the base 10,000, the position of the first, a sign, and
//! how many decimal digits are behind the point.

/// The base of PostgreSQL's digits.
const BASE: u64 = 10_000;

/// Values of so few digits take the short way: times 1,000 they still fit 64 bits.
const SHORT_LIMIT: u64 = u64::MAX / 1_000;

const NEGATIVE: u16 = 0x4000;

/// Appends a decimal in 64 bits, or fewer.
pub fn put_short(out: &mut Vec<u8>, value: i64, scale: u8) {
    let magnitude = value.unsigned_abs();
    if magnitude > SHORT_LIMIT {
        return put_text(out, &value.to_string(), scale);
    }
    let fill = (4 - scale % 4) % 4;
    let mut rest = magnitude * 10_u64.pow(fill.into());
    let mut digits = [0_u16; 6];
    let mut count = 0;
    while rest > 0 {
        digits[count] = (rest % BASE) as u16;
        rest /= BASE;
        count += 1;
    }
    digits[..count].reverse();
    let behind = usize::from(scale.div_ceil(4));
    put(out, &digits[..count], count as i16 - behind as i16 - 1, value < 0, scale);
}

/// Appends a decimal that is written as a whole number: the digits without their point.
pub fn put_text(out: &mut Vec<u8>, value: &str, scale: u8) {
    let (negative, text) = match value.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, value),
    };
    let text = text.trim_start_matches('0');
    // Zeros on both sides, so that the point stands between two digits.
    let fill = usize::from((4 - scale % 4) % 4);
    let lead = (4 - (text.len() + fill) % 4) % 4;
    let all = [vec![b'0'; lead], text.as_bytes().to_vec(), vec![b'0'; fill]].concat();
    let digit = |four: &[u8]| four.iter().fold(0, |n, b| n * 10 + u16::from(b - b'0'));
    let digits: Vec<u16> = all.chunks(4).map(digit).collect();
    let digits = if text.is_empty() { &[][..] } else { &digits };
    let behind = i16::from(scale.div_ceil(4));
    put(out, digits, digits.len() as i16 - behind - 1, negative, scale);
}

fn put(out: &mut Vec<u8>, digits: &[u16], weight: i16, negative: bool, scale: u8) {
    let end = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
    let digits = &digits[..end];
    let (weight, sign) =
        if digits.is_empty() { (0, 0) } else { (weight, if negative { NEGATIVE } else { 0 }) };
    out.extend_from_slice(&(8 + 2 * digits.len() as i32).to_be_bytes());
    out.extend_from_slice(&(digits.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&u16::from(scale).to_be_bytes());
    digits.iter().for_each(|digit| out.extend_from_slice(&digit.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shorts(bytes: &[u8]) -> Vec<i16> {
        bytes[4..].chunks(2).map(|two| i16::from_be_bytes([two[0], two[1]])).collect()
    }

    fn short(value: i64, scale: u8) -> Vec<i16> {
        let mut out = Vec::new();
        put_short(&mut out, value, scale);
        assert_eq!(out.len(), 4 + i32::from_be_bytes(out[..4].try_into().unwrap()) as usize);
        shorts(&out)
    }

    #[test]
    fn decimals_look_as_the_server_sends_them() {
        // As `SELECT numeric_send(12345.678)` shows them.
        assert_eq!(short(12_345_678, 3), [3, 1, 0, 3, 1, 2345, 6780]);
        assert_eq!(short(-1, 2), [1, -1, 0x4000, 2, 100]);
        assert_eq!(short(0, 2), [0, 0, 0, 2]);
        assert_eq!(short(10_000, 0), [1, 1, 0, 0, 1]);
        assert_eq!(short(1, 9), [1, -3, 0, 9, 1000]);
    }

    /// The value that digits mean, times 10 to the scale.
    fn meaning(parts: &[i16]) -> i128 {
        let [count, weight, sign, scale, digits @ ..] = parts else { panic!("too short") };
        assert_eq!(*count as usize, digits.len());
        let mut value = 0_i128;
        for (position, digit) in digits.iter().enumerate() {
            let power = 4 * (i32::from(*weight) - position as i32) + i32::from(*scale);
            value += match u32::try_from(power) {
                Ok(power) => i128::from(*digit) * 10_i128.pow(power),
                Err(_) => i128::from(*digit) / 10_i128.pow(power.unsigned_abs()),
            };
        }
        if *sign == 0 { value } else { -value }
    }

    proptest! {
        #[test]
        fn both_ways_write_the_same_and_mean_the_value(value: i64, scale in 0_u8..30, shift in 0_u32..63) {
            let value = value >> shift;
            let mut text = Vec::new();
            put_text(&mut text, &value.to_string(), scale);
            prop_assert_eq!(short(value, scale), shorts(&text));
            prop_assert_eq!(meaning(&short(value, scale)), i128::from(value));
        }

        #[test]
        fn long_ones_mean_the_value(value in -(10_i128.pow(37))..10_i128.pow(37), scale in 0_u8..38) {
            let mut text = Vec::new();
            put_text(&mut text, &value.to_string(), scale);
            prop_assert_eq!(meaning(&shorts(&text)), value);
        }
    }
}
