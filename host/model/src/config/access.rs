//! What a job makes the host itself touch: files, folders, stores, their servers and secrets. All of it is held
//! against the operator's policy here, when the job is read; a job that exists may do what it names.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::connector::Connector;
use super::direct::{Direct, Location};
use super::job::{Job, Source};
use super::place::{Place, is_folder};
use super::policy::{HostPowers, Policy, Powers};
use super::sink_url::SinkUrl;
use super::store_url::StoreUrl;
use super::target::{Sink, To};
use crate::error::{Error, Result, ResultExt};
use crate::grant::Endpoint;

/// Where requests to stores go unless somebody says otherwise.
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;
const HDFS_PORT: u16 = 8020;
const SFTP_PORT: u16 = 22;

/// How many links a path may lead through.
const LINK_LIMIT: u32 = 40;

/// What is done with a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Rows, queries or keys are read there.
    Read,
    /// Rows are written there.
    Write,
}

impl Usage {
    /// The key of a rule that limits it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "written",
        }
    }
}

/// A folder or a store, as a policy and a job name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Territory {
    /// A folder of this machine, where it really lies.
    Local(PathBuf),
    /// Of a store, by scheme and host, the names of its path.
    Store {
        /// `s3`, `azure`, `hdfs`, `sftp`
        scheme: &'static str,
        /// The bucket, the container, the server.
        host: String,
        /// The server's port; none of a store that has none.
        port: Option<u16>,
        /// The path's names.
        path: Vec<String>,
    },
    /// What a sink writes to.
    Sink(SinkUrl),
}

impl Territory {
    /// What a policy names: a folder's URL.
    pub(super) fn read(text: &str) -> Result<Self> {
        let url = StoreUrl::parse(text, text)?;
        if url.path.iter().any(|name| name.pattern.is_some()) {
            return Err(Error::config(format!("`{text}` is a pattern, and a folder is wanted"))
                .with_hint("name the folder: all that is beneath it is meant"));
        }
        let path: Vec<String> = url.path.iter().map(|name| name.text.clone()).collect();
        let scheme = match url.scheme.as_str() {
            "file" => {
                let folder = PathBuf::from(format!("/{}", url.inner_path()));
                return Ok(Self::Local(real_path(&folder)));
            }
            "s3" | "s3a" | "s3n" => "s3",
            "azure" | "az" | "abfs" | "abfss" => "azure",
            "hdfs" => "hdfs",
            "sftp" => "sftp",
            other => {
                return Err(Error::config(format!("`{other}:` is not a folder of files"))
                    .with_hint("name one of file://, s3://, azure://, hdfs:// or sftp://"));
            }
        };
        let host = if scheme == "azure" && !url.user.is_empty() { url.user } else { url.host };
        Ok(Self::Store { scheme, host, port: port_of(scheme, url.port), path })
    }

    /// What a policy lets be written: a folder's URL, or that of what a sink writes to.
    pub(super) fn read_target(text: &str) -> Result<Self> {
        match text.split_once("://") {
            Some((scheme, _)) if !is_folder(&scheme.to_ascii_lowercase()) => {
                SinkUrl::parse(text).map(Self::Sink)
            }
            _ => Self::read(text),
        }
    }

    fn of(place: &Place) -> Self {
        let names = |path: &str| {
            path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        let store = |scheme, host: &str, path: &str| Self::Store {
            scheme,
            host: host.to_owned(),
            port: port_of(scheme, None),
            path: names(path),
        };
        match place {
            Place::Local(folder) => Self::Local(real_path(folder)),
            Place::S3(place) => store("s3", &place.bucket, &place.prefix),
            Place::Azure(place) => store("azure", &place.container, &place.prefix),
            Place::Hdfs(place) => {
                let cluster = place.cluster.as_deref().unwrap_or_default();
                let server = cluster.trim_start_matches("hdfs://");
                let (host, port) = server.split_once(':').unwrap_or((server, ""));
                let port = port_of("hdfs", port.parse().ok());
                Self::Store { scheme: "hdfs", host: host.into(), port, path: names(&place.folder) }
            }
            Place::Sftp(place) => Self::Store {
                scheme: "sftp",
                host: place.host.clone(),
                port: Some(place.port),
                path: names(&place.folder),
            },
        }
    }

    fn of_location(location: &Location) -> Option<Self> {
        Self::read(&format!(
            "{}://{}/{}",
            location.scheme,
            location.authority,
            encoded(&location.path)
        ))
        .ok()
    }

    /// Whether it is a folder or one beneath it.
    pub fn is_under(&self, folder: &Self) -> bool {
        match (self, folder) {
            (Self::Local(own), Self::Local(folder)) => own.starts_with(folder),
            (
                Self::Store { scheme, host, port, path },
                Self::Store { scheme: other, host: at, port: by, path: beneath },
            ) => scheme == other && host == at && port == by && path.starts_with(beneath),
            (Self::Sink(own), Self::Sink(area)) => own.is_under(area),
            _ => false,
        }
    }
}

impl std::fmt::Display for Territory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(folder) => write!(f, "{}", folder.display()),
            Self::Store { scheme, host, port, path } => {
                write!(f, "{scheme}://{host}")?;
                if *port != port_of(scheme, None) {
                    port.iter().try_for_each(|port| write!(f, ":{port}"))?;
                }
                path.iter().try_for_each(|name| write!(f, "/{name}"))
            }
            Self::Sink(url) => url.fmt(f),
        }
    }
}

fn encoded(path: &str) -> String {
    super::store_url::encoded_path(path)
}

/// The port of a store's server; buckets and containers have none.
fn port_of(scheme: &str, named: Option<u16>) -> Option<u16> {
    match scheme {
        "hdfs" => named.or(Some(HDFS_PORT)),
        "sftp" => named.or(Some(SFTP_PORT)),
        _ => None,
    }
}

/// Where a path really leads; what does not exist yet keeps its name.
pub fn real_path(path: &Path) -> PathBuf {
    followed(path, LINK_LIMIT)
}

fn followed(path: &Path, links: u32) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let Some((part, real)) = known else { return path };
    let mut names = path.strip_prefix(part).unwrap_or(Path::new("")).components();
    let Some(first) = names.next() else { return real };
    let (next, rest) = (real.join(first), names.as_path());
    // Nothing must not be joined: it would add a `/`.
    let under =
        |folder: PathBuf| if rest.as_os_str().is_empty() { folder } else { folder.join(rest) };
    match next.read_link() {
        // It leads to nothing yet: what is made by its name is made there.
        Ok(to) if links > 0 => followed(&under(real.join(to)), links - 1),
        _ => under(next),
    }
}

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
        if !self.policy.host().limits(usage) {
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

    fn powers(&self) -> HostPowers<'a> {
        self.policy.host()
    }

    /// A file that the job names may be read.
    pub fn file(&self, at: &str, path: &Path) -> Result<()> {
        self.touched(Usage::Read, at, path)
    }

    /// A file or a folder, wherever it really is, may be used so.
    fn touched(&self, usage: Usage, at: &str, path: &Path) -> Result<()> {
        self.territory(usage, at, &Territory::Local(real_path(path)))
    }

    /// A job file that is a link is a file that somebody names.
    pub(super) fn job_file(&self, path: &Path) -> Result<()> {
        match path.is_symlink() {
            true => self.file("the job's file", path),
            false => Ok(()),
        }
    }

    fn territory(&self, usage: Usage, at: &str, territory: &Territory) -> Result<()> {
        match self.powers().allows(usage, territory, &real_path(self.folder)) {
            true => Ok(()),
            false => Err(self
                .powers()
                .refusal(usage.key(), format!("`{at}`: {territory} may not be {}", usage.done()))),
        }
    }

    /// All that a job names.
    pub(super) fn job(&self, job: &Job) -> Result<()> {
        match &job.source {
            Source::Files(files) => self.place(Usage::Read, "source", &files.place)?,
            Source::Connector(connector) => self.connector("source", connector)?,
        }
        match &job.target.to {
            To::Folder(place, _) => self.place(Usage::Write, "target", place)?,
            // Its plugin knows what other keys name servers, and their ports: they are held when it is bound.
            To::Sink(sink) => self.sink(sink, "url", None, &self.powers())?,
        }
        if let To::Folder(Place::Local(folder), _) = &job.target.to {
            for relation in &job.relations {
                self.touched(Usage::Write, &relation.name, &folder.join(&relation.name))?;
            }
        }
        let Some(register) = &job.register else { return Ok(()) };
        self.connector("register", &register.connector)?;
        match Location::parse(&register.base).as_ref().and_then(Territory::of_location) {
            Some(base) => self.territory(Usage::Write, "register.location", &base),
            None if self.powers().limits(Usage::Write) => Err(self.powers().refusal(
                Usage::Write.key(),
                format!("`register.location`: {} may not be written", register.base),
            )),
            None => Ok(()),
        }
    }

    fn connector(&self, at: &str, connector: &Connector) -> Result<()> {
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
        powers: &Powers<'_>,
    ) -> Result<()> {
        self.sink(sink, key, Some(default_port), &self.powers())?;
        self.sink(sink, key, Some(default_port), &powers.places())
    }

    fn sink(
        &self,
        sink: &Sink,
        key: &str,
        default_port: Option<u16>,
        powers: &HostPowers<'_>,
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

    fn place(&self, usage: Usage, at: &str, place: &Place) -> Result<()> {
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
                    self.file(&format!("{at}.hdfs.conf_dir"), folder)?;
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
                    self.file(&format!("{at}.sftp.known_hosts"), hosts)?;
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
