//! Connections to an SFTP server. It must be a known host; keys come from the job, the agent, or `~/.ssh`.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_model::config::place::SftpPlace;
use longshore_model::config::secret;
use longshore_model::error::{Error, Result};
use russh::client::{AuthResult, Handle as Ssh, KeyboardInteractiveAuthResponse};
use russh::keys::agent::client::AgentClient;
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh_sftp::client::SftpSession;

use super::sftp_error;
use crate::destination::request::{STORE_TIMEOUT_SECS, within};
use crate::destination::upload::WRITE_TIMEOUT_SECS;

/// How often a silent connection is asked whether it still lives.
const KEEPALIVE_SECS: u64 = 15;

/// Bytes on their way that the server has not taken yet.
const WINDOW_BYTES: u32 = 4 << 20;

/// Writes on their way that the server has not confirmed yet.
const WRITES_AHEAD: usize = 64;

/// The private keys of `~/.ssh` that are tried.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// A server, and how the job logs in there.
pub(super) struct Server {
    place: SftpPlace,
    password: Option<String>,
    passphrase: Option<String>,
}

/// A connection that is logged in.
pub(super) struct Connection {
    // The session ends with it.
    ssh: Ssh<KnownHost>,
    pub(super) sftp: SftpSession,
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.ssh.is_closed()
    }
}

impl Server {
    pub(super) fn new(place: &SftpPlace, secrets: Option<&Path>) -> Result<Self> {
        Ok(Self {
            password: secret::resolve_given("target.sftp.password", &place.password, secrets)?,
            passphrase: secret::resolve_given(
                "target.sftp.key_passphrase",
                &place.key_passphrase,
                secrets,
            )?,
            place: place.clone(),
        })
    }

    /// How the server reads in messages and at the beginning of its paths' URLs.
    pub(super) fn url(&self) -> String {
        let SftpPlace { user, host, port, .. } = &self.place;
        format!("sftp://{user}@{host}:{port}")
    }

    /// Connects and logs in.
    pub(super) async fn connect(&self) -> Result<Connection> {
        within(STORE_TIMEOUT_SECS, || self.url(), self.open_connection()).await
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
            .map_err(|ConnectionRefusal(error)| error.with_context(self.url()))?;
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
            .map_err(|error| sftp_error(&self.url(), error))?;
        Ok(Connection { ssh, sftp })
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
        Err(Error::auth(format!("{}: the server refused to let us in", self.url())).with_hint(
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
        ssh_error(error).with_context(self.url())
    }
}

/// Accepts the server whose key is in the file of known hosts, and no other.
struct KnownHost {
    host: String,
    port: u16,
    file: Option<PathBuf>,
}

/// Why there is no connection.
struct ConnectionRefusal(Error);

impl fmt::Debug for ConnectionRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<russh::Error> for ConnectionRefusal {
    fn from(error: russh::Error) -> Self {
        Self(ssh_error(error))
    }
}

impl russh::client::Handler for KnownHost {
    type Error = ConnectionRefusal;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, ConnectionRefusal> {
        let shown =
            self.file.as_ref().map_or("~/.ssh/known_hosts".into(), |f| f.display().to_string());
        let unknown = |cause: String| {
            ConnectionRefusal(Error::auth(cause).with_hint(format!(
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
