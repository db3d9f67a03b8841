//! A place in a store, checked: what files are read from, or written to.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;
use url::Url;

use super::raw::RawSftp;
use crate::error::{Error, Result};

/// The port of SFTP, where the URL names none.
const SFTP_PORT: u16 = 22;

/// The part of a job that names a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `source`
    Source,
    /// `target`
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
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
    /// Which part of the job names it.
    pub side: Side,
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
    /// Which part of the job names it.
    pub side: Side,
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
    /// Which part of the job names it.
    pub side: Side,
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

/// What a job says of stores: only the one of its URL may be there.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) s3: Option<S3Options>,
    pub(super) azure: Option<AzureOptions>,
    pub(super) hdfs: Option<HdfsOptions>,
    pub(super) sftp: Option<RawSftp>,
}

impl Sections {
    /// What is said of a scheme's store.
    pub(super) fn only(self, scheme: &str) -> Self {
        let section = section_of(scheme);
        Self {
            s3: self.s3.filter(|_| section == "s3"),
            azure: self.azure.filter(|_| section == "azure"),
            hdfs: self.hdfs.filter(|_| section == "hdfs"),
            sftp: self.sftp.filter(|_| section == "sftp"),
        }
    }
}

/// The section of a scheme's store; empty where none is.
fn section_of(scheme: &str) -> &'static str {
    match scheme {
        "s3" | "s3a" => "s3",
        "azure" | "az" | "abfs" | "abfss" => "azure",
        "hdfs" => "hdfs",
        "sftp" => "sftp",
        _ => "",
    }
}

/// Whether a scheme is that of a folder of files.
pub(super) fn is_folder(scheme: &str) -> bool {
    scheme == "file" || !section_of(scheme).is_empty()
}

/// A store that needs nothing but its URL and what the environment says.
pub fn parse_place(url: &str) -> Result<Place> {
    let parsed = Url::parse(url)
        .map_err(|error| Error::config(format!("`{url}`: {error}")).with_hint("write a URL"))?;
    check_place(Side::Target, Sections::default(), &parsed)
}

/// The place that a URL names, with what the job says of its store.
pub(super) fn check_place(side: Side, raw: Sections, url: &Url) -> Result<Place> {
    check_sections(side, &raw, url.scheme())?;
    match url.scheme() {
        "file" => {
            let folder = url.to_file_path().map_err(|()| {
                Error::config(format!("`{side}.url` is not a folder of this machine"))
                    .with_hint("write it as in file:///lake/shop")
            })?;
            Ok(Place::Local(folder))
        }
        "s3" | "s3a" => Ok(Place::S3(S3Place {
            side,
            bucket: host(side, url, "s3://bucket/lake/shop")?,
            prefix: inner_path(side, url)?,
            options: raw.s3.unwrap_or_default(),
        })),
        "azure" | "az" | "abfs" | "abfss" => Ok(Place::Azure(AzurePlace {
            side,
            container: match url.username() {
                // abfss://container@account.dfs.core.windows.net/folder
                "" => host(side, url, "azure://container/lake/shop")?,
                container => container.to_owned(),
            },
            prefix: inner_path(side, url)?,
            options: azure_options(raw.azure.unwrap_or_default(), url),
        })),
        "hdfs" => Ok(Place::Hdfs(HdfsPlace {
            side,
            cluster: url.host_str().filter(|host| !host.is_empty()).map(|host| match url.port() {
                Some(port) => format!("hdfs://{host}:{port}"),
                None => format!("hdfs://{host}"),
            }),
            folder: format!("/{}", inner_path(side, url)?),
            options: raw.hdfs.unwrap_or_default(),
        })),
        "sftp" => check_sftp(side, raw, url),
        other => Err(Error::config(format!("`{other}:` is not a folder of files"))
            .with_hint("name one of file://, s3://, azure://, hdfs:// or sftp://")),
    }
}

fn check_sftp(side: Side, raw: Sections, url: &Url) -> Result<Place> {
    let options = raw.sftp.unwrap_or_default();
    let user = match url.username() {
        "" => std::env::var("USER").map_err(|_| {
            Error::config(format!("`{side}.url` names no user"))
                .with_hint("write it as in sftp://loader@host/lake/shop")
        })?,
        user => decoded(side, user)?,
    };
    let password = match url.password() {
        Some(password) => Some(Value::String(decoded(side, password)?)),
        None => options.password,
    };
    Ok(Place::Sftp(SftpPlace {
        user,
        host: host(side, url, "sftp://loader@host/lake/shop")?,
        port: url.port().unwrap_or(SFTP_PORT),
        folder: format!("/{}", inner_path(side, url)?),
        password,
        key_file: options.key_file,
        key_passphrase: options.key_passphrase,
        known_hosts: options.known_hosts,
    }))
}

/// A section of another store than the URL's is a mistake, not a wish.
fn check_sections(side: Side, raw: &Sections, scheme: &str) -> Result<()> {
    let sections = [
        ("s3", raw.s3.is_some()),
        ("azure", raw.azure.is_some()),
        ("hdfs", raw.hdfs.is_some()),
        ("sftp", raw.sftp.is_some()),
    ];
    for (section, given) in sections {
        if given && section_of(scheme) != section {
            let error = format!("`{side}.{section}` is given, and `{side}.url` is `{scheme}:`");
            return Err(Error::config(error).with_hint(format!("remove `{side}.{section}`")));
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

fn host(side: Side, url: &Url, example: &str) -> Result<String> {
    match url.host_str() {
        Some(host) if !host.is_empty() => decoded(side, host),
        _ => Err(Error::config(format!("`{side}.url` names no place in the store"))
            .with_hint(format!("write it as in {example}"))),
    }
}

/// The path without slashes around it; parts that lead elsewhere are refused.
fn inner_path(side: Side, url: &Url) -> Result<String> {
    let path = decoded(side, url.path())?;
    let path = path.trim_matches('/');
    match path.split('/').any(|part| part == "..") {
        true => {
            Err(Error::config(format!("`{side}.url` holds `..`"))
                .with_hint("write the path it means"))
        }
        false => Ok(path.to_owned()),
    }
}

fn decoded(side: Side, text: &str) -> Result<String> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| Error::config(format!("`{side}.url` is not UTF-8")).with_hint("mend its %XX"))
}
