//! What a job makes the host itself touch: files, folders, stores, their servers and secrets. All of it is held
//! against the operator's policy here, when the job is read; a job that exists may do what it names.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::connector::Connector;
use super::direct::{Direct, Location};
use super::place::Place;
use super::policy::{HostScope, Policy, PolicyScope};
use super::sink_url::SinkUrl;
use super::target::Sink;
use super::territory::{HDFS_PORT, Territory, Usage, real_path};
use crate::error::{Error, Result, ResultExt};
use crate::grant::Endpoint;

/// Where requests to stores go unless somebody says otherwise.
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;

/// What may be touched of this machine's files while a job runs: links are only known by then.
#[derive(Clone, Debug)]
pub struct Reach {
    policy: Policy,
    job_folder: PathBuf,
}

impl Reach {
    /// For a job whose file lay in a folder.
    pub fn new(policy: &Policy, job_folder: &Path) -> Self {
        Self { policy: policy.clone(), job_folder: job_folder.to_owned() }
    }

    /// A file may be read, wherever it really lies; `at` says what names it.
    pub fn file(&self, at: &str, path: &Path) -> Result<()> {
        self.touched(Usage::Read, at, path)
    }

    /// Something may be written there, wherever that really is.
    pub fn written(&self, at: &str, path: &Path) -> Result<()> {
        self.touched(Usage::Write, at, path)
    }

    fn touched(&self, usage: Usage, at: &str, path: &Path) -> Result<()> {
        if usage == Usage::Write && !self.policy.host().limits(usage) {
            return Ok(());
        }
        Access::new(&self.policy, &self.job_folder).touched(usage, at, path)
    }
}

/// What jobs may make the host touch.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    policy: &'a Policy,
    /// The folder that the job file lay in when it was dropped.
    folder: &'a Path,
}

impl<'a> Access<'a> {
    /// For a job whose file lies in a folder.
    pub fn new(policy: &'a Policy, folder: &'a Path) -> Self {
        Self { policy, folder }
    }

    /// The folder that the job's own files lie in.
    pub(super) fn folder(&self) -> &'a Path {
        self.folder
    }

    pub(super) fn powers(&self) -> HostScope<'a> {
        self.policy.host()
    }

    /// A file that the job names may be read.
    pub fn file(&self, at: &str, path: &Path) -> Result<()> {
        self.touched(Usage::Read, at, path)
    }

    /// A file or a folder, wherever it really is, may be used so.
    pub(super) fn touched(&self, usage: Usage, at: &str, path: &Path) -> Result<()> {
        self.territory(usage, at, &Territory::Local(real_path(path)))
    }

    /// A job file that is a link is a file that somebody names.
    pub fn job_file(&self, path: &Path) -> Result<()> {
        if path.is_symlink() { self.file("the job's file", path) } else { Ok(()) }
    }

    pub(super) fn territory(&self, usage: Usage, at: &str, territory: &Territory) -> Result<()> {
        if usage == Usage::Read && self.policy.is_private(territory) {
            return Err(Error::auth(format!(
                "`{at}`: {territory} is Longshore's own, and no job reads it"
            ))
            .with_hint("copy what the job needs into its own folder"));
        }
        self.allowed(usage, at, territory)
    }

    /// A file that says how a store is reached may be read. Nothing of it is shown, so that it may lie among the secrets.
    fn config_file(&self, at: &str, path: &Path) -> Result<()> {
        self.allowed(Usage::Read, at, &Territory::Local(real_path(path)))
    }

    fn allowed(&self, usage: Usage, at: &str, territory: &Territory) -> Result<()> {
        if !self.powers().allows(usage, territory, &real_path(self.folder)) {
            return Err(self
                .powers()
                .refusal(usage.key(), format!("`{at}`: {territory} may not be {}", usage.done())));
        }
        Ok(())
    }

    pub(super) fn connector(&self, at: &str, connector: &Connector) -> Result<()> {
        if let Some(keytab) =
            connector.kerberos.as_ref().and_then(|kerberos| kerberos.keytab.as_ref())
        {
            self.key_file(&format!("{at}.kerberos.keytab"), keytab)?;
        }
        let Some(direct) = &connector.direct else { return Ok(()) };
        direct.stores().iter().try_for_each(|place| self.store(&format!("{at}.direct"), place))
    }

    /// A folder that a catalog names, of a table that is read from its files.
    pub fn direct(&self, direct: &Direct, location: &Location) -> Result<()> {
        self.place(Usage::Read, "source.direct", &direct.place_of(location)?)
    }

    /// A key of a sink that names a server, held to the rules for its plugin too.
    pub fn bound_sink(
        &self,
        sink: &Sink,
        key: &str,
        default_port: u16,
        powers: &PolicyScope<'_>,
    ) -> Result<()> {
        self.sink(sink, key, Some(default_port), &self.powers())?;
        self.sink(sink, key, Some(default_port), &powers.places())
    }

    pub(super) fn sink(
        &self,
        sink: &Sink,
        key: &str,
        default_port: Option<u16>,
        powers: &HostScope<'_>,
    ) -> Result<()> {
        let Some(value) = sink.config.get(key).and_then(Value::as_str) else { return Ok(()) };
        if !powers.limits(Usage::Write) {
            return Ok(());
        }
        let url = if value.contains("://") {
            SinkUrl::parse(value)
        } else {
            SinkUrl::parse(&format!("{}://{value}", sink.scheme))
        };
        let at = format!("target.{key}");
        let what = match url {
            Ok(url) => {
                let url = Territory::Sink(url.with_default_port(default_port));
                if powers.allows(Usage::Write, &url, &real_path(self.folder)) {
                    return Ok(());
                }
                format!("`{at}`: {url} may not be written")
            }
            // It may hold a password.
            Err(_) => format!("`{at}`: what it names has no plain form, and may not be written"),
        };
        Err(powers.refusal(Usage::Write.key(), what))
    }

    pub(super) fn place(&self, usage: Usage, at: &str, place: &Place) -> Result<()> {
        self.territory(usage, &format!("{at}.url"), &Territory::of(place))?;
        self.store(at, place)
    }

    /// A store's server, secrets and keys.
    fn store(&self, at: &str, place: &Place) -> Result<()> {
        let secret = |key: &str, written: &Option<Value>| match written {
            None => Ok(()),
            Some(written) => self.powers().secret(&format!("{at}.{key}"), written),
        };
        match place {
            Place::Local(_) => Ok(()),
            Place::S3(place) => {
                let options = &place.options;
                secret("s3.access_key_id", &options.access_key_id)?;
                secret("s3.secret_access_key", &options.secret_access_key)?;
                secret("s3.session_token", &options.session_token)?;
                if let Some(profile) = &options.profile {
                    self.powers().profile(&format!("{at}.s3.profile"), profile)?;
                }
                self.server(&format!("{at}.s3.endpoint"), options.endpoint.as_deref())
            }
            Place::Azure(place) => {
                secret("azure.access_key", &place.options.access_key)?;
                secret("azure.sas", &place.options.sas)?;
                self.server(&format!("{at}.azure.endpoint"), place.options.endpoint.as_deref())
            }
            Place::Hdfs(place) => {
                if let Some(keytab) = &place.options.keytab {
                    self.key_file(&format!("{at}.hdfs.keytab"), keytab)?;
                }
                if let Some(folder) = &place.options.conf_dir {
                    self.config_file(&format!("{at}.hdfs.conf_dir"), folder)?;
                }
                if !place.options.settings.is_empty() && self.powers().limits_endpoints() {
                    // They could name any server.
                    return Err(self
                        .powers()
                        .refusal("only", format!("`{at}.hdfs.settings` may not be given")));
                }
                let cluster =
                    place.cluster.as_deref().map(|cluster| cluster.trim_start_matches("hdfs://"));
                self.endpoint(&format!("{at}.url"), cluster, HDFS_PORT)
            }
            Place::Sftp(place) => {
                secret("sftp.password", &place.password)?;
                secret("sftp.key_passphrase", &place.key_passphrase)?;
                if let Some(key) = &place.key_file {
                    self.key_file(&format!("{at}.sftp.key_file"), key)?;
                }
                if let Some(hosts) = &place.known_hosts {
                    self.config_file(&format!("{at}.sftp.known_hosts"), hosts)?;
                }
                self.endpoint(&format!("{at}.url"), Some(&place.host), place.port)
            }
        }
    }

    /// A file that holds a key is a secret.
    fn key_file(&self, at: &str, path: &Path) -> Result<()> {
        let file = serde_json::json!({ "file": self.folder.join(path) });
        self.powers().secret(at, &file)
    }

    fn server(&self, at: &str, url: Option<&str>) -> Result<()> {
        let Some(url) = url else { return Ok(()) };
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let authority = rest.split('/').next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let port = if scheme.eq_ignore_ascii_case("http") { HTTP_PORT } else { HTTPS_PORT };
        self.endpoint(at, Some(authority), port)
    }

    fn endpoint(&self, at: &str, authority: Option<&str>, default_port: u16) -> Result<()> {
        let Some(authority) = authority else { return Ok(()) };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, port.parse().unwrap_or(default_port))
            }
            _ => (authority, default_port),
        };
        let endpoint = Endpoint { host: host.trim_matches(['[', ']']).to_owned(), port };
        self.powers().endpoint(&endpoint).context(format!("`{at}`"))
    }
}
