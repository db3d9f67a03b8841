//! What the job decides about values that have no exact place in Arrow.

use schemars::JsonSchema;
use serde::Deserialize;

/// The widest decimal of Arrow and Parquet.
pub(crate) const DECIMAL_MAX_PRECISION: u8 = 76;

/// A `numeric` without a precision, or with more than 76 digits.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("pattern" = r"^(text|decimal\(\d+,\d+\))$"))]
pub enum Numerics {
    /// It is moved as text.
    #[default]
    Text,
    /// It is moved as a decimal; a value that does not fit exactly fails the run.
    Decimal {
        /// Digits in all, at most 76.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
}

impl TryFrom<String> for Numerics {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "text" {
            return Ok(Self::Text);
        }
        let parsed = || {
            let (precision, scale) =
                text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
            let fits = (1..=DECIMAL_MAX_PRECISION).contains(&precision) && scale <= precision;
            fits.then_some(Self::Decimal { precision, scale })
        };
        parsed().ok_or_else(|| {
            format!(
                "`numeric`: `{text}` is neither `text` nor `decimal(P,S)` with S <= P <= {DECIMAL_MAX_PRECISION}"
            )
        })
    }
}

/// Values that Arrow has not: NaN and infinity in decimals, infinity in dates and timestamps,
/// timestamps after 294246-12-31, 24:00:00.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SpecialValues {
    /// The first one fails the run, with its column's name.
    #[default]
    Refuse,
    /// They become null.
    Nullify,
    /// Columns of types that have them are moved as text.
    Text,
}

/// Arrays.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Arrays {
    /// As lists, nested as deep as the column is declared; an array of other dimensions, or with a
    /// lower bound that is not 1, fails the run.
    #[default]
    List,
    /// As PostgreSQL's text.
    Text,
}

/// Types that PostgreSQL has not by itself, such as those of extensions.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum UnknownTypes {
    /// They are moved as their text.
    #[default]
    Text,
    /// A column of such a type is refused, by name.
    Refuse,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    pub(crate) numeric: Numerics,
    pub(crate) special_values: SpecialValues,
    pub(crate) arrays: Arrays,
    pub(crate) unknown_types: UnknownTypes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_policy_is_text_or_a_decimal_that_exists() {
        let parse = |text: &str| Numerics::try_from(text.to_string());
        assert_eq!(parse("text"), Ok(Numerics::Text));
        assert_eq!(parse("decimal(38, 9)"), Ok(Numerics::Decimal { precision: 38, scale: 9 }));
        for wrong in ["double", "decimal", "decimal(77,2)", "decimal(5,6)", "decimal(0,0)"] {
            assert!(parse(wrong).unwrap_err().contains(wrong));
        }
    }
}
