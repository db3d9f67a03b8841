//! What a relation's files hold: their format, their columns, and where they can be cut.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::cache::default_cache::DefaultCache;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::files::{FileFormat, Files};
use longshore_model::error::{Error, Result};
use object_store::path::Path as Key;
use sha2::{Digest, Sha256};

use super::file_info::{FileInfo, FilesInfo, ending};
use super::json_values::Layout;
use super::listing::ListedFile;
use super::schema::{Rule, Union, carried, exact, settled};
use super::{Table, arrow_file, parquet, shown, text};
use crate::ipc::encode_schema;
use crate::store::{Pinned, SourceStore};

/// From how many files the types of CSV and JSON are told, where they are not few.
const SAMPLE_FILES: usize = 10;

/// Files that hold no more than this together are few: all of them are looked into.
const FEW_BYTES: u64 = 64 << 20;

/// Files that are looked into at the same time.
const LOOKS_AT_ONCE: usize = 32;

/// Memory for what Parquet files say of themselves, a source.
const METADATA_LIMIT_BYTES: usize = 64 << 20;

fn format_of(key: &Key) -> Option<FileFormat> {
    match ending(key).0?.to_ascii_lowercase().as_str() {
        "parquet" | "parq" | "pq" => Some(FileFormat::Parquet),
        "csv" | "tsv" => Some(FileFormat::Csv),
        "json" | "jsonl" | "ndjson" => Some(FileFormat::Json),
        "arrow" | "feather" | "ipc" => Some(FileFormat::Arrow),
        _ => None,
    }
}

/// Looks into the files of a relation.
pub(super) async fn inspect(
    store: &SourceStore,
    files: &Files,
    found: Vec<ListedFile>,
) -> Result<FilesInfo> {
    let format = check_format(store, files, &found)?;
    let is_text = matches!(format, FileFormat::Csv | FileFormat::Json);
    if !is_text && let Some(name) = files.columns.keys().next() {
        return Err(Error::config(format!("`source.columns.{name}`: the files tell their types"))
            .with_hint("remove it, and change types with `transform: - sql: SELECT CAST(..)`"));
    }
    let metadata: Arc<FileMetadataCache> = Arc::new(DefaultCache::new(METADATA_LIMIT_BYTES));
    let bytes: u64 = found.iter().map(|found| found.meta.size).sum();
    let places: Vec<usize> =
        if is_text && bytes > FEW_BYTES { spread(found.len()) } else { (0..found.len()).collect() };
    let looks = look_into(store, files, format, &found, places, &metadata).await?;
    let doubt = looks.iter().find_map(|(place, look)| {
        let doubt = look.doubt.as_ref()?;
        Some(format!("{}: {doubt}", shown(store, &found[*place].meta.location)))
    });
    let own_fields = united(store, format, &looks, &found)?;
    let own: Vec<String> = own_fields.iter().map(|field| field.name().clone()).collect();
    let is_untyped = |field: &&FieldRef| {
        is_text && field.data_type() == &DataType::Null && !files.columns.contains_key(field.name())
    };
    let untyped = own_fields.iter().filter(is_untyped).map(|field| field.name().clone()).collect();
    let mut fields = if is_text {
        let is_all = format == FileFormat::Csv && looks.len() == found.len();
        declared(files, own_fields, is_all)?
    } else {
        own_fields.iter().map(|field| typed(field, carried(field.data_type()))).collect()
    };
    let file_columns = fields.len();
    if file_columns == 0 {
        return Err(no_columns(store, &found, doubt));
    }
    // Other files most likely have the same.
    if let Some(doubt) = doubt {
        tracing::warn!("{doubt}");
    }
    add_partition_fields(store, &found, &own, &mut fields)?;
    let rows = rows(&looks, &found);
    let int96 = looks.iter().flat_map(|(_, look)| look.int96.clone()).collect();
    let intervals = looks.iter().flat_map(|(_, look)| look.intervals.clone()).collect();
    let has_values = looks.iter().any(|(_, look)| look.layout == Layout::Values);
    let layout = if has_values { Layout::Values } else { Layout::Lines };
    let groups = if is_text {
        vec![Vec::new(); found.len()]
    } else {
        looks.into_iter().map(|(_, look)| look.groups).collect()
    };
    let schema = Arc::new(Schema::new(fields));
    let digest = hex::encode(Sha256::digest(encode_schema(&schema)?));
    let unfit = None;
    Ok(FilesInfo {
        format,
        found,
        groups,
        schema,
        file_columns,
        rows,
        metadata,
        int96,
        intervals,
        untyped,
        digest,
        layout,
        unfit,
    })
}

/// The columns of all files together.
fn united(
    store: &SourceStore,
    format: FileFormat,
    looks: &[(usize, FileInfo)],
    found: &[ListedFile],
) -> Result<Vec<FieldRef>> {
    let mut union = Union::new(match format {
        FileFormat::Csv => Rule::Csv,
        FileFormat::Json => Rule::Json,
        FileFormat::Parquet | FileFormat::Arrow => Rule::Exact,
    });
    for (place, look) in looks {
        let name = shown(store, &found[*place].meta.location);
        union.add(&name, &look.fields)?;
    }
    Ok(union.fields())
}

/// Adds the columns of folders; a file's `own` column goes before its folder.
fn add_partition_fields(
    store: &SourceStore,
    found: &[ListedFile],
    own: &[String],
    fields: &mut Vec<FieldRef>,
) -> Result<()> {
    for field in partition_fields(store, found)? {
        if own.contains(field.name()) {
            let first = found.first().map(|found| shown(store, &found.meta.location));
            tracing::warn!(
                "{}: `{}` is a column of the files: what their folders say of it is not read",
                first.unwrap_or_default(),
                field.name()
            );
        } else if fields.iter().all(|known| known.name() != field.name()) {
            fields.push(field);
        }
    }
    Ok(())
}

fn no_columns(store: &SourceStore, found: &[ListedFile], doubt: Option<String>) -> Error {
    if let Some(doubt) = doubt {
        return Error::data(doubt)
            .with_hint("correct the file, name its columns under `source.columns`, or leave it out with a pattern");
    }
    let first = found.first().map(|found| store.url(&found.meta.location)).unwrap_or_default();
    Error::data(format!("{first}: no columns in it"))
        .with_hint("leave empty files out with a pattern")
}

/// Looks into the files of a table.
pub(super) async fn look_at_table(
    store: &SourceStore,
    files: &Files,
    found: Vec<ListedFile>,
    table: &Table,
) -> Result<FilesInfo> {
    let format = FileFormat::Parquet;
    let metadata: Arc<FileMetadataCache> = Arc::new(DefaultCache::new(METADATA_LIMIT_BYTES));
    let all = (0..found.len()).collect();
    let looks = look_into(store, files, format, &found, all, &metadata).await?;
    let (schema, file_columns) = (table.schema.clone(), table.file_columns);
    let columns = &schema.fields()[..file_columns];
    let unfit = looks.iter().find_map(|(place, look)| {
        let why = unfit(&look.fields, columns)?;
        Some(format!("{}: {why}", shown(store, &found[*place].meta.location)))
    });
    let rows = rows(&looks, &found);
    let int96 = looks.iter().flat_map(|(_, look)| look.int96.clone()).collect();
    let intervals = looks.iter().flat_map(|(_, look)| look.intervals.clone()).collect();
    let groups = looks.into_iter().map(|(_, look)| look.groups).collect();
    let digest = hex::encode(Sha256::digest(encode_schema(&schema)?));
    Ok(FilesInfo {
        format,
        found,
        groups,
        schema,
        file_columns,
        rows,
        metadata,
        int96,
        intervals,
        untyped: BTreeSet::new(),
        digest,
        layout: Layout::Lines,
        unfit,
    })
}

/// Looks into some of the files, several at a time.
async fn look_into(
    store: &SourceStore,
    files: &Files,
    format: FileFormat,
    found: &[ListedFile],
    places: Vec<usize>,
    metadata: &Arc<FileMetadataCache>,
) -> Result<Vec<(usize, FileInfo)>> {
    let sizes = found.iter().map(|found| (found.meta.location.clone(), found.meta.size));
    let objects = Pinned::new(store.objects.clone(), HashMap::new(), sizes.collect());
    let store = &SourceStore { objects: Arc::new(objects), ..store.clone() };
    let looks = places.into_iter().map(|place| async move {
        let meta = &found[place].meta;
        let look = match format {
            FileFormat::Parquet => parquet::inspect(store, meta, metadata, files.int96).await?,
            FileFormat::Arrow => arrow_file::inspect(store, meta).await?,
            FileFormat::Csv | FileFormat::Json => text::inspect(store, files, format, meta).await?,
        };
        Ok::<_, Error>((place, look))
    });
    futures::stream::iter(looks).buffered(LOOKS_AT_ONCE).try_collect().await
}

/// Why a file does not hold a table's columns: the first ones, in their order, with types that the table's hold
/// exactly.
fn unfit(fields: &Fields, columns: &[FieldRef]) -> Option<String> {
    if fields.len() > columns.len() {
        return Some("it has more columns than the table".into());
    }
    fields.iter().zip(columns).enumerate().find_map(|(place, (field, column))| {
        let (is, should) = (field.data_type(), column.data_type());
        if field.name() != column.name() {
            return Some(format!(
                "its column {} is `{}`, and the table's `{}`",
                place + 1,
                field.name(),
                column.name()
            ));
        }
        (!holds(should, is))
            .then(|| format!("`{}` is {is} in it, and {should} in the table", field.name()))
    })
}

/// Whether a table's type holds all values of a file's, and they mean the same.
fn holds(table: &DataType, file: &DataType) -> bool {
    match (table, file) {
        // Impala does not say of bytes that they are text, nor of numbers how small they are; what is not so
        // is an error when it is read.
        (DataType::Utf8, DataType::Binary) => true,
        (DataType::Int8 | DataType::Int16, DataType::Int32) => true,
        (DataType::Timestamp(unit, None), DataType::Timestamp(of, Some(zone))) => {
            zone.as_ref() == "UTC" && unit >= of
        }
        _ => exact(table, file).as_ref() == Some(table),
    }
}

fn typed(field: &FieldRef, data_type: DataType) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn check_format(store: &SourceStore, files: &Files, found: &[ListedFile]) -> Result<FileFormat> {
    if let Some(format) = files.format {
        return Ok(format);
    }
    let mut formats = found.iter().map(|found| (format_of(&found.meta.location), found));
    let (first, of) = formats.next().ok_or_else(|| Error::internal("no files to look into"))?;
    let name = |found: &ListedFile| shown(store, &found.meta.location);
    let first = first.ok_or_else(|| {
        Error::config(format!("{}: its format is not told by its name", name(of)))
            .with_hint("name it with `source.format`: parquet, csv, json or arrow")
    })?;
    match formats.find(|(format, _)| *format != Some(first)) {
        None => Ok(first),
        Some((_, other)) => {
            Err(Error::config(format!("{} and {} are not of one format", name(of), name(other)))
                .with_hint(
                    "name files of one format with a pattern such as *.csv, or `source.format`",
                ))
        }
    }
}

/// Up to so many of the files: the first, the last, and those between at even distances.
fn spread(files: usize) -> Vec<usize> {
    let sample = files.min(SAMPLE_FILES);
    (0..sample).map(|place| place * (files - 1) / (sample - 1).max(1)).collect()
}

/// The types that the job gives, instead of those that were told. Where all files were looked into, it can
/// give none of another column, unless that is a key which comes late.
fn declared(files: &Files, fields: Vec<FieldRef>, is_all: bool) -> Result<Vec<FieldRef>> {
    let mut declared = files.columns.clone();
    let typed = |field: FieldRef| {
        let data_type = declared.remove(field.name()).map(|declared| declared.data_type);
        let data_type = data_type.unwrap_or_else(|| settled(field.data_type()));
        Arc::new(Field::new(field.name(), data_type, true))
    };
    let mut fields: Vec<FieldRef> = fields.into_iter().map(typed).collect();
    if let Some(name) = declared.keys().next().filter(|_| is_all) {
        let known: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        return Err(Error::config(format!(
            "`source.columns.{name}`: the files have no such column"
        ))
        .with_hint(format!("they have {}", known.join(", "))));
    }
    let others = declared.into_iter();
    fields.extend(others.map(|(name, one)| Arc::new(Field::new(name, one.data_type, true))));
    Ok(fields)
}

/// The columns of folders: whole numbers and dates, where all of them are.
fn partition_fields(store: &SourceStore, found: &[ListedFile]) -> Result<Vec<FieldRef>> {
    let names = |found: &ListedFile| -> Vec<String> {
        found.partitions.iter().map(|(name, _)| name.clone()).collect()
    };
    let Some(first) = found.first() else { return Ok(Vec::new()) };
    let wanted = names(first);
    if let Some(other) = found.iter().find(|found| names(found) != wanted) {
        let (first, other) =
            (shown(store, &first.meta.location), shown(store, &other.meta.location));
        return Err(Error::config(format!("{first} and {other} lie in folders of other columns"))
            .with_hint("name one kind of them with a pattern, or set `source.partitions: false`"));
    }
    let field = |(place, name): (usize, &String)| {
        let values: Vec<&str> =
            found.iter().filter_map(|found| found.partitions[place].1.as_deref()).collect();
        let data_type = match values.as_slice() {
            [] => DataType::Utf8,
            values if values.iter().all(|value| is_number(value)) => DataType::Int64,
            values if values.iter().all(|value| is_date(value)) => DataType::Date32,
            _ => DataType::Utf8,
        };
        Arc::new(Field::new(name, data_type, values.len() < found.len()))
    };
    Ok(wanted.iter().enumerate().map(field).collect())
}

fn is_number(text: &str) -> bool {
    // `007` is no number: it would lose its zeros.
    text.parse::<i64>().is_ok_and(|number| number.to_string() == text)
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// All rows, as the files say, or as the sample leads to expect.
fn rows(looks: &[(usize, FileInfo)], found: &[ListedFile]) -> Option<u64> {
    let rows: u64 = looks.iter().map(|(_, look)| look.rows).sum::<Option<u64>>()?;
    let inspected: u64 = looks.iter().map(|(place, _)| found[*place].meta.size).sum();
    let bytes: u64 = found.iter().map(|found| found.meta.size).sum();
    match inspected {
        0 => Some(0),
        _ => Some((rows as f64 * (bytes as f64 / inspected as f64)) as u64),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    #[test]
    fn a_tables_type_holds_a_files_exactly_or_not_at_all() {
        use DataType::*;
        let utc = || Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (table, file) in [
            (Int64, Int32),
            (Int8, Int32),
            (Utf8, Binary),
            (Float64, Float32),
            (Decimal128(12, 2), Decimal128(10, 2)),
            (Timestamp(TimeUnit::Microsecond, None), utc()),
        ] {
            assert!(holds(&table, &file), "{table} {file}");
        }
        for (table, file) in [
            (Int32, Int64),
            (Binary, Utf8),
            (Float32, Float64),
            (Decimal128(10, 2), Decimal128(12, 2)),
            (Decimal128(12, 2), Decimal128(12, 3)),
            (Timestamp(TimeUnit::Millisecond, None), utc()),
            (Utf8, Int64),
        ] {
            assert!(!holds(&table, &file), "{table} {file}");
        }
    }

    #[test]
    fn a_file_of_other_columns_is_told_by_the_first_that_differs() {
        let fields = |names: &[&str]| -> Fields {
            names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect()
        };
        let table = fields(&["a", "b"]);
        assert_eq!(unfit(&fields(&["a"]), &table), None);
        assert_eq!(
            unfit(&fields(&["a", "b", "c"]), &table).unwrap(),
            "it has more columns than the table"
        );
        assert_eq!(
            unfit(&fields(&["a", "B"]), &table).unwrap(),
            "its column 2 is `B`, and the table's `b`"
        );
    }
}
