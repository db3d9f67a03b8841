//! Folders of HDFS.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hdfs_native::HdfsError;
use hdfs_native::client::{Client, WriteOptions};
use hdfs_native::file::FileWriter;
use longshore_model::config::place::HdfsPlace;
use longshore_model::config::store_url::encoded_path;
use longshore_model::error::{Class, Error, Result};
use tokio::runtime::Handle;

use super::PartFile;
use super::files::{ByteStream, Entry, Files, Folders, parent};
use super::request::{STORE_TIMEOUT_SECS, absent_is_fine, within};
use super::upload::{Upload, Uploader};
use crate::store::hdfs::{EXISTS, hdfs_client, hdfs_error};

/// New folders are for their owner to write and for others to read.
const FOLDER_PERMISSION: u32 = 0o755;

/// A folder of HDFS.
pub(super) struct HdfsFolder {
    client: Client,
    cluster: String,
    root: String,
    options: WriteOptions,
    io: Handle,
}

impl fmt::Debug for HdfsFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HdfsFolder({}{})", self.cluster, self.root)
    }
}

impl HdfsFolder {
    pub(super) fn open(place: &HdfsPlace) -> Result<Self> {
        let given = &place.options;
        let (client, io) = (hdfs_client(place)?, Handle::current());
        let mut options = WriteOptions::default().overwrite(true);
        if let Some(replication) = given.replication {
            options = options.replication(replication);
        }
        if let Some(block_size) = given.block_size {
            options = options.block_size(block_size);
        }
        Ok(Self {
            client,
            cluster: place.cluster.clone().unwrap_or_else(|| "hdfs://".into()),
            root: place.folder.trim_end_matches('/').to_owned(),
            options,
            io,
        })
    }

    fn at(&self, path: &str) -> String {
        match path {
            "" if self.root.is_empty() => "/".into(),
            "" => self.root.clone(),
            path => format!("{}/{path}", self.root),
        }
    }

    async fn asked<T>(
        &self,
        path: &str,
        work: impl Future<Output = hdfs_native::Result<T>>,
    ) -> Result<T> {
        let work = async { work.await.map_err(|error| self.error(path, error)) };
        within(STORE_TIMEOUT_SECS, || self.url(path), work).await
    }

    fn error(&self, path: &str, error: HdfsError) -> Error {
        hdfs_error(&self.url(path), error)
    }

    async fn write(&self, path: &str, options: WriteOptions, bytes: &[u8]) -> Result<()> {
        let full = self.at(path);
        let writing = async {
            let mut writer = self.client.create(&full, options).await?;
            writer.write_bytes(Bytes::copy_from_slice(bytes)).await?;
            writer.close().await
        };
        self.asked(path, writing).await
    }
}

#[async_trait]
impl Files for HdfsFolder {
    fn url(&self, path: &str) -> String {
        format!("{}{}", self.cluster, encoded_path(&self.at(path)))
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let aside = format!("{path}.partial");
        self.write(&aside, self.options.clone(), bytes).await?;
        let (from, to) = (self.at(&aside), self.at(path));
        self.asked(path, self.client.rename(&from, &to, true)).await
    }

    async fn put_new(&self, path: &str, bytes: &[u8], aside: &str) -> Result<bool> {
        self.write(aside, self.options.clone(), bytes).await?;
        if let Some(folder) = parent(path) {
            self.make_folder(folder).await?;
        }
        self.rename(aside, path).await
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        let reader = self.asked(path, async { self.client.read(&self.at(path)).await }).await?;
        let (url, length) = (self.url(path), reader.file_length());
        let bytes = reader.read_range_stream(0, length);
        Ok(bytes.map_err(move |error| hdfs_error(&url, error)).boxed())
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let (from, bytes) = (range.start as usize, (range.end - range.start) as usize);
        let reading =
            async { self.client.read(&self.at(path)).await?.read_range(from, bytes).await };
        self.asked(path, reading).await
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>> {
        let full = self.at(folder);
        match self.asked(folder, self.client.list_status(&full, false)).await {
            Ok(listed) => Ok(Some(
                listed
                    .into_iter()
                    .map(|status| Entry {
                        name: status.path.rsplit('/').next().unwrap_or_default().to_owned(),
                        bytes: (!status.isdir).then_some(status.length as u64),
                    })
                    .collect(),
            )),
            Err(error) if error.class() == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, path: &str) -> Result<()> {
        let full = self.at(path);
        absent_is_fine(self.asked(path, self.client.delete(&full, true)).await.map(drop))
    }
}

#[async_trait]
impl Folders for HdfsFolder {
    async fn create(&self, path: &str) -> Result<Box<dyn PartFile>> {
        let full = self.at(path);
        let writer = self.asked(path, self.client.create(&full, self.options.clone())).await?;
        let uploader =
            HdfsUpload { writer, client: self.client.clone(), path: full, url: self.url(path) };
        Ok(Box::new(Upload::start(&self.io, format!("writing {}", self.url(path)), uploader, 0)))
    }

    async fn make_folder(&self, path: &str) -> Result<()> {
        let full = self.at(path);
        self.asked(path, self.client.mkdirs(&full, FOLDER_PERMISSION, true)).await
    }

    async fn rename_over(&self, from: &str, to: &str) -> Result<()> {
        let (from, full) = (self.at(from), self.at(to));
        self.asked(to, self.client.rename(&from, &full, true)).await
    }

    async fn remove_empty(&self, path: &str) {
        let full = self.at(path);
        if let Err(error) = self.asked(path, self.client.delete(&full, false)).await {
            tracing::debug!("{error}: it stays");
        }
    }

    async fn rename(&self, from: &str, to: &str) -> Result<bool> {
        let (source, full) = (self.at(from), self.at(to));
        match self.asked(to, self.client.rename(&source, &full, false)).await {
            Ok(()) => Ok(true),
            // It was renamed already if the client asked again because an answer was lost.
            Err(error) if error.code() == Some(EXISTS) => Ok(!self.exists(from).await?),
            Err(error) => Err(error),
        }
    }
}

struct HdfsUpload {
    writer: FileWriter,
    client: Client,
    path: String,
    url: String,
}

#[async_trait]
impl Uploader for HdfsUpload {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        let written = self.writer.write_bytes(piece).await;
        written.map(drop).map_err(|error| hdfs_error(&self.url, error))
    }

    async fn finish(&mut self) -> Result<String> {
        self.writer.close().await.map_err(|error| hdfs_error(&self.url, error))?;
        Ok(String::new())
    }

    async fn abort(&mut self) {
        // A write that failed leaves an empty file.
        if let Err(error) = self.client.delete(&self.path, false).await {
            tracing::debug!("removing {}: {error}", self.url);
        }
    }
}
