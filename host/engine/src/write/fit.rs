//! Types that a format has no place for.

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema};
use longshore_model::config::target::Format;
use longshore_model::error::{Error, Result};

/// Refuses a column that a file of the format cannot hold.
pub(super) fn check_fits(format: &Format, schema: &Schema) -> Result<()> {
    let name = match format {
        Format::Parquet(_) => "Parquet",
        Format::Json(_) => "JSON",
        Format::Csv(..) => "CSV",
        Format::Arrow => return Ok(()),
    };
    for field in schema.fields() {
        if let Some(what) = unfit(format, field) {
            let column = field.name();
            return Err(Error::data(format!(
                "column `{column}` is {what}, which {name} cannot hold"
            ))
            .with_hint("leave it out in an `sql` step, or write `format: arrow`"));
        }
    }
    Ok(())
}

fn unfit(format: &Format, field: &Field) -> Option<String> {
    let is_parquet = matches!(format, Format::Parquet(_));
    let within = |inner: &Field| Some(format!("made of {}", unfit(format, inner)?));
    match field.data_type() {
        DataType::Union(..) => Some("a union".into()),
        DataType::Struct(fields) if fields.is_empty() && is_parquet => {
            Some("an object without fields".into())
        }
        DataType::FixedSizeBinary(0) if is_parquet => Some("bytes of no length".into()),
        DataType::Interval(IntervalUnit::MonthDayNano) if is_parquet => {
            Some("an interval of months, days and nanoseconds".into())
        }
        DataType::Struct(fields) => fields.iter().find_map(|inner| within(inner)),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => within(item),
        _ => None,
    }
}
