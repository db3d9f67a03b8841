//! A column's type: Arrow's, PostgreSQL's, and how its values become bytes.

use longshore_postgres_client::quote_ident;
use longshore_sdk::schema::{DataType, Field, IntervalUnit, Schema, TimeUnit};
use longshore_sdk::{Error, Result};

use crate::names;

/// A column of a staging table.
pub(crate) struct Column {
    pub(crate) name: String,
    sql_type: String,
    nullable: bool,
}

impl Column {
    /// As CREATE TABLE takes it.
    pub(crate) fn definition(&self) -> String {
        let not_null = if self.nullable { "" } else { " NOT NULL" };
        format!("{} {}{not_null}", quote_ident(&self.name), self.sql_type)
    }
}

/// The columns of a schema.
pub(crate) fn columns(schema: &Schema) -> Result<Vec<Column>> {
    let column = |field: &std::sync::Arc<Field>| {
        names::check("a column", field.name())?;
        let sql_type = sql_type(field).ok_or_else(|| {
            Error::config(format!(
                "column `{}` is {}, which no column of PostgreSQL's can hold",
                field.name(),
                field.data_type()
            ))
            .with_hint(format!(
                "cast it in an `sql` step, for example CAST(\"{}\" AS VARCHAR)",
                field.name()
            ))
        })?;
        Ok(Column { name: field.name().clone(), sql_type, nullable: field.is_nullable() })
    };
    schema.fields().iter().map(column).collect()
}

/// What PostgreSQL calls a field's type.
fn sql_type(field: &Field) -> Option<String> {
    match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(format!("{}[]", element(item)?))
        }
        _ => element(field),
    }
}

fn element(field: &Field) -> Option<String> {
    match field.data_type() {
        _ if is_uuid(field) => Some("uuid".into()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            if extends(field, "arrow.json") =>
        {
            Some("json".into())
        }
        data_type => scalar(data_type),
    }
}

pub(crate) fn is_uuid(field: &Field) -> bool {
    *field.data_type() == DataType::FixedSizeBinary(16) && extends(field, "arrow.uuid")
}

/// Types that are more than their bytes say so in an extension of Arrow's.
fn extends(field: &Field, name: &str) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|extension| extension == name)
}

fn scalar(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint".into(),
        DataType::Int32 | DataType::UInt16 => "integer".into(),
        DataType::Int64 | DataType::UInt32 => "bigint".into(),
        DataType::UInt64 => "numeric(20)".into(),
        DataType::Float32 => "real".into(),
        DataType::Float64 => "double precision".into(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => numeric(*precision, *scale),
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "bytea".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Time32(_) | DataType::Time64(_) => "time".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
        DataType::Duration(_) | DataType::Interval(IntervalUnit::MonthDayNano) => "interval".into(),
        DataType::Dictionary(_, value) => scalar(value)?,
        _ => return None,
    })
}

/// Digits left of the point that are always 0 are digits all the same.
fn numeric(precision: u8, scale: i8) -> String {
    match u8::try_from(scale) {
        // More digits behind the point than there are digits: older servers want no less precision.
        Ok(scale) => format!("numeric({},{scale})", precision.max(scale)),
        Err(_) => format!("numeric({})", u16::from(precision) + u16::from(scale.unsigned_abs())),
    }
}

/// So many microseconds are a unit, or so many units a microsecond.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Micros {
    Times(i64),
    Over(i64),
}

impl Micros {
    pub(crate) fn of(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Second => Self::Times(1_000_000),
            TimeUnit::Millisecond => Self::Times(1_000),
            TimeUnit::Microsecond => Self::Times(1),
            TimeUnit::Nanosecond => Self::Over(1_000),
        }
    }

    /// Whole microseconds; none where there is less than one, or too many.
    pub(crate) fn whole(self, value: i64) -> Option<i64> {
        match self {
            Self::Times(factor) => value.checked_mul(factor),
            Self::Over(factor) => (value % factor == 0).then_some(value / factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_every_scale_have_a_type() {
        assert_eq!(numeric(15, 2), "numeric(15,2)");
        assert_eq!(numeric(3, 5), "numeric(5,5)");
        assert_eq!(numeric(3, -2), "numeric(5)");
    }

    #[test]
    fn what_has_no_place_is_refused_with_the_column_named() {
        let nested = DataType::Struct(vec![Field::new("a", DataType::Int32, true)].into());
        let error = columns(&Schema::new(vec![Field::new("s", nested, true)])).err().unwrap();
        assert!(error.message().starts_with("column `s` is Struct"), "{error}");
    }

    #[test]
    fn nothing_is_lost_of_a_moment() {
        assert_eq!(Micros::of(TimeUnit::Nanosecond).whole(1_000), Some(1));
        assert_eq!(Micros::of(TimeUnit::Nanosecond).whole(1_001), None);
        assert_eq!(Micros::of(TimeUnit::Second).whole(i64::MAX), None);
    }
}
