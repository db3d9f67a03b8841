//! HDFS as a store that files are read from.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use hdfs_native::HdfsError;
use hdfs_native::client::{Client, FileStatus};
use longshore_model::config::place::HdfsPlace;
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, GetResult, GetResultPayload, ListResult, ObjectMeta, Result,
};

use super::hdfs::{hdfs_client, hdfs_error};
use super::read_only::{ReadOnly, Reads};

/// The name under which the store is known in errors.
const STORE: &str = "HDFS";

/// A cluster.
pub(crate) struct HdfsObjects {
    client: Client,
    cluster: String,
}

impl fmt::Debug for HdfsObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cluster)
    }
}

impl HdfsObjects {
    /// Opens a place's cluster.
    pub(crate) fn open(place: &HdfsPlace) -> longshore_model::error::Result<ReadOnly<Self>> {
        let cluster = place.cluster.clone().unwrap_or_else(|| "hdfs://".into());
        Ok(ReadOnly(Self { client: hdfs_client(place)?, cluster }))
    }
}

fn path(key: &Key) -> String {
    format!("/{key}")
}

fn fault(cluster: &str, path: &str, error: HdfsError) -> Error {
    let is_missing = matches!(error, HdfsError::FileNotFound(_));
    let source = Box::new(hdfs_error(&format!("{cluster}{path}"), error));
    if is_missing {
        Error::NotFound { path: path.to_owned(), source }
    } else {
        Error::Generic { store: STORE, source }
    }
}

fn key(status: &FileStatus) -> Result<Key> {
    Ok(Key::parse(&status.path)?)
}

fn meta(status: &FileStatus) -> Result<ObjectMeta> {
    let millis = i64::try_from(status.modification_time).unwrap_or(i64::MAX);
    Ok(ObjectMeta {
        location: key(status)?,
        last_modified: DateTime::<Utc>::from_timestamp_millis(millis).unwrap_or_default(),
        size: status.length as u64,
        e_tag: Some(format!("{}-{}", status.modification_time, status.length)),
        version: None,
    })
}

#[async_trait]
impl Reads for HdfsObjects {
    async fn get(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        let path = path(key);
        let failed = |error| fault(&self.cluster, &path, error);
        let status = self.client.get_file_info(&path).await.map_err(failed)?;
        if status.isdir {
            return Err(Error::NotFound { path: path.clone(), source: "it is a folder".into() });
        }
        let meta = ObjectMeta { location: key.clone(), ..meta(&status)? };
        options.check_preconditions(&meta)?;
        let range = match (&options.range, options.head) {
            (_, true) => 0..0,
            (None, false) => 0..meta.size,
            (Some(range), false) => range
                .as_range(meta.size)
                .map_err(|error| Error::Generic { store: STORE, source: Box::new(error) })?,
        };
        let payload = if options.head {
            futures::stream::empty().boxed()
        } else {
            let reader = self.client.read(&path).await.map_err(failed)?;
            let (from, bytes) = (range.start as usize, (range.end - range.start) as usize);
            let cluster = self.cluster.clone();
            let failed = move |error| fault(&cluster, &path, error);
            reader.read_range_stream(from, bytes).map_err(failed).boxed()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes: Default::default(),
        })
    }

    fn list(&self, folder: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = folder.map_or_else(|| "/".to_owned(), path);
        let listed = self.client.list_status_iter(&folder, true).into_stream();
        let cluster = self.cluster.clone();
        let found = move |status: hdfs_native::Result<FileStatus>| {
            let found = match status {
                Ok(status) if status.isdir => None,
                Ok(status) => Some(meta(&status)),
                // As in other stores: nothing is there.
                Err(HdfsError::FileNotFound(_)) => None,
                Err(error) => Some(Err(fault(&cluster, &folder, error))),
            };
            std::future::ready(found)
        };
        listed.filter_map(found).boxed()
    }

    async fn list_with_delimiter(&self, folder: Option<&Key>) -> Result<ListResult> {
        let folder = folder.map_or_else(|| "/".to_owned(), path);
        let listed = self.client.list_status(&folder, false).await;
        let listed = listed.map_err(|error| fault(&self.cluster, &folder, error))?;
        let (folders, files): (Vec<_>, Vec<_>) = listed.iter().partition(|status| status.isdir);
        let common_prefixes = folders.into_iter().map(key).collect::<Result<_>>()?;
        let objects = files.into_iter().map(meta).collect::<Result<_>>()?;
        Ok(ListResult { common_prefixes, objects })
    }
}
