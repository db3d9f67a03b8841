//! Folders of an SFTP server, by `russh`. The server must be a known host; keys come from the job,
//! the agent, or `~/.ssh`.

use std::env;
use std::fmt;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use longshore_model::config::place::SftpPlace;
use longshore_model::config::secret;
use longshore_model::config::store_url::encoded_path;
use longshore_model::error::{Class, Error, Result};
use russh::client::{AuthResult, Handle as Ssh, KeyboardInteractiveAuthResponse};
use russh::keys::agent::client::AgentClient;
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh_sftp::client::SftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::fs::File;
use russh_sftp::protocol::{OpenFlags, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::PartFile;
use super::files::{ByteStream, Entry, Files, Folders};
use super::request::{STORE_TIMEOUT_SECS, absent_is_fine, within};
use super::upload::{PIECE_BYTES, Upload, Uploader, WRITE_TIMEOUT_SECS};

/// How often a silent connection is asked whether it still lives.
const KEEPALIVE_SECS: u64 = 15;

/// Bytes on their way that the server has not taken yet.
const WINDOW_BYTES: u32 = 4 << 20;

/// Writes on their way that the server has not confirmed yet.
const WRITES_AHEAD: usize = 64;

/// The private keys of `~/.ssh` that are tried.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// A folder of a server.
pub(super) struct SftpFolder {
    place: SftpPlace,
    password: Option<String>,
    passphrase: Option<String>,
    io: Handle,
    /// The connection for everything but parts, which have one each: a window is a connection's.
    shared: Mutex<Option<Arc<Connection>>>,
}

impl fmt::Debug for SftpFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SftpFolder({})", self.url(""))
    }
}

struct Connection {
    // The session ends with it.
    _ssh: Ssh<KnownHost>,
    sftp: SftpSession,
}

impl SftpFolder {
    pub(super) async fn open(place: &SftpPlace, secrets: Option<&Path>) -> Result<Self> {
        Ok(Self {
            password: secret::resolve_given("target.sftp.password", &place.password, secrets)?,
            passphrase: secret::resolve_given(
                "target.sftp.key_passphrase",
                &place.key_passphrase,
                secrets,
            )?,
            place: place.clone(),
            io: Handle::current(),
            shared: Mutex::default(),
        })
    }

    fn at(&self, path: &str) -> String {
        let root = self.place.folder.trim_end_matches('/');
        match path {
            "" if root.is_empty() => "/".into(),
            "" => root.to_owned(),
            path => format!("{root}/{path}"),
        }
    }

    fn server(&self) -> String {
        let SftpPlace { user, host, port, .. } = &self.place;
        format!("sftp://{user}@{host}:{port}")
    }

    /// The shared connection; a new one if it is gone.
    async fn connection(&self) -> Result<Arc<Connection>> {
        let mut shared = self.shared.lock().await;
        if let Some(open) = shared.as_ref().filter(|open| !open._ssh.is_closed()) {
            return Ok(open.clone());
        }
        let opened = Arc::new(self.connect().await?);
        *shared = Some(opened.clone());
        Ok(opened)
    }

    async fn connect(&self) -> Result<Connection> {
        within(STORE_TIMEOUT_SECS, || self.server(), self.open_connection()).await
    }

    async fn open_connection(&self) -> Result<Connection> {
        let config = russh::client::Config {
            window_size: WINDOW_BYTES,
            keepalive_interval: Some(Duration::from_secs(KEEPALIVE_SECS)),
            nodelay: true,
            ..Default::default()
        };
        let SftpPlace { host, port, .. } = &self.place;
        let known = KnownHost {
            host: host.clone(),
            port: *port,
            file: self.place.known_hosts.clone().or_else(|| home_ssh("known_hosts")),
        };
        let mut ssh = russh::client::connect(Arc::new(config), (host.as_str(), *port), known)
            .await
            .map_err(|Refused(error)| error.with_context(self.server()))?;
        self.log_in(&mut ssh).await?;
        let channel = ssh.channel_open_session().await.map_err(|error| self.ssh_error(error))?;
        channel.request_subsystem(true, "sftp").await.map_err(|error| self.ssh_error(error))?;
        let limits = russh_sftp::client::Config {
            max_concurrent_writes: WRITES_AHEAD,
            request_timeout_secs: WRITE_TIMEOUT_SECS,
            ..Default::default()
        };
        let sftp = SftpSession::new_with_config(channel.into_stream(), limits)
            .await
            .map_err(|error| sftp_error(&self.server(), error))?;
        Ok(Connection { _ssh: ssh, sftp })
    }

    /// Tries the ways that the job names; if it names none, the agent's keys and those of `~/.ssh`.
    async fn log_in(&self, ssh: &mut Ssh<KnownHost>) -> Result<()> {
        if let Some(password) = &self.password
            && self.with_password(ssh, password).await?
        {
            return Ok(());
        }
        if let Some(key) = &self.place.key_file
            && self.with_key(ssh, key).await?
        {
            return Ok(());
        }
        let named = self.password.is_some() || self.place.key_file.is_some();
        if !named && (self.with_agent(ssh).await? || self.with_default_keys(ssh).await?) {
            return Ok(());
        }
        if ssh.is_closed() {
            // A server that goes away meanwhile, which the library takes for a refusal.
            return Err(self.ssh_error(russh::Error::Disconnect));
        }
        Err(Error::auth(format!("{}: the server refused to let us in", self.server())).with_hint(
            "check `target.sftp.password` or `target.sftp.key_file`, or start an agent with the key",
        ))
    }

    async fn with_password(&self, ssh: &mut Ssh<KnownHost>, password: &str) -> Result<bool> {
        let user = &self.place.user;
        let answer = ssh.authenticate_password(user, password).await;
        if answer.map_err(|error| self.ssh_error(error))?.success() {
            return Ok(true);
        }
        // Many servers ask for the password by a dialogue instead.
        let mut answer = ssh
            .authenticate_keyboard_interactive_start(user, None)
            .await
            .map_err(|error| self.ssh_error(error))?;
        loop {
            let prompts = match answer {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            let answers = prompts.iter().map(|_| password.to_owned()).collect();
            answer = ssh
                .authenticate_keyboard_interactive_respond(answers)
                .await
                .map_err(|error| self.ssh_error(error))?;
        }
    }

    async fn with_key(&self, ssh: &mut Ssh<KnownHost>, file: &Path) -> Result<bool> {
        let key = load_secret_key(file, self.passphrase.as_deref()).map_err(|error| {
            Error::config(format!("`target.sftp.key_file`: {}: {error}", file.display()))
                .with_hint("name a private key, and its passphrase with `key_passphrase`")
        })?;
        let hash = ssh.best_supported_rsa_hash().await.map_err(|error| self.ssh_error(error))?;
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash.flatten());
        let answer = ssh.authenticate_publickey(&self.place.user, key).await;
        Ok(answer.map_err(|error| self.ssh_error(error))?.success())
    }

    async fn with_agent(&self, ssh: &mut Ssh<KnownHost>) -> Result<bool> {
        let Ok(mut agent) = AgentClient::connect_env().await else { return Ok(false) };
        let Ok(identities) = agent.request_identities().await else { return Ok(false) };
        let hash = ssh.best_supported_rsa_hash().await.map_err(|error| self.ssh_error(error))?;
        for identity in identities {
            let key = identity.public_key().into_owned();
            let user = &self.place.user;
            let answer =
                ssh.authenticate_publickey_with(user, key, hash.flatten(), &mut agent).await;
            if matches!(answer, Ok(AuthResult::Success)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn with_default_keys(&self, ssh: &mut Ssh<KnownHost>) -> Result<bool> {
        for name in DEFAULT_KEYS {
            let Some(file) = home_ssh(name).filter(|file| file.is_file()) else { continue };
            // One that cannot be read or needs a passphrase is not for us.
            if self.with_key(ssh, &file).await.unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn ssh_error(&self, error: russh::Error) -> Error {
        ssh_error(error).with_context(self.server())
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
        format!("{}{}", self.server(), encoded_path(&self.at(path)))
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
        let connection = self.connect().await?;
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

/// Accepts the server whose key is in the file of known hosts, and no other.
struct KnownHost {
    host: String,
    port: u16,
    file: Option<PathBuf>,
}

/// Why there is no connection.
struct Refused(Error);

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<russh::Error> for Refused {
    fn from(error: russh::Error) -> Self {
        Self(ssh_error(error))
    }
}

impl russh::client::Handler for KnownHost {
    type Error = Refused;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Refused> {
        let shown =
            self.file.as_ref().map_or("~/.ssh/known_hosts".into(), |f| f.display().to_string());
        let unknown = |cause: String| {
            Refused(Error::auth(cause).with_hint(format!(
                "if it is the right server, add its key: ssh-keyscan -p {} {} >> {shown}",
                self.port, self.host
            )))
        };
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Err(unknown("the server shows a certificate, which is not supported".into()));
        };
        let Some(file) = &self.file else {
            return Err(unknown("there is no file of known hosts".into()));
        };
        match russh::keys::check_known_hosts_path(&self.host, self.port, key, file) {
            Ok(true) => Ok(true),
            Ok(false) => Err(unknown(format!("the server's key is not in {shown}"))),
            Err(error) => Err(unknown(format!("the server's key is another one: {error}"))),
        }
    }
}

fn home_ssh(name: &str) -> Option<PathBuf> {
    env::home_dir().map(|home| home.join(".ssh").join(name))
}

fn ssh_error(error: russh::Error) -> Error {
    Error::connection(error.to_string())
        .with_hint("check that the server answers, and its port")
        .with_source(error)
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
