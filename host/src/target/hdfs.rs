//! Folders of HDFS, by `hdfs-native`: no JVM. High availability, Kerberos and the rest come from
//! Hadoop's own files.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hdfs_native::HdfsError;
use hdfs_native::client::{Client, ClientBuilder, IORuntime, WriteOptions};
use hdfs_native::file::FileWriter;
use tokio::runtime::Handle;

use super::PartFile;
use super::files::{ByteStream, Entry, Files, Folders, STORE_TIMEOUT_SECS, absent_is_fine, within};
use super::upload::{Upload, Uploader};
use crate::config::target::HdfsPlace;
use crate::error::{Class, Error, Result};

/// New folders are for their owner to write and for others to read.
const FOLDER_PERMISSION: u32 = 0o755;

/// What holds unless Hadoop's files or the job say otherwise. A write goes on when a data node dies
/// and there is no other to take its place, as operators of small clusters want it; what is then
/// short of copies, the name node makes good. Waiting for the other name node is bounded here: our
/// own retries come on top.
const DEFAULTS: [(&str, &str); 3] = [
    ("dfs.client.block.write.replace-datanode-on-failure.best-effort", "true"),
    ("dfs.client.failover.max.attempts", "8"),
    ("dfs.client.failover.sleep.max.millis", "4000"),
];

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
        let io = Handle::current();
        let mut settings: BTreeMap<String, String> =
            DEFAULTS.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        settings.extend(given.settings.clone());
        let mut builder = ClientBuilder::new()
            .with_config(settings)
            .with_io_runtime(IORuntime::Handle(io.clone()));
        if let Some(cluster) = &place.cluster {
            builder = builder.with_url(cluster);
        }
        if let Some(folder) = &given.conf_dir {
            builder = builder.with_config_dir(folder.display().to_string());
        }
        if let Some(user) = &given.user {
            builder = builder.with_user(user);
        }
        if let Some(principal) = &given.principal {
            builder = builder.with_kerberos_principal(principal);
        }
        if let Some(keytab) = &given.keytab {
            builder = builder.with_kerberos_keytab(keytab.display().to_string());
        }
        let client = builder.build().map_err(|error| {
            Error::config(format!("`target.url`: {}", brief(&error.to_string()))).with_hint(
                "name the name node as in hdfs://host:8020/folder, or set HADOOP_CONF_DIR",
            )
        })?;
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
        format!("{}{}", self.cluster, self.at(path))
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let aside = format!("{path}.partial");
        self.write(&aside, self.options.clone(), bytes).await?;
        let (from, to) = (self.at(&aside), self.at(path));
        self.asked(path, self.client.rename(&from, &to, true)).await
    }

    async fn put_new(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        match self.write(path, self.options.clone().overwrite(false), bytes).await {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(EXISTS) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        let reader = self.asked(path, async { self.client.read(&self.at(path)).await }).await?;
        let (url, length) = (self.url(path), reader.file_length());
        let bytes = reader.read_range_stream(0, length);
        Ok(bytes.map_err(move |error| hdfs_error(&url, error)).boxed())
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

    async fn rename(&self, from: &str, to: &str) -> Result<bool> {
        let (from, full) = (self.at(from), self.at(to));
        match self.asked(to, self.client.rename(&from, &full, false)).await {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Some(EXISTS) => Ok(false),
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

/// The code of errors that say that something has the name already.
const EXISTS: &str = "FileAlreadyExistsException";

/// Who must act, from what the name node says. Its text carries a whole stack trace: the first line
/// tells it.
fn hdfs_error(url: &str, error: HdfsError) -> Error {
    let (class, code, hint) = match &error {
        HdfsError::FileNotFound(_) => (Class::NotFound, None, None),
        HdfsError::AlreadyExists(_) => (Class::Resource, Some(EXISTS), None),
        HdfsError::RPCError(java, _) | HdfsError::FatalRPCError(java, _) => java_class(java),
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => (
            Class::Auth,
            None,
            Some("check the Kerberos ticket (klist), `hdfs.principal` and `hdfs.keytab`"),
        ),
        HdfsError::IOError(_) | HdfsError::DataTransferError(_) | HdfsError::ChecksumError => {
            (Class::Connection, None, Some("check that the name node and the data nodes answer"))
        }
        HdfsError::InvalidArgument(_)
        | HdfsError::InvalidPath(_)
        | HdfsError::UrlParseError(_)
        | HdfsError::UnsupportedFeature(_)
        | HdfsError::XmlParseError(_) => (Class::Config, None, None),
        _ => (Class::Resource, None, None),
    };
    let mut own = Error::new(class, format!("{url}: {}", brief(&error.to_string())))
        .with_code(code.map(str::to_owned));
    if let Some(hint) = hint {
        own = own.with_hint(hint);
    }
    own.with_source(error)
}

fn java_class(java: &str) -> (Class, Option<&'static str>, Option<&'static str>) {
    match java.rsplit('.').next().unwrap_or(java) {
        "FileNotFoundException" => (Class::NotFound, None, None),
        "FileAlreadyExistsException" => (Class::Resource, Some(EXISTS), None),
        "AccessControlException" | "AuthorizationException" => (
            Class::Auth,
            None,
            Some("grant the permission in HDFS to the user that Longshore writes as"),
        ),
        "InvalidToken" | "AccessDeniedException" => (Class::Auth, None, Some("log in again")),
        "SafeModeException" => {
            (Class::Throttled, None, Some("wait until the name node leaves safe mode"))
        }
        "StandbyException" | "RetriableException" => {
            (Class::Connection, None, Some("name the name service, not one of its name nodes"))
        }
        "NSQuotaExceededException"
        | "DSQuotaExceededException"
        | "QuotaExceededException"
        | "QuotaByStorageTypeExceededException" => {
            (Class::Resource, None, Some("raise the folder's quota or make room, then run again"))
        }
        "ParentNotDirectoryException" | "InvalidPathException" | "PathIsNotDirectoryException" => {
            (Class::Config, None, Some("check the path of `target.url`"))
        }
        _ => (Class::Resource, None, None),
    }
}

fn brief(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
