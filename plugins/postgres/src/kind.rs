//! The kinds of values that are moved: what each is in Arrow, and how its bytes are decoded.

use std::sync::Arc;

use longshore_sdk::schema::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DataType, Field,
    Fields, TimeUnit,
};

/// Digits of the largest `money`.
const MONEY_PRECISION: u8 = 19;

/// A decimal's digits, and how many of them are behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    pub(crate) precision: u8,
    pub(crate) scale: u8,
}

impl Digits {
    /// The decimal of no more bits than the digits need. Parquet's writer stores a single digit in 64.
    fn arrow(self) -> DataType {
        let (precision, scale) = (self.precision, self.scale as i8);
        if (2..=DECIMAL32_MAX_PRECISION).contains(&precision) {
            DataType::Decimal32(precision, scale)
        } else if precision <= DECIMAL64_MAX_PRECISION {
            DataType::Decimal64(precision, scale)
        } else if precision <= DECIMAL128_MAX_PRECISION {
            DataType::Decimal128(precision, scale)
        } else {
            DataType::Decimal256(precision, scale)
        }
    }
}

/// How a value's bytes are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// At most 76 digits.
    Numeric(Digits),
    /// Of any digits, written out.
    NumericText,
    /// Whole numbers of the currency's smallest coin.
    Money {
        scale: u8,
    },
    Text,
    /// A version byte, then text.
    Jsonb,
    Bytea,
    Date,
    Time,
    Timestamp {
        utc: bool,
    },
    Uuid,
    /// An array of so many dimensions.
    List {
        element: Box<Kind>,
        dimensions: usize,
    },
    /// A composite's fields.
    Struct(Vec<(String, Kind)>),
}

impl Kind {
    pub(crate) fn field(&self, name: &str, nullable: bool) -> Field {
        let field = Field::new(name, self.arrow(), nullable);
        match self {
            // The canonical extension type: Parquet then says UUID.
            Self::Uuid => field.with_metadata(
                [("ARROW:extension:name".to_string(), "arrow.uuid".to_string())].into(),
            ),
            _ => field,
        }
    }

    pub(crate) fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Oid => DataType::UInt32,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric(digits) => digits.arrow(),
            Self::Money { scale } => DataType::Decimal128(MONEY_PRECISION, *scale as i8),
            Self::Text | Self::Jsonb | Self::NumericText => DataType::Utf8,
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp { utc: false } => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamp { utc: true } => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::List { element, dimensions } => {
                let list = |inner: Field| DataType::List(Arc::new(inner));
                let innermost = list(element.field(ELEMENT, true));
                (1..*dimensions).fold(innermost, |inner, _| list(Field::new(ELEMENT, inner, false)))
            }
            Self::Struct(_) => DataType::Struct(self.fields()),
        }
    }

    /// A composite's fields in Arrow.
    pub(crate) fn fields(&self) -> Fields {
        match self {
            Self::Struct(fields) => {
                fields.iter().map(|(name, kind)| kind.field(name, true)).collect()
            }
            _ => Fields::empty(),
        }
    }

    /// Whether PostgreSQL has values of it that Arrow has not.
    pub(crate) fn has_special(&self) -> bool {
        match self {
            Self::Numeric(_) | Self::Date | Self::Time | Self::Timestamp { .. } => true,
            Self::List { element, .. } => element.has_special(),
            Self::Struct(fields) => fields.iter().any(|(_, kind)| kind.has_special()),
            _ => false,
        }
    }
}

/// The name of a list's values in Parquet.
pub(crate) const ELEMENT: &str = "element";
