//! Stores of files, whoever reads or writes in them: how they are reached, and who must act when they fail.
//! One file for each store.

pub(crate) mod azure;
mod fault;
pub(crate) mod hdfs;
mod hdfs_objects;
mod local_objects;
mod read_only;
pub(crate) mod s3;
pub(crate) mod s3_uploads;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longshore_model::config::place::Place;
use longshore_model::config::store_url::encoded_path;
use longshore_model::error::{Error, Result};
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::Url;

pub(crate) use fault::object_error;
pub(crate) use read_only::{BeyondEnd, Pinned};

/// How long a store may take for one try of a request that carries no rows.
pub(crate) const REQUEST_TIMEOUT_SECS: u64 = 20;

/// How long a store may take for one try of a request that carries rows here.
const READ_TIMEOUT_SECS: u64 = 300;

/// A request is tried again so often at once.
const STORE_RETRIES: usize = 3;

/// And for so long.
const STORE_RETRY_SECS: u64 = 30;

/// How URLs of this machine's files begin.
const LOCAL_BASE: &str = "file://";

/// A store that files are read from, and the place in it.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// Its objects.
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// How its root reads, without a slash at its end.
    pub(crate) base: String,
    /// The place.
    pub(crate) root: Key,
}

impl Opened {
    /// A file, as people read it.
    pub(crate) fn url(&self, key: &Key) -> String {
        format!("{}/{}", self.base, encoded_path(key.as_ref()))
    }

    /// Whether it is this machine's.
    pub(crate) fn is_local(&self) -> bool {
        self.base == LOCAL_BASE
    }
}

/// A path as a key: names are taken as they are.
pub(crate) fn key(path: &str) -> Result<Key> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    Key::parse(parts.join("/")).map_err(|error| {
        Error::config(format!("`{path}`: {error}")).with_hint("write the path that it means")
    })
}

/// Opens a store for reading; `secrets` is the operator's folder of secrets. Call it on the runtime
/// that serves connections.
pub(crate) fn open(place: &Place, secrets: Option<&Path>) -> Result<Opened> {
    let opened = |objects: Arc<dyn ObjectStore>, base: String, root: &str| {
        tracing::debug!(base, root, "a store is opened for reading");
        Ok(Opened { objects, base, root: key(root)? })
    };
    match place {
        Place::Local(folder) => {
            let path = folder.to_str().ok_or_else(|| {
                Error::config(format!("`source.url`: {} is not UTF-8", folder.display()))
                    .with_hint("name the folder otherwise")
            })?;
            opened(Arc::new(local_objects::LocalObjects::open()), LOCAL_BASE.into(), path)
        }
        Place::S3(place) => {
            let client = s3::clients(place, secrets)?(READ_TIMEOUT_SECS)?;
            opened(Arc::new(client), format!("s3://{}", place.bucket), &place.prefix)
        }
        Place::Azure(place) => {
            let client = azure::clients(place, secrets)?(READ_TIMEOUT_SECS)?;
            opened(Arc::new(client), format!("azure://{}", place.container), &place.prefix)
        }
        Place::Hdfs(place) => {
            let objects = hdfs_objects::HdfsObjects::open(place)?;
            let base = place.cluster.clone().unwrap_or_else(|| "hdfs://".into());
            opened(Arc::new(objects), base, &place.folder)
        }
        Place::Sftp(_) => Err(Error::config("`source.url`: files cannot be read over sftp")
            .with_hint("read them from file://, s3://, azure:// or hdfs://")),
    }
}

/// A server's URL, before a client is made that would not survive it.
fn check_endpoint(at: &str, endpoint: &str) -> Result<()> {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_plain = !endpoint.contains(|c: char| c.is_control() || c == ' ');
    if is_plain && Url::parse(endpoint).is_ok_and(|url| is_web(&url)) {
        return Ok(());
    }
    let shown: String = endpoint.chars().filter(|c| !c.is_control()).collect();
    Err(Error::config(format!("`{at}`: `{shown}` is no server's URL"))
        .with_hint("write it as in https://storage.internal:9000"))
}

/// How long one request may take.
pub(crate) fn client_options(plain_http: bool, secs: u64) -> ClientOptions {
    ClientOptions::new().with_timeout(Duration::from_secs(secs)).with_allow_http(plain_http)
}

/// The store's own retries; ours come on top.
pub(crate) fn retry_config() -> RetryConfig {
    RetryConfig {
        max_retries: STORE_RETRIES,
        retry_timeout: Duration::from_secs(STORE_RETRY_SECS),
        ..Default::default()
    }
}
