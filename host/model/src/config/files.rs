//! Files as a source, checked: where they are, and how they are read.

use std::collections::BTreeMap;

use arrow_schema::{DataType, TimeUnit};
use glob::Pattern;
use serde_json::{Map, Value, json};
use strum::IntoStaticStr;

use super::document::typed;
use super::place::{Place, Sections, Side, check_place};
use super::raw::{RawBadRowsOrLimit, RawColumn, RawCsvRead, RawFiles, RawFormat, RawNulls};
use super::store_url::{StoreUrl, joined};
use super::target::one_byte;
use crate::error::{Error, Result};

pub use super::raw::{RawBadRows as BadRows, RawInt96 as Int96, RawPacking as Packing};

/// Rows that are looked at in each file of a sample, unless the job says.
const SAMPLE_ROWS: u64 = 10_000;

/// The most rows that are looked at in each file of a sample.
const SAMPLE_ROWS_LIMIT: u64 = 10_000_000;

/// The characters that make a pattern of a path.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Files of a store.
#[derive(Clone, Debug)]
pub struct Files {
    /// The folder that tables are found in.
    pub place: Place,
    /// What the URL names beneath it: nothing if it is the folder.
    pub sought: FilePattern,
    /// The URL as the job gives it, without a password.
    pub url: String,
    /// Their format, if the job says.
    pub format: Option<FileFormat>,
    /// How they are compressed as a whole, if the job says.
    pub packing: Option<Packing>,
    /// How CSV is read.
    pub csv: CsvRead,
    /// How INT96 is read.
    pub int96: Int96,
    /// Rows of each file of a sample.
    pub sample_rows: usize,
    /// Types that the job gives.
    pub columns: BTreeMap<String, DeclaredType>,
    /// What happens to rows that cannot be read.
    pub bad_rows: BadRows,
    /// The most rows of a relation that are left out, if the job says.
    pub bad_rows_limit: Option<u64>,
    /// Whether folders such as `day=2026-11-20` are columns.
    pub partitions: bool,
    /// All that the job says, but secrets.
    pub shown: Value,
}

impl Files {
    /// Parquet files beneath a folder.
    pub fn of_parquet(place: Place, url: &str) -> Self {
        Self {
            place,
            sought: FilePattern::default(),
            url: url.to_owned(),
            format: Some(FileFormat::Parquet),
            packing: Some(Packing::None),
            csv: CsvRead {
                delimiter: None,
                quote: None,
                escape: None,
                comment: None,
                header: false,
                nulls: Vec::new(),
                quoted_nulls: false,
                newlines: false,
            },
            int96: Int96::default(),
            sample_rows: 0,
            columns: BTreeMap::new(),
            bad_rows: BadRows::Fail,
            bad_rows_limit: None,
            partitions: true,
            shown: Value::Null,
        }
    }
}

/// A type that the job gives.
#[derive(Clone, Debug)]
pub struct DeclaredType {
    /// The type.
    pub data_type: DataType,
    /// Whether other spellings of a value are taken.
    pub lenient: bool,
}

/// A format that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Separated values.
    Csv,
    /// JSON objects: on a line each, in an array, over several lines, or one behind the other.
    Json,
    /// Arrow IPC files.
    Arrow,
}

/// How CSV is read.
#[derive(Clone, Debug)]
pub struct CsvRead {
    /// Between values; by the file's ending if absent.
    pub delimiter: Option<u8>,
    /// Around values, unless quotes mean nothing.
    pub quote: Option<u8>,
    /// Within quotes, before a quote or before itself.
    pub escape: Option<u8>,
    /// Begins lines that are no rows.
    pub comment: Option<u8>,
    /// Whether the first line names the columns.
    pub header: bool,
    /// What stands for NULL.
    pub nulls: Vec<String>,
    /// Whether what stands for NULL does so within quotes, too.
    pub quoted_nulls: bool,
    /// Whether values hold line ends.
    pub newlines: bool,
}

/// What is sought in a folder: that which has exactly this name, or else what fits the pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePattern {
    /// A file's or a folder's path, as it is.
    pub name: String,
    /// The pattern that it may be, too.
    pub pattern: Option<String>,
}

impl FilePattern {
    /// What a job names under `tables`: a name, nothing in which is encoded.
    pub fn named(path: &str) -> Self {
        Self { name: path.to_owned(), pattern: is_pattern(path).then(|| path.to_owned()) }
    }
}

/// Whether a path is a pattern.
pub fn is_pattern(path: &str) -> bool {
    path.contains(WILDCARDS)
}

/// A relation's name, from the path of its files: `2026/orders/*.csv.gz` and `orders.csv` are orders.
pub fn name_of(path: &str) -> Option<String> {
    let last = path.split('/').rev().find(|part| !part.is_empty() && !is_pattern(part))?;
    let stem = last.split_once('.').map_or(last, |(stem, _)| stem);
    (!stem.is_empty()).then(|| stem.to_owned())
}

pub(super) fn check_files(text: &str, config: Map<String, Value>) -> Result<Files> {
    let url = StoreUrl::parse("source.url", text)?;
    if url.scheme == "sftp" {
        return Err(Error::config("`source.url`: files cannot be read over sftp")
            .with_hint("read them from file://, s3://, azure:// or hdfs://"));
    }
    let mut shown = config.clone();
    for section in ["s3", "azure"] {
        shown.remove(section);
    }
    let raw: RawFiles = typed("source", Value::Object(config))?;
    let (folder, sought) = cut(&url, text.ends_with('/'));
    let sections = Sections { s3: raw.s3, azure: raw.azure, hdfs: raw.hdfs, sftp: None };
    let place = check_place(Side::Source, sections, &folder)?;
    let bare = url.shown();
    shown.insert("url".into(), json!(bare));
    let columns = raw.columns.iter().map(|(name, column)| {
        let (text, lenient) = match column {
            RawColumn::Type(text) => (text, false),
            RawColumn::Reading(reading) => (&reading.data_type, reading.lenient),
        };
        let data_type = column_type(text).ok_or_else(|| {
            Error::config(format!("`source.columns.{name}`: `{text}` is not a type")).with_hint(
                "write string, boolean, tinyint, smallint, int, bigint, float, double, date, timestamp, \
                 timestamptz, timestamp(9), timestamptz(9), binary or decimal(38,2)",
            )
        });
        Ok((name.clone(), DeclaredType { data_type: data_type?, lenient }))
    });
    let sample_rows = match raw.sample_rows.unwrap_or(SAMPLE_ROWS) {
        rows @ 1..=SAMPLE_ROWS_LIMIT => rows as usize,
        rows => {
            return Err(Error::config(format!("`source.sample_rows` is {rows}"))
                .with_hint(format!("give 1 to {SAMPLE_ROWS_LIMIT}")));
        }
    };
    let (bad_rows, bad_rows_limit) = match raw.bad_rows {
        None => (BadRows::default(), None),
        Some(RawBadRowsOrLimit::All(bad_rows)) => (bad_rows, None),
        Some(RawBadRowsOrLimit::Limited(limit)) => (BadRows::Skip, Some(limit.skip)),
    };
    Ok(Files {
        place,
        sought,
        url: bare,
        format: raw.format.map(|format| match format {
            RawFormat::Parquet => FileFormat::Parquet,
            RawFormat::Csv => FileFormat::Csv,
            RawFormat::Json => FileFormat::Json,
            RawFormat::Arrow => FileFormat::Arrow,
        }),
        packing: raw.compression,
        csv: check_csv(raw.csv.unwrap_or_default())?,
        int96: raw.parquet.unwrap_or_default().int96,
        sample_rows,
        columns: columns.collect::<Result<_>>()?,
        bad_rows,
        bad_rows_limit,
        partitions: raw.partitions.unwrap_or(true),
        shown: Value::Object(shown),
    })
}

/// The folder of a URL, and what is sought beneath it: a pattern, or what looks like a file, unless it is said to
/// be a folder.
fn cut(url: &StoreUrl, is_folder: bool) -> (StoreUrl, FilePattern) {
    let is_last_file = !is_folder && url.path.last().is_some_and(|last| last.text.contains('.'));
    let at = url.path.iter().position(|name| name.pattern.is_some());
    let mut folder = url.clone();
    let Some(at) = at.or(is_last_file.then(|| url.path.len() - 1)) else {
        return (folder, FilePattern::default());
    };
    let names = folder.path.split_off(at);
    let has_pattern = names.iter().any(|name| name.pattern.is_some());
    let globs = names
        .iter()
        .map(|name| name.pattern.clone().unwrap_or_else(|| Pattern::escape(&name.text)));
    let pattern = has_pattern.then(|| globs.collect::<Vec<_>>().join("/"));
    (folder, FilePattern { name: joined(&names), pattern })
}

fn check_csv(raw: RawCsvRead) -> Result<CsvRead> {
    let byte = |key: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => one_byte(Side::Source, key, &text).map(Some),
    };
    let csv = CsvRead {
        delimiter: byte("delimiter", raw.delimiter)?,
        quote: match raw.quote.as_deref() {
            Some("") => None,
            _ => byte("quote", raw.quote)?.or(Some(b'"')),
        },
        escape: byte("escape", raw.escape)?,
        comment: byte("comment", raw.comment)?,
        header: raw.header.unwrap_or(true),
        nulls: match raw.null {
            None => vec![String::new()],
            Some(RawNulls::One(text)) => vec![text],
            Some(RawNulls::Several(texts)) => texts,
        },
        quoted_nulls: raw.quoted_nulls.unwrap_or(false),
        newlines: raw.newlines.unwrap_or(false),
    };
    if csv.quote == Some(csv.delimiter.unwrap_or(b',')) {
        return Err(
            Error::config("`source.csv`: delimiter and quote are the same").with_hint("choose two")
        );
    }
    Ok(csv)
}

/// A type by the name that databases give it.
fn column_type(text: &str) -> Option<DataType> {
    let text = text.to_ascii_lowercase();
    let (name, arguments) = match text.split_once('(') {
        Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')')?)),
        None => (text.trim(), None),
    };
    if let (Some(arguments), "timestamp" | "timestamptz") = (arguments, name) {
        let unit = match arguments.trim().parse::<u8>().ok()? {
            0..=6 => TimeUnit::Microsecond,
            7..=9 => TimeUnit::Nanosecond,
            _ => return None,
        };
        return Some(DataType::Timestamp(unit, (name == "timestamptz").then(|| "UTC".into())));
    }
    if let Some(arguments) = arguments {
        let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        let fits = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
        let decimal = matches!(name, "decimal" | "numeric") && fits;
        return decimal.then_some(DataType::Decimal128(precision, scale));
    }
    Some(match name {
        "string" | "text" | "varchar" => DataType::Utf8,
        "boolean" | "bool" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "bigint" | "long" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "binary" => DataType::Binary,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_folder_and_what_is_sought_in_it() {
        let parts = |text: &str| {
            let (folder, sought) =
                cut(&StoreUrl::parse("source.url", text).unwrap(), text.ends_with('/'));
            (folder.shown(), sought.name, sought.pattern.unwrap_or_default())
        };
        let is = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(parts("file:///data/shop"), is("file:///data/shop", "", ""));
        assert_eq!(parts("file:///data/a.csv"), is("file:///data", "a.csv", ""));
        assert_eq!(parts("file:///data/v1.2/"), is("file:///data/v1.2", "", ""));
        assert_eq!(parts("file:///50%2541/a.csv"), is("file:///50%2541", "a.csv", ""));
        assert_eq!(
            parts("s3://b/raw/2*/x/[ab].gz"),
            is("s3://b/raw", "2*/x/[ab].gz", "2*/x/[ab].gz")
        );
        assert_eq!(parts("s3://b/**/*.csv"), is("s3://b", "**/*.csv", "**/*.csv"));
    }

    #[test]
    fn relations_are_named_after_their_files() {
        let name = |path| name_of(path).unwrap_or_default();
        assert_eq!(name("orders.csv.gz"), "orders");
        assert_eq!(name("2026/orders/*.csv"), "orders");
        assert_eq!(name("orders/**/part-*"), "orders");
        assert_eq!(name("*.csv"), "");
    }
}
