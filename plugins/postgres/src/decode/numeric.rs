//! Numerics: groups of four digits become decimals, exactly.

use longshore_sdk::buffer::i256;

use super::{Cause, Special, slice};
use crate::field::Field;
use crate::kind::Digits;

/// All powers of ten of 64 bits.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Numerics of at most so many groups are added up in 64 bits, if their decimals have 64 bits or fewer.
const NARROW_GROUPS: usize = 4;

/// Adds fields to a decimal column of 32 bits.
pub(super) fn decimals32(
    values: &mut Vec<i32>,
    bytes: &[u8],
    fields: &[Field],
    digits: Digits,
) -> Result<(), Cause> {
    let limit = 10_u64.pow(digits.precision.into());
    // Nine digits fit.
    collect(values, bytes, fields, |value| Ok(narrow(value, digits, limit)? as i32))
}

/// Adds fields to a decimal column of 64 bits.
pub(super) fn decimals64(
    values: &mut Vec<i64>,
    bytes: &[u8],
    fields: &[Field],
    digits: Digits,
) -> Result<(), Cause> {
    let limit = 10_u64.pow(digits.precision.into());
    collect(values, bytes, fields, |value| narrow(value, digits, limit))
}

/// Adds fields to a decimal column of 128 bits.
pub(super) fn decimals128(
    values: &mut Vec<i128>,
    bytes: &[u8],
    fields: &[Field],
    digits: Digits,
) -> Result<(), Cause> {
    collect(values, bytes, fields, |value| Numeric::parse(value)?.wide(digits))
}

/// Adds fields to a decimal column of 256 bits.
pub(super) fn decimals256(
    values: &mut Vec<i256>,
    bytes: &[u8],
    fields: &[Field],
    digits: Digits,
) -> Result<(), Cause> {
    collect(values, bytes, fields, |value| Numeric::parse(value)?.widest(digits))
}

/// Not inlined, as its namesake for fields of one length.
#[inline(never)]
fn collect<T: Clone + Default>(
    values: &mut Vec<T>,
    bytes: &[u8],
    fields: &[Field],
    decode: impl Fn(&[u8]) -> Result<T, Cause>,
) -> Result<(), Cause> {
    let old = values.len();
    values.resize(old + fields.len(), T::default());
    for (unscaled, field) in values[old..].iter_mut().zip(fields) {
        if let Some(value) = slice(bytes, field)? {
            *unscaled = decode(value)?;
        }
    }
    Ok(())
}

/// Numerics of any digits as the server would write them: their texts, and where they lie.
pub(super) fn texts(bytes: &[u8], fields: &[Field]) -> Result<(Vec<u8>, Vec<Field>), Cause> {
    let (mut texts, mut places) = (Vec::new(), Vec::with_capacity(fields.len()));
    for field in fields {
        let at = texts.len();
        let length = match slice(bytes, field)? {
            None => -1,
            Some(value) => {
                write_text(value, &mut texts)?;
                (texts.len() - at) as i32
            }
        };
        places.push(Field { at: at as u32, length });
    }
    Ok((texts, places))
}

fn write_text(value: &[u8], text: &mut Vec<u8>) -> Result<(), Cause> {
    let numeric = match Numeric::parse(value) {
        Err(Cause::Special(Special::NotANumber)) => {
            text.extend(b"NaN");
            return Ok(());
        }
        Err(Cause::Special(_)) => {
            let negative = value[4..6] == [0xf0, 0];
            text.extend(if negative { &b"-Infinity"[..] } else { b"Infinity" });
            return Ok(());
        }
        parsed => parsed?,
    };
    let group = |weight: i32| -> u16 {
        let at = usize::try_from(numeric.weight - weight).unwrap_or(usize::MAX).saturating_mul(2);
        let group = numeric.groups.get(at..at.saturating_add(2));
        group.map_or(0, |group| u16::from_be_bytes([group[0], group[1]]))
    };
    if numeric.negative {
        text.push(b'-');
    }
    let whole = text.len();
    (0..=numeric.weight).rev().for_each(|weight| push_group(group(weight), text));
    let zeros = text[whole..].iter().take_while(|digit| **digit == b'0').count();
    text.drain(whole..whole + zeros);
    if text.len() == whole {
        text.push(b'0');
    }
    let scale = usize::from(u16::from_be_bytes([value[6], value[7]]) & 0x3fff);
    if scale > 0 {
        text.push(b'.');
        let end = text.len() + scale;
        for weight in 1..=scale.div_ceil(4) as i32 {
            push_group(group(-weight), text);
        }
        text.truncate(end);
    }
    Ok(())
}

/// Four digits.
fn push_group(group: u16, text: &mut Vec<u8>) {
    let digit = |power: u16| b'0' + (group / power % 10) as u8;
    text.extend([digit(1_000), digit(100), digit(10), digit(1)]);
}

/// A numeric of at most 18 digits, times ten to its scale; `limit` is ten to its precision.
#[inline]
fn narrow(value: &[u8], digits: Digits, limit: u64) -> Result<i64, Cause> {
    let numeric = Numeric::parse(value)?;
    if numeric.groups.len() > 2 * NARROW_GROUPS {
        return i64::try_from(numeric.wide(digits)?).map_err(|_| Cause::Digits);
    }
    let scaled = numeric.narrow(digits.scale)?;
    if scaled >= limit {
        return Err(Cause::Digits);
    }
    Ok(if numeric.negative { -(scaled as i64) } else { scaled as i64 })
}

/// A numeric's groups of four digits, from the largest, and what they mean.
struct Numeric<'a> {
    groups: &'a [u8],
    /// The power of ten thousand of the first group.
    weight: i32,
    negative: bool,
}

impl<'a> Numeric<'a> {
    #[inline]
    fn parse(value: &'a [u8]) -> Result<Self, Cause> {
        const HEAD_BYTES: usize = 8;
        let Some((head, groups)) = value.split_at_checked(HEAD_BYTES) else {
            return Err(Cause::Length);
        };
        let count = usize::from(u16::from_be_bytes([head[0], head[1]]));
        if groups.len() != count * 2 {
            return Err(Cause::Length);
        }
        let negative = match u16::from_be_bytes([head[4], head[5]]) {
            0x0000 => false,
            0x4000 => true,
            0xc000 => return Err(Cause::Special(Special::NotANumber)),
            _ => return Err(Cause::Special(Special::Infinity)),
        };
        Ok(Self { groups, weight: i16::from_be_bytes([head[2], head[3]]).into(), negative })
    }

    fn groups(&self) -> impl Iterator<Item = u16> {
        self.groups.chunks_exact(2).map(|group| u16::from_be_bytes([group[0], group[1]]))
    }

    /// How many digits of the scaled value lie below the last group; less than none where the
    /// group has more digits than the scale.
    #[inline]
    fn below(&self, scale: u8) -> i32 {
        (self.weight + 1 - (self.groups.len() / 2) as i32) * 4 + i32::from(scale)
    }

    /// The scaled value of at most [`NARROW_GROUPS`] groups, without its sign.
    #[inline]
    fn narrow(&self, scale: u8) -> Result<u64, Cause> {
        let sum = self.groups().fold(0, |sum, group| sum * 10_000 + u64::from(group));
        let shorten = |power| if sum % power == 0 { Ok(sum / power) } else { Err(Cause::Digits) };
        match self.below(scale) {
            // No power of ten is too large for it.
            _ if sum == 0 => Ok(0),
            0 => Ok(sum),
            -1 => shorten(10),
            -2 => shorten(100),
            -3 => shorten(1_000),
            below => {
                let power = POWERS.get(usize::try_from(below).unwrap_or(POWERS.len()));
                power.and_then(|power| sum.checked_mul(*power)).ok_or(Cause::Digits)
            }
        }
    }

    /// The scaled value of at most 38 digits, with its sign.
    fn wide(&self, digits: Digits) -> Result<i128, Cause> {
        let mut sum: u128 = 0;
        let last = self.groups.len() as i32 / 2 - 1;
        for (index, group) in self.groups().enumerate() {
            let group = u128::from(group);
            let part = match self.below(digits.scale) + 4 * (last - index as i32) {
                _ if group == 0 => 0,
                below @ 0.. => {
                    let power = 10_u128.checked_pow(below as u32);
                    power.and_then(|power| group.checked_mul(power)).ok_or(Cause::Digits)?
                }
                below @ -3..=-1 if group % 10_u128.pow(-below as u32) == 0 => {
                    group / 10_u128.pow(-below as u32)
                }
                _ => return Err(Cause::Digits),
            };
            sum = sum.checked_add(part).ok_or(Cause::Digits)?;
        }
        let fits = sum < 10_u128.pow(digits.precision.into());
        let scaled = i128::try_from(sum).ok().filter(|_| fits).ok_or(Cause::Digits)?;
        Ok(if self.negative { -scaled } else { scaled })
    }

    /// The scaled value of at most 76 digits, with its sign.
    fn widest(&self, digits: Digits) -> Result<i256, Cause> {
        let power = |exponent: i32| i256::from_i128(10).checked_pow(exponent as u32);
        let whole = || {
            let mut sum = i256::ZERO;
            // Digits of the scaled value below the group at hand.
            let mut below = self.below(digits.scale) + 4 * (self.groups.len() as i32 / 2 - 1);
            for group in self.groups() {
                // What is beyond the scale is cut off before it is added: with it the sum may not fit.
                let (count, group) = match below {
                    0.. => (4, group),
                    -3..=-1 => {
                        let cut = 10_u16.pow(-below as u32);
                        if group % cut != 0 {
                            return None;
                        }
                        (4 + below, group / cut)
                    }
                    _ if group == 0 => (0, 0),
                    _ => return None,
                };
                sum = sum.checked_mul(power(count)?)?.checked_add(i256::from_i128(group.into()))?;
                below -= 4;
            }
            let missing = below + 4;
            if missing > 0 && sum != i256::ZERO {
                sum = sum.checked_mul(power(missing)?)?;
            }
            (sum < power(digits.precision.into())?).then_some(sum)
        };
        let scaled = whole().ok_or(Cause::Digits)?;
        Ok(if self.negative { -scaled } else { scaled })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As a decimal of its width has it.
    fn numeric(value: &[u8], precision: u8, scale: u8) -> Result<i128, Cause> {
        let digits = Digits { precision, scale };
        let field = [Field { at: 0, length: value.len() as i32 }];
        match precision {
            ..=9 => {
                let mut values = Vec::new();
                decimals32(&mut values, value, &field, digits).map(|()| values[0].into())
            }
            10..=18 => {
                let mut values = Vec::new();
                decimals64(&mut values, value, &field, digits).map(|()| values[0].into())
            }
            _ => Numeric::parse(value)?.wide(digits),
        }
    }

    /// As PostgreSQL sends it: no zero groups at either end.
    fn sent(unscaled: i128, scale: u8) -> Vec<u8> {
        let mut digits = unscaled.unsigned_abs();
        // Whole groups below the point.
        let padding = (4 - u32::from(scale) % 4) % 4;
        let mut groups = Vec::new();
        // The lowest group holds `4 - padding` digits of the value.
        let first = 10_u128.pow(4 - padding);
        if padding > 0 {
            groups.push((digits % first) as u16 * 10_u16.pow(padding));
            digits /= first;
        }
        while digits > 0 {
            groups.push((digits % 10_000) as u16);
            digits /= 10_000;
        }
        let fractional = (i32::from(scale) + 3) / 4;
        let mut weight = groups.len() as i32 - fractional - 1;
        groups.reverse();
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        let sign: u16 = if unscaled < 0 { 0x4000 } else { 0 };
        let mut bytes = Vec::new();
        bytes.extend((groups.len() as u16).to_be_bytes());
        bytes.extend((weight as i16).to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(u16::from(scale).to_be_bytes());
        groups.iter().for_each(|group| bytes.extend(group.to_be_bytes()));
        bytes
    }

    proptest! {
        #[test]
        fn narrow_numerics_survive(unscaled in -999_999_999_999_999_999_i128..=999_999_999_999_999_999, scale in 0_u8..=18) {
            prop_assert_eq!(numeric(&sent(unscaled, scale), 18, scale).ok(), Some(unscaled));
        }

        #[test]
        fn small_numerics_survive(unscaled in -99_999_i128..=99_999, scale in 0_u8..=18) {
            prop_assert_eq!(numeric(&sent(unscaled, scale), 18, scale).ok(), Some(unscaled));
        }

        #[test]
        fn numerics_of_nine_digits_survive(unscaled in -999_999_999_i128..=999_999_999, scale in 0_u8..=9) {
            prop_assert_eq!(numeric(&sent(unscaled, scale), 9, scale).ok(), Some(unscaled));
        }

        #[test]
        fn wide_numerics_survive(unscaled: i128, scale in 0_u8..=38) {
            let unscaled = unscaled % 10_i128.pow(38);
            prop_assert_eq!(numeric(&sent(unscaled, scale), 38, scale).ok(), Some(unscaled));
        }

        #[test]
        fn digits_beyond_the_scale_are_refused(unscaled in 1_i128..=999_999, scale in 1_u8..=18) {
            let value = sent(unscaled * 10 + 1, scale);
            prop_assert!(matches!(numeric(&value, 18, scale - 1), Err(Cause::Digits)));
            prop_assert!(matches!(numeric(&value, 38, scale - 1), Err(Cause::Digits)));
        }

        #[test]
        fn the_widest_numerics_survive(unscaled: i128, scale in 0_u8..=38) {
            let value = sent(unscaled, scale);
            let widest = Numeric::parse(&value).ok().and_then(|numeric| numeric.widest(Digits { precision: 76, scale: scale + 20 }).ok());
            let wanted = i256::from_i128(unscaled) * i256::from_i128(10_i128.pow(20));
            prop_assert_eq!(widest, Some(wanted));
        }

        #[test]
        fn numbers_of_too_many_digits_are_refused(unscaled in 1_000_i128..=999_999) {
            let value = sent(unscaled, 0);
            prop_assert!(matches!(numeric(&value, 3, 0), Err(Cause::Digits)));
            let wide = Numeric::parse(&value).ok().unwrap().wide(Digits { precision: 3, scale: 0 });
            prop_assert!(matches!(wide, Err(Cause::Digits)));
            let widest = Numeric::parse(&value).ok().unwrap().widest(Digits { precision: 3, scale: 0 });
            prop_assert!(matches!(widest, Err(Cause::Digits)));
        }
    }

    #[test]
    fn texts_are_as_the_server_writes_them() {
        let text = |value: &[u8]| {
            let mut text = Vec::new();
            write_text(value, &mut text).ok().unwrap();
            String::from_utf8(text).unwrap()
        };
        for (unscaled, scale, written) in [
            (0, 0, "0"),
            (0, 3, "0.000"),
            (-5, 2, "-0.05"),
            (12_345, 0, "12345"),
            (1_000_000, 2, "10000.00"),
            (-123_456_789, 5, "-1234.56789"),
        ] {
            assert_eq!(text(&sent(unscaled, scale)), written);
        }
        assert_eq!(text(&[0, 0, 0, 0, 0xc0, 0, 0, 0]), "NaN");
        assert_eq!(text(&[0, 0, 0, 0, 0xf0, 0, 0, 0]), "-Infinity");
    }

    #[test]
    fn what_a_decimal_has_not_is_told() {
        assert!(matches!(
            numeric(&[0, 0, 0, 0, 0xc0, 0, 0, 0], 9, 2),
            Err(Cause::Special(Special::NotANumber))
        ));
        assert!(matches!(
            numeric(&[0, 0, 0, 0, 0xd0, 0, 0, 0], 9, 2),
            Err(Cause::Special(Special::Infinity))
        ));
    }
}
