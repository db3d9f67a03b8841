//! What every store can do with whole files, and what those with folders can do besides.

use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use longshore_model::error::{Class, Result};

use super::PartFile;

/// A file's bytes, piece by piece.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// An entry of a folder: a file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the folder.
    pub name: String,
    /// A file's size; a folder has none.
    pub bytes: Option<u64>,
}

/// Whole files. Paths are relative to the target, with `/` between their parts.
#[async_trait]
pub(super) trait Files: Debug + Send + Sync {
    /// A path as people read it.
    fn url(&self, path: &str) -> String;

    /// Writes a small file, all or nothing, over what is there.
    async fn put(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Writes a small file, all or nothing, unless one is there already: then false. A store that
    /// cannot do that at once writes it to `aside` first; what is left there does not matter.
    async fn put_new(&self, path: &str, bytes: &[u8], aside: &str) -> Result<bool>;

    /// A file's bytes.
    async fn read(&self, path: &str) -> Result<ByteStream>;

    /// A part of a file's bytes.
    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes>;

    /// What is directly in a folder; `None` if it is not there.
    async fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>>;

    /// Whether a file or a folder is there.
    async fn exists(&self, folder: &str) -> Result<bool> {
        Ok(self.list(folder).await?.is_some())
    }

    /// Whether a file of this name is there, or what takes its name.
    async fn is_taken(&self, path: &str) -> Result<bool> {
        self.exists(path).await
    }

    /// Removes a file, or a folder with all that is in it; fine if it is not there.
    async fn remove(&self, path: &str) -> Result<()>;
}

/// Folders that can be renamed as a whole.
#[async_trait]
pub(super) trait Folders: Files {
    /// Begins a file; makes the folders that it lies in.
    async fn create(&self, path: &str) -> Result<Box<dyn PartFile>>;

    /// Makes a folder and those that it lies in.
    async fn make_folder(&self, path: &str) -> Result<()>;

    /// Renames a file or a folder, at once. False: something has the new name already.
    async fn rename(&self, from: &str, to: &str) -> Result<bool>;

    /// Renames a file over the one that is there, if one is: at once, where the store can.
    async fn rename_over(&self, from: &str, to: &str) -> Result<()>;

    /// Removes a folder that nothing is in. One that is not empty, or not there, stays as it is.
    async fn remove_empty(&self, path: &str);

    /// Exchanges two folders, at once. False: this store cannot.
    async fn exchange(&self, _: &str, _: &str) -> Result<bool> {
        Ok(false)
    }

    /// Makes what was renamed in a folder durable.
    async fn sync_folder(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The files in a folder, and in the folders in it: their paths from it.
pub(super) async fn files_beneath(files: &dyn Files, folder: &str) -> Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(inner) = folders.pop() {
        let path =
            |name: &str| if inner.is_empty() { name.to_owned() } else { format!("{inner}/{name}") };
        let at = if inner.is_empty() { folder.to_owned() } else { format!("{folder}/{inner}") };
        for entry in files.list(&at).await?.unwrap_or_default() {
            match entry.bytes {
                Some(_) => found.push(path(&entry.name)),
                None => folders.push(path(&entry.name)),
            }
        }
    }
    Ok(found)
}

/// The folder that a path lies in; nothing at the top.
pub(super) fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// A small file as a whole.
pub async fn read_small(stream: Result<ByteStream>) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = stream?.try_collect().await?;
    Ok(pieces.concat())
}

/// A small file, if it is there.
pub(super) async fn read_if_there(stream: Result<ByteStream>) -> Result<Option<Vec<u8>>> {
    match read_small(stream).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.class() == Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
