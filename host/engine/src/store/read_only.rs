//! Stores that are only read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// The requests that reading needs.
#[async_trait]
pub(crate) trait Reads: fmt::Debug + Send + Sync + 'static {
    /// A file, or a part of it.
    async fn get(&self, key: &Key, options: GetOptions) -> Result<GetResult>;

    /// All files beneath a folder.
    fn list(&self, folder: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>>;

    /// Lists the direct entries of a folder.
    async fn list_with_delimiter(&self, folder: Option<&Key>) -> Result<ListResult>;
}

/// A store that refuses to be written.
#[derive(Debug)]
pub(crate) struct ReadOnly<R>(pub(crate) R);

impl<R: Reads> fmt::Display for ReadOnly<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn refused<T>() -> Result<T> {
    Err(Error::NotSupported { source: "files are only read here".into() })
}

#[async_trait]
impl<R: Reads> ObjectStore for ReadOnly<R> {
    async fn get_opts(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        self.0.get(key, options).await
    }

    fn list(&self, folder: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(folder)
    }

    async fn list_with_delimiter(&self, folder: Option<&Key>) -> Result<ListResult> {
        self.0.list_with_delimiter(folder).await
    }

    async fn put_opts(&self, _: &Key, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        refused()
    }

    async fn put_multipart_opts(
        &self,
        _: &Key,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        refused()
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        futures::stream::once(async { refused() }).boxed()
    }

    async fn copy_opts(&self, _: &Key, _: &Key, _: CopyOptions) -> Result<()> {
        refused()
    }
}

/// Files as they were when they were listed: one that has changed since is not read, and none beyond its end.
#[derive(Debug)]
pub(crate) struct Pinning {
    objects: Arc<dyn ObjectStore>,
    /// Entity tags, as the store gave them.
    tags: HashMap<Key, String>,
    /// How long they are.
    sizes: HashMap<Key, u64>,
}

/// A file points beyond its own end: that is no fault of its store.
#[derive(Debug)]
pub(crate) struct BeyondEnd;

impl fmt::Display for BeyondEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("beyond the file's end")
    }
}

impl std::error::Error for BeyondEnd {}

/// See [`Pinning`].
pub(crate) type Pinned = ReadOnly<Pinning>;

impl Pinned {
    /// The files of a store that have these tags and sizes.
    pub(crate) fn new(
        objects: Arc<dyn ObjectStore>,
        tags: HashMap<Key, String>,
        sizes: HashMap<Key, u64>,
    ) -> Self {
        Self(Pinning { objects, tags, sizes })
    }
}

#[async_trait]
impl Reads for Pinning {
    async fn get(&self, key: &Key, mut options: GetOptions) -> Result<GetResult> {
        if let (Some(GetRange::Bounded(range)), Some(size)) = (&options.range, self.sizes.get(key))
            && (range.is_empty() || range.end > *size)
        {
            return Err(Error::Generic { store: "file", source: Box::new(BeyondEnd) });
        }
        options.if_match = self.tags.get(key).cloned();
        self.objects.get_opts(key, options).await
    }

    fn list(&self, folder: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(folder)
    }

    async fn list_with_delimiter(&self, folder: Option<&Key>) -> Result<ListResult> {
        self.objects.list_with_delimiter(folder).await
    }
}
