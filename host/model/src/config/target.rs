//! Where rows go, checked: a folder of files or a sink, and what happens to what is there.

use std::path::Path;

use serde_json::{Map, Value};
use strum::IntoStaticStr;
use url::Url;

use super::document::typed;
use super::file_name::FileName;
use super::load::LoadSections;
use super::mode;
use super::place::{Place, Sections, Side, check_place, is_folder};
use super::plain_path::to_url;
use super::plugin_requirement::PluginRequirement;
use super::raw::{RawFolder, RawFormat, RawLoaded, RawTarget};
use super::store_url::StoreUrl;
use crate::error::{Error, Result, ResultExt};

pub use super::mode::Mode;

/// Where rows go.
#[derive(Clone, Debug)]
pub struct Target {
    /// A folder, or a sink.
    pub to: To,
    /// The only file that is written in the folder, if the URL names one. Each relation has a folder of its own
    /// otherwise.
    pub file: Option<String>,
    /// The URL, without a password.
    pub url: String,
    /// What happens when a relation is already there.
    pub mode: Mode,
    /// The columns whose values name folders.
    pub partition_by: Vec<String>,
    /// What its load mode wants to know of relations that do not say it.
    pub sections: LoadSections,
}

/// The key of a sink's config that tells how relations are loaded. A sink that has it has load modes.
pub const LOAD_MODES: &str = "load_modes";

/// What takes the rows.
#[derive(Clone, Debug)]
pub enum To {
    /// The store, and the folder in it that holds a folder of files for each relation.
    Folder(Place, Format),
    /// A plugin.
    Sink(Sink),
}

/// A sink, as a job wants it.
#[derive(Clone, Debug)]
pub struct Sink {
    /// The URL's scheme: it chooses the sink.
    pub scheme: String,
    /// Which sink.
    pub plugin: PluginRequirement,
    /// All keys of `target` but `mode` and what load modes want to know, which stands under [`LOAD_MODES`] for each
    /// relation. Still holds secrets as written: show it to nobody.
    pub config: Map<String, Value>,
}

impl Target {
    /// The format of what is written, by name.
    pub fn format_name(&self) -> &'static str {
        match &self.to {
            To::Folder(_, format) => format.name(),
            To::Sink(_) => "sink",
        }
    }

    /// Whether all rows must be read before the first part is written.
    pub fn reads_first(&self) -> bool {
        let is_folder = matches!(self.to, To::Folder(..));
        is_folder && (self.mode.reads_first() || self.file.is_some())
    }
}

/// The files' format.
#[derive(Clone, Debug, PartialEq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    /// Apache Parquet, its pages compressed.
    Parquet(ParquetCodec),
    /// Separated values.
    Csv(CsvStyle, TextCodec),
    /// A JSON object a line.
    Json(TextCodec),
    /// Arrow's IPC file format.
    Arrow,
}

/// How a CSV file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvStyle {
    /// Between values.
    pub delimiter: u8,
    /// Around values that need it.
    pub quote: u8,
    /// Whether the first line names the columns.
    pub header: bool,
    /// What stands for NULL.
    pub null: String,
}

/// How the pages of a Parquet file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParquetCodec {
    /// Not at all.
    None,
    /// Snappy.
    Snappy,
    /// gzip, by level: 0 to 9.
    Gzip(u32),
    /// Zstandard, by level: 1 to 22.
    Zstd(i32),
}

/// How a whole file of text is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextCodec {
    /// Not at all.
    None,
    /// gzip, by level.
    Gzip(u32),
    /// Zstandard, by level.
    Zstd(i32),
}

impl Format {
    /// How the names of its files end.
    pub fn ending(&self) -> &'static str {
        match self {
            Self::Parquet(_) => "parquet",
            Self::Csv(_, TextCodec::None) => "csv",
            Self::Csv(_, TextCodec::Gzip(_)) => "csv.gz",
            Self::Csv(_, TextCodec::Zstd(_)) => "csv.zst",
            Self::Json(TextCodec::None) => "jsonl",
            Self::Json(TextCodec::Gzip(_)) => "jsonl.gz",
            Self::Json(TextCodec::Zstd(_)) => "jsonl.zst",
            Self::Arrow => "arrow",
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

pub(super) fn check_target(mut raw: RawTarget, folder: &Path) -> Result<Target> {
    raw.url = to_url("target.url", &raw.url, folder, Side::Target)?;
    let mode = raw.mode.unwrap_or_default();
    let scheme = raw.url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    if scheme.is_none_or(|scheme| is_folder(&scheme)) {
        let url = StoreUrl::parse("target.url", &raw.url)?;
        if let Some(file) = FileName::of_url(&raw.url, &url)? {
            return check_file(raw, &url, &file);
        }
        let folder = check_folder(raw, &url, None)?;
        mode::check_folder(mode, &folder.partition_by, folder.format_name())?;
        return Ok(Target { mode, ..folder });
    }
    let url = Url::parse(&raw.url).map_err(|error| {
        Error::config(format!("`target.url`: {error}"))
            .with_hint("write it as in postgres://loader@host/shop")
    })?;
    let mut shown = url.clone();
    // Only fails where a URL can have no password.
    let _ = shown.set_password(None);
    hide_query_values(&mut shown);
    let loaded = if mode.is_load() { take_load(&mut raw.rest)? } else { RawLoaded::default() };
    mode::check_sink(mode, &loaded.partition_by)?;
    let RawLoaded { partition_by, merge, snapshot, scd2 } = loaded;
    let sections = LoadSections { merge, snapshot, scd2 };
    let to = To::Sink(check_sink(raw, &url)?);
    Ok(Target { to, file: None, url: shown.to_string(), mode, partition_by, sections })
}

/// What load modes want to know; all else under `target` belongs to the sink.
fn take_load(keys: &mut Map<String, Value>) -> Result<RawLoaded> {
    let mut own = Map::new();
    for key in ["partition_by", "merge", "snapshot", "scd2"] {
        own.extend(keys.remove(key).map(|value| (key.to_owned(), value)));
    }
    typed("target", Value::Object(own))
}

/// Only the sink knows which values of a query are secrets.
fn hide_query_values(url: &mut Url) {
    let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    if !names.is_empty() {
        url.query_pairs_mut().clear().extend_pairs(names.iter().map(|name| (name, "..")));
    }
}

/// A single file, in the folder that it lies in.
fn check_file(raw: RawTarget, url: &StoreUrl, file: &FileName) -> Result<Target> {
    let mode = raw.mode.unwrap_or(Mode::Error);
    let refused = |what: &str| {
        let hint = "remove it, or name a folder: end the URL with `/`";
        Err(Error::config(format!("{what}, and `target.url` names one file")).with_hint(hint))
    };
    if !matches!(mode, Mode::Error | Mode::Replace) {
        return Err(Error::config(format!(
            "`target.mode` is {}, and `target.url` names one file",
            mode.name()
        ))
        .with_hint("choose `error` or `replace`, or name a folder: end the URL with `/`"));
    }
    let mut folder = url.clone();
    folder.path.pop();
    let checked = check_folder(raw, &folder, Some(file))?;
    if !checked.partition_by.is_empty() {
        return refused("`target.partition_by` makes folders");
    }
    if !checked.sections.is_empty() {
        return refused("`target` says how rows are loaded into a table");
    }
    if let To::Folder(place, _) = &checked.to
        && let Some(why) = place.unfit(&file.name)
    {
        return Err(Error::config(format!("`target.url`: no place for `{}`: {why}", file.name))
            .with_hint("give the file another name"));
    }
    Ok(Target { mode, file: Some(file.name.clone()), url: url.shown(), ..checked })
}

/// The place that a target's URL names, and the file in it, if it names one; for stores that need nothing but
/// their URL and what the environment says.
pub fn parse_target(text: &str) -> Result<(Place, Option<String>)> {
    let mut url = StoreUrl::parse(text, text)?;
    let file = FileName::of_url(text, &url)?.map(|file| file.name);
    if file.is_some() {
        url.path.pop();
    }
    Ok((check_place(Side::Target, Sections::default(), &url)?, file))
}

/// A folder, whatever happens in it: `file` is the only one that is written, if it is.
fn check_folder(raw: RawTarget, url: &StoreUrl, file: Option<&FileName>) -> Result<Target> {
    if raw.plugin.is_some() {
        return Err(Error::config(format!("`target.plugin`: `{}:` takes no sink", url.scheme))
            .with_hint("remove it"));
    }
    let folder: RawFolder = typed("target", Value::Object(raw.rest))?;
    let format = check_format(&folder, file)?;
    let RawFolder { s3, azure, hdfs, sftp, partition_by, merge, snapshot, scd2, .. } = folder;
    for (place, name) in partition_by.iter().enumerate() {
        if partition_by[..place].iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(Error::config(format!("`target.partition_by` names `{name}` twice"))
                .with_hint("name each column once"));
        }
    }
    let sections = Sections { s3, azure, hdfs, sftp };
    let to = To::Folder(check_place(Side::Target, sections, url)?, format);
    let sections = LoadSections { merge, snapshot, scd2 };
    let mode = Mode::Version;
    Ok(Target { to, file: None, url: url.shown(), mode, partition_by, sections })
}

fn check_sink(raw: RawTarget, url: &Url) -> Result<Sink> {
    let plugin =
        raw.plugin.map(|text| text.parse::<PluginRequirement>().context("`target.plugin`"));
    let mut config = raw.rest;
    if config.contains_key(LOAD_MODES) {
        return Err(Error::config(format!("`target.{LOAD_MODES}` is what Longshore tells sinks"))
            .with_hint("say it with `target.mode`, `merge`, `snapshot` and `scd2`"));
    }
    config.insert("url".into(), Value::String(raw.url));
    let (scheme, plugin) = (url.scheme().to_owned(), plugin.transpose()?.unwrap_or_default());
    Ok(Sink { scheme, plugin, config })
}

fn check_format(raw: &RawFolder, file: Option<&FileName>) -> Result<Format> {
    let format = match file {
        None => raw.format.unwrap_or_default(),
        Some(file) => file.check_format(raw.format)?,
    };
    let by_name =
        file.map(|file| file.check_compression(raw.compression.as_deref())).transpose()?;
    let compression = by_name.unwrap_or_else(|| raw.compression.clone());
    let comma = if file.is_some_and(|file| file.is_tabbed) { "\t" } else { "," };
    if raw.csv.is_some() && format != RawFormat::Csv {
        return Err(Error::config("`target.csv` is given, and `target.format` is not csv")
            .with_hint("add `format: csv`, or remove `csv`"));
    }
    let compression = compression.as_deref();
    match format {
        RawFormat::Parquet => parquet_compression(compression.unwrap_or("snappy")),
        RawFormat::Json => Ok(Format::Json(squeeze(compression.unwrap_or("none"))?)),
        RawFormat::Arrow => match compression.unwrap_or("none") {
            "none" => Ok(Format::Arrow),
            other => Err(refused(other, "none")),
        },
        RawFormat::Csv => {
            let csv = raw.csv.clone().unwrap_or_default();
            let style = CsvStyle {
                delimiter: one_byte(
                    Side::Target,
                    "delimiter",
                    csv.delimiter.as_deref().unwrap_or(comma),
                )?,
                quote: one_byte(Side::Target, "quote", csv.quote.as_deref().unwrap_or("\""))?,
                header: csv.header.unwrap_or(true),
                null: csv.null.unwrap_or_default(),
            };
            if style.delimiter == style.quote {
                return Err(Error::config("`target.csv`: delimiter and quote are the same")
                    .with_hint("choose two"));
            }
            Ok(Format::Csv(style, squeeze(compression.unwrap_or("none"))?))
        }
    }
}

/// One of CSV's marks, on either side of a job.
pub(super) fn one_byte(side: Side, key: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        // As people write it on a command line.
        br"\t" => Ok(b'\t'),
        _ => Err(Error::config(format!("`{side}.csv.{key}`: `{text}` is not one ASCII character"))
            .with_hint("write one, such as \";\" or \"\\t\"")),
    }
}

fn parquet_compression(text: &str) -> Result<Format> {
    let known = "snappy, zstd, zstd:1 to zstd:22, gzip, gzip:0 to gzip:9, or none";
    let codec = match leveled(text) {
        ("none", None) => Some(ParquetCodec::None),
        ("snappy", None) => Some(ParquetCodec::Snappy),
        ("gzip", level) => gzip_level(level.unwrap_or("6")).map(ParquetCodec::Gzip),
        ("zstd", level) => zstd_level(level.unwrap_or("1")).map(ParquetCodec::Zstd),
        _ => None,
    };
    codec.map(Format::Parquet).ok_or_else(|| refused(text, known))
}

fn gzip_level(text: &str) -> Option<u32> {
    text.parse().ok().filter(|level| *level <= 9)
}

fn zstd_level(text: &str) -> Option<i32> {
    text.parse().ok().filter(|level| (1..=22).contains(level))
}

fn squeeze(text: &str) -> Result<TextCodec> {
    let known = "gzip, gzip:0 to gzip:9, zstd, zstd:1 to zstd:22, or none";
    let squeeze = match leveled(text) {
        ("none", None) => Some(TextCodec::None),
        ("gzip", level) => gzip_level(level.unwrap_or("6")).map(TextCodec::Gzip),
        ("zstd", level) => zstd_level(level.unwrap_or("3")).map(TextCodec::Zstd),
        _ => None,
    };
    squeeze.ok_or_else(|| refused(text, known))
}

fn leveled(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((codec, level)) => (codec, Some(level)),
        None => (text, None),
    }
}

fn refused(text: &str, known: &str) -> Error {
    Error::config(format!("`target.compression`: `{text}` is not a compression of this format"))
        .with_hint(format!("write {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_query_are_not_shown() {
        let mut url = Url::parse("https://hooks.internal/rows?key=s3cret&mode=a&flag").unwrap();
        hide_query_values(&mut url);
        assert_eq!(url.as_str(), "https://hooks.internal/rows?key=..&mode=..&flag=..");
        let mut plain = Url::parse("postgres://loader@db/shop").unwrap();
        hide_query_values(&mut plain);
        assert_eq!(plain.as_str(), "postgres://loader@db/shop");
    }
}
