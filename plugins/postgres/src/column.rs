//! A column: what it is in Arrow, and how its bytes are decoded.

use std::sync::Arc;

use longshore_sdk::schema::{
    DECIMAL32_MAX_PRECISION, DECIMAL64_MAX_PRECISION, DECIMAL128_MAX_PRECISION, DataType, Field,
    Fields, TimeUnit,
};
use longshore_sdk::{Comparable, Error, Result};

use crate::policy::{Policy, SpecialValues, UnknownTypes};
use crate::types::Types;
use longshore_values::padded;

/// Digits of the largest `money`.
const MONEY_PRECISION: u8 = 19;

/// `char(n)`.
const CHAR_OID: u32 = 1042;

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

/// A column of a relation.
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) name: String,
    pub(crate) source_type: String,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    /// Its texts are filled up with blanks, which do not count.
    padded: bool,
    /// What the server makes of it first, such as `::text`.
    pub(crate) cast: &'static str,
    pub(crate) special_values: SpecialValues,
    comparable: Comparable,
    notes: Vec<String>,
}

/// What the server says of a column.
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
    /// Declared dimensions of an array; 0 where none are.
    pub(crate) dimensions: usize,
    pub(crate) source_type: &'a str,
    pub(crate) nullable: bool,
    /// Whether `=` on its texts compares bytes.
    pub(crate) deterministic: bool,
}

impl Column {
    /// Finds a column's way to Arrow.
    pub(crate) fn new(described: &Described<'_>, types: &Types, policy: Policy) -> Result<Self> {
        let Described { type_oid, type_modifier, dimensions, .. } = *described;
        let mut way = types.way(policy, type_oid, type_modifier, dimensions);
        if way.foreign && policy.unknown_types == UnknownTypes::Refuse {
            let Described { name, source_type, .. } = described;
            return Err(Error::data(format!(
                "column `{name}` is {source_type}, which is not a type of PostgreSQL's own"
            ))
            .with_hint(
                "remove `unknown_types: refuse` from `source`, or cast the column in a query",
            ));
        }
        let nullified = policy.special_values == SpecialValues::Nullify && way.kind.has_special();
        if nullified {
            way.notes.push("values that Arrow has not become null".into());
        }
        Ok(Self {
            name: described.name.to_owned(),
            source_type: described.source_type.to_owned(),
            comparable: if way.cast.is_empty() && !nullified {
                comparable(&way.kind, described)
            } else {
                Comparable::No
            },
            nullable: described.nullable || nullified,
            padded: described.type_oid == CHAR_OID && way.cast.is_empty(),
            kind: way.kind,
            cast: way.cast,
            special_values: policy.special_values,
            notes: way.notes,
        })
    }

    /// Another name than the server's.
    pub(crate) fn rename(&mut self, name: String) {
        self.notes.push(format!("the query gives two columns `{}`", self.name));
        self.name = name;
    }

    /// Its field in the Arrow schema.
    pub(crate) fn field(&self) -> Field {
        let field = self.kind.field(&self.name, self.nullable);
        if self.padded { padded(field) } else { field }
    }

    /// What the host is told of it.
    pub(crate) fn describe(&self) -> longshore_sdk::Column {
        longshore_sdk::Column {
            source_type: self.source_type.clone(),
            comparable: self.comparable,
            lossy: (!self.notes.is_empty()).then(|| self.notes.join("; ")),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_kind(name: &str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            source_type: "?".into(),
            kind,
            nullable: true,
            padded: false,
            cast: "",
            special_values: SpecialValues::Refuse,
            comparable: Comparable::No,
            notes: Vec::new(),
        }
    }
}

fn comparable(kind: &Kind, described: &Described<'_>) -> Comparable {
    const TEXTS: [u32; 3] = [19, 25, 1043];
    match kind {
        Kind::Bool
        | Kind::Int2
        | Kind::Int4
        | Kind::Int8
        | Kind::Date
        | Kind::Timestamp { utc: false } => Comparable::Order,
        Kind::Numeric(digits) if digits.precision <= DECIMAL128_MAX_PRECISION => Comparable::Order,
        // Not blank-padded ones, where PostgreSQL ignores trailing blanks and Arrow does not.
        Kind::Text if described.deterministic && TEXTS.contains(&described.type_oid) => {
            Comparable::Equality
        }
        _ => Comparable::No,
    }
}

impl Kind {
    fn field(&self, name: &str, nullable: bool) -> Field {
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
