//! Rows apart by the values of some columns: all rows of one value lie in one folder, `day=2026-11-20`, as Hive
//! lays tables out. The files do not hold these columns: their folders do.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use longshore_model::error::{Error, Result};
use longshore_model::part::NULL_FOLDER;
use longshore_values::write_date;
use percent_encoding::percent_decode_str;

/// The longest name of a folder: file systems take no longer one.
pub const FOLDER_NAME_LIMIT_BYTES: usize = 255;

/// How rows are told apart.
pub struct Partitioning {
    /// The columns' places, and their names.
    columns: Vec<(usize, String)>,
    /// The places of the others, and their schema.
    rest: Vec<usize>,
    schema: SchemaRef,
    rows: RowConverter,
}

impl Partitioning {
    /// By these columns; nothing if there are none.
    pub fn of(names: &[String], schema: &SchemaRef) -> Result<Option<Self>> {
        if names.is_empty() {
            return Ok(None);
        }
        let columns = names.iter().map(|name| column(name, schema)).collect::<Result<Vec<_>>>()?;
        let is_other = |place: &usize| columns.iter().all(|(column, _)| column != place);
        let rest: Vec<usize> = (0..schema.fields().len()).filter(is_other).collect();
        if rest.is_empty() {
            return Err(Error::config("`target.partition_by` leaves no column for the files")
                .with_hint("name fewer columns"));
        }
        let fields = columns
            .iter()
            .map(|(place, _)| SortField::new(plain(schema.field(*place).data_type()).clone()));
        Ok(Some(Self {
            rows: RowConverter::new(fields.collect()).map_err(fault)?,
            schema: Arc::new(schema.project(&rest).map_err(fault)?),
            columns,
            rest,
        }))
    }

    /// The columns that the files hold.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The schema as readers of the folders see it: the partition columns last.
    pub fn table_schema(names: &[String], schema: &SchemaRef) -> Result<SchemaRef> {
        let Some(own) = Self::of(names, schema)? else { return Ok(schema.clone()) };
        let places = own.rest.iter().chain(own.columns.iter().map(|(place, _)| place));
        let places: Vec<usize> = places.copied().collect();
        Ok(Arc::new(schema.project(&places).map_err(fault)?))
    }

    /// A batch's rows, folder by folder, without the columns that the folders tell.
    pub(super) fn split(&self, batch: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        let keys = self.columns.iter().map(|(place, _)| {
            let column = batch.column(*place);
            cast(column, plain(column.data_type())).map_err(fault)
        });
        let keys = keys.collect::<Result<Vec<ArrayRef>>>()?;
        let rows = self.rows.convert_columns(&keys).map_err(fault)?;
        let (mut groups, mut known): (Vec<Vec<u32>>, HashMap<_, usize>) = Default::default();
        for (number, row) in rows.iter().enumerate() {
            let group = *known.entry(row).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(number as u32);
        }
        let others = batch.project(&self.rest).map_err(fault)?;
        let apart = |group: Vec<u32>| {
            let folder = self.folder(&keys, group[0] as usize)?;
            let rows = if group.len() == batch.num_rows() {
                others.clone()
            } else {
                take_record_batch(&others, &UInt32Array::from(group)).map_err(fault)?
            };
            Ok((folder, rows))
        };
        groups.into_iter().map(apart).collect()
    }

    fn folder(&self, keys: &[ArrayRef], row: usize) -> Result<String> {
        let mut path = String::new();
        for ((_, name), values) in self.columns.iter().zip(keys) {
            let text = if values.is_null(row) { String::new() } else { text_of(values, row)? };
            if text == NULL_FOLDER {
                return Err(Error::data(format!(
                    "column `{name}`: the text {NULL_FOLDER} names the folder of NULL"
                ))
                .with_hint("make another text or NULL of it, with the job's `transform`"));
            }
            // Hive tells nothing from an empty text.
            let value = if text.is_empty() { NULL_FOLDER.to_owned() } else { escaped(&text) };
            let folder = format!("{}{value}", folder_prefix(name));
            if folder.len() > FOLDER_NAME_LIMIT_BYTES {
                return Err(Error::data(format!(
                    "column `{name}`: a value of {} bytes names no folder",
                    text.len()
                ))
                .with_hint("partition by a shorter value, made with the job's `transform`"));
            }
            if !path.is_empty() {
                path.push('/');
            }
            path += &folder;
        }
        Ok(path)
    }
}

fn text_of(values: &ArrayRef, row: usize) -> Result<String> {
    match values.as_primitive_opt::<Date32Type>() {
        Some(dates) => {
            let mut text = Vec::new();
            write_date(dates.value(row).into(), &mut text);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        None => array_value_to_string(values, row).map_err(fault),
    }
}

fn column(name: &str, schema: &SchemaRef) -> Result<(usize, String)> {
    let place = schema.index_of(name).map_err(|_| {
        let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        Error::config(format!("`target.partition_by`: no column `{name}`"))
            .with_hint(format!("the columns are {}", known.join(", ")))
    })?;
    let data_type = schema.field(place).data_type();
    if !names_folders(plain(data_type)) {
        return Err(Error::config(format!(
            "`target.partition_by`: `{name}` is {data_type}, whose values do not name folders"
        ))
        .with_hint("partition by texts, whole numbers, dates or booleans"));
    }
    Ok((place, name.to_owned()))
}

/// The type of a dictionary's values, or the type itself.
fn plain(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

/// Whether a type's values read the same to everybody.
fn names_folders(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Date32
        )
}

/// How the folders of a column's values begin: `day=`.
pub fn folder_prefix(column: &str) -> String {
    format!("{}=", escaped(column))
}

/// What the folders of a file tell of the columns that name them; `file` is its path in the relation's folder.
pub(crate) fn folder_values(
    names: &[String],
    schema: &SchemaRef,
    file: &str,
) -> Result<Vec<ScalarValue>> {
    let mut folders: Vec<&str> = file.split('/').collect();
    folders.pop();
    let misplaced = || {
        Error::config(format!("{file} does not lie in folders of {}", names.join(", ")))
            .with_hint("name the columns of its folders in `target.partition_by`")
    };
    if folders.len() != names.len() {
        return Err(misplaced());
    }
    let value = |(name, folder): (&String, &str)| {
        let text = folder.strip_prefix(&folder_prefix(name)).ok_or_else(misplaced)?;
        let (column, _) = column(name, schema)?;
        let data_type = schema.field(column).data_type();
        let text = percent_decode_str(text).decode_utf8().map_err(|_| misplaced())?;
        let value = match text.as_ref() {
            NULL_FOLDER => ScalarValue::try_from(data_type),
            text => ScalarValue::try_from_string(text.to_owned(), plain(data_type))
                .and_then(|value| value.cast_to(data_type)),
        };
        value.map_err(|_| {
            Error::data(format!("{file}: the folder {folder} is no {data_type}"))
                .with_hint("remove the file, or choose another `target.mode`")
        })
    };
    names.iter().zip(folders).map(value).collect()
}

/// As Hive escapes what stands in a folder's name; a dot at its end, too, which Azure would drop.
fn escaped(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (place, c) in text.char_indices() {
        let is_last_dot = c == '.' && place + 1 == text.len();
        if is_last_dot || c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            // Writing to a text does not fail.
            let _ = write!(name, "%{:02X}", c as u32);
        } else {
            name.push(c);
        }
    }
    name
}

fn fault(error: ArrowError) -> Error {
    Error::internal(format!("telling rows apart: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int64Array, StringArray};

    use super::*;

    fn batch() -> RecordBatch {
        let days = Date32Array::from(vec![Some(0), Some(1), None, Some(0)]);
        let kinds = StringArray::from(vec![Some("a/b=c"), Some(""), None, Some("a/b=c")]);
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef),
            ("day", Arc::new(days) as _),
            ("kind", Arc::new(kinds) as _),
        ])
        .unwrap()
    }

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn rows_of_one_value_lie_in_one_folder() {
        let by = Partitioning::of(&names(&["day", "kind"]), &batch().schema()).unwrap().unwrap();
        let apart = by.split(&batch()).unwrap();
        let told: Vec<(&str, usize)> =
            apart.iter().map(|(folder, rows)| (folder.as_str(), rows.num_rows())).collect();
        assert_eq!(
            told,
            [
                ("day=1970-01-01/kind=a%2Fb%3Dc", 2),
                ("day=1970-01-02/kind=__HIVE_DEFAULT_PARTITION__", 1),
                ("day=__HIVE_DEFAULT_PARTITION__/kind=__HIVE_DEFAULT_PARTITION__", 1),
            ]
        );
        assert_eq!((escaped("a.b"), escaped("a..")), ("a.b".into(), "a.%2E".into()));
        assert_eq!(by.schema().fields().len(), 1);
        assert_eq!(apart[0].1.column(0).as_ref(), &Int64Array::from(vec![1, 4]) as &dyn Array);
    }

    #[test]
    fn what_names_no_folder_is_refused() {
        let told = |by: &[&str]| Partitioning::of(&names(by), &batch().schema()).err().unwrap();
        assert_eq!(told(&["dya"]).to_string(), "`target.partition_by`: no column `dya`");
        assert!(told(&["n", "day", "kind"]).to_string().contains("leaves no column"));
        let long = StringArray::from(vec!["x".repeat(300)]);
        let long = RecordBatch::try_from_iter([
            ("k", Arc::new(long) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![1])) as _),
        ]);
        let long = long.unwrap();
        let by = Partitioning::of(&names(&["k"]), &long.schema()).unwrap().unwrap();
        assert!(by.split(&long).unwrap_err().to_string().contains("300 bytes names no folder"));
        let null = RecordBatch::try_from_iter([
            ("k", Arc::new(StringArray::from(vec![NULL_FOLDER])) as ArrayRef),
            ("n", Arc::new(Int64Array::from(vec![1])) as _),
        ]);
        let null = null.unwrap();
        let by = Partitioning::of(&names(&["k"]), &null.schema()).unwrap().unwrap();
        assert!(by.split(&null).unwrap_err().to_string().contains("names the folder of NULL"));
    }
}
