//! A place in a store, checked: what files are read from, or written to.

use std::path::PathBuf;

use serde_json::Value;
use strum::Display;

use super::raw::RawSftp;
use super::store_url::{Name, StoreUrl};
use crate::error::{Error, Result, ResultExt};
use crate::feature::Feature;

/// The port of SFTP, where the URL names none.
const SFTP_PORT: u16 = 22;

/// The longest key of an object store, in bytes.
const KEY_LIMIT_BYTES: usize = 1024;

/// What a run adds to a relation's key: the folders of its staging, its id, a part's name.
const KEY_OWN_BYTES: usize = 160;

/// The part of a job that names a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "kebab-case")]
pub enum Side {
    /// `source`
    Source,
    /// `target`
    Target,
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

impl Place {
    /// Refuses a place that this build cannot reach.
    fn check_built(&self) -> Result<()> {
        match self {
            Self::Local(_) => Ok(()),
            Self::S3(_) => Feature::S3.check(),
            Self::Azure(_) => Feature::Azure.check(),
            Self::Hdfs(_) => Feature::Hdfs.check(),
            Self::Sftp(_) => Feature::Sftp.check(),
        }
    }

    /// Why the store cannot hold a folder of this name in the place, if it cannot.
    pub(super) fn unfit(&self, name: &str) -> Option<&'static str> {
        let own = match self {
            Self::S3(place) => place.prefix.len() + KEY_OWN_BYTES,
            Self::Azure(place) => place.prefix.len() + KEY_OWN_BYTES,
            _ => 0,
        };
        let long = "a key has at most 1,024 bytes, with those that a run adds";
        self.mistaken(name).or((own + name.len() > KEY_LIMIT_BYTES).then_some(long))
    }

    /// Why the store refuses a name, or makes another one of it.
    fn mistaken(&self, name: &str) -> Option<&'static str> {
        match self {
            Self::Azure(_) if name.contains('\\') => Some("Azure takes `\\` for `/`"),
            Self::Azure(_) if name.ends_with('.') => Some("Azure drops a dot at a name's end"),
            Self::Hdfs(_) if name.contains(':') => Some("HDFS refuses names with `:`"),
            _ => None,
        }
    }
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
pub fn is_folder(scheme: &str) -> bool {
    scheme == "file" || !section_of(scheme).is_empty()
}

/// A store that needs nothing but its URL and what the environment says.
pub fn parse_place(url: &str) -> Result<Place> {
    check_place(Side::Target, Sections::default(), &StoreUrl::parse(url, url)?)
}

/// The place that a URL names, with what the job says of its store.
pub(super) fn check_place(side: Side, raw: Sections, url: &StoreUrl) -> Result<Place> {
    check_sections(side, &raw, &url.scheme)?;
    check_login(side, url)?;
    let place = place_of(side, raw, url)?;
    place.check_built().context(format!("`{side}.url`"))?;
    let mistaken = |name: &Name| Some((name.text.clone(), place.mistaken(&name.text)?));
    let unfit = url.path.iter().find_map(mistaken).or_else(|| {
        let why = place.unfit("").filter(|_| side == Side::Target)?;
        Some((url.inner_path(), why))
    });
    match unfit {
        None => Ok(place),
        Some((name, why)) => {
            Err(Error::config(format!("`{side}.url`: no place for the folder `{name}`: {why}"))
                .with_hint("name another folder"))
        }
    }
}

fn place_of(side: Side, raw: Sections, url: &StoreUrl) -> Result<Place> {
    match url.scheme.as_str() {
        "file" => Ok(Place::Local(PathBuf::from(format!("/{}", url.inner_path())))),
        "s3" | "s3a" => Ok(Place::S3(S3Place {
            side,
            bucket: host(side, url, "s3://bucket/lake/shop")?,
            prefix: url.inner_path(),
            options: raw.s3.unwrap_or_default(),
        })),
        "azure" | "az" | "abfs" | "abfss" => Ok(Place::Azure(AzurePlace {
            side,
            container: match url.user.as_str() {
                // abfss://container@account.dfs.core.windows.net/folder
                "" => host(side, url, "azure://container/lake/shop")?,
                container => container.to_owned(),
            },
            prefix: url.inner_path(),
            options: azure_options(raw.azure.unwrap_or_default(), url),
        })),
        "hdfs" => Ok(Place::Hdfs(HdfsPlace {
            side,
            cluster: Some(url.host.as_str()).filter(|host| !host.is_empty()).map(|host| match url
                .port
            {
                Some(port) => format!("hdfs://{host}:{port}"),
                None => format!("hdfs://{host}"),
            }),
            folder: format!("/{}", url.inner_path()),
            options: raw.hdfs.unwrap_or_default(),
        })),
        "sftp" => check_sftp(side, raw, url),
        other => Err(Error::config(format!("`{other}:` is not a folder of files"))
            .with_hint("name one of file://, s3://, azure://, hdfs:// or sftp://")),
    }
}

/// What a store has no use for is a mistake: a login, a port.
fn check_login(side: Side, url: &StoreUrl) -> Result<()> {
    let takes_user =
        matches!(url.scheme.as_str(), "sftp" | "azure" | "az" | "abfs" | "abfss" | "hdfs");
    let takes_port = matches!(url.scheme.as_str(), "sftp" | "hdfs");
    let has = if !takes_user && !url.user.is_empty() {
        "a user"
    } else if url.scheme != "sftp" && url.password.is_some() {
        "a password"
    } else if !takes_port && url.port.is_some() {
        "a port"
    } else {
        return Ok(());
    };
    let scheme = &url.scheme;
    Err(Error::config(format!("`{side}.url` has {has}, for which `{scheme}:` has no use"))
        .with_hint(format!("remove it; keys and servers go under `{side}`")))
}

fn check_sftp(side: Side, raw: Sections, url: &StoreUrl) -> Result<Place> {
    let options = raw.sftp.unwrap_or_default();
    let user = match url.user.as_str() {
        "" => std::env::var("USER").map_err(|_| {
            Error::config(format!("`{side}.url` names no user"))
                .with_hint("write it as in sftp://loader@host/lake/shop")
        })?,
        user => user.to_owned(),
    };
    let password = url.password.clone().map(Value::String).or(options.password);
    Ok(Place::Sftp(SftpPlace {
        user,
        host: host(side, url, "sftp://loader@host/lake/shop")?,
        port: url.port.unwrap_or(SFTP_PORT),
        folder: format!("/{}", url.inner_path()),
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

fn azure_options(mut options: AzureOptions, url: &StoreUrl) -> AzureOptions {
    if options.account.is_none() && !url.user.is_empty() {
        options.account = url.host.split('.').next().map(str::to_owned);
    }
    options
}

fn host(side: Side, url: &StoreUrl, example: &str) -> Result<String> {
    match url.host.as_str() {
        "" => Err(Error::config(format!("`{side}.url` names no place in the store"))
            .with_hint(format!("write it as in {example}"))),
        host => Ok(host.to_owned()),
    }
}
