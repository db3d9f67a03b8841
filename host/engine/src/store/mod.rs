//! Stores of files, whoever reads or writes in them: how they are reached, and who must act when they fail.
//! One file for each store.

#[cfg(feature = "azure")]
pub(crate) mod azure;
#[cfg(any(feature = "azure", feature = "s3"))]
pub(crate) mod client;
mod fault;
#[cfg(feature = "hdfs")]
pub(crate) mod hdfs;
#[cfg(feature = "hdfs")]
mod hdfs_objects;
mod local_objects;
#[cfg(any(feature = "azure", feature = "s3"))]
pub(crate) mod open_uploads;
mod ranges;
mod read_only;
#[cfg(feature = "s3")]
pub(crate) mod s3;
#[cfg(feature = "s3")]
mod s3_uploads;

use std::path::Path;
use std::sync::Arc;

use longshore_model::config::place::Place;
use longshore_model::config::store_url::encoded_path;
use longshore_model::error::{Error, Result};
use object_store::ObjectStore;
use object_store::path::Path as Key;

pub(crate) use fault::object_error;
pub(crate) use local_objects::UNREADABLE;
pub(crate) use ranges::read_at;
pub(crate) use read_only::{BeyondEnd, Pinned, ReadOnly, Reads};

/// How URLs of this machine's files begin.
const LOCAL_BASE: &str = "file://";

/// A store that files are read from, and the place in it.
#[derive(Clone, Debug)]
pub(crate) struct SourceStore {
    /// Its objects.
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// How its root reads, without a slash at its end.
    pub(crate) base: String,
    /// The place.
    pub(crate) root: Key,
}

impl SourceStore {
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

/// The error of a store that this build was made without: the check of the job refuses it before.
pub(crate) fn not_built() -> Error {
    Error::internal("this build was made without the store")
}

/// Opens a store for reading; `secrets` is the operator's folder of secrets. Call it on the runtime
/// that serves connections.
#[allow(unreachable_patterns, unused_variables, reason = "as the features of the build have it")]
pub(crate) fn open(place: &Place, secrets: Option<&Path>) -> Result<SourceStore> {
    let opened = |objects: Arc<dyn ObjectStore>, base: String, root: &str| {
        tracing::debug!(base, root, "a store is opened for reading");
        Ok(SourceStore { objects, base, root: key(root)? })
    };
    match place {
        Place::Local(folder) => {
            let path = folder.to_str().ok_or_else(|| {
                Error::config(format!("`source.url`: {} is not UTF-8", folder.display()))
                    .with_hint("name the folder otherwise")
            })?;
            opened(Arc::new(local_objects::LocalObjects::open()), LOCAL_BASE.into(), path)
        }
        #[cfg(feature = "s3")]
        Place::S3(place) => {
            let client = s3::clients(place, secrets)?(client::READ_TIMEOUT_SECS)?;
            opened(Arc::new(client), format!("s3://{}", place.bucket), &place.prefix)
        }
        #[cfg(feature = "azure")]
        Place::Azure(place) => {
            let client = azure::clients(place, secrets)?(client::READ_TIMEOUT_SECS)?;
            opened(Arc::new(client), format!("azure://{}", place.container), &place.prefix)
        }
        #[cfg(feature = "hdfs")]
        Place::Hdfs(place) => {
            let objects = hdfs_objects::HdfsObjects::open(place)?;
            let base = place.cluster.clone().unwrap_or_else(|| "hdfs://".into());
            opened(Arc::new(objects), base, &place.folder)
        }
        Place::Sftp(_) => Err(Error::config("`source.url`: files cannot be read over sftp")
            .with_hint("read them from file://, s3://, azure:// or hdfs://")),
        _ => Err(not_built()),
    }
}
