//! Folders of an SFTP server, by `russh`.

mod server;

use std::fmt;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use longshore_model::config::place::SftpPlace;
use longshore_model::config::store_url::encoded_path;
use longshore_model::error::{Class, Error, Result};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::fs::File;
use russh_sftp::protocol::{OpenFlags, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use self::server::{Connection, Server};
use super::PartFile;
use super::files::{ByteStream, Entry, Files, Folders};
use super::request::{STORE_TIMEOUT_SECS, absent_is_fine, within};
use super::upload::{PIECE_BYTES, Upload, Uploader, WRITE_TIMEOUT_SECS};

/// A folder of a server.
pub(super) struct SftpFolder {
    server: Server,
    folder: String,
    io: Handle,
    /// The connection for everything but parts, which have one each: a window is a connection's.
    shared: Mutex<Option<Arc<Connection>>>,
}

impl fmt::Debug for SftpFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SftpFolder({})", self.url(""))
    }
}

impl SftpFolder {
    pub(super) async fn open(place: &SftpPlace, secrets: Option<&Path>) -> Result<Self> {
        Ok(Self {
            server: Server::new(place, secrets)?,
            folder: place.folder.trim_end_matches('/').to_owned(),
            io: Handle::current(),
            shared: Mutex::default(),
        })
    }

    fn at(&self, path: &str) -> String {
        match path {
            "" if self.folder.is_empty() => "/".into(),
            "" => self.folder.clone(),
            path => format!("{}/{path}", self.folder),
        }
    }

    /// The shared connection; a new one if it is gone.
    async fn connection(&self) -> Result<Arc<Connection>> {
        let mut shared = self.shared.lock().await;
        if let Some(open) = shared.as_ref().filter(|open| !open.is_closed()) {
            return Ok(open.clone());
        }
        let opened = Arc::new(self.server.connect().await?);
        *shared = Some(opened.clone());
        Ok(opened)
    }

    /// Asks the server something on the shared connection.
    async fn asked<T, W: Future<Output = Result<T, SftpError>>>(
        &self,
        path: &str,
        work: impl FnOnce(Arc<Connection>, String) -> W,
    ) -> Result<T> {
        let connection = self.connection().await?;
        let work = async {
            work(connection, self.at(path))
                .await
                .map_err(|error| sftp_error(&self.url(path), error))
        };
        within(STORE_TIMEOUT_SECS, || self.url(path), work).await
    }

    async fn is_there(&self, path: &str) -> Result<bool> {
        let looked =
            self.asked(path, |c, full| async move { c.sftp.symlink_metadata(full).await }).await;
        match looked {
            Ok(_) => Ok(true),
            Err(error) if error.class() == Class::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let flags = OpenFlags::CREATE | OpenFlags::TRUNCATE | OpenFlags::WRITE;
        self.make_parent(path).await?;
        let bytes = bytes.to_vec();
        self.asked(path, |c, full| async move {
            let mut file = c.sftp.open_with_flags(full, flags).await?;
            file.write_all(&bytes).await?;
            file.sync_all().await?;
            file.close().await?;
            Ok(())
        })
        .await
    }

    async fn make_parent(&self, path: &str) -> Result<()> {
        match path.rsplit_once('/') {
            Some((folder, _)) => self.make_folder(folder).await,
            None => self.make_folder("").await,
        }
    }
}

#[async_trait]
impl Files for SftpFolder {
    fn url(&self, path: &str) -> String {
        format!("{}{}", self.server.url(), encoded_path(&self.at(path)))
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let aside = format!("{path}.partial");
        self.write(&aside, bytes).await?;
        self.rename_over(&aside, path).await
    }

    async fn put_new(&self, path: &str, bytes: &[u8], aside: &str) -> Result<bool> {
        self.write(aside, bytes).await?;
        self.make_parent(path).await?;
        self.rename(aside, path).await
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        let file = self.asked(path, |c, full| async move { c.sftp.open(full).await }).await?;
        let url = self.url(path);
        let pieces = futures::stream::try_unfold((file, url), |(mut file, url)| async move {
            let mut piece = vec![0; PIECE_BYTES];
            let reading = async {
                file.read(&mut piece).await.map_err(|error| sftp_error(&url, error.into()))
            };
            let read = within(WRITE_TIMEOUT_SECS, || url.clone(), reading).await?;
            piece.truncate(read);
            Ok((read > 0).then(|| (Bytes::from(piece), (file, url))))
        });
        Ok(pieces.boxed())
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let mut file = self.asked(path, |c, full| async move { c.sftp.open(full).await }).await?;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let reading = async {
            file.seek(SeekFrom::Start(range.start)).await?;
            file.read_exact(&mut bytes).await
        };
        let read =
            async { reading.await.map_err(|error| sftp_error(&self.url(path), error.into())) };
        within(WRITE_TIMEOUT_SECS, || self.url(path), read).await?;
        Ok(bytes.into())
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>> {
        let listed = self.asked(folder, |c, full| async move { c.sftp.read_dir(full).await }).await;
        match listed {
            Ok(entries) => Ok(Some(
                entries
                    .map(|entry| Entry {
                        name: entry.file_name(),
                        bytes: entry.metadata().is_regular().then(|| entry.metadata().len()),
                    })
                    .collect(),
            )),
            Err(error) if error.class() == Class::NotFound => Ok(None),
            // A file has the name.
            Err(error) => {
                if self.is_there(folder).await? && error.class() == Class::Resource {
                    return Ok(Some(Vec::new()));
                }
                Err(error)
            }
        }
    }

    /// The listing of a file fails as that of nothing does.
    async fn is_taken(&self, path: &str) -> Result<bool> {
        self.is_there(path).await
    }

    async fn remove(&self, path: &str) -> Result<()> {
        let looked =
            self.asked(path, |c, full| async move { c.sftp.symlink_metadata(full).await }).await;
        let is_folder = match looked {
            Ok(metadata) => metadata.is_dir(),
            Err(error) if error.class() == Class::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if !is_folder {
            return absent_is_fine(
                self.asked(path, |c, full| async move { c.sftp.remove_file(full).await }).await,
            );
        }
        for entry in self.list(path).await?.unwrap_or_default() {
            Box::pin(self.remove(&format!("{path}/{}", entry.name))).await?;
        }
        absent_is_fine(
            self.asked(path, |c, full| async move { c.sftp.remove_dir(full).await }).await,
        )
    }
}

#[async_trait]
impl Folders for SftpFolder {
    async fn create(&self, path: &str) -> Result<Box<dyn PartFile>> {
        self.make_parent(path).await?;
        let connection = self.server.connect().await?;
        let (full, url) = (self.at(path), self.url(path));
        let file = within(STORE_TIMEOUT_SECS, || url.clone(), async {
            connection.sftp.create(full.as_str()).await.map_err(|error| sftp_error(&url, error))
        })
        .await?;
        let what = format!("writing {url}");
        let uploader = SftpUpload { connection, file: Some(file), path: full, url };
        Ok(Box::new(Upload::start(&self.io, what, uploader, 0)))
    }

    async fn make_folder(&self, path: &str) -> Result<()> {
        if self.is_there(path).await? {
            return Ok(());
        }
        let full = self.at(path);
        let mut made = String::new();
        for part in full.split('/').filter(|part| !part.is_empty()) {
            made = format!("{made}/{part}");
            let folder = made.clone();
            // One that is there, or that another run makes, is an error that says nothing; the
            // last look tells.
            let _ = self.asked(path, |c, _| async move { c.sftp.create_dir(folder).await }).await;
        }
        self.asked(path, |c, full| async move { c.sftp.metadata(full).await }).await.map(drop)
    }

    /// The protocol cannot rename over a file: for a moment, there is none.
    async fn rename_over(&self, from: &str, to: &str) -> Result<()> {
        self.remove(to).await?;
        if !self.rename(from, to).await? {
            return Err(Error::resource(format!("{}: written by somebody else", self.url(to))));
        }
        Ok(())
    }

    async fn remove_empty(&self, path: &str) {
        let removed =
            self.asked(path, |c, full| async move { c.sftp.remove_dir(full).await }).await;
        if let Err(error) = removed {
            tracing::debug!("{error}: it stays");
        }
    }

    async fn rename(&self, from: &str, to: &str) -> Result<bool> {
        let source = self.at(from);
        let renamed =
            self.asked(to, |c, full| async move { c.sftp.rename(source, full).await }).await;
        let Err(error) = renamed else { return Ok(true) };
        // The protocol has no code for a name that is taken; and an answer may be lost on its way.
        match (self.is_there(from).await?, self.is_there(to).await?) {
            (true, true) => Ok(false),
            (false, true) => Ok(true),
            _ => Err(error),
        }
    }
}

struct SftpUpload {
    connection: Connection,
    file: Option<File>,
    path: String,
    url: String,
}

impl SftpUpload {
    fn file(&mut self) -> Result<&mut File> {
        self.file.as_mut().ok_or_else(|| Error::internal(format!("{}: is closed", self.url)))
    }
}

#[async_trait]
impl Uploader for SftpUpload {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        let url = self.url.clone();
        self.file()?.write_all(&piece).await.map_err(|error| sftp_error(&url, error.into()))
    }

    async fn finish(&mut self) -> Result<String> {
        let url = self.url.clone();
        let fault = |error: SftpError| sftp_error(&url, error);
        let file = self.file()?;
        file.flush().await.map_err(|error| fault(error.into()))?;
        file.sync_all().await.map_err(fault)?;
        if let Some(file) = self.file.take() {
            file.close().await.map_err(|error| fault(error.into()))?;
        }
        Ok(String::new())
    }

    async fn abort(&mut self) {
        self.file = None;
        if let Err(error) = self.connection.sftp.remove_file(self.path.as_str()).await {
            tracing::debug!("removing {}: {error}", self.url);
        }
    }
}

fn sftp_error(url: &str, error: SftpError) -> Error {
    let (class, hint) = match &error {
        SftpError::Status(status) => match status.status_code {
            StatusCode::NoSuchFile => (Class::NotFound, None),
            StatusCode::PermissionDenied => {
                (Class::Auth, Some("grant the permission on the server to the user of the URL"))
            }
            StatusCode::NoConnection | StatusCode::ConnectionLost => (Class::Connection, None),
            StatusCode::OpUnsupported => (Class::Config, None),
            _ => (
                Class::Resource,
                Some("check the server's disk, its quota and how long names may be"),
            ),
        },
        SftpError::Timeout => (Class::Timeout, None),
        SftpError::IO(_) => (Class::Connection, None),
        _ => (Class::Connection, None),
    };
    let mut own = Error::new(class, format!("{url}: {error}"));
    if let Some(hint) = hint {
        own = own.with_hint(hint);
    }
    own.with_source(error)
}
