//! What a column's type is called in a Parquet file.

use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{ConvertedType, LogicalType};
use parquet::schema::types::Type;

use crate::ipc::catch_panic;

/// The Parquet type of a field, such as `INT64 Timestamp(MICROS, UTC)`; why it has none, else.
pub fn parquet_type(field: &Field) -> String {
    let schema = Schema::new(vec![field.clone()]);
    // It panics on what it knows nothing of.
    match catch_panic(|| ArrowSchemaConverter::new().convert(&schema)) {
        Some(Ok(converted)) => {
            converted.root_schema().get_fields().iter().map(|t| name(t)).collect()
        }
        Some(Err(error)) => format!("none ({error})"),
        None => "none".into(),
    }
}

fn name(parquet: &Type) -> String {
    let info = parquet.get_basic_info();
    let parts = || parquet.get_fields().iter().map(|t| name(t)).collect::<Vec<_>>().join(", ");
    match (parquet, info.logical_type_ref()) {
        (Type::GroupType { .. }, Some(LogicalType::List)) => format!("LIST<{}>", parts()),
        (Type::GroupType { .. }, Some(LogicalType::Map)) => format!("MAP<{}>", parts()),
        // The group that a list repeats has no meaning of its own.
        (Type::GroupType { fields, .. }, None) if fields.len() == 1 && is_repeated(parquet) => {
            parts()
        }
        (Type::GroupType { .. }, _) => format!("GROUP<{}>", parts()),
        (Type::PrimitiveType { physical_type, .. }, logical) => {
            let logical = logical.map(logical_name).or_else(|| match info.converted_type() {
                ConvertedType::NONE => None,
                converted => Some(converted.to_string()),
            });
            [Some(physical_type.to_string()), logical]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" ")
        }
    }
}

fn is_repeated(parquet: &Type) -> bool {
    let info = parquet.get_basic_info();
    info.has_repetition() && info.repetition() == parquet::basic::Repetition::REPEATED
}

fn logical_name(logical: &LogicalType) -> String {
    match logical {
        LogicalType::Decimal(d) => format!("Decimal({}, {})", d.precision, d.scale),
        LogicalType::Integer(i) => {
            format!("{}Int({})", if i.is_signed { "" } else { "U" }, i.bit_width)
        }
        LogicalType::Timestamp(t) => {
            format!("Timestamp({:?}{})", t.unit, if t.is_adjusted_to_u_t_c { ", UTC" } else { "" })
        }
        LogicalType::Time(t) => format!("Time({:?})", t.unit),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, TimeUnit};

    use super::*;

    #[test]
    fn types_have_names_that_people_know() {
        let called = |data_type| parquet_type(&Field::new("c", data_type, true));
        let element = Arc::new(Field::new("element", DataType::Int32, true));
        assert_eq!(called(DataType::Int64), "INT64");
        assert_eq!(called(DataType::Int16), "INT32 Int(16)");
        assert_eq!(called(DataType::Utf8), "BYTE_ARRAY String");
        assert_eq!(called(DataType::Decimal128(15, 2)), "INT64 Decimal(15, 2)");
        assert_eq!(
            called(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            "INT64 Timestamp(MICROS, UTC)"
        );
        assert_eq!(called(DataType::List(element.clone())), "LIST<INT32>");
        assert_eq!(called(DataType::Struct(vec![element].into())), "GROUP<INT32>");
    }
}
