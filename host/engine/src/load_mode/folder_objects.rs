//! Files of a target as a store that Parquet is read from: every store that can be written can be read back so.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use longshore_model::error;
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, GetResult, GetResultPayload, ListResult, ObjectMeta, Result,
};
use tokio::runtime::Handle;

use crate::destination::Folder;
use crate::store::{ReadOnly, Reads};

/// The name under which the store is known in errors.
const STORE: &str = "target";

/// Some files of a folder, under keys of ours.
pub(super) struct FolderObjects {
    folder: Arc<dyn Folder>,
    files: HashMap<Key, (String, ObjectMeta)>,
    /// The runtime that serves connections.
    io: Handle,
}

impl FolderObjects {
    /// The files at these paths, of these sizes, each under a key that is its number.
    pub(super) fn open<'a>(
        folder: Arc<dyn Folder>,
        files: impl Iterator<Item = (&'a str, u64)>,
        io: Handle,
    ) -> (ReadOnly<Self>, Vec<ObjectMeta>) {
        let files: Vec<(String, ObjectMeta)> = files
            .enumerate()
            .map(|(number, (path, size))| {
                let location = Key::from(format!("{number}.parquet"));
                let last_modified = Default::default();
                let meta = ObjectMeta { location, last_modified, size, e_tag: None, version: None };
                (path.to_owned(), meta)
            })
            .collect();
        let metas = files.iter().map(|(_, meta)| meta.clone()).collect();
        let files = files.into_iter().map(|file| (file.1.location.clone(), file)).collect();
        (ReadOnly(Self { folder, files, io }), metas)
    }
}

impl fmt::Debug for FolderObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FolderObjects({})", self.folder.url(""))
    }
}

fn fault(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic { store: STORE, source }
}

fn own(error: error::Error) -> Error {
    fault(Box::new(error))
}

#[async_trait]
impl Reads for FolderObjects {
    async fn get(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        let missing = || Error::NotFound { path: key.to_string(), source: "no such file".into() };
        let (path, meta) = self.files.get(key).ok_or_else(missing)?.clone();
        let range = match (&options.range, options.head) {
            (_, true) => 0..0,
            (None, false) => 0..meta.size,
            (Some(range), false) => {
                range.as_range(meta.size).map_err(|error| fault(Box::new(error)))?
            }
        };
        let payload = if range.is_empty() {
            futures::stream::empty().boxed()
        } else {
            let (folder, range) = (self.folder.clone(), range.clone());
            let reading = self.io.spawn(async move { folder.read_range(&path, range).await });
            let read = reading.await.map_err(|error| fault(Box::new(error)))?.map_err(own)?;
            futures::future::ready(Ok(read)).into_stream().boxed()
        };
        let payload = GetResultPayload::Stream(payload);
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    fn list(&self, _: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let metas: Vec<_> = self.files.values().map(|(_, meta)| Ok(meta.clone())).collect();
        futures::stream::iter(metas).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Key>) -> Result<ListResult> {
        Ok(ListResult { common_prefixes: Vec::new(), objects: Vec::new() })
    }
}
