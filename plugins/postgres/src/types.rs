//! A column's type: what PostgreSQL calls it, what it is in Arrow, and how its bytes are decoded.

use longshore_sdk::schema::{DataType, Field, TimeUnit};
use longshore_sdk::{Comparable, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// Arrow's widest decimal that everything reads.
const DECIMAL_MAX_PRECISION: i32 = 38;

/// What becomes of a column whose type has no Arrow type.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum UnknownTypes {
    /// It is refused, by name.
    #[default]
    Refuse,
    /// It is moved as the text that psql shows.
    Text,
}

/// How a column's bytes are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decode {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric {
        precision: u8,
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
}

/// A column of a relation.
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) name: String,
    pub(crate) source_type: String,
    pub(crate) decode: Decode,
    pub(crate) nullable: bool,
    /// The server writes it as text.
    pub(crate) cast_to_text: bool,
    pub(crate) comparable: Comparable,
}

/// What the server says of a column.
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
    pub(crate) source_type: &'a str,
    pub(crate) nullable: bool,
    /// Whether `=` on its texts compares bytes.
    pub(crate) deterministic: bool,
}

impl Column {
    /// Finds a column's way to Arrow.
    pub(crate) fn new(described: &Described<'_>, unknown: UnknownTypes) -> Result<Self> {
        let known = decode(described.type_oid, described.type_modifier);
        let (decode, cast_to_text) = match (known, unknown) {
            (Some(decode), _) => (decode, false),
            (None, UnknownTypes::Text) => (Decode::Text, true),
            (None, UnknownTypes::Refuse) => return Err(refuse(described)),
        };
        Ok(Self {
            name: described.name.to_owned(),
            source_type: described.source_type.to_owned(),
            comparable: if cast_to_text { Comparable::No } else { comparable(decode, described) },
            decode,
            nullable: described.nullable,
            cast_to_text,
        })
    }

    /// Its field in the Arrow schema.
    pub(crate) fn field(&self) -> Field {
        let field = Field::new(&self.name, self.decode.arrow(), self.nullable);
        match self.decode {
            // The canonical extension type: Parquet then says UUID.
            Decode::Uuid => field.with_metadata(
                [("ARROW:extension:name".to_string(), "arrow.uuid".to_string())].into(),
            ),
            _ => field,
        }
    }

    /// What the host is told of it.
    pub(crate) fn describe(&self) -> longshore_sdk::Column {
        let lossy =
            self.cast_to_text.then(|| "moved as text: its type has no Arrow type".to_string());
        longshore_sdk::Column {
            source_type: self.source_type.clone(),
            comparable: self.comparable,
            lossy,
        }
    }
}

fn refuse(described: &Described<'_>) -> Error {
    let Described { name, source_type, .. } = described;
    Error::data(format!("column `{name}` is {source_type}, which has no exact Arrow type here"))
        .with_hint("add `unknown_types: text` to `source`, or cast the column in a query")
}

fn comparable(decode: Decode, described: &Described<'_>) -> Comparable {
    // Blank-padded: PostgreSQL ignores trailing blanks, Arrow does not.
    let padded = described.type_oid == 1042;
    match decode {
        Decode::Bool
        | Decode::Int2
        | Decode::Int4
        | Decode::Int8
        | Decode::Numeric { .. }
        | Decode::Date
        | Decode::Timestamp { utc: false } => Comparable::Order,
        Decode::Text if described.deterministic && !padded && described.type_oid != 114 => {
            Comparable::Equality
        }
        _ => Comparable::No,
    }
}

/// By the type's oid, as `pg_type.dat` fixes them.
fn decode(oid: u32, modifier: i32) -> Option<Decode> {
    Some(match oid {
        16 => Decode::Bool,
        17 => Decode::Bytea,
        20 => Decode::Int8,
        21 => Decode::Int2,
        23 => Decode::Int4,
        // name, text, json, char(n), varchar
        19 | 25 | 114 | 1042 | 1043 => Decode::Text,
        26 => Decode::Oid,
        700 => Decode::Float4,
        701 => Decode::Float8,
        1082 => Decode::Date,
        1083 => Decode::Time,
        1114 => Decode::Timestamp { utc: false },
        1184 => Decode::Timestamp { utc: true },
        1700 => numeric(modifier)?,
        2950 => Decode::Uuid,
        3802 => Decode::Jsonb,
        _ => return None,
    })
}

/// `numeric(p,s)` with a scale that a decimal can have; not `numeric` alone.
fn numeric(modifier: i32) -> Option<Decode> {
    if modifier < 4 {
        return None;
    }
    let precision = (modifier - 4) >> 16 & 0xffff;
    // Eleven bits with a sign, since PostgreSQL 15.
    let scale = ((modifier - 4) & 0x7ff ^ 1024) - 1024;
    let fits = (1..=DECIMAL_MAX_PRECISION).contains(&precision) && (0..=precision).contains(&scale);
    fits.then_some(Decode::Numeric { precision: precision as u8, scale: scale as u8 })
}

impl Decode {
    pub(crate) fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Oid => DataType::UInt32,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric { precision, scale } => DataType::Decimal128(precision, scale as i8),
            Self::Text | Self::Jsonb => DataType::Utf8,
            Self::Bytea => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp { utc: false } => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamp { utc: true } => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            Self::Uuid => DataType::FixedSizeBinary(16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_is_exact_or_refused() {
        let modifier = |precision: i32, scale: i32| (precision << 16 | scale & 0x7ff) + 4;
        assert_eq!(numeric(modifier(15, 2)), Some(Decode::Numeric { precision: 15, scale: 2 }));
        assert_eq!(numeric(modifier(38, 38)), Some(Decode::Numeric { precision: 38, scale: 38 }));
        assert_eq!(numeric(modifier(39, 2)), None, "too wide for a decimal128");
        assert_eq!(numeric(modifier(5, -2)), None, "a negative scale");
        assert_eq!(numeric(modifier(3, 7)), None, "more scale than precision");
        assert_eq!(numeric(-1), None, "no precision at all");
    }

    #[test]
    fn an_unknown_type_is_refused_by_name_or_becomes_text() {
        let described = Described {
            name: "area",
            type_oid: 604,
            type_modifier: -1,
            source_type: "polygon",
            nullable: true,
            deterministic: true,
        };
        let error = Column::new(&described, UnknownTypes::Refuse).unwrap_err();
        assert!(error.message().starts_with("column `area` is polygon"), "{error}");
        let column = Column::new(&described, UnknownTypes::Text).unwrap();
        assert!(column.cast_to_text && column.describe().lossy.is_some());
    }
}
