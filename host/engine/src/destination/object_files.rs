//! Objects of a store, as files: what is particular to S3 or Azure is in the stores' own files.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::store_url::encoded_path;
use longshore_model::error::{Class, Result};
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use super::files::{ByteStream, Entry, Files};
use super::request::{STORE_TIMEOUT_SECS, absent_is_fine, within};
use crate::store::object_error;

/// A prefix of a bucket or container.
pub(super) struct ObjectFiles {
    pub(super) store: Arc<dyn ObjectStore>,
    /// How the store's root reads, without a slash at its end.
    base: String,
    prefix: String,
}

impl fmt::Debug for ObjectFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectFiles({})", self.url(""))
    }
}

impl ObjectFiles {
    /// Files in a store; `base` and `prefix` are free of slashes at their ends.
    pub(super) fn new(store: Arc<dyn ObjectStore>, base: String, prefix: String) -> Self {
        Self { store, base, prefix }
    }

    pub(super) fn key(&self, path: &str) -> Key {
        let parts = self.prefix.split('/').chain(path.split('/'));
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        // Names are taken as they are; one that no key can have is encoded.
        Key::parse(parts.join("/")).unwrap_or_else(|_| Key::from_iter(parts))
    }

    /// Asks the store something about a path, within the time that it may take.
    pub(super) async fn asked<T>(
        &self,
        path: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let work = async { work.await.map_err(|error| object_error(&self.url(path), &error)) };
        // Its own retries are within.
        within(STORE_TIMEOUT_SECS * 2, || self.url(path), work).await
    }

    /// What the store says of an object, if it is there.
    pub(super) async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        match self.asked(path, self.store.head(&self.key(path))).await {
            Ok(there) => Ok(Some(there)),
            Err(error) if error.class() == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Files for ObjectFiles {
    fn url(&self, path: &str) -> String {
        let (prefix, path) = (encoded_path(&self.prefix), encoded_path(path));
        let parts = [self.base.as_str(), &prefix, &path];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let payload = PutPayload::from(bytes.to_vec());
        self.asked(path, self.store.put(&self.key(path), payload)).await.map(drop)
    }

    async fn put_new(&self, path: &str, bytes: &[u8], _: &str) -> Result<bool> {
        let (key, payload) = (self.key(path), PutPayload::from(bytes.to_vec()));
        let put = self.store.put_opts(&key, payload, PutMode::Create.into()).await;
        match put {
            Ok(_) => Ok(true),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(false),
            Err(error) => Err(object_error(&self.url(path), &error)),
        }
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        let key = self.key(path);
        let got = self.asked(path, self.store.get(&key)).await?;
        let url = self.url(path);
        Ok(got.into_stream().map_err(move |error| object_error(&url, &error)).boxed())
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.asked(path, self.store.get_range(&self.key(path), range)).await
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>> {
        let key = self.key(folder);
        let listed = self.asked(folder, self.store.list_with_delimiter(Some(&key))).await?;
        let name = |key: &Key| key.filename().unwrap_or_default().to_owned();
        let folders =
            listed.common_prefixes.iter().map(|key| Entry { name: name(key), bytes: None });
        let files = listed
            .objects
            .iter()
            .map(|object| Entry { name: name(&object.location), bytes: Some(object.size) });
        let entries: Vec<Entry> = folders.chain(files).collect();
        Ok((!entries.is_empty()).then_some(entries))
    }

    async fn exists(&self, folder: &str) -> Result<bool> {
        let key = self.key(folder);
        let first = async { self.store.list(Some(&key)).try_next().await };
        Ok(self.asked(folder, first).await?.is_some())
    }

    async fn is_taken(&self, path: &str) -> Result<bool> {
        Ok(self.head(path).await?.is_some())
    }

    async fn remove(&self, path: &str) -> Result<()> {
        let key = self.key(path);
        absent_is_fine(self.asked(path, self.store.delete(&key)).await)?;
        let inside: Vec<_> = self.asked(path, self.store.list(Some(&key)).try_collect()).await?;
        for object in inside {
            absent_is_fine(self.asked(path, self.store.delete(&object.location)).await)?;
        }
        Ok(())
    }
}
