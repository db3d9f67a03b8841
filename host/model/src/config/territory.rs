//! Folders and stores, as policies and jobs name them, and whether one lies within another.

use std::path::{Path, PathBuf};

use strum::IntoStaticStr;

use super::direct::Location;
use super::place::{Place, is_folder};
use super::sink_url::SinkUrl;
use super::store_url::StoreUrl;
use crate::error::{Error, Result};

/// Where requests to stores go unless somebody says otherwise.
pub(super) const HDFS_PORT: u16 = 8020;
const SFTP_PORT: u16 = 22;

/// How many links a path may lead through.
const LINK_LIMIT: u32 = 40;

/// What is done with a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Usage {
    /// Rows, queries or keys are read there.
    Read,
    /// Rows are written there.
    Write,
}

impl Usage {
    /// The key of a rule that limits it.
    pub fn key(self) -> &'static str {
        self.into()
    }

    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "written",
        }
    }
}

/// A folder or a store, as a policy and a job name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Territory {
    /// A folder of this machine, where it really lies.
    Local(PathBuf),
    /// Of a store, by scheme and host, the names of its path.
    Store {
        /// `s3`, `azure`, `hdfs`, `sftp`
        scheme: &'static str,
        /// The bucket, the container, the server.
        host: String,
        /// The server's port; none of a store that has none.
        port: Option<u16>,
        /// The path's names.
        path: Vec<String>,
    },
    /// What a sink writes to.
    Sink(SinkUrl),
}

impl Territory {
    /// What a policy names: a folder's URL.
    pub(super) fn read(text: &str) -> Result<Self> {
        let url = StoreUrl::parse(text, text)?;
        if url.path.iter().any(|name| name.pattern.is_some()) {
            return Err(Error::config(format!("`{text}` is a pattern, and a folder is wanted"))
                .with_hint("name the folder: all that is beneath it is meant"));
        }
        let path: Vec<String> = url.path.iter().map(|name| name.text.clone()).collect();
        let scheme = match url.scheme.as_str() {
            "file" => {
                let folder = PathBuf::from(format!("/{}", url.inner_path()));
                return Ok(Self::Local(real_path(&folder)));
            }
            "s3" | "s3a" | "s3n" => "s3",
            "azure" | "az" | "abfs" | "abfss" => "azure",
            "hdfs" => "hdfs",
            "sftp" => "sftp",
            other => {
                return Err(Error::config(format!("`{other}:` is not a folder of files"))
                    .with_hint("name one of file://, s3://, azure://, hdfs:// or sftp://"));
            }
        };
        let host = if scheme == "azure" && !url.user.is_empty() { url.user } else { url.host };
        Ok(Self::Store { scheme, host, port: port_of(scheme, url.port), path })
    }

    /// What a policy lets be written: a folder's URL, or that of what a sink writes to.
    pub(super) fn read_target(text: &str) -> Result<Self> {
        match text.split_once("://") {
            Some((scheme, _)) if !is_folder(&scheme.to_ascii_lowercase()) => {
                SinkUrl::parse(text).map(Self::Sink)
            }
            _ => Self::read(text),
        }
    }

    pub(super) fn of(place: &Place) -> Self {
        let names = |path: &str| {
            path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let store = |scheme, host: &str, path: &str| Self::Store {
            scheme,
            host: host.to_owned(),
            port: port_of(scheme, None),
            path: names(path),
        };
        match place {
            Place::Local(folder) => Self::Local(real_path(folder)),
            Place::S3(place) => store("s3", &place.bucket, &place.prefix),
            Place::Azure(place) => store("azure", &place.container, &place.prefix),
            Place::Hdfs(place) => {
                let cluster = place.cluster.as_deref().unwrap_or_default();
                let server = cluster.trim_start_matches("hdfs://");
                let (host, port) = server.split_once(':').unwrap_or((server, ""));
                let port = port_of("hdfs", port.parse().ok());
                Self::Store { scheme: "hdfs", host: host.into(), port, path: names(&place.folder) }
            }
            Place::Sftp(place) => Self::Store {
                scheme: "sftp",
                host: place.host.clone(),
                port: Some(place.port),
                path: names(&place.folder),
            },
        }
    }

    pub(super) fn of_location(location: &Location) -> Option<Self> {
        Self::read(&format!(
            "{}://{}/{}",
            location.scheme,
            location.authority,
            encoded(&location.path)
        ))
        .ok()
    }

    /// Whether it is a folder or one beneath it.
    pub fn is_under(&self, folder: &Self) -> bool {
        match (self, folder) {
            (Self::Local(own), Self::Local(folder)) => own.starts_with(folder),
            (
                Self::Store { scheme, host, port, path },
                Self::Store { scheme: other, host: at, port: by, path: beneath },
            ) => scheme == other && host == at && port == by && path.starts_with(beneath),
            (Self::Sink(own), Self::Sink(area)) => own.is_under(area),
            _ => false,
        }
    }
}

impl std::fmt::Display for Territory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(folder) => write!(f, "{}", folder.display()),
            Self::Store { scheme, host, port, path } => {
                write!(f, "{scheme}://{host}")?;
                if *port != port_of(scheme, None) {
                    port.iter().try_for_each(|port| write!(f, ":{port}"))?;
                }
                path.iter().try_for_each(|name| write!(f, "/{name}"))
            }
            Self::Sink(url) => url.fmt(f),
        }
    }
}

pub(super) fn encoded(path: &str) -> String {
    super::store_url::encoded_path(path)
}

/// The port of a store's server; buckets and containers have none.
pub(super) fn port_of(scheme: &str, named: Option<u16>) -> Option<u16> {
    match scheme {
        "hdfs" => named.or(Some(HDFS_PORT)),
        "sftp" => named.or(Some(SFTP_PORT)),
        _ => None,
    }
}

/// Where a path really leads; what does not exist yet keeps its name.
pub fn real_path(path: &Path) -> PathBuf {
    followed(path, LINK_LIMIT)
}

fn followed(path: &Path, links: u32) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let Some((part, real)) = known else { return path };
    let mut names = path.strip_prefix(part).unwrap_or(Path::new("")).components();
    let Some(first) = names.next() else { return real };
    let (next, rest) = (real.join(first), names.as_path());
    // Nothing must not be joined: it would add a `/`.
    let under =
        |folder: PathBuf| if rest.as_os_str().is_empty() { folder } else { folder.join(rest) };
    match next.read_link() {
        // It leads to nothing yet: what is made by its name is made there.
        Ok(to) if links > 0 => followed(&under(real.join(to)), links - 1),
        _ => under(next),
    }
}
