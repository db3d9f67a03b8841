//! A plugin: a component that was read, checked, compiled, and asked what it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_model::error::{Error, Result, ResultExt};
use longshore_sandbox::{
    Compiled, ConnectorComponent, ConnectorDescription, EndpointField, Sandbox, SinkComponent,
    SinkDescription, TransformComponent, TransformDescription,
};
use semver::Version;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::admission::Admission;
use super::contract::Stamp;
use super::kind::Kind;

/// The largest component that is loaded.
pub const COMPONENT_LIMIT_BYTES: u64 = 64 << 20;

/// How long a component may take to compile.
pub const COMPILE_LIMIT_SECS: u64 = 60;

/// A plugin, loaded.
#[derive(Clone)]
pub struct Plugin {
    /// Where it was loaded from.
    pub path: PathBuf,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// What its outside says.
    pub stamp: Stamp,
    /// Its own version.
    pub version: Version,
    /// When its file last changed: seconds and nanoseconds.
    pub(super) came: (i64, i64),
    /// What it says that it is.
    pub described: Described,
}

/// What a plugin says that it is, with the means to run it.
#[derive(Clone)]
pub enum Described {
    /// A connector.
    Connector(ConnectorDescription, ConnectorComponent),
    /// A transform.
    Transform(TransformDescription, TransformComponent),
    /// A sink.
    Sink(SinkDescription, SinkComponent),
}

impl Described {
    fn name(&self) -> &str {
        match self {
            Self::Connector(described, _) => &described.name,
            Self::Transform(described, _) => &described.name,
            Self::Sink(described, _) => &described.name,
        }
    }

    /// What a plugin says of itself is shown and looked up: it must be what it should be.
    fn check(&self) -> Result<()> {
        check_word("name", self.name())?;
        if self.schemes().len() > SCHEME_LIMIT {
            return Err(Error::config(format!("it answers to more than {SCHEME_LIMIT} schemes")));
        }
        self.schemes().iter().try_for_each(|scheme| check_word("scheme", scheme))?;
        let mut fields =
            self.endpoints().iter().map(|endpoint| &endpoint.field).chain(self.secrets());
        if fields.clone().count() > FIELD_LIMIT {
            return Err(Error::config(format!("it names more than {FIELD_LIMIT} config fields")));
        }
        fields.try_for_each(|field| check_field(field))?;
        let (summary, schema) = (self.summary(), self.config_schema());
        if summary.len() > SUMMARY_LIMIT_BYTES || summary.contains(char::is_control) {
            return Err(Error::config(format!(
                "its summary is not one line of {SUMMARY_LIMIT_BYTES} bytes at most"
            )));
        }
        if schema.len() > SCHEMA_LIMIT_BYTES {
            return Err(Error::config(format!(
                "its config schema is over {SCHEMA_LIMIT_BYTES} bytes"
            )));
        }
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(schema)
            .map(drop)
            .map_err(|error| Error::config(format!("its config schema: {error}")))
    }

    /// The URL schemes that choose it.
    pub fn schemes(&self) -> &[String] {
        match self {
            Self::Connector(described, _) => &described.schemes,
            Self::Transform(..) => &[],
            Self::Sink(described, _) => &described.schemes,
        }
    }

    fn summary(&self) -> &str {
        match self {
            Self::Connector(described, _) => &described.summary,
            Self::Transform(described, _) => &described.summary,
            Self::Sink(described, _) => &described.summary,
        }
    }

    /// The config fields that name network endpoints.
    pub fn endpoints(&self) -> &[EndpointField] {
        match self {
            Self::Connector(described, _) => &described.endpoints,
            Self::Transform(..) => &[],
            Self::Sink(described, _) => &described.endpoints,
        }
    }

    /// The config fields that hold secrets.
    pub fn secrets(&self) -> &[String] {
        match self {
            Self::Connector(described, _) => &described.secrets,
            Self::Transform(described, _) => &described.secrets,
            Self::Sink(described, _) => &described.secrets,
        }
    }

    /// JSON Schema of its config.
    pub fn config_schema(&self) -> &str {
        match self {
            Self::Connector(described, _) => &described.config_schema,
            Self::Transform(described, _) => &described.config_schema,
            Self::Sink(described, _) => &described.config_schema,
        }
    }

    fn version(&self) -> &str {
        match self {
            Self::Connector(described, _) => &described.version,
            Self::Transform(described, _) => &described.version,
            Self::Sink(described, _) => &described.version,
        }
    }
}

impl Plugin {
    /// Its name.
    pub fn name(&self) -> &str {
        self.described.name()
    }

    /// Its name, its version, and which one it is.
    pub fn title(&self) -> String {
        let digest: String = self.digest.chars().take(12).collect();
        format!("{} {} (sha256:{digest})", self.name(), self.version)
    }

    /// What it does, in a line.
    pub fn summary(&self) -> &str {
        self.described.summary()
    }
}

/// A plugin of a kind, chosen for a run.
#[derive(Clone)]
pub struct Chosen<D, C> {
    /// What it says that it is.
    pub described: D,
    /// Makes its instances.
    pub component: C,
    /// Its own version.
    pub version: Version,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Whether it imports ODBC.
    pub asks_for_odbc: bool,
    /// Whether it imports logins by Kerberos.
    pub asks_for_kerberos: bool,
}

/// A connector, chosen for a run.
pub type ConnectorPlugin = Chosen<ConnectorDescription, ConnectorComponent>;

/// A transform, chosen for a run.
pub type TransformPlugin = Chosen<TransformDescription, TransformComponent>;

/// A sink, chosen for a run.
pub type SinkPlugin = Chosen<SinkDescription, SinkComponent>;

impl Plugin {
    /// Loads one component, wherever it lies, if it is admitted.
    pub async fn load(sandbox: &Sandbox, path: &Path, admission: &Admission) -> Result<Self> {
        load(sandbox, path, admission).await.context(path.display().to_string())
    }
}

/// The compiler takes every core: one component after the other takes no longer, and none uses up the
/// time of another.
static COMPILER: Semaphore = Semaphore::const_new(1);

async fn load(sandbox: &Sandbox, path: &Path, admission: &Admission) -> Result<Plugin> {
    let turn = COMPILER.acquire().await;
    let reading = {
        let (sandbox, path) = (sandbox.clone(), path.to_owned());
        let admission = admission.clone();
        tokio::task::spawn_blocking(move || Read::new(&sandbox, &path, &admission))
    };
    let Read { came, stamp, digest, compiled } =
        timeout(Duration::from_secs(COMPILE_LIMIT_SECS), reading)
            .await
            .map_err(|_| {
                Error::config(format!("it did not compile within {COMPILE_LIMIT_SECS} s"))
                    .with_hint("make its functions smaller")
            })?
            .map_err(|error| Error::internal(format!("compiling: {error}")))??;
    drop(turn);
    let file = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("plugin");
    let described = match stamp.kind {
        Kind::Connector => {
            let component = ConnectorComponent::new(compiled)?;
            Described::Connector(component.describe(file).await?, component)
        }
        Kind::Transform => {
            let component = TransformComponent::new(compiled)?;
            Described::Transform(component.describe(file).await?, component)
        }
        Kind::Sink => {
            let component = SinkComponent::new(compiled)?;
            Described::Sink(component.describe(file).await?, component)
        }
    };
    described.check()?;
    let version = Version::parse(described.version()).map_err(|error| {
        Error::config(format!("its version `{}`: {error}", described.version()))
            .with_hint("give it one such as 1.2.0")
    })?;
    tracing::debug!(path = %path.display(), digest, "a component is loaded");
    Ok(Plugin { path: path.to_owned(), digest, stamp, version, came, described })
}

/// A component that was read, once, and compiled.
struct Read {
    came: (i64, i64),
    stamp: Stamp,
    digest: String,
    compiled: Compiled,
}

impl Read {
    fn new(sandbox: &Sandbox, path: &Path, admission: &Admission) -> Result<Self> {
        let (bytes, came) = read_component(path)?;
        let stamp = Stamp::read(&bytes)?;
        let digest = hex::encode(Sha256::digest(&bytes));
        admission.check(path, &bytes, &digest)?;
        let compiled = sandbox.compile(&path.display().to_string(), &digest, &bytes)?;
        Ok(Self { came, stamp, digest, compiled })
    }
}

/// A component's bytes, and when its file last changed.
fn read_component(path: &Path) -> Result<(Vec<u8>, (i64, i64))> {
    let fault = |error| Error::io("reading it", error);
    let metadata = fs::metadata(path).map_err(fault)?;
    let length = metadata.len();
    if length > COMPONENT_LIMIT_BYTES {
        return Err(Error::config(format!("{length} bytes, the limit is {COMPONENT_LIMIT_BYTES}")));
    }
    Ok((fs::read(path).map_err(fault)?, (metadata.ctime(), metadata.ctime_nsec())))
}

/// The longest word that a plugin says of itself: its name, a scheme.
const WORD_LIMIT_BYTES: usize = 64;

/// The most schemes of one plugin.
const SCHEME_LIMIT: usize = 32;

/// The most config fields that hold endpoints and secrets.
const FIELD_LIMIT: usize = 64;

/// The longest summary.
const SUMMARY_LIMIT_BYTES: usize = 1_024;

/// The largest schema of a config.
const SCHEMA_LIMIT_BYTES: usize = 1 << 20;

fn check_field(field: &str) -> Result<()> {
    match field.len() <= WORD_LIMIT_BYTES && !field.contains(char::is_control) {
        true => Ok(()),
        false => Err(Error::config(format!(
            "the name of a config field is not one line of {WORD_LIMIT_BYTES} bytes at most"
        ))),
    }
}

fn check_word(what: &str, word: &str) -> Result<()> {
    let fits = !word.is_empty()
        && word.len() <= WORD_LIMIT_BYTES
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    match fits {
        true => Ok(()),
        false => {
            Err(Error::config(format!("its {what} is not of lower case letters, digits and `-`")))
        }
    }
}
