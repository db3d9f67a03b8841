//! Where rows go, checked: a folder of files or a sink, and what happens to what is there.

use std::path::PathBuf;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::document::typed;
use super::raw::{RawFolder, RawFormat, RawMode, RawTarget};
use super::wanted::Wanted;
use crate::error::{Error, Result, ResultExt};

/// The port of SFTP, where the URL names none.
const SFTP_PORT: u16 = 22;

/// Where rows go.
#[derive(Clone, Debug)]
pub struct Target {
    /// A folder, or a sink.
    pub to: To,
    /// The URL, without a password.
    pub url: String,
    /// What happens when a relation is already there.
    pub mode: Mode,
}

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
    pub plugin: Wanted,
    /// All keys of `target` but `mode`. Still holds secrets as written: show it to nobody.
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
}

/// A folder of a store.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder of this machine.
    Local(PathBuf),
    /// A prefix of a bucket.
    S3(S3Place),
    /// A prefix of a container.
    Azure(AzurePlace),
    /// A folder of HDFS.
    Hdfs(HdfsPlace),
    /// A folder of a server.
    Sftp(SftpPlace),
}

/// `s3://BUCKET/PREFIX`
#[derive(Clone, Debug)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// The folder in it; may be empty.
    pub prefix: String,
    /// What the job says of the store.
    pub options: S3Options,
}

pub use super::raw::{RawAzure as AzureOptions, RawHdfs as HdfsOptions, RawS3 as S3Options};

/// `azure://CONTAINER/PREFIX`
#[derive(Clone, Debug)]
pub struct AzurePlace {
    /// The container.
    pub container: String,
    /// The folder in it; may be empty.
    pub prefix: String,
    /// What the job says of the store.
    pub options: AzureOptions,
}

/// `hdfs://NAMENODE:PORT/FOLDER` or `hdfs://NAMESERVICE/FOLDER`
#[derive(Clone, Debug)]
pub struct HdfsPlace {
    /// `hdfs://` and the name node or the name service; absent: `fs.defaultFS`.
    pub cluster: Option<String>,
    /// The folder, absolute.
    pub folder: String,
    /// What the job says of the store.
    pub options: HdfsOptions,
}

/// `sftp://USER@HOST:PORT/FOLDER`
#[derive(Clone, Debug)]
pub struct SftpPlace {
    /// The user.
    pub user: String,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The folder, absolute.
    pub folder: String,
    /// The password, as written.
    pub password: Option<Value>,
    /// A file with a private key.
    pub key_file: Option<PathBuf>,
    /// The key's passphrase, as written.
    pub key_passphrase: Option<Value>,
    /// The file of known hosts.
    pub known_hosts: Option<PathBuf>,
}

/// What happens when the target is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is kept, and the new one becomes `orders_v2`.
    Version,
    /// The new parts are added to it.
    Append,
    /// The new one takes its place.
    Replace,
    /// The run is refused.
    Error,
}

/// The files' format.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Apache Parquet, its pages compressed.
    Parquet(Compression),
    /// Separated values.
    Csv(CsvStyle, Squeeze),
    /// A JSON object a line.
    Json(Squeeze),
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

/// How a whole file of text is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Squeeze {
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
            Self::Csv(_, Squeeze::None) => "csv",
            Self::Csv(_, Squeeze::Gzip(_)) => "csv.gz",
            Self::Csv(_, Squeeze::Zstd(_)) => "csv.zst",
            Self::Json(Squeeze::None) => "jsonl",
            Self::Json(Squeeze::Gzip(_)) => "jsonl.gz",
            Self::Json(Squeeze::Zstd(_)) => "jsonl.zst",
            Self::Arrow => "arrow",
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Parquet(_) => "parquet",
            Self::Csv(..) => "csv",
            Self::Json(_) => "json",
            Self::Arrow => "arrow",
        }
    }
}

/// The schemes of folders.
const FOLDERS: &[&str] = &["file", "s3", "s3a", "azure", "az", "abfs", "abfss", "hdfs", "sftp"];

pub(super) fn check_target(raw: RawTarget) -> Result<Target> {
    let mode = match raw.mode {
        RawMode::Version => Mode::Version,
        RawMode::Append => Mode::Append,
        RawMode::Replace => Mode::Replace,
        RawMode::Error => Mode::Error,
    };
    let url = Url::parse(&raw.url).map_err(|error| {
        Error::config(format!("`target.url`: {error}"))
            .with_hint("write it as in file:///lake/shop")
    })?;
    let mut shown = url.clone();
    // Only fails where a URL can have no password.
    let _ = shown.set_password(None);
    let to = match FOLDERS.contains(&url.scheme()) {
        true => check_folder(raw, &url)?,
        false => To::Sink(check_sink(raw, &url)?),
    };
    Ok(Target { to, url: shown.to_string(), mode })
}

fn check_folder(raw: RawTarget, url: &Url) -> Result<To> {
    if raw.plugin.is_some() {
        return Err(Error::config(format!("`target.plugin`: `{}:` takes no sink", url.scheme()))
            .with_hint("remove it"));
    }
    let folder: RawFolder = typed("target", Value::Object(raw.rest))?;
    let format = check_format(&folder)?;
    check_sections(&folder, url.scheme())?;
    Ok(To::Folder(check_place(folder, url)?, format))
}

fn check_sink(raw: RawTarget, url: &Url) -> Result<Sink> {
    let plugin = raw.plugin.map(|text| text.parse::<Wanted>().context("`target.plugin`"));
    let mut config = raw.rest;
    config.insert("url".into(), Value::String(raw.url));
    let (scheme, plugin) = (url.scheme().to_owned(), plugin.transpose()?.unwrap_or_default());
    Ok(Sink { scheme, plugin, config })
}

/// A store that needs nothing but its URL and what the environment says.
pub fn parse_place(url: &str) -> Result<Place> {
    let parsed = Url::parse(url)
        .map_err(|error| Error::config(format!("`{url}`: {error}")).with_hint("write a URL"))?;
    check_place(RawFolder::default(), &parsed)
}

fn check_place(raw: RawFolder, url: &Url) -> Result<Place> {
    match url.scheme() {
        "file" => {
            let folder = url.to_file_path().map_err(|()| {
                Error::config("`target.url` is not a folder of this machine")
                    .with_hint("write it as in file:///lake/shop")
            })?;
            Ok(Place::Local(folder))
        }
        "s3" | "s3a" => Ok(Place::S3(S3Place {
            bucket: host(url, "s3://bucket/lake/shop")?,
            prefix: inner_path(url)?,
            options: raw.s3.unwrap_or_default(),
        })),
        "azure" | "az" | "abfs" | "abfss" => Ok(Place::Azure(AzurePlace {
            container: match url.username() {
                // abfss://container@account.dfs.core.windows.net/folder
                "" => host(url, "azure://container/lake/shop")?,
                container => container.to_owned(),
            },
            prefix: inner_path(url)?,
            options: azure_options(raw.azure.unwrap_or_default(), url),
        })),
        "hdfs" => Ok(Place::Hdfs(HdfsPlace {
            cluster: url.host_str().filter(|host| !host.is_empty()).map(|host| match url.port() {
                Some(port) => format!("hdfs://{host}:{port}"),
                None => format!("hdfs://{host}"),
            }),
            folder: format!("/{}", inner_path(url)?),
            options: raw.hdfs.unwrap_or_default(),
        })),
        "sftp" => check_sftp(raw, url),
        other => Err(Error::config(format!("`{other}:` is not a folder of files"))
            .with_hint("name one of file://, s3://, azure://, hdfs:// or sftp://")),
    }
}

fn check_sftp(raw: RawFolder, url: &Url) -> Result<Place> {
    let options = raw.sftp.unwrap_or_default();
    let user = match url.username() {
        "" => std::env::var("USER").map_err(|_| {
            Error::config("`target.url` names no user")
                .with_hint("write it as in sftp://loader@host/lake/shop")
        })?,
        user => decoded(user)?,
    };
    let password = match url.password() {
        Some(password) => Some(Value::String(decoded(password)?)),
        None => options.password,
    };
    Ok(Place::Sftp(SftpPlace {
        user,
        host: host(url, "sftp://loader@host/lake/shop")?,
        port: url.port().unwrap_or(SFTP_PORT),
        folder: format!("/{}", inner_path(url)?),
        password,
        key_file: options.key_file,
        key_passphrase: options.key_passphrase,
        known_hosts: options.known_hosts,
    }))
}

/// A section of another store than the URL's is a mistake, not a wish.
fn check_sections(raw: &RawFolder, scheme: &str) -> Result<()> {
    let sections = [
        ("s3", raw.s3.is_some(), ["s3", "s3a", "", ""]),
        ("azure", raw.azure.is_some(), ["azure", "az", "abfs", "abfss"]),
        ("hdfs", raw.hdfs.is_some(), ["hdfs", "", "", ""]),
        ("sftp", raw.sftp.is_some(), ["sftp", "", "", ""]),
    ];
    for (section, given, schemes) in sections {
        if given && !schemes.contains(&scheme) {
            let error = format!("`target.{section}` is given, and `target.url` is `{scheme}:`");
            return Err(Error::config(error).with_hint(format!("remove `target.{section}`")));
        }
    }
    Ok(())
}

fn azure_options(mut options: AzureOptions, url: &Url) -> AzureOptions {
    let account = url.host_str().filter(|_| !url.username().is_empty());
    if let (None, Some(host)) = (&options.account, account) {
        options.account = host.split('.').next().map(str::to_owned);
    }
    options
}

fn host(url: &Url, example: &str) -> Result<String> {
    match url.host_str() {
        Some(host) if !host.is_empty() => decoded(host),
        _ => Err(Error::config("`target.url` names no place in the store")
            .with_hint(format!("write it as in {example}"))),
    }
}

/// The path without slashes around it; parts that lead elsewhere are refused.
fn inner_path(url: &Url) -> Result<String> {
    let path = decoded(url.path())?;
    let path = path.trim_matches('/');
    match path.split('/').any(|part| part == "..") {
        true => Err(Error::config("`target.url` holds `..`").with_hint("write the path it means")),
        false => Ok(path.to_owned()),
    }
}

fn decoded(text: &str) -> Result<String> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| Error::config("`target.url` is not UTF-8").with_hint("mend its %XX"))
}

fn check_format(raw: &RawFolder) -> Result<Format> {
    if raw.csv.is_some() && !matches!(raw.format, RawFormat::Csv) {
        return Err(Error::config("`target.csv` is given, and `target.format` is not csv")
            .with_hint("add `format: csv`, or remove `csv`"));
    }
    let compression = raw.compression.as_deref();
    match raw.format {
        RawFormat::Parquet => parquet_compression(compression.unwrap_or("snappy")),
        RawFormat::Json => Ok(Format::Json(squeeze(compression.unwrap_or("none"))?)),
        RawFormat::Arrow => match compression.unwrap_or("none") {
            "none" => Ok(Format::Arrow),
            other => Err(refused(other, "none")),
        },
        RawFormat::Csv => {
            let csv = raw.csv.clone().unwrap_or_default();
            let style = CsvStyle {
                delimiter: one_byte("delimiter", csv.delimiter.as_deref().unwrap_or(","))?,
                quote: one_byte("quote", csv.quote.as_deref().unwrap_or("\""))?,
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

fn one_byte(key: &str, text: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] if !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        _ => Err(Error::config(format!("`target.csv.{key}`: `{text}` is not one ASCII character"))
            .with_hint("write one, such as \";\" or \"\\t\"")),
    }
}

fn parquet_compression(text: &str) -> Result<Format> {
    let known = "snappy, zstd, zstd:1 to zstd:22, gzip, gzip:0 to gzip:9, or none";
    let compression = match leveled(text) {
        ("snappy", None) => Some(Compression::SNAPPY),
        ("none", None) => Some(Compression::UNCOMPRESSED),
        ("zstd", None) => Some(Compression::ZSTD(ZstdLevel::default())),
        ("gzip", None) => Some(Compression::GZIP(GzipLevel::default())),
        ("zstd", Some(level)) => level
            .parse()
            .ok()
            .and_then(|level| ZstdLevel::try_new(level).ok())
            .map(Compression::ZSTD),
        ("gzip", Some(level)) => level
            .parse()
            .ok()
            .and_then(|level| GzipLevel::try_new(level).ok())
            .map(Compression::GZIP),
        _ => None,
    };
    compression.map(Format::Parquet).ok_or_else(|| refused(text, known))
}

fn squeeze(text: &str) -> Result<Squeeze> {
    let known = "gzip, gzip:0 to gzip:9, zstd, zstd:1 to zstd:22, or none";
    let squeeze = match leveled(text) {
        ("none", None) => Some(Squeeze::None),
        ("gzip", None) => Some(Squeeze::Gzip(6)),
        ("zstd", None) => Some(Squeeze::Zstd(3)),
        ("gzip", Some(level)) => level.parse().ok().filter(|l| *l <= 9).map(Squeeze::Gzip),
        ("zstd", Some(level)) => {
            level.parse().ok().filter(|l| (1..=22).contains(l)).map(Squeeze::Zstd)
        }
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
