//! What the types of SQL mean: moments count microseconds, as those of databases do, and not
//! nanoseconds, which end in the year 2262.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, TimezoneInfo};
use longshore_model::error::Error;

use crate::datafusion_fault::IntoDataFusion;

/// The name of Arrow's own type of uuids.
const UUID: &str = "arrow.uuid";

/// The key under which a field says that its type is one of Arrow's own.
const EXTENSION: &str = "ARROW:extension:name";

/// Tells DataFusion what types mean here.
#[derive(Debug)]
pub(super) struct SqlTypes;

impl TypePlanner for SqlTypes {
    fn plan_type_field(&self, sql: &SqlType) -> DfResult<Option<FieldRef>> {
        let data_type = match sql {
            SqlType::Timestamp(Some(0..6), _)
            | SqlType::Datetime(Some(0..6))
            | SqlType::Time(Some(0..6), _) => {
                return Err(Error::config(format!("{sql}: parts of seconds are not cut"))
                    .with_hint(
                        "cast without a number, and cut with date_trunc('second', t) or date_trunc('millisecond', t)",
                    )
                    .external());
            }
            SqlType::Timestamp(precision, zone) if !matches!(precision, Some(7..)) => {
                let has_zone = matches!(zone, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone);
                DataType::Timestamp(TimeUnit::Microsecond, has_zone.then(|| "UTC".into()))
            }
            SqlType::Time(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                DataType::Time64(TimeUnit::Microsecond)
            }
            SqlType::Uuid => return Ok(Some(Arc::new(uuid_field()))),
            // DataFusion would not cut the text (datafusion-sql: `Varchar(_) => Utf8View`).
            SqlType::Varchar(Some(_))
            | SqlType::Char(Some(_))
            | SqlType::CharVarying(Some(_))
            | SqlType::Character(Some(_))
            | SqlType::CharacterVarying(Some(_))
            | SqlType::Nvarchar(Some(_)) => {
                return Err(Error::config(format!("{sql}: the length of texts is not kept to"))
                    .with_hint("cast to VARCHAR, and cut with substr(x, 1, n)")
                    .external());
            }
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

fn uuid_field() -> Field {
    let metadata = [(EXTENSION.to_owned(), UUID.to_owned())].into();
    Field::new("", DataType::FixedSizeBinary(16), true).with_metadata(metadata)
}

/// Whether a field holds uuids.
pub(super) fn is_uuid(field: &Field) -> bool {
    *field.data_type() == DataType::FixedSizeBinary(16)
        && field.metadata().get(EXTENSION).is_some_and(|name| name == UUID)
}
