//! One schema of many files: columns are told apart by their names, and a type holds the values of all.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};

use crate::error::{Error, Result};

/// A schema that grows with each file.
#[derive(Debug, Default)]
pub(super) struct Union {
    columns: Vec<Column>,
    files: usize,
}

#[derive(Debug)]
struct Column {
    field: Field,
    /// The file that gave it its type.
    file: String,
    /// How many files have it.
    files: usize,
}

impl Union {
    /// Adds a file's columns; `widen` gives the type that holds both, if one does.
    pub(super) fn add(
        &mut self,
        file: &str,
        fields: &Fields,
        widen: impl Fn(&DataType, &DataType) -> Option<DataType>,
    ) -> Result<()> {
        self.files += 1;
        for (place, field) in fields.iter().enumerate() {
            if fields.iter().take(place).any(|other| other.name() == field.name()) {
                let error = format!("{file}: two columns are called `{}`", field.name());
                return Err(Error::data(error).with_hint("write the file anew with other names"));
            }
            let Some(column) = self.columns.iter_mut().find(|c| c.field.name() == field.name())
            else {
                let (field, file) = (bare(field), file.to_owned());
                self.columns.push(Column { field, file, files: 1 });
                continue;
            };
            column.files += 1;
            let (own, other) = (column.field.data_type(), field.data_type());
            let both = widen(own, other).ok_or_else(|| {
                Error::data(format!(
                    "column `{}` is {own} in {}, and {other} in {file}",
                    field.name(),
                    column.file
                ))
                .with_hint("read them as two relations, and make one of them with the job's `sql`")
            })?;
            let is_nullable = column.field.is_nullable() || field.is_nullable();
            column.field = column.field.clone().with_data_type(both).with_nullable(is_nullable);
        }
        Ok(())
    }

    /// All columns; one that a file lacks is NULL there.
    pub(super) fn fields(self) -> Vec<FieldRef> {
        let files = self.files;
        let field = |column: Column| {
            let is_nullable = column.field.is_nullable() || column.files < files;
            Arc::new(column.field.with_nullable(is_nullable))
        };
        self.columns.into_iter().map(field).collect()
    }
}

/// Without what only the file's own format has a use for.
fn bare(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.retain(|key, _| key.starts_with("ARROW:extension:"));
    field.clone().with_metadata(metadata)
}

/// The type that holds the values of both without a loss.
pub(super) fn exact(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    let rank = |t: &DataType| [Int8, Int16, Int32, Int64].iter().position(|other| other == t);
    Some(match (a, b) {
        _ if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        _ if rank(a).is_some() && rank(b).is_some() => {
            if rank(a) > rank(b) {
                a.clone()
            } else {
                b.clone()
            }
        }
        (Float32, Float64) | (Float64, Float32) => Float64,
        (Float64, Int8 | Int16 | Int32) | (Int8 | Int16 | Int32, Float64) => Float64,
        (Utf8, LargeUtf8) | (LargeUtf8, Utf8) => LargeUtf8,
        (Decimal128(p, s), Decimal128(q, t)) => {
            let scale = *s.max(t);
            let whole = (i16::from(*p) - i16::from(*s)).max(i16::from(*q) - i16::from(*t));
            let precision = u8::try_from(whole + i16::from(scale)).ok().filter(|p| *p <= 38)?;
            Decimal128(precision, scale)
        }
        (Timestamp(a, zone), Timestamp(b, other)) if zone == other => {
            Timestamp(*a.max(b), zone.clone())
        }
        _ => return None,
    })
}

/// The type that holds what was told from two samples of text: text holds everything.
pub(super) fn sampled(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    Some(match (a, b) {
        (Null, other) | (other, Null) => other.clone(),
        (Int64, Float64) | (Float64, Int64) => Float64,
        (Date32, time @ Timestamp(..)) | (time @ Timestamp(..), Date32) => time.clone(),
        (Timestamp(a, zone), Timestamp(b, other)) if zone == other => {
            Timestamp(*a.max(b), zone.clone())
        }
        (List(_) | Struct(_), _) | (_, List(_) | Struct(_)) => return nested(a, b),
        _ if a == b => a.clone(),
        _ => Utf8,
    })
}

fn nested(a: &DataType, b: &DataType) -> Option<DataType> {
    match (a, b) {
        (DataType::List(a), DataType::List(b)) => {
            let item = sampled(a.data_type(), b.data_type())?;
            Some(DataType::List(Arc::new(Field::new_list_field(item, true))))
        }
        (DataType::Struct(a), DataType::Struct(b)) => {
            let mut union = Union::default();
            union.add("", a, sampled).ok()?;
            union.add("", b, sampled).ok()?;
            Some(DataType::Struct(union.fields().into()))
        }
        _ => None,
    }
}

/// What text is read as: whole microseconds, unless there are more digits; what was never there, as text.
pub(super) fn settled(data_type: &DataType) -> DataType {
    mapped(data_type, &|leaf| match leaf {
        DataType::Null => DataType::Utf8,
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        other => other.clone(),
    })
}

/// What keeps its meaning in files that are written: Parquet has no seconds, and no dates in milliseconds.
pub(super) fn carried(data_type: &DataType) -> DataType {
    mapped(data_type, &|leaf| match leaf {
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Timestamp(TimeUnit::Second, zone) => {
            DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
        }
        other => other.clone(),
    })
}

/// A type with others in the places of its leaves.
fn mapped(data_type: &DataType, leaf: &dyn Fn(&DataType) -> DataType) -> DataType {
    let field = |field: &FieldRef| {
        let data_type = mapped(field.data_type(), leaf);
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => leaf(other),
    }
}
