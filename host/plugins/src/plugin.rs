//! A plugin: a component that is admitted, and that told what it is. It is compiled when it is first
//! used, or at once where it must not serve before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_model::config::Signer;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_sandbox::tape::PluginLabel;
use longshore_sandbox::{Component, Kind, PluginInfo, Sandbox};
use semver::Version;

use super::admission::Admission;
use super::component_file::ComponentFile;
use super::info;
use super::kind::PluginKind;
use super::stamp::Stamp;

/// When components are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compile {
    /// Before they serve: a daemon keeps the last good one instead of one that does not compile.
    AtOnce,
    /// When they are first used: a command needs few of the components in a folder.
    OnUse,
}

/// The digests of a job's plugins, by their places in the job.
pub type PluginDigests = BTreeMap<String, String>;

/// A plugin, loaded.
pub struct Plugin {
    /// Its own description.
    pub info: PluginInfo,
    /// Its own version.
    pub version: Version,
    file: ComponentFile,
}

impl Plugin {
    /// Loads one component, wherever it lies, if it is admitted.
    pub async fn load(
        sandbox: &Sandbox,
        path: &Path,
        admission: &Admission,
        compile: Compile,
    ) -> Result<Self> {
        let (reading, path_read) = (sandbox.clone(), path.to_owned());
        let admission = admission.clone();
        let read = move || ComponentFile::read(&reading, &path_read, &admission);
        load(read, path, compile).await.context(path.display().to_string())
    }

    /// The same of a component that lies in no file, and is called `name` where something is said of it.
    pub async fn load_bytes(
        sandbox: &Sandbox,
        name: &str,
        bytes: Arc<[u8]>,
        admission: &Admission,
        compile: Compile,
    ) -> Result<Self> {
        let (sandbox, path, admission) = (sandbox.clone(), PathBuf::from(name), admission.clone());
        let read = move || ComponentFile::of_bytes(&sandbox, &path, bytes, (0, 0), &admission);
        load(read, Path::new(name), compile).await.context(name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.info.name()
    }

    /// Its kind.
    pub fn kind(&self) -> PluginKind {
        self.file.stamp.kind
    }

    /// Where it was loaded from.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// SHA-256 of the component, in hex.
    pub fn digest(&self) -> &str {
        &self.file.digest
    }

    /// Who has signed it, where the policy names signers: a public key of minisign.
    pub fn signer(&self) -> Option<&str> {
        self.file.signer.as_ref().map(Signer::as_str)
    }

    /// What its outside says.
    pub fn stamp(&self) -> &Stamp {
        &self.file.stamp
    }

    /// When its file last changed: seconds and nanoseconds.
    pub(super) fn changed(&self) -> (i64, i64) {
        self.file.changed
    }

    /// Its name, its version, and which one it is.
    pub fn title(&self) -> String {
        let digest: String = self.digest().chars().take(12).collect();
        format!("{} {} (sha256:{digest})", self.name(), self.version)
    }

    /// Its name in tapes.
    pub fn label(&self) -> PluginLabel {
        PluginLabel::new(self.name(), &self.version, self.digest())
    }

    /// The words that choose it: URL schemes, or a transform's name.
    pub(super) fn words(&self) -> &[String] {
        match self.kind() {
            PluginKind::Connector | PluginKind::Sink => self.info.schemes(),
            PluginKind::Transform => std::slice::from_ref(&self.info.description.name),
        }
    }

    /// Compiles the component, if it is not compiled yet. What it says that it is must be what is known of
    /// it.
    pub async fn compile(&self) -> Result<()> {
        let described = self.file.describe().await;
        described
            .and_then(|described| info::check_same(&self.info, described))
            .context(self.path().display().to_string())
    }

    /// Whether the component need not be compiled again on this machine.
    pub fn is_compiled(&self) -> bool {
        self.file.is_kept()
    }

    /// The component as one of its kind.
    pub async fn component<K: Kind>(&self) -> Result<Component<K>> {
        self.compile().await?;
        self.file.component().await.context(self.path().display().to_string())
    }

    /// Asks the component again what it is.
    pub async fn describe(&self) -> Result<PluginInfo> {
        self.file.ask().await
    }
}

async fn load(
    read: impl FnOnce() -> Result<ComponentFile> + Send + 'static,
    path: &Path,
    compile: Compile,
) -> Result<Plugin> {
    let reading = tokio::task::spawn_blocking(read);
    let file = reading.await.map_err(|error| Error::internal(format!("reading: {error}")))??;
    let info = match (file.known_info()?, compile) {
        (Some(known), Compile::OnUse) => known,
        (Some(known), Compile::AtOnce) => {
            info::check_same(&known, file.describe().await?)?;
            known
        }
        (None, _) => file.describe().await?.clone(),
    };
    info::check(&info)?;
    let version = Version::parse(info.version()).map_err(|error| {
        Error::config(format!("its version `{}`: {error}", info.version()))
            .with_hint("give it one such as 1.2.0")
    })?;
    tracing::debug!(path = %path.display(), digest = file.digest, "a component is loaded");
    Ok(Plugin { info, version, file })
}
